"""The n2c2 2018 track 2 scorer for medication entities and relations (Track2-evaluate-ver4.py), reproduced.

Task: Henry et al. 2020, JAMIA 27:3. ``score`` takes two folders of brat ``.ann`` files. What is counted:

* Strict: same type, first start and last end equal. Lenient: same type and a shared character. A discontinuous entity is its
  cover, from the first start to the last end. Types are compared with case, text is ignored.
* A relation needs the same type and both arguments, in order, to match as entities in the same mode.
* In each document, for one type or for all: go through the predictions in file order; a prediction that matches a gold item which
  an earlier prediction has matched is dropped. TP = the rest that match anything, FP = the rest that match nothing, FN = gold - TP.
  So repeated predictions cost no precision, and repeated gold items cost recall even for a perfect copy.
* Micro: counts summed over documents. Macro: the mean over *documents* of P, R and F1 (a document with nothing on both sides is 0).
* Documents on one side only are skipped. Types outside the task's list have no row but count in the overall rows. 0/0 is 0.
* An entity line of four or more parts takes type and offsets of the entity line before it, one without a text column repeats
  the line before; where there is none before it, where a number is not one, and where a relation names an entity that the file
  does not have, the official scorer stops, and ``score`` raises FormatError there.
* The same id twice: the later line replaces the earlier one, in its place.

``brat_eval.py`` of ClinicalTransformerNER (UF-HOBI) follows the same rules with a row for every type in gold: ``rows="gold"``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from medllm.errors import FormatError, InputError
from medllm.evaluation.counts import Counts, micro
from medllm.evaluation.official.files import document_pairs, read_lines
from medllm.evaluation.official.result import Headline, OfficialResult, Row, Table
from medllm.evaluation.tables import render

__all__ = ["render", "score"]

SCORER = "n2c2 2018 track 2 evaluation script, version 4"
ENTITIES = ("Drug", "Strength", "Duration", "Route", "Form", "ADE", "Dosage", "Reason", "Frequency")
RELATIONS = tuple(f"{e}-Drug" for e in ("Strength", "Dosage", "Duration", "Frequency", "Form", "Route", "Reason", "ADE"))
MODES = ("strict", "lenient")
MICRO, MACRO = "Overall (micro)", "Overall (macro)"


class _Item(Protocol):
    @property
    def type(self) -> str: ...

    def matches(self, other: Any, mode: str) -> bool: ...


_Pairs = Sequence[tuple[Sequence[_Item], Sequence[_Item]]]


@dataclass(frozen=True)
class _Entity:
    type: str
    start: int
    end: int

    def matches(self, other: "_Entity", mode: str) -> bool:
        if self.type != other.type:
            return False
        if mode == "strict":
            return (self.start, self.end) == (other.start, other.end)
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class _Relation:
    type: str
    head: _Entity
    tail: _Entity

    def matches(self, other: "_Relation", mode: str) -> bool:
        return self.type == other.type and self.head.matches(other.head, mode) and self.tail.matches(other.tail, mode)


@dataclass(frozen=True)
class _Document:
    entities: list[_Entity]
    relations: list[_Relation]


def score(gold: Path, pred: Path, *, rows: Literal["task", "gold"] = "task") -> OfficialResult:
    """Score a folder of predictions against a folder of gold files. ``rows``: the task's types, or the types that gold has.

    The tables are ``entities strict``, ``entities lenient``, ``relations strict``, ``relations lenient``; the headline is the
    lenient micro average of the entities, which the task ranked by. Raises FormatError where the official scorer stops.
    """
    left, right = document_pairs(gold, pred, ".ann")
    common, problems = sorted(left.keys() & right.keys()), list[str]()
    if not common:
        raise InputError(f"{gold} and {pred} have no file name in common", hint="a prediction has the name of its gold file")
    problems += [f"{left[n]}: no prediction, the document is not scored" for n in sorted(left.keys() - right.keys())]
    problems += [f"{right[n]}: no gold, the document is not scored" for n in sorted(right.keys() - left.keys())]
    documents = [(_read(left[n], problems), _read(right[n], problems)) for n in common]
    entities: _Pairs = [(g.entities, p.entities) for g, p in documents]
    relations: _Pairs = [(g.relations, p.relations) for g, p in documents]
    entity_types = ENTITIES if rows == "task" else _gold_types(entities)
    relation_types = RELATIONS if rows == "task" else _gold_types(relations)
    tables = [_table(f"entities {mode}", entities, entity_types, mode) for mode in MODES]
    tables += [_table(f"relations {mode}", relations, relation_types, mode) for mode in MODES]
    lenient = tables[1]
    headline = Headline(
        micro=lenient.row(MICRO).scores,
        macro=lenient.row(MACRO).scores,
        labels={t: lenient.row(t).scores for t in entity_types},
        gold=sum(len(g) for g, _ in entities),
        pred=sum(len(p) for _, p in entities),
    )
    return OfficialResult("n2c2-2018", SCORER, headline, tuple(tables), tuple(problems))


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(path: Path, problems: list[str]) -> _Document:
    lines = [(number, line.strip()) for number, line in enumerate(read_lines(path), 1)]
    entities = _read_entities(path, [(n, line) for n, line in lines if line.startswith("T")], problems)
    relations: dict[str, _Relation] = {}
    for number, line in lines:
        if line.startswith("R"):
            identifier, relation = _read_relation(path, number, line, entities)
            relations[identifier] = relation
    return _Document(list(entities.values()), list(relations.values()))


def _read_entities(path: Path, lines: list[tuple[int, str]], problems: list[str]) -> dict[str, _Entity]:
    entities: dict[str, _Entity] = {}
    columns: list[str] = []
    last: _Entity | None = None
    for number, line in lines:
        if line.count("\t") == 2:
            columns = line.split("\t")
        elif columns:
            problems.append(f"{path}:{number}: not three columns, read as the entity line before it")
        else:
            raise _stop(path, number, "the first entity line has not three columns")
        parts = columns[1].split(" ")
        if len(parts) in (3, 4, 5):
            try:
                last = _Entity(parts[0], int(parts[1]), int(parts[-1]))
            except ValueError:
                raise _stop(path, number, "an offset is not a number") from None
        elif last:
            problems.append(f"{path}:{number}: not one to three parts, read with type and offsets of the entity line before it")
        else:
            raise _stop(path, number, "the first entity line has not one to three parts")
        entities[columns[0]] = last
    return entities


def _read_relation(path: Path, number: int, line: str, entities: dict[str, _Entity]) -> tuple[str, _Relation]:
    columns = line.split("\t")
    parts = columns[1].split(" ") if len(columns) == 2 else []
    if len(parts) != 3 or not all(":" in p for p in parts[1:]):
        raise _stop(path, number, "a relation line is not: id, tab, type and two arguments")
    try:
        head, tail = (entities[p.split(":")[1]] for p in parts[1:])
    except KeyError:
        raise _stop(path, number, "a relation names an entity that the file does not have") from None
    return columns[0], _Relation(parts[0], head, tail)


def _stop(path: Path, number: int, what: str) -> FormatError:
    return FormatError(what, path=str(path), line=number, hint="the official scorer stops here; correct the line")


# --- counting --------------------------------------------------------------------------------------------------------


def _table(name: str, pairs: _Pairs, types: Sequence[str], mode: str) -> Table:
    documents = [_counts(golds, preds, mode) for golds, preds in pairs]
    rows = [_micro(t, [d.get(t, Counts()) for d in documents]) for t in types]
    overall = [micro(d) for d in documents]
    return Table(name, (*rows, _micro(MICRO, overall), _macro(overall)), {"documents": len(pairs)})


def _counts(golds: Sequence[_Item], preds: Sequence[_Item], mode: str) -> dict[str, Counts]:
    """The counts of one document by type: only items of one type can match, so that the overall counts are their sums."""
    left, right = _by_type(golds), _by_type(preds)
    return {t: _type_counts(left.get(t, []), right.get(t, []), mode) for t in {*left, *right}}


def _by_type(items: Sequence[_Item]) -> dict[str, list[_Item]]:
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(item.type, []).append(item)
    return groups


def _type_counts(golds: Sequence[_Item], preds: Sequence[_Item], mode: str) -> Counts:
    met: set[int] = set()
    tp = fp = 0
    for item in preds:
        matched = {i for i, gold in enumerate(golds) if gold.matches(item, mode)}
        if not matched:
            fp += 1
        elif not matched & met:
            tp += 1
        met |= matched
    return Counts(tp, fp, len(golds) - tp)


def _micro(name: str, documents: Sequence[Counts]) -> Row:
    total = sum(documents, Counts())
    return Row(name, total.precision, total.recall, _f1(total), {"tp": total.tp, "fp": total.fp, "fn": total.fn})


def _macro(documents: Sequence[Counts]) -> Row:
    # The official script adds the documents in the order of a set, which is another in each run; fsum does not depend on order.
    n = len(documents)
    means = (math.fsum(f) / n for f in zip(*((c.precision, c.recall, _f1(c)) for c in documents), strict=True))
    precision, recall, f1 = means
    return Row(MACRO, precision, recall, f1)


def _f1(counts: Counts) -> float:
    p, r = counts.precision, counts.recall
    return 2 * p * r / (p + r) if p + r else 0.0


def _gold_types(pairs: _Pairs) -> tuple[str, ...]:
    return tuple(sorted({item.type for golds, _ in pairs for item in golds}, key=lambda t: (len(t), t)))
