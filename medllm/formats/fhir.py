"""FHIR R4 bundles, one ``.json`` for each note <-> Extraction (https://hl7.org/fhir/R4/bundle.html).

A ``Bundle`` of the type ``collection`` has a ``DocumentReference`` with the note's text, a resource for each mention
(``medllm.formats.fhir_resources``) and a ``Provenance`` for each reader and model that found some of them. Each resource says where it
comes from by FHIR's own extension ``derivation-reference`` (offset and length in code points; one for each part of a mention). The
extensions ``urn:medllm:fhir:…`` hold what resources have no place for: ``mention`` (id, label, codes, attributes, confidence, votes),
``relation`` on the head, and ``meta`` on the document. The patient is the note's meta ``patient_id``, ``subject_id`` or ``person_id``.

Such bundles are read back; of other people's, the text of the first ``DocumentReference`` that has one, and the resources with a
``derivation-reference`` to it. Notes of other bundles are inputs to ``medllm extract fhir:PATH``. Not held by the format: the ledger,
empty attributes, white space that FHIR's strings do not have (blanks), lone surrogates (U+FFFD).
"""

import base64
import binascii
import datetime
import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from medllm.document import Entity, Extraction, Note, Relation, Vote, snake_case
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, Given, attach
from medllm.formats.corpus_files import clean, id_of, named_or_below, write_note
from medllm.formats.encodable import utf8
from medllm.formats.fhir_resources import Linked, Resource, code_of, coding_of, resource_of, string
from medllm.formats.ids import named
from medllm.formats.placed_json import Placed, objects
from medllm.formats.table_reading import number_in
from medllm.schema import Schema, attribute_value

ENDINGS = (".json",)
DERIVATION = "http://hl7.org/fhir/StructureDefinition/derivation-reference"
OWN = "urn:medllm:fhir:"
NOTE_ID = "urn:medllm:note-id"
PATIENT_KEYS = ("patient_id", "subject_id", "person_id")

_PATH = "DocumentReference.content.attachment.data"


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder of bundles, or of one file. Raises FormatError."""
    for name, file in named_or_below(path, ENDINGS):
        yield from attach(_read(file, id_of(name), schema))


def bundle_of(extraction: Extraction) -> Resource:
    """The bundle of a note."""
    note = extraction.note
    patient = next((note.meta[key] for key in PATIENT_KEYS if note.meta.get(key)), None)
    subject: Resource = {"display": "unknown"} if patient is None else {"identifier": {"value": string(patient)}}
    document = _document(note, subject)
    source = _reference(note.id, "")
    mentions, relations = named(extraction)
    reference = {name: _reference(note.id, f"mention:{name}") for name, _ in mentions}
    of = dict(mentions)
    linked: defaultdict[str, list[Linked]] = defaultdict(list)
    extensions: defaultdict[str, list[Resource]] = defaultdict(list)
    for name, relation, head, tail in relations:
        linked[head].append(Linked(of[tail], reference[tail]))
        linked[tail].append(Linked(of[head], reference[head]))
        parts = [_part("id", name), _part("label", relation.label), {"url": "target", "valueReference": {"reference": reference[tail]}}]
        extensions[head].append(_extension("relation", [*parts, *_belief(relation)]))
    entries = [_entry(source, document)]
    found_by: defaultdict[tuple[str, str], list[Resource]] = defaultdict(list)
    for name, entity in mentions:
        resource = resource_of(entity, subject, linked[name])
        resource["extension"] = [*_derivations(source, entity), _mention(name, entity), *extensions[name]]
        entries.append(_entry(reference[name], resource))
        for who in dict.fromkeys((vote.reader, vote.model) for vote in entity.votes) or [("", "")]:
            found_by[who].append({"reference": reference[name]})
    for (reader, model), targets in found_by.items():
        entries.append(_entry(_reference(note.id, f"provenance:{reader}:{model}"), _provenance(reader, model, targets, source)))
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


class Writer:
    """Writes ``NOTE_ID.json`` below a folder, readable by the owner only."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path

    def write(self, extraction: Extraction) -> None:
        """Write the bundle of a note. Raises FormatError."""
        content = json.dumps(bundle_of(extraction), ensure_ascii=False, indent=1)
        write_note(self._folder, extraction.note.id, {".json": utf8(content) + "\n"})

    def close(self) -> None:
        """Nothing is left open."""


