"""medllm's own JSON lines: one note a line, with its text, its mentions, its relations and who found them.

::

    {"version": 1, "note_id": "a/b", "sha256": "…", "text": "No fever.", "meta": {},
     "entities": [{"id": "T1", "label": "problem", "spans": [[3, 8]], "text": "fever", "attributes": {"assertion": "absent"},
                   "codes": [], "confidence": null, "votes": [{"reader": "llm", "model": "m", "placed": "grammar", "score": 0.9}]}],
     "relations": [{"id": "R1", "label": "TrAP", "head": "T1", "tail": "T2", "confidence": null, "votes": []}],
     "ledger": [{"reader": "llm", "reason": "…", "start": 0, "end": 9, "detail": ""}]}

A mention may have a ``lane``, and a line ``rejected`` mentions, written like ``entities``.
Offsets are half-open code points of ``text``; ``sha256`` is of its UTF-8. Attribute values are strings (``yes``, ``no`` for a bool).
A run directory adds ``read``, the characters that each reader read, and ``requests``, how many were sent.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medllm.document import Entity, Extraction, LedgerEntry, Note, Relation, Span, Vote, sha256
from medllm.errors import FormatError
from medllm.formats.classes import entity_class, relation_class
from medllm.formats.files import open_private, writing
from medllm.formats.ids import Positions, complete
from medllm.schema import Schema, attribute_value

VERSION = 1

_HINT = "was the file changed, or cut short? medllm writes one whole note a line"
# Line separators that only some readers take for one; lone surrogates, which UTF-8 cannot have. Two that look like a pair are left
# as they are: written as \uXXXX\uXXXX they would be read as one character, and every later offset would move.
_ESCAPE = re.compile("[\x85\u2028\u2029]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _EntityRecord(_Strict):
    id: str
    label: str
    spans: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    text: str
    attributes: dict[str, str] = {}
    codes: list[str] = []
    confidence: float | None = None
    lane: str = ""
    votes: list[Vote] = []


class _RelationRecord(_Strict):
    id: str
    label: str
    head: str
    tail: str
    confidence: float | None = None
    votes: list[Vote] = []


class _LedgerRecord(_Strict):
    reader: str
    reason: str
    start: int | None = None
    end: int | None = None
    detail: str = ""


class _Record(_Strict):
    version: int
    note_id: str = Field(min_length=1)
    sha256: str
    text: str
    meta: dict[str, str] = {}
    entities: list[_EntityRecord] = []
    relations: list[_RelationRecord] = []
    ledger: list[_LedgerRecord] = []
    rejected: list[_EntityRecord] = []


def dump(extraction: Extraction, **more: Any) -> str:
    """The line for an extraction, without its end. Ids that are missing or repeat are given: ``T1``, ``R1``.

    ``more`` are further fields, which ``load`` passes over.

    >>> note = Note(id="n", text="No fever.")
    >>> load(dump(Extraction(note=note, entities=(Entity.at(note.text, 3, 8, id="T1"),)))).entities[0].text
    'fever'
    """
    names = complete((e.id for e in extraction.entities), "T")
    where = Positions(extraction)
    record = {
        "version": VERSION,
        "note_id": extraction.note.id,
        "sha256": extraction.note.sha256,
        "text": extraction.note.text,
        "meta": extraction.note.meta,
        "entities": [_dumped(name, entity) for name, entity in zip(names, extraction.entities, strict=True)],
        "relations": [
            {
                "id": name,
                "label": relation.label,
                "head": names[where.of(relation.head)],
                "tail": names[where.of(relation.tail)],
                "confidence": relation.confidence,
                "votes": [vote.model_dump() for vote in relation.votes],
            }
            for name, relation in zip(complete((r.id for r in extraction.relations), "R"), extraction.relations, strict=True)
        ],
        "ledger": [entry.model_dump(exclude={"note_id"}) for entry in extraction.ledger],
        **more,
    }
    if extraction.rejected:
        others = complete((e.id for e in extraction.rejected), "X")
        record["rejected"] = [_dumped(name, entity) for name, entity in zip(others, extraction.rejected, strict=True)]
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise FormatError("a confidence or a score is not a number", hint="JSON has no NaN and no infinity") from None
    return _ESCAPE.sub(lambda m: f"\\u{ord(m[0]):04x}", line)


def _dumped(name: str, entity: Entity) -> dict[str, Any]:
    record = {
        "id": name,
        "label": entity.label,
        "spans": [[span.start, span.end] for span in entity.spans],
        "text": entity.text,
        "attributes": {k: attribute_value(v) for k, v in entity.attributes.items() if v is not None},
        "codes": entity.codes,
        "confidence": entity.confidence,
        "votes": [vote.model_dump() for vote in entity.votes],
    }
    return record | ({"lane": entity.lane} if entity.lane else {})


def load(line: str, schema: Schema | None = None, *, path: str = "", number: int | None = None) -> Extraction:
    """The extraction of a line: in the schema's classes, or without one in ``any_entity`` and ``any_relation``.

    Raises FormatError, naming ``path`` and line ``number``, for what breaks the format, a text that is not the hashed one, a span
    whose text is not the note's, and what the schema does not admit.
    """

    def fault(message: str, hint: str = _HINT) -> FormatError:
        return FormatError(message, hint=hint, path=path, line=number)

    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise fault(f"not JSON (column {error.colno})" if isinstance(error, json.JSONDecodeError) else "not JSON") from None
    version = data.get("version") if isinstance(data, dict) else None
    if version != VERSION:
        raise fault(f"not a medllm extraction of version {VERSION}", "other JSON lines of notes are inputs to `medllm extract`")
    try:
        record = _Record.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise fault(f"{'.'.join(map(str, first['loc']))}: {first['type']}") from None
    if sha256(record.text) != record.sha256:
        raise fault("the text is not the one that was hashed")
    note = Note(id=record.note_id, text=record.text, meta=record.meta)
    entities: dict[str, Entity] = {}
    for e in record.entities:
        if not e.id or e.id in entities:
            raise fault("a mention without an id, or with one that is taken")
        entities[e.id] = _entity(e, note.text, schema, fault)
    relations = tuple(_relation(r, entities, schema, fault) for r in record.relations)
    ledger = tuple(LedgerEntry(note_id=note.id, **entry.model_dump()) for entry in record.ledger)
    rejected = tuple(_entity(e, note.text, schema, fault) for e in record.rejected)
    return Extraction(note=note, entities=tuple(entities.values()), relations=relations, ledger=ledger, rejected=rejected)


def read(path: str | Path, schema: Schema | None = None) -> Iterator[Extraction]:
    """The extractions of a file, lazily; blank lines are passed over. Raises FormatError."""
    try:
        with open(path, encoding="utf-8", errors="surrogatepass", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield load(line, schema, path=str(path), number=number)
    except UnicodeDecodeError:
        raise FormatError("not UTF-8", path=str(path), hint=_HINT) from None
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", path=str(path)) from None


def write(path: str | Path, extractions: Iterable[Extraction]) -> None:
    """Write a new file, readable by the owner only. Raises FormatError."""
    writer = Writer(Path(path))
    try:
        for extraction in extractions:
            writer.write(extraction)
    finally:
        writer.close()


class Writer:
    """Writes notes to a file; a path without the ending ``.jsonl`` or ``.ndjson`` is a folder, which gets ``extractions.jsonl``."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._path = path if path.suffix in (".jsonl", ".ndjson") else path / "extractions.jsonl"
        with writing(self._path):
            self._file = open_private(self._path)

    def write(self, extraction: Extraction) -> None:
        """Write a line. Raises FormatError."""
        with writing(self._path):
            self._file.write(dump(extraction) + "\n")

    def close(self) -> None:
        """Close the file. Raises FormatError."""
        with writing(self._path):
            self._file.close()


