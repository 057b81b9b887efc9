"""What each format has a place for, and what of an extraction another format would lose.

A format that is written by somebody's own code (``medllm.formats.registry``) may tell it too: a set ``holds`` of ``Feature`` beside
its ``Writer``. Finer limits (white space in a label, ids that repeat) stand in the docstring of each format's module.
"""

import importlib.metadata
from collections import Counter
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from medllm.document import Entity, Extraction, Relation
from medllm.formats.conll import flat


class Feature(StrEnum):
    """Something that an extraction may have and a format may not hold; the value is what a user is told."""

    TEXT = "texts as they are"
    META = "entries of notes' meta"
    MENTIONS = "mentions without a relation"
    PARTS = "mentions of several parts"
    OVERLAPS = "mentions that overlap a longer one"
    ATTRIBUTES = "attributes of mentions"
    CODES = "codes of mentions"
    RELATIONS = "relations"
    CONFIDENCE = "confidences"
    VOTES = "votes of readers"
    LEDGER = "ledger entries"


F = Feature
_PLAIN = frozenset({F.TEXT, F.MENTIONS, F.OVERLAPS})
_STANDOFF = _PLAIN | {F.PARTS, F.ATTRIBUTES, F.CODES, F.RELATIONS}
_ALL = frozenset(Feature)
_GRAPH = _ALL - {F.VOTES, F.LEDGER}

HELD: Mapping[str, frozenset[Feature]] = {
    "bioc-json": _STANDOFF | {F.META},
    "bioc-xml": _STANDOFF | {F.META},
    "brat": _STANDOFF,
    "ccks": _PLAIN,
    "cehrner": _PLAIN,
    "cmdd": frozenset({F.TEXT, F.MENTIONS, F.ATTRIBUTES}),
    "cmeee": _PLAIN,
    "cmeie": frozenset({F.TEXT, F.RELATIONS}),
    "conll": frozenset({F.MENTIONS}),
    "csv": _GRAPH,
    "doccano": _PLAIN | {F.RELATIONS},
    "fhir": _ALL - {F.LEDGER},
    "graphml": _GRAPH,
    "i2b2-2009": _PLAIN | {F.PARTS, F.RELATIONS},
    "i2b2-2010": _PLAIN | {F.ATTRIBUTES, F.RELATIONS},
    "i2b2-2012": _PLAIN | {F.ATTRIBUTES, F.RELATIONS},
    "i2b2-2014": _PLAIN | {F.ATTRIBUTES},
    "inline": frozenset({F.TEXT, F.MENTIONS, F.ATTRIBUTES}),
    "jsonl": _ALL,
    "label-studio": _GRAPH - {F.PARTS},
    "medmentions": frozenset({F.MENTIONS, F.OVERLAPS, F.CODES, F.RELATIONS}),
    "mimic": frozenset({F.TEXT}),
    "n2c2-2018": _STANDOFF,
    "n2c2-2022": _STANDOFF - {F.CODES},
    "neo4j": _GRAPH,
    "omop": _PLAIN | {F.ATTRIBUTES, F.CODES, F.CONFIDENCE},
    "parquet": _GRAPH,
    "pubtator": frozenset({F.MENTIONS, F.OVERLAPS, F.CODES, F.RELATIONS}),
    "rdf": _GRAPH,
    "share-clef": _PLAIN | {F.PARTS, F.CODES},
    "spacy": _GRAPH,
    "web-annotation": _STANDOFF,
}
"""By the name of the format."""


def held(name: str) -> frozenset[Feature] | None:
    """What a format holds; None for one from an entry point that does not tell."""
    if name in HELD:
        return HELD[name]
    from medllm.formats.registry import GROUP

    for entry in importlib.metadata.entry_points(group=GROUP, name=name):
        told: Collection[Feature] | None = getattr(entry.load(), "holds", None)
        return None if told is None else frozenset(told)
    return None


def features(extraction: Extraction) -> Counter[Feature]:
    """How much of each an extraction has.

    >>> from medllm.document import Entity, Note
    >>> features(Extraction(note=Note(id="n", text="No fever."), entities=(Entity.at("No fever.", 3, 8, codes=("X:1",)),)))[F.CODES]
    1
    """
    entities, relations = extraction.entities, extraction.relations
    joined = {id(end) for relation in relations for end in (relation.head, relation.tail)}
    found: list[Entity | Relation[Any, Any]] = [*entities, *relations]
    return +Counter(
        {
            F.TEXT: 1,
            F.META: len(extraction.note.meta),
            F.MENTIONS: sum(id(entity) not in joined for entity in entities),
            F.PARTS: sum(len(entity.spans) > 1 for entity in entities),
            F.OVERLAPS: flat(entities)[1],
            F.ATTRIBUTES: sum(value is not None for entity in entities for value in entity.attributes.values()),
            F.CODES: sum(len(entity.codes) for entity in entities),
            F.RELATIONS: len(relations),
            F.CONFIDENCE: sum(one.confidence is not None for one in found),
            F.VOTES: sum(len(one.votes) for one in found),
            F.LEDGER: len(extraction.ledger),
        }
    )
