"""BioC documents <-> Extraction; ``medllm.formats.bioc_xml`` and ``bioc_json`` are the files (Comeau et al. 2013, Database bat064).

* The note's text is that of the passages, or of their sentences, at their offsets; gaps are filled with line feeds. A passage that lies
  over the one before, or too far behind it, comes after it with its annotations, and is told. Offsets are taken for code points.
* Annotations are mentions, each location a part. The infon ``type`` is the label; ``identifier`` and the infons named after a
  terminology (``MESH``, ``OMIM``, ``UMLS`` ...) are ``codes``; the other infons are attributes. In BC5CDR a composite mention stands
  beside the mentions in it: ``CompositeRole`` is ``CompositeMention`` or ``IndividualMention``, and PubTator has the first only.
* A relation of two nodes is a relation; a node of the role ``Arg2`` is its tail. One without nodes whose infons name two concepts, as in
  BC5CDR (``Chemical``, ``Disease``) and BioRED (``entity1``, ``entity2``), is one between the first mentions of these, with an id that
  tells the concepts: see ``medllm.formats.pubtator``. The label is the infon ``type`` or ``relation``. Not held, and told: relations of
  another number of nodes. Not held: other infons of relations.
* Infons of the document are the note's ``meta``. Not held: where passages and sentences begin and their infons, and the collection's.

A note is written as one passage, codes as the infon ``MESH`` where all are of MeSH, else ``identifier`` (divided by ``;``). An attribute
that has the name of such an infon gets ``_`` after it. Not held by the format: confidence, ids that repeat.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from medllm.document import Entity, Extraction, Note
from medllm.formats.base import Parsed
from medllm.formats.bioc_model import Annotation, Document, Infons, Link, Location, Node, Passage
from medllm.formats.classes import fold
from medllm.formats.collecting import Collector, Given
from medllm.formats.concepts import NO_CODE, codes_of, concept_mention, concepts_of, field_of, relation_id
from medllm.formats.corpus_files import clean
from medllm.formats.ids import Positions, complete
from medllm.schema import Schema, attribute_value

TYPE = "type"
IDENTIFIER = "identifier"
MESH = "MESH"
MAX_GAP = 10_000
"""The most line feeds put between two passages."""

_SYSTEMS = {
    "mesh": MESH,
    "omim": "OMIM",
    "umls": "UMLS",
    "cui": "UMLS",
    "snomedct": "SNOMEDCT",
    "rxnorm": "RXNORM",
    "icd10": "ICD10",
    "ncbigene": "NCBIGENE",
    "ncbitaxonomy": "NCBITAXON",
}
_RELATION_TYPES = (TYPE, "relation")
_NO_CONCEPTS = (*_RELATION_TYPES, "novel", "note", "score", "confidence")


def to_extraction(document: Document, schema: Schema | None = None, *, path: str = "") -> Parsed:
    """What a document says, and what was wrong with it."""
    text, moves = _text(document)
    note = Note(id=clean(document.id) or f"line-{document.line}", text=text, meta=document.infons)
    found = Collector(note, schema, path)
    for line, fault in document.faults:
        found.report(line, "malformed-line", fault, dropped=True)
    for passage, _, moved in moves:
        if moved:
            found.report(passage.line, "span-order", f"the passage overlaps, or is too far: moved by {moved} characters", dropped=False)
    by_id: dict[str, Entity | None] = {}
    for annotation, owner in _annotations(document):
        mention = _mention(found, annotation, [move for move in moves if owner is None or move[0] in owner.leaves()])
        if by_id.setdefault(annotation.id, mention) is not mention and annotation.id:
            found.report(annotation.line, "duplicate-id", "an earlier annotation has the same id, and the relations to it", dropped=False)
    relations = chain(document.relations, *(part.relations for passage in document.passages for part in passage.parts()))
    for link in relations:
        _relation(found, link, by_id)
    return found.parsed()


def from_extraction(extraction: Extraction) -> Document:
    """A document of one passage. Ids that are missing or repeat are given: ``T1``, ``R1``. Raises FormatError.

    >>> note = Note(id="n", text="No fever.")
    >>> from_extraction(Extraction(note=note, entities=(Entity.at(note.text, 3, 8),))).passages[0].annotations
    (Annotation(id='T1', infons={'type': 'entity'}, locations=(Location(offset=3, length=5),), text='fever', line=0),)
    """
    names = complete((e.id for e in extraction.entities), "T")
    annotations = tuple(
        Annotation(name, _infons(entity), tuple(Location(s.start, len(s)) for s in entity.spans), entity.text)
        for name, entity in zip(names, extraction.entities, strict=True)
    )
    where, links = Positions(extraction), []
    for name, relation in zip(complete((r.id for r in extraction.relations), "R"), extraction.relations, strict=True):
        head, tail = names[where.of(relation.head)], names[where.of(relation.tail)]
        pair = concepts_of(relation)
        if pair and relation.id == relation_id(relation.label, *pair):
            ends = relation.head.label, relation.tail.label
            keys = ends if ends[0] != ends[1] and not {*ends} & {*_NO_CONCEPTS} else ("entity1", "entity2")
            concepts = (field_of(codes, label) for codes, label in zip(pair, ends, strict=True))
            links.append(Link(name, {"relation": relation.label} | dict(zip(keys, concepts, strict=True))))
        else:
            links.append(Link(name, {TYPE: relation.label}, (Node(head, "Arg1"), Node(tail, "Arg2"))))
    passage = Passage(0, extraction.note.text, {}, (), annotations)
    return Document(extraction.note.id, dict(extraction.note.meta), (passage,), tuple(links))


Move = tuple[Passage, int, int]
"""A passage or sentence that has a text, the end of that in the document's offsets, and how far it was moved."""


