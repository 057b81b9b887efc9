"""The i2b2/VA 2010 scorer for concepts, assertions and relations (evaluation jar of July 2010), reproduced.

Task: Uzuner et al. 2011, JAMIA 18:552. ``score`` takes two folders of ``.con``, ``.ast`` and ``.rel`` files. What is counted:

* Only line:token numbers and the label decide, labels with case. Text and the ``t=`` of ``.ast`` lines are ignored.
* Matching is one-to-one and greedy: for each gold line in file order, the first unused prediction in file order that fits.
  An exact prediction gets no preference, so the order of lines changes inexact scores. Nothing is removed as a duplicate.
* Inexact means one shared token, where a position is line * 1000 + token: token 1001 of line 1 is token 1 of line 2.
* A relation needs both spans exact, in either order.
* Counts are summed over files; a file on one side only counts as all missed, or all spurious.
* Rows for one class take hits and misses by the class of the gold line, spurious ones by the class of the prediction (without case).
* "Class Inexact Span" prints the counts of "Concept Inexact Span"; its precision is the class-matched one, but its recall
  divides class-matched hits by those hits plus the misses *without* class, and its F1 mixes the same numbers.
* A line that cannot be read, or whose label is not one of the task's, is skipped: it is neither spurious nor counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medllm.errors import InputError
from medllm.evaluation.official.files import paired, read_lines
from medllm.evaluation.official.result import Headline, OfficialResult, Row, Table, ratio
from medllm.evaluation.tables import render

__all__ = ["render", "score"]

SCORER = "i2b2/VA 2010 evaluation jar (i2b2compare, 2010-07-21)"
CONCEPTS = ("Problem", "Treatment", "Test")
ASSERTIONS = ("Present", "Absent", "Possible", "Hypothetical", "Conditional", "Associated With Someone Else")
RELATIONS = ("TrIP", "TrWP", "TrCP", "TrAP", "TrNAP", "PIP", "TeRP", "TeCP")

FOLDERS = {".con": ("concept", "concepts"), ".ast": ("ast",), ".rel": ("rel",)}

_SPAN = r'c=".*" (\d+):(\d+) (\d+):(\d+)'
_CONCEPT = re.compile(rf'{_SPAN}\|\|t="([^"]*)"')
_ASSERTION = re.compile(rf'{_SPAN}\|\|t="[^"]*"\|\|a="([^"]*)"')
_RELATION = re.compile(rf'{_SPAN}\|\|r="([^"]*)"\|\|{_SPAN}')

Position = tuple[int, int]


@dataclass(frozen=True)
class _Line:
    spans: tuple[tuple[Position, Position], ...]
    label: str


_Fits = Callable[[_Line, _Line], bool]
_Files = Sequence[tuple[Sequence[_Line], Sequence[_Line]]]


def score(gold: Path, pred: Path) -> OfficialResult:
    """Score a folder of predictions against a folder of gold files; kinds of file that neither side has give empty tables.

    The files of a kind may stand in a sub-folder of their own, as the challenge hands them out (``FOLDERS``).

    Raises InputError where there is no such folder or gold has none of the three kinds.
    """
    problems: list[str] = []
    concepts, concept_facts = _read(gold, pred, ".con", _concept, problems)
    assertions, assertion_facts = _read(gold, pred, ".ast", _assertion, problems)
    relations, relation_facts = _read(gold, pred, ".rel", _relation, problems)
    if not any(f["reference_files"] for f in (concept_facts, assertion_facts, relation_facts)):
        raise InputError(f"{gold}: no .con, .ast or .rel files", hint="give the folder that holds the gold annotation files")
    span, label = _tally(concepts, _exact), _tally(concepts, _with_label(_exact))
    tables = (
        *_concept_tables(concepts, span, label, concept_facts),
        *_tables("2", "assertions", assertions, assertion_facts, ASSERTIONS, *_ASSERTION_ROWS),
        *_tables("3", "relations", relations, relation_facts, RELATIONS, *_RELATION_ROWS),
    )
    classes = {c.lower(): label.row(c, c).scores for c in CONCEPTS}
    total = label.row("", None)
    headline = Headline(total.scores, None, classes, int(concept_facts["reference_lines"]), int(concept_facts["system_lines"]))
    return OfficialResult("i2b2-2010", SCORER, headline, tables, tuple(problems))


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(
    gold: Path, pred: Path, suffix: str, parse: Callable[[str], _Line | None], problems: list[str]
) -> tuple[_Files, dict[str, float]]:
    left, right = paired(gold, pred, suffix, FOLDERS[suffix])
    sides = [{name: _lines(path, parse, problems) for name, path in files.items()} for files in (left, right)]
    facts: dict[str, float] = {
        "reference_files": len(left),
        "system_files": len(right),
        "reference_lines": sum(map(len, sides[0].values())),
        "system_lines": sum(map(len, sides[1].values())),
    }
    return [(sides[0].get(name, []), sides[1].get(name, [])) for name in sorted({*left, *right})], facts


def _lines(path: Path, parse: Callable[[str], _Line | None], problems: list[str]) -> list[_Line]:
    texts, found = read_lines(path), []
    if not texts[-1]:
        texts.pop()
    for number, text in enumerate(texts, 1):
        if line := parse(text.rstrip()):
            found.append(line)
        else:
            problems.append(f"{path}:{number}: not a line of this kind, skipped")
    return found


def _concept(text: str) -> _Line | None:
    return _one_span(_CONCEPT.fullmatch(text), text, 1, CONCEPTS)


def _assertion(text: str) -> _Line | None:
    return _one_span(_ASSERTION.fullmatch(text), text, 2, ASSERTIONS)


def _one_span(match: re.Match[str] | None, text: str, bars: int, labels: Iterable[str]) -> _Line | None:
    if not match or text.count("||") != bars or _class(match[5]) not in map(_class, labels):
        return None
    return _Line((_positions(match.groups()[:4]),), match[5])


def _relation(text: str) -> _Line | None:
    match = _RELATION.fullmatch(text)
    if not match or text.count("||") != 2 or _class(match[5]) not in map(_class, RELATIONS):
        return None
    return _Line(tuple(sorted((_positions(match.groups()[:4]), _positions(match.groups()[5:])))), match[5])


def _positions(numbers: Sequence[str]) -> tuple[Position, Position]:
    a, b, c, d = map(int, numbers)
    return (a, b), (c, d)


def _class(label: str) -> str:
    return label.lower().replace(" ", "_")


# --- matching --------------------------------------------------------------------------------------------------------


def _exact(gold: _Line, pred: _Line) -> bool:
    return gold.spans == pred.spans


def _inexact(gold: _Line, pred: _Line) -> bool:
    (a, b), (c, d) = gold.spans[0], pred.spans[0]
    return a[0] * 1000 + a[1] <= d[0] * 1000 + d[1] and c[0] * 1000 + c[1] <= b[0] * 1000 + b[1]


def _with_label(fits: _Fits) -> _Fits:
    return lambda gold, pred: gold.label == pred.label and fits(gold, pred)


@dataclass(frozen=True)
class _Tally:
    """Hits and misses by gold class, spurious lines by predicted class."""

    tp: Counter[str]
    fn: Counter[str]
    fp: Counter[str]

    def row(self, name: str, label: str | None) -> Row:
        tp, fn, fp = (sum(c.values()) if label is None else c[_class(label)] for c in (self.tp, self.fn, self.fp))
        return _row(name, tp, fn, fp)


def _row(name: str, tp: int, fn: int, fp: int) -> Row:
    return Row(name, ratio(tp, tp + fp), ratio(tp, tp + fn), ratio(2 * tp, 2 * tp + fp + fn), {"tp": tp, "fn": fn, "fp": fp})


def _tally(files: _Files, fits: _Fits) -> _Tally:
    tp, fn, fp = Counter[str](), Counter[str](), Counter[str]()
    for golds, preds in files:
        free = list(preds)
        for gold in golds:
            place = next((i for i, pred in enumerate(free) if fits(gold, pred)), None)
            if place is None:
                fn[_class(gold.label)] += 1
            else:
                tp[_class(gold.label)] += 1
                del free[place]
        fp.update(_class(pred.label) for pred in free)
    return _Tally(tp, fn, fp)


# --- tables ----------------------------------------------------------------------------------------------------------

_ASSERTION_ROWS = (
    ("Exact Span With Matching Concept", "{} With Exact Span"),
    ("Exact Span With Matching Assertion", "{} With Exact Span And Matching Assertion"),
)
_RELATION_ROWS = (
    ("Exact Span With Matching Concept", "{} With Exact Span True Positive"),
    ("Concept With Matching Span and Relation", "{} With Exact Span And Matching Relations"),
)


def _concept_tables(files: _Files, span: _Tally, label: _Tally, facts: dict[str, float]) -> list[Table]:
    overlap, label_overlap = _tally(files, _inexact), _tally(files, _with_label(_inexact))
    concept, matched = overlap.row("Concept Inexact Span", None), label_overlap.row("", None).counts
    missed = concept.counts["fn"]
    inconsistent = Row(
        "Class Inexact Span",
        ratio(matched["tp"], matched["tp"] + matched["fp"]),
        ratio(matched["tp"], matched["tp"] + missed),
        ratio(2 * matched["tp"], 2 * matched["tp"] + matched["fp"] + missed),
        concept.counts,
    )
    return [
        Table("1.1", (span.row("Concept Exact Span", None), label.row("Class Exact Span", None)), facts, "concepts, exact"),
        Table(
            "1.2",
            _class_rows(CONCEPTS, span, label, "Exact Span for {}", "Exact Span With Matching Class for {}"),
            title="concepts by class, exact",
        ),
        Table("1.3", (concept, inconsistent), title="concepts, inexact"),
        Table(
            "1.4",
            _class_rows(CONCEPTS, overlap, label_overlap, "Inexact Span for {}", "Inexact Span With Matching Class for {}"),
            title="concepts by class, inexact",
        ),
    ]


def _tables(
    number: str,
    what: str,
    files: _Files,
    facts: dict[str, float],
    classes: Sequence[str],
    first: tuple[str, str],
    second: tuple[str, str],
) -> list[Table]:
    span, label = _tally(files, _exact), _tally(files, _with_label(_exact))
    return [
        Table(f"{number}.1", (span.row(first[0], None), label.row(second[0], None)), facts, what),
        Table(f"{number}.2", _class_rows(classes, span, label, first[1], second[1]), title=f"{what} by class"),
    ]


def _class_rows(classes: Sequence[str], span: _Tally, label: _Tally, first: str, second: str) -> tuple[Row, ...]:
    return tuple(t.row(name.format(c), c) for t, name in ((span, first), (label, second)) for c in classes)