def _entity(record: _EntityRecord, text: str, schema: Schema | None, fault: Callable[[str], FormatError]) -> Entity:
    kind = entity_class(schema, record.label, exact=True)
    if kind is None:
        raise fault(f"the schema has no entity label {record.label!r}")
    if any(not 0 <= start < end <= len(text) for start, end in record.spans):
        raise fault(f"mention {record.id}: a span is empty or outside the text")
    spans = tuple(Span(start=start, end=end) for start, end in record.spans)
    if record.text != " ".join(span.of(text) for span in spans):
        raise fault(f"mention {record.id}: its text is not what the note has there")
    if clash := sorted(record.attributes.keys() & Entity.model_fields.keys()):
        raise fault(f"mention {record.id}: an attribute cannot have the name {clash[0]!r}")
    try:
        return kind(
            id=record.id,
            spans=spans,
            text=record.text,
            codes=tuple(record.codes),
            confidence=record.confidence,
            lane=record.lane,
            votes=tuple(record.votes),
            **record.attributes,
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        what = ".".join(map(str, first["loc"])) or "spans"
        raise fault(f"mention {record.id}, a {record.label}: {what}: {first['type']}") from None


def _relation(
    record: _RelationRecord, entities: Mapping[str, Entity], schema: Schema | None, fault: Callable[[str], FormatError]
) -> Relation[Any, Any]:
    head, tail = entities.get(record.head), entities.get(record.tail)
    if head is None or tail is None:
        raise fault(f"relation {record.id} points at a mention that is not there")
    kind = relation_class(schema, record.label, head, tail, exact=True)
    if kind is None:
        raise fault(f"the schema has no relation {record.label!r} from {head.label} to {tail.label}")
    return kind(id=record.id, head=head, tail=tail, confidence=record.confidence, votes=tuple(record.votes))