def _document(note: Note, subject: Resource) -> Resource:
    attachment = {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(utf8(note.text).encode()).decode()}
    meta = [_extension("meta", [_part("name", key), _part("value", value)]) for key, value in note.meta.items()]
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "identifier": [{"system": NOTE_ID, "value": string(note.id)}],
        "subject": subject,
        "content": [{"attachment": attachment if note.text else attachment | {"data": "IA=="}}],
        **({"extension": meta} if meta else {}),
    }


def _provenance(reader: str, model: str, targets: list[Resource], source: str) -> Resource:
    who = ", ".join(filter(None, (f"medllm {version('medllm')}", reader, model)))
    return {
        "resourceType": "Provenance",
        "target": targets,
        "recorded": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "activity": {"text": "information extraction"},
        "agent": [{"who": {"display": string(who)}}],
        "entity": [{"role": "source", "what": {"reference": source}}],
    }


def _derivations(source: str, entity: Entity) -> Iterator[Resource]:
    for span in entity.spans:
        where = [{"url": "offset", "valueInteger": span.start}, {"url": "length", "valueInteger": len(span)}]
        parts = [{"url": "reference", "valueReference": {"reference": source}}, {"url": "path", "valueString": _PATH}]
        yield {"url": DERIVATION, "extension": [*parts, *where]}


def _mention(name: str, entity: Entity) -> Resource:
    parts = [_part("id", name), _part("label", entity.label)]
    parts += [{"url": "code", "valueCoding": coding_of(code)} for code in entity.codes]
    for key, value in entity.attributes.items():
        if value is not None and attribute_value(value):
            parts.append({"url": "attribute", "extension": [_part("name", key), _part("value", attribute_value(value))]})
    return _extension("mention", [*parts, *_belief(entity)])


def _belief(one: Entity | Relation[Any, Any]) -> Iterator[Resource]:
    if one.confidence is not None:
        yield {"url": "confidence", "valueDecimal": one.confidence}
    for vote in one.votes:
        parts = [_part(key, value) for key in ("reader", "model", "placed") if (value := getattr(vote, key))]
        score = [] if vote.score is None else [{"url": "score", "valueDecimal": vote.score}]
        yield {"url": "vote", "extension": [*parts, *score] or [_part("reader", "")]}


def _extension(kind: str, parts: list[Resource]) -> Resource:
    return {"url": OWN + kind, "extension": parts}


def _part(name: str, value: str) -> Resource:
    return {"url": name, "valueString": string(value)}


def _entry(reference: str, resource: Resource) -> Resource:
    return {"fullUrl": reference, "resource": {"resourceType": resource["resourceType"], "id": reference.rpartition(":")[2]} | resource}


def _reference(note_id: str, name: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, utf8(f'urn:medllm:{note_id}:{name}'))}"


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(path: Path, name: str, schema: Schema | None) -> Iterator[Parsed | Problem]:
    bundles = list(objects(path))
    for count, item in enumerate(bundles, 1):
        if isinstance(item, Problem):
            yield item
        elif item.get("resourceType") != "Bundle":
            yield Problem(str(path), item.line, "malformed-line", "not a Bundle", dropped=True)
        else:
            yield _parsed(item, name if len(bundles) == 1 else f"{name}/{count}", schema, str(path))


