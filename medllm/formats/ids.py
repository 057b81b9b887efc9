"""Ids of mentions and relations within a file: none missing, none twice."""

import itertools
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from medllm.document import Entity, Extraction, Relation
from medllm.errors import FormatError


def complete(ids: Iterable[str], prefix: str, keep: str = r".+") -> list[str]:
    """``ids``; one that is empty, repeated or not of the pattern ``keep`` gives way to ``prefix`` and the lowest free number.

    >>> complete(["T2", "", "T2", "x"], "T", keep="T[0-9]+")
    ['T2', 'T1', 'T3', 'T4']
    """
    wanted = list(ids)
    pattern = re.compile(keep, re.DOTALL)
    taken: set[str] = set()
    fixed: list[str | None] = []
    for name in wanted:
        fixed.append(name if pattern.fullmatch(name) and name not in taken else None)
        taken.add(name)
    free = (name for n in itertools.count(1) if (name := f"{prefix}{n}") not in taken)
    return [name if name is not None else next(free) for name in fixed]


class Positions:
    """Where the mentions that relations point at stand in ``extraction.entities``: the same object, else an equal one."""

    def __init__(self, extraction: Extraction) -> None:
        self._entities = extraction.entities
        self._by_object = {id(entity): i for i, entity in enumerate(extraction.entities)}

    def of(self, entity: Entity) -> int:
        """The position. Raises FormatError for a mention that the extraction does not have."""
        found = self._by_object.get(id(entity))
        if found is None:
            found = next((i for i, other in enumerate(self._entities) if other == entity), None)
        if found is None:
            raise FormatError("a relation points at a mention that the extraction does not have", hint="add the mention to entities")
        return found


class NamedRelation(NamedTuple):
    """A relation with its id and those of its ends."""

    name: str
    relation: Relation[Any, Any]
    head: str
    tail: str


class Named(NamedTuple):
    """The mentions and relations of an extraction with ids, none missing, none twice."""

    mentions: list[tuple[str, Entity]]
    relations: list[NamedRelation]


def named(extraction: Extraction, mentions: str = r".+", relations: str = r".+") -> Named:
    """Ids that are missing, repeat or are not of the patterns are given: ``T1``, ``R1``. Raises FormatError, as ``Positions`` does."""
    names = complete((e.id for e in extraction.entities), "T", mentions)
    where = Positions(extraction)
    links = zip(complete((r.id for r in extraction.relations), "R", relations), extraction.relations, strict=True)
    return Named(
        list(zip(names, extraction.entities, strict=True)),
        [NamedRelation(name, r, names[where.of(r.head)], names[where.of(r.tail)]) for name, r in links],
    )
