"""The BioCreative V CDR scorer for mentions, concept ids and chemical-induced-disease relations (BC5CDR_Evaluation 0.0.3), reproduced.

Task: Wei et al. 2016, Database baw032. ``score`` takes two PubTator files, or two folders of them. What is counted:

* Everything is a set of exact tuples, micro averaged: (document, start, end, type), (document, type, id), (document, CID, id, id).
* An id without a colon is a MeSH id. In mentions ``A|B`` is two ids and ``-1`` is none; in relations ``A|B`` is one id, and
  ``-1`` and an empty id are the same thing. Case counts everywhere. A mention without an id column has no id.
* Predictions in documents that have no gold item of the kind and types being scored are dropped, so they are never spurious.
* 0/0 is NaN, and so is F1 where precision and recall are 0.
* A line that holds ``|t|`` or ``|a|`` is text, even if it is an annotation. A line with one column stops the official scorer,
  and ``score`` raises FormatError there.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path

from medllm.errors import FormatError
from medllm.evaluation.official.files import documents, read_lines
from medllm.evaluation.official.result import Headline, OfficialResult, Row, Table, ratio
from medllm.evaluation.tables import render

__all__ = ["render", "score"]

SCORER = "BC5CDR_Evaluation 0.0.3, PubTator input"
TYPES = ("Chemical", "Disease", "Chemical|Disease")
RELATION = "CID"


@dataclass(frozen=True)
class _Mention:
    document: str
    start: int
    end: int
    type: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class _Relation:
    document: str
    type: str
    head: str
    tail: str


@dataclass(frozen=True)
class _Annotations:
    mentions: list[_Mention]
    relations: list[_Relation]


def score(gold: Path, pred: Path) -> OfficialResult:
    """Score PubTator predictions against PubTator gold; the tables are ``mention``, ``id`` and ``relation``.

    The headline is the mentions of both types. Raises FormatError, with file and line, where the official scorer stops.
    """
    golds, preds = _read(gold), _read(pred)
    mention = Table("mention", tuple(_row(t, _mentions(golds, t), _mentions(preds, t)) for t in TYPES))
    ids = Table("id", tuple(_row(t, _ids(golds, t), _ids(preds, t)) for t in TYPES))
    relation = Table("relation", (_row(RELATION, _relations(golds), _relations(preds)),))
    both = mention.row(TYPES[-1])
    headline = Headline(
        micro=both.scores,
        macro=None,
        labels={t: mention.row(t).scores for t in TYPES[:-1]},
        gold=both.counts["tp"] + both.counts["fn"],
        pred=both.counts["tp"] + both.counts["fp"],
    )
    return OfficialResult("bc5cdr", SCORER, headline, (mention, ids, relation))


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(path: Path) -> _Annotations:
    found = _Annotations([], [])
    for file in documents(path, "").values():
        for number, line in enumerate(read_lines(file), 1):
            if line.strip() and "|t|" not in line and "|a|" not in line:
                _read_line(file, number, line, found)
    return found


def _read_line(path: Path, number: int, line: str, found: _Annotations) -> None:
    columns = line.rstrip("\t").split("\t")
    if len(columns) < 2:
        raise _stop(path, number, "an annotation line has one column")
    if not columns[1].isdigit():
        if len(columns) < 4:
            raise _stop(path, number, "a relation line has fewer than four columns")
        found.relations.append(_Relation(columns[0], columns[1], _relation_id(columns[2]), _relation_id(columns[3])))
        return
    if len(columns) < 5 or not columns[2].isdigit():
        raise _stop(path, number, "a mention line is not: document, start, end, text, type, id")
    ids = tuple(_prefixed(i) for i in (columns[5].split("|") if len(columns) > 5 else []) if i and i != "-1")
    found.mentions.append(_Mention(columns[0], int(columns[1]), int(columns[2]), columns[4], ids))


def _prefixed(identifier: str) -> str:
    return identifier if ":" in identifier else f"MESH:{identifier}"


def _relation_id(identifier: str) -> str:
    return _prefixed(identifier) if identifier not in ("", "-1") else ""


def _stop(path: Path, number: int, what: str) -> FormatError:
    return FormatError(what, path=str(path), line=number, hint="the official scorer stops here; columns are divided by tabs")


# --- counting --------------------------------------------------------------------------------------------------------


def _mentions(found: _Annotations, types: str) -> set[tuple[str, Hashable]]:
    return {(m.document, (m.start, m.end, m.type)) for m in found.mentions if m.type in types.split("|")}


def _ids(found: _Annotations, types: str) -> set[tuple[str, Hashable]]:
    return {(m.document, (m.type, i)) for m in found.mentions if m.type in types.split("|") for i in m.ids}


def _relations(found: _Annotations) -> set[tuple[str, Hashable]]:
    return {(r.document, (r.head, r.tail)) for r in found.relations if r.type == RELATION}


def _row(name: str, gold: set[tuple[str, Hashable]], pred: Iterable[tuple[str, Hashable]]) -> Row:
    judged = {document for document, _ in gold}
    kept = {item for item in pred if item[0] in judged}
    tp, fp, fn = len(gold & kept), len(kept - gold), len(gold - kept)
    p, r = ratio(tp, tp + fp), ratio(tp, tp + fn)
    return Row(name, p, r, ratio(2 * p * r, p + r), {"tp": tp, "fp": fp, "fn": fn})