def _parsed(bundle: Placed, name: str, schema: Schema | None, path: str) -> Parsed | Problem:
    resources = {}
    for entry in _objects(bundle.get("entry")):
        if isinstance(resource := entry.get("resource"), Placed):
            resources[str(entry.get("fullUrl") or f"{resource.get('resourceType')}/{resource.get('id')}")] = resource
    documents = [(r, t) for r in resources.values() if (t := _text(r)) is not None]
    if not documents:
        return Problem(path, bundle.line, "malformed-line", "no DocumentReference with a plain text", dropped=True)
    document, text = documents[0]
    told = next((str(i["value"]) for i in _objects(document.get("identifier")) if i.get("system") == NOTE_ID and i.get("value")), name)
    meta = {str(e.get("name")): str(e.get("value")) for e in map(_values, _own(document, "meta"))}
    found = Collector(Note(id=clean(told), text=text, meta=meta), schema, path)
    if len(documents) > 1:
        found.report(documents[1][0].line, "not-held", f"{len(documents) - 1} further documents of the bundle", dropped=True)
    mentions: dict[str, Entity | None] = {}
    for reference, resource in resources.items():
        if places := [e for e in _objects(resource.get("extension")) if e.get("url") == DERIVATION]:
            mentions[reference] = _entity(found, resource, places)
    for reference, resource in resources.items():
        for link in _own(resource, "relation"):
            own = _values(link)
            target = own.get("target")
            found.relation(
                link.line,
                str(own.get("label") or ""),
                mentions.get(reference),
                mentions.get(str(target.get("reference"))) if isinstance(target, Placed) else None,
                name=str(own.get("id") or ""),
                confidence=number_in(own.get("confidence")),
                votes=_votes(link),
            )
    return found.parsed()


def _entity(found: Collector, resource: Placed, places: list[Placed]) -> Entity | None:
    spans = []
    for own in map(_values, places):
        start, length = own.get("offset"), own.get("length")
        spans.append((start, start + length) if type(start) is int and type(length) is int else (0, 0))
    mention = next(iter(_own(resource, "mention")), Placed())
    own = _values(mention)
    parts = [part for part in _objects(mention.get("extension")) if part.get("url") == "attribute"]
    return found.entity(
        resource.line,
        str(own.get("label") or snake_case(str(resource.get("resourceType") or ""))),
        spans,
        name=str(own.get("id") or resource.get("id") or ""),
        attributes=[Given(str(a.get("name") or ""), str(a.get("value") or "")) for a in map(_values, parts)],
        codes=[code_of(c) for p in _objects(mention.get("extension")) if isinstance(c := p.get("valueCoding"), Mapping)],
        confidence=number_in(own.get("confidence")),
        votes=_votes(mention),
    )


def _votes(extension: Placed) -> tuple[Vote, ...]:
    own = [_values(part) for part in _objects(extension.get("extension")) if part.get("url") == "vote"]
    names = ("reader", "model", "placed")
    return tuple(Vote(**{n: str(v.get(n) or "") for n in names}, score=number_in(v.get("score"))) for v in own)


def _text(resource: Placed) -> str | None:
    """The plain text that a DocumentReference holds."""
    if resource.get("resourceType") != "DocumentReference":
        return None
    for content in _objects(resource.get("content")):
        attachment = content.get("attachment")
        if not isinstance(attachment, Placed):
            continue
        data = attachment.get("data")
        if isinstance(data, str) and str(attachment.get("contentType", "text/plain")).startswith("text/plain"):
            try:
                return base64.b64decode(data, validate=True).decode()
            except (binascii.Error, ValueError):
                continue
    return None


def _own(resource: Mapping[str, Any], kind: str) -> list[Placed]:
    return [extension for extension in _objects(resource.get("extension")) if extension.get("url") == OWN + kind]


def _values(extension: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an extension's parts by their names; of several of one name the first."""
    found: dict[str, Any] = {}
    for part in _objects(extension.get("extension")):
        value = next((value for key, value in part.items() if key.startswith("value")), None)
        found.setdefault(str(part.get("url")), value)
    return found


def _objects(value: Any) -> list[Placed]:
    return [one for one in value if isinstance(one, Placed)] if isinstance(value, Iterable) and not isinstance(value, str) else []