def _text(document: Document) -> tuple[str, list[Move]]:
    parts: list[str] = []
    length, moves = 0, []
    for leaf in (leaf for passage in document.passages for leaf in passage.leaves()):
        content = leaf.text or ""
        gap = leaf.offset - length
        if not 0 <= gap <= MAX_GAP:
            gap = 1 if length and content else 0
        place = length + gap
        if content:
            parts += ["\n" * gap, content]
            length = place + len(content)
        moves.append((leaf, leaf.offset + len(content), place - leaf.offset if content else 0))
    return "".join(parts), moves


def _annotations(document: Document) -> Iterator[tuple[Annotation, Passage | None]]:
    for passage in document.passages:
        for part in passage.parts():
            yield from ((annotation, part) for annotation in part.annotations)
    yield from ((annotation, None) for annotation in document.annotations)


def _mention(found: Collector, annotation: Annotation, moves: Sequence[Move]) -> Entity | None:
    spans = []
    for part in annotation.locations:
        moved = next((by for leaf, end, by in moves if leaf.offset <= part.offset < end), moves[0][2] if moves else 0)
        spans.append((part.offset + moved, part.offset + moved + part.length))
    label = annotation.infons.get(TYPE, "")
    codes: list[str] = []
    given = []
    for key, value in annotation.infons.items():
        if fold(key) in _SYSTEMS:
            codes += _in_system(value, _SYSTEMS[fold(key)])
        elif key == IDENTIFIER:
            codes += codes_of(value, label)
        elif key != TYPE:
            given.append(Given(key, value))
    return found.entity(
        annotation.line, label, spans, name=annotation.id, written=annotation.text, attributes=given, codes=tuple(dict.fromkeys(codes))
    )


def _in_system(field: str, system: str) -> Iterable[str]:
    for part in (part.strip() for part in re.split("[,;|]", field)):
        if part not in NO_CODE:
            own, colon, entry = part.partition(":")
            yield f"{own.upper()}:{entry}" if colon else f"{system}:{part}"


def _relation(found: Collector, link: Link, by_id: dict[str, Entity | None]) -> None:
    label = next((link.infons[key] for key in _RELATION_TYPES if link.infons.get(key)), "relation")
    concepts = [(key, value) for key, value in link.infons.items() if key.lower() not in _NO_CONCEPTS]
    if len(link.nodes) == 2:
        head, tail = sorted(link.nodes, key=lambda node: node.role == "Arg2")
        found.relation(link.line, label, by_id.get(head.refid), by_id.get(tail.refid), name=link.id)
    elif not link.nodes and len(concepts) == 2:
        fields = [value for _, value in concepts]
        first, second = (concept_mention(found.entities, field) for field in fields)
        ends = (codes_of(field, e.label) if e else () for field, e in zip(fields, (first, second), strict=True))
        found.relation(link.line, label, first, second, name=relation_id(label, *ends))
    else:
        found.report(link.line, "not-held", f"a relation of {len(link.nodes)} nodes and {len(concepts)} concepts", dropped=True)


def _infons(entity: Entity) -> Infons:
    infons = {TYPE: entity.label}
    if entity.codes:
        mesh = all(code.startswith(f"{MESH}:") and not set(code) & set(",;|") for code in entity.codes)
        ids = [code.partition(":")[2] for code in entity.codes] if mesh else list(entity.codes)
        infons |= {MESH: "|".join(ids)} if mesh else {IDENTIFIER: ";".join(ids)}
    taken = (TYPE, IDENTIFIER, *_SYSTEMS)
    for name, value in entity.attributes.items():
        if value is not None:
            infons[name + "_" if fold(name) in taken else name] = attribute_value(value)
    return infons
