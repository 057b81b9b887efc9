"""The i2b2 2014 scorer for de-identification (evaluation scripts, ``phi`` task), reproduced.

Task: Stubbs, Kotfila & Uzuner 2015, J Biomed Inform 58:S11. ``score`` takes two folders of XML files. What is counted:

* Sets of tags: repeated tags count once. Strict: tag name, TYPE, start and end equal, as written. Relaxed: the ends may differ by two
  characters either way, the starts not at all; relaxed-equal tags of one side count once as well.
* Token sections compare the runs of ASCII letters and digits inside the tags. Binary sections look at offsets only.
* HIPAA sections keep the tags whose name and own TYPE are protected (DOCTOR, PROFESSION, HOSPITAL and IDNUM are not) on each side.
* Micro: sums over documents. Macro: the means over documents of P and of R; macro F1 is made from those means, and NaN where both are 0.
  A document with no tags on both sides counts as 0.
* Documents on one side only are skipped. A document whose text differs between the two sides stops the official scorer.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from medllm.errors import FormatError, InputError
from medllm.evaluation.counts import Counts
from medllm.evaluation.official.files import document_pairs
from medllm.evaluation.official.result import Headline, OfficialResult, Row, Table
from medllm.evaluation.tables import render

__all__ = ["render", "score"]

SCORER = "i2b2 2014 evaluation scripts, phi task"
NAMES = ("CONTACT", "NAME", "DATE", "AGE", "PROFESSION", "ID", "OTHER", "LOCATION")
MACRO, MICRO = "macro", "micro"
RELAXED_BY = 2

# The official list has "IDNUM " with a blank at its end, so that IDNUM is in effect not on it. Types match by prefix.
_HIPAA = {
    "NAME": ("PATIENT",),
    "LOCATION": ("CITY", "STREET", "ZIP", "ORGANIZATION"),
    "DATE": ("",),
    "CONTACT": ("PHONE", "FAX", "EMAIL"),
    "ID": ("SSN", "MEDICALRECORD", "HEALTHPLAN", "ACCOUNT", "LICENSE", "VEHICLE", "DEVICE", "BIOID"),
    "AGE": ("",),
}
_DOCUMENT_ID = re.compile(r"\d+-\d+")
_TOKEN = re.compile("[a-zA-Z0-9]+")


@dataclass(frozen=True)
class _Tag:
    name: str
    type: str
    start: str
    end: str

    @property
    def hipaa(self) -> bool:
        return self.type.startswith(_HIPAA.get(self.name, ()))


@dataclass(frozen=True)
class _Document:
    text: str
    tags: list[_Tag]


_Keep = Callable[[_Tag], bool]
_Count = Callable[[_Document, _Document, _Keep], Counts]


def score(gold: Path, pred: Path) -> OfficialResult:
    """Score a folder of predicted XML files against gold; a table for each printed section, with a macro and a micro row.

    The headline is ``Strict``, micro and macro. Raises FormatError for XML that cannot be read and for texts that differ.
    """
    left, right = (_by_id(files) for files in document_pairs(gold, pred, ".xml"))
    common = sorted(left.keys() & right.keys())
    if not common:
        raise InputError(f"{gold} and {pred} have no file name in common", hint="a prediction has the name of its gold file")
    problems = [f"{left[n]}: no prediction, the document is not scored" for n in sorted(left.keys() - right.keys())]
    problems += [f"{right[n]}: no gold, the document is not scored" for n in sorted(right.keys() - left.keys())]
    documents = [(_read(left[n]), _read(right[n])) for n in common]
    for name, (g, p) in zip(common, documents, strict=True):
        if g.text != p.text:
            raise FormatError(
                "the text differs from gold's", path=str(right[name]), hint="the official scorer stops here; offsets would not agree"
            )
    tables = [_table(name, documents, count, keep) for name, count, keep in _sections()]
    strict = {t.name: t for t in tables}["Strict"]
    by_name = {t.name.split()[0]: t for t in tables if t.name.endswith(" Strict") and t.name.split()[0] in NAMES and "HIPAA" not in t.name}
    headline = Headline(
        micro=strict.row(MICRO).scores,
        macro=strict.row(MACRO).scores,
        labels={n: t.row(MICRO).scores for n, t in by_name.items() if t.row(MICRO).counts["tp"] + t.row(MICRO).counts["fn"]},
        gold=sum(len(set(g.tags)) for g, _ in documents),
        pred=sum(len(set(p.tags)) for _, p in documents),
    )
    return OfficialResult("i2b2-2014", SCORER, headline, tuple(tables), tuple(problems))


def _sections() -> list[tuple[str, _Count, _Keep]]:
    """The printed sections in order: name, how tags are compared, which tags count. The names are the official spelling."""
    sections: list[tuple[str, _Count, _Keep]] = [
        ("Token", _tokens, _all),
        ("Strict", _strict, _all),
        ("Relaxed", _relaxed, _all),
        ("HIPPA Token", _tokens, _hipaa),
        ("HIPAA Strict", _strict, _hipaa),
        ("HIPAA Relaxed", _relaxed, _hipaa),
        ("Binary Token", _binary_tokens, _all),
        ("Binary Strict", _binary, _all),
        ("Binary HIPPA Token", _binary_tokens, _hipaa),
        ("Binary HIPAA Strict", _binary, _hipaa),
    ]
    for name in NAMES:
        of_name, of_both = _named(name, _all), _named(name, _hipaa)
        sections += [(f"{name} Token", _tokens, of_name), (f"{name} Strict", _strict, of_name)]
        sections += [(f"{name} HIPPA Token", _tokens, of_both), (f"{name} Binary HIPAA Strict", _strict, of_both)]
    return sections


def _all(tag: _Tag) -> bool:
    return True


def _hipaa(tag: _Tag) -> bool:
    return tag.hipaa


def _named(name: str, keep: _Keep) -> _Keep:
    return lambda tag: tag.name == name and keep(tag)


def _by_id(files: dict[str, Path]) -> dict[str, Path]:
    """The files by document id: ``301-02.xml`` and ``301-02run1.xml`` are the same document. Raises InputError for two files of one."""
    found: dict[str, Path] = {}
    for name, path in files.items():
        match = _DOCUMENT_ID.match(name)
        if found.setdefault(match[0] if match else name, path) is not path:
            raise InputError(f"{path}: a second file of this document", hint="score one system's folder at a time", names=(str(path),))
    return found


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(path: Path) -> _Document:
    parser, text, tags, open_elements = expat.ParserCreate(), list[str](), list[_Tag](), list[str]()

    def start(name: str, attributes: dict[str, str]) -> None:
        open_elements.append(name)
        if open_elements[1:-1] == ["TAGS"] and name in (*NAMES, "PHI"):
            tag = _Tag(name, attributes.get("TYPE", ""), attributes.get("start", ""), attributes.get("end", ""))
            if not (tag.start.isdigit() and tag.end.isdigit()):
                raise FormatError(
                    "a tag's start or end is not a number",
                    path=str(path),
                    line=parser.CurrentLineNumber,
                    hint="the official scorer stops here",
                )
            tags.append(tag)

    def end(name: str) -> None:
        open_elements.pop()

    def characters(data: str) -> None:
        if open_elements[1:] == ["TEXT"]:
            text.append(data)

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, characters
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise FormatError("not well-formed XML", path=str(path), line=error.lineno, hint="the official scorer stops here") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {type(error).__name__}", hint="check the path and its permissions", names=(str(path),)
        ) from error
    return _Document("".join(text), tags)


# --- counting --------------------------------------------------------------------------------------------------------


def _strict(gold: _Document, pred: _Document, keep: _Keep) -> Counts:
    return _sets(gold, pred, lambda d: {t for t in d.tags if keep(t)})


def _binary(gold: _Document, pred: _Document, keep: _Keep) -> Counts:
    return _sets(gold, pred, lambda d: {(t.start, t.end) for t in d.tags if keep(t)})


def _tokens(gold: _Document, pred: _Document, keep: _Keep) -> Counts:
    return _sets(gold, pred, lambda d: {(t.name, t.type, *span) for t in d.tags if keep(t) for span in _token_spans(d, t)})


def _binary_tokens(gold: _Document, pred: _Document, keep: _Keep) -> Counts:
    return _sets(gold, pred, lambda d: {span for t in d.tags if keep(t) for span in _token_spans(d, t)})


def _token_spans(document: _Document, tag: _Tag) -> list[tuple[int, int]]:
    inside = document.text[int(tag.start) : int(tag.end)]
    return [(int(tag.start) + m.start(), int(tag.start) + m.end()) for m in _TOKEN.finditer(inside)]


def _sets(gold: _Document, pred: _Document, items: Callable[[_Document], AbstractSet[object]]) -> Counts:
    left, right = items(gold), items(pred)
    return Counts(len(left & right), len(right - left), len(left - right))


def _relaxed(gold: _Document, pred: _Document, keep: _Keep) -> Counts:
    """As sets under an equality that is not transitive: hits are counted on the smaller side, on the prediction where both are equal."""
    golds, preds = _distinct(filter(keep, gold.tags)), _distinct(filter(keep, pred.tags))
    spurious = sum(not any(_close(p, g) for g in golds) for p in preds)
    missed = sum(not any(_close(g, p) for p in preds) for g in golds)
    return Counts(len(golds) - missed if len(preds) > len(golds) else len(preds) - spurious, spurious, missed)


def _distinct(tags: Iterable[_Tag]) -> Sequence[_Tag]:
    kept: list[_Tag] = []
    for tag in tags:
        if not any(_close(tag, other) for other in kept):
            kept.append(tag)
    return kept


def _close(a: _Tag, b: _Tag) -> bool:
    return (a.name, a.type, a.start) == (b.name, b.type, b.start) and abs(int(a.end) - int(b.end)) <= RELAXED_BY


def _table(name: str, documents: Sequence[tuple[_Document, _Document]], count: _Count, keep: _Keep) -> Table:
    counts = [count(gold, pred, keep) for gold, pred in documents]
    total = sum(counts, Counts())
    (p, p_sd), (r, r_sd) = _mean([c.precision for c in counts]), _mean([c.recall for c in counts])
    macro = Row(MACRO, p, r, _f1(p, r, math.nan), spread=(p_sd, r_sd))
    micro = Row(
        MICRO, total.precision, total.recall, _f1(total.precision, total.recall, 0.0), {"tp": total.tp, "fp": total.fp, "fn": total.fn}
    )
    return Table(name, (macro, micro), {"documents": len(documents)})


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation."""
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))


def _f1(p: float, r: float, nothing: float) -> float:
    return 2 * ((p * r) / (p + r)) if p + r else nothing
