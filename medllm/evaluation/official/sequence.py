"""The Python scorers of BIO tags: seqeval 1.2.2, default and strict IOB2, and nervaluate 1.2.1 (SemEval 2013, after MUC).

The libraries themselves are run (extra ``eval``). The two files hold a token and its tag on each line (the last column counts), blank lines
between sentences. Where a library raises an error, or would read the files differently from what they say, FormatError is raised.

* seqeval default opens an entity at any ``I-`` that continues nothing, as conlleval does; strict ignores entities that do not start
  with ``B-``. Macro is the mean over the types that gold or prediction has. Neither can score files without a single entity.
* nervaluate: each prediction, in order, takes at most one gold span: an exact one if free, otherwise the first free one that it
  overlaps (for ``ent_type`` the closest of its type), which is then used up. ``exact`` and ``partial`` do not look at the type.
  Rows of one type compare only spans of that type. Sentences are documents.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medllm.errors import FormatError, UsageError
from medllm.evaluation.official.files import read_lines
from medllm.evaluation.official.result import Headline, OfficialResult, Row, Table
from medllm.evaluation.tables import render

__all__ = ["nervaluate", "render", "run_nervaluate", "seqeval"]

AVERAGES = ("micro avg", "macro avg", "weighted avg")
SCHEMES = ("strict", "exact", "partial", "ent_type")
_KINDS = ("correct", "incorrect", "partial", "missed", "spurious", "possible", "actual")


@dataclass(frozen=True)
class _Sentences:
    """Tags by sentence, and the line of each tag."""

    path: Path
    tags: list[list[str]]
    lines: list[list[int]]


def seqeval(gold: Path, pred: Path, *, strict: bool = False) -> OfficialResult:
    """Score tags with seqeval, in default mode or ``strict`` under IOB2. Raises FormatError where seqeval does, UsageError without it."""
    golds, preds = _read_pair(gold, pred)
    try:
        from seqeval.metrics import accuracy_score, classification_report
        from seqeval.metrics.sequence_labeling import get_entities
        from seqeval.scheme import IOB2, Entities
    except ImportError as error:
        raise _missing("seqeval") from error
    if strict:
        _check_tags(golds, ("B", "I", "O"))
        _check_tags(preds, ("B", "I", "O"))
    if all(tag == "O" for side in (golds, preds) for sentence in side.tags for tag in sentence):
        raise FormatError("no entity in gold or prediction", path=str(gold), hint="seqeval stops here; are the tags in the last column?")
    options = {"mode": "strict", "scheme": IOB2} if strict else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of tags that it reads in its own way
        report = classification_report(golds.tags, preds.tags, output_dict=True, zero_division=0, **options)
        accuracy = float(accuracy_score(golds.tags, preds.tags))
        found = sum(map(len, Entities(preds.tags, IOB2).entities)) if strict else len(get_entities(preds.tags))
    types = {name: _report_row(name, values) for name, values in report.items() if name not in AVERAGES}
    averages = [_report_row(name, report[name]) for name in AVERAGES]
    name = "seqeval-strict" if strict else "seqeval"
    headline = Headline(
        micro=averages[0].scores,
        macro=averages[1].scores,
        labels={t: row.scores for t, row in types.items()},
        gold=averages[0].counts["support"],
        pred=found,
    )
    table = Table("entities", (*types.values(), *averages), {"accuracy": accuracy})
    return OfficialResult(name, "seqeval, strict IOB2" if strict else "seqeval, default mode", headline, (table,))


def nervaluate(gold: Path, pred: Path) -> OfficialResult:
    """Score tags with nervaluate; tables ``strict``, ``exact``, ``partial`` and ``ent_type``, a row for each type and ``overall``.

    The headline is ``strict``. Raises FormatError for tags other than B-, I- and O, UsageError without the library.
    """
    golds, preds = _read_pair(gold, pred)
    _check_tags(golds, ("B", "I", "O"))
    _check_tags(preds, ("B", "I", "O"))
    types = sorted({tag[2:] for side in (golds, preds) for sentence in side.tags for tag in sentence if tag != "O"})
    return run_nervaluate(golds.tags, preds.tags, types, loader="list")


def run_nervaluate(gold: Sequence[Any], pred: Sequence[Any], types: Sequence[str], *, loader: str) -> OfficialResult:
    """nervaluate's tables over documents in the form that its ``loader`` takes. Raises UsageError without the library."""
    try:
        from nervaluate import Evaluator
    except ImportError as error:
        raise _missing("nervaluate") from error
    found = Evaluator(gold, pred, tags=list(types), loader=loader).evaluate()
    tables = []
    for scheme in SCHEMES:
        rows = [_evaluation_row(t, found["entities"][t][scheme]) for t in types if t in found["entities"]]
        tables.append(Table(scheme, (*rows, _evaluation_row("overall", found["overall"][scheme]))))
    overall = tables[0].row("overall")
    labels = {row.name: row.scores for row in tables[0].rows if row is not overall}
    headline = Headline(overall.scores, None, labels, overall.counts["possible"], overall.counts["actual"])
    return OfficialResult("nervaluate", f"nervaluate, {loader} loader", headline, tuple(tables))


def _read_pair(gold: Path, pred: Path) -> tuple[_Sentences, _Sentences]:
    golds, preds = _read(gold), _read(pred)
    for i, (left, right) in enumerate(zip(golds.lines, preds.lines, strict=False)):
        if len(left) != len(right):
            raise FormatError(
                f"sentence {i + 1} has {len(right)} tokens, in gold {len(left)}",
                path=str(pred),
                line=right[0],
                hint="both files need the same tokens",
            )
    if len(golds.tags) != len(preds.tags):
        raise FormatError(
            f"{len(preds.tags)} sentences, but gold has {len(golds.tags)}",
            path=str(pred),
            hint="both files need the same sentences in the same order",
        )
    return golds, preds


def _read(path: Path) -> _Sentences:
    tags: list[list[str]] = [[]]
    lines: list[list[int]] = [[]]
    for number, text in enumerate(read_lines(path), 1):
        columns = text.split()
        if not columns:
            tags.append([])
            lines.append([])
        elif len(columns) < 2:
            raise FormatError("fewer than two columns", path=str(path), line=number, hint="a line is a token and its tag")
        else:
            tags[-1].append(columns[-1])
            lines[-1].append(number)
    return _Sentences(path, [t for t in tags if t], [n for n in lines if n])


def _check_tags(sentences: _Sentences, positions: tuple[str, ...]) -> None:
    for tags, lines in zip(sentences.tags, sentences.lines, strict=True):
        for tag, line in zip(tags, lines, strict=True):
            position, hyphen, kind = tag.partition("-")
            if position not in positions or (tag != "O" and not (hyphen and kind)) or (position == "O" and hyphen):
                raise FormatError(
                    "a tag other than B-TYPE, I-TYPE and O", path=str(sentences.path), line=line, hint="convert the tags to IOB2"
                )


def _report_row(name: str, values: Mapping[str, Any]) -> Row:
    return Row(name, float(values["precision"]), float(values["recall"]), float(values["f1-score"]), {"support": int(values["support"])})


def _evaluation_row(name: str, found: Any) -> Row:
    return Row(name, float(found.precision), float(found.recall), float(found.f1), {kind: getattr(found, kind) for kind in _KINDS})


def _missing(library: str) -> UsageError:
    return UsageError(f"{library} is not installed", hint="pip install 'medllm[eval]'")
