"""doccano's JSON lines of sequence labelling with relations <-> Extraction (https://doccano.github.io/doccano/).

::

    {"id": 1, "text": "No fever.", "entities": [{"id": 1, "label": "problem", "start_offset": 3, "end_offset": 8}],
     "relations": [{"id": 1, "from_id": 1, "to_id": 2, "type": "TrAP"}], "Comments": [], "note_id": "ward/1"}

Read are also the lines of projects without relations, ``{"text": …, "label": [[3, 8, "problem"]]}`` (``labels`` in older versions).

**Offsets are UTF-16 code units**, as doccano's page counts them unless "Count grapheme clusters as one character" is set (issue 2290 of
doccano); projects with that setting are not read right where a text has such clusters. The note's id is ``note_id``, which doccano keeps
in a record's metadata, else ``id``. Not held by the format: parts of a discontinuous mention (written from start to end), attributes,
codes, confidence, votes, the note's meta, ids other than ``T1`` and ``R1``.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medllm.document import Entity, Extraction, Note
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, attach
from medllm.formats.corpus_files import OneFile, clean, id_of, named_or_below
from medllm.formats.encodable import CodeUnits
from medllm.formats.ids import named
from medllm.formats.placed_json import Placed, objects
from medllm.schema import Schema

ENDINGS = (".jsonl", ".json")


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The texts of a file, or of the files of a folder. Raises FormatError."""
    for name, file in named_or_below(path, ENDINGS):
        yield from attach(_read(file, id_of(name), schema))


def record(extraction: Extraction, number: int) -> dict[str, Any]:
    """The object of a text, the ``number``-th of its file.

    >>> note = Note(id="n", text="No fever.")
    >>> record(Extraction(note=note, entities=(Entity.at(note.text, 3, 8),)), 1)["entities"]
    [{'id': 1, 'label': 'entity', 'start_offset': 3, 'end_offset': 8}]
    """
    units = CodeUnits(extraction.note.text)
    mentions, relations = named(extraction, "T[1-9][0-9]*", "R[1-9][0-9]*")
    return {
        "id": number,
        "text": extraction.note.text,
        "entities": [
            {"id": int(name[1:]), "label": e.label, "start_offset": units.of(e.span.start), "end_offset": units.of(e.span.end)}
            for name, e in mentions
        ],
        "relations": [
            {"id": int(r.name[1:]), "from_id": int(r.head[1:]), "to_id": int(r.tail[1:]), "type": r.relation.label} for r in relations
        ],
        "Comments": [],
        "note_id": extraction.note.id,
    }


class Writer:
    """Writes a text a line; a path without the ending ``.jsonl`` is a folder, which gets ``doccano.jsonl``."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._file = OneFile(path, (".jsonl",), "doccano.jsonl")
        self._count = 0

    def write(self, extraction: Extraction) -> None:
        """Add a line. Raises FormatError."""
        self._count += 1
        self._file.add(json.dumps(record(extraction, self._count)) + "\n")

    def close(self) -> None:
        """Close the file. Raises FormatError."""
        self._file.close()


def _read(path: Path, name: str, schema: Schema | None) -> Iterator[Parsed | Problem]:
    for count, item in enumerate(objects(path), 1):
        if isinstance(item, Problem):
            yield item
        elif isinstance(item.get("text"), str):
            yield _parsed(item, f"{name}/{count}", schema, str(path))
        else:
            yield Problem(str(path), item.line, "malformed-line", "an object without text", dropped=True)


def _parsed(item: Placed, fallback: str, schema: Schema | None, path: str) -> Parsed:
    text = item["text"]
    given = next((item[key] for key in ("note_id", "id") if isinstance(item.get(key), str | int) and str(item[key])), fallback)
    found = Collector(Note(id=clean(str(given)), text=text), schema, path)
    units = CodeUnits(text)
    by_id: dict[Any, Entity | None] = {}
    for line, key, start, end, label in _mentions(item):
        if type(start) is int and type(end) is int and isinstance(label, str):
            spans = [(units.points(start), units.points(end))]
            number = key if type(key) is int and key > 0 else len(found.entities) + 1
            made = found.entity(line, label, spans, name=f"T{number}")
            if by_id.setdefault(key, made) is not made:
                found.report(line, "duplicate-id", "an earlier mention has the same id, and the relations to it", dropped=False)
        else:
            found.report(line, "malformed-line", "a mention without start, end or label", dropped=True)
    for one in _listed(item, "relations"):
        link = one if isinstance(one, Placed) else Placed()
        ends = [by_id.get(link[key]) if isinstance(link.get(key), int) else None for key in ("from_id", "to_id")]
        key = link.get("id")
        name = f"R{key if type(key) is int else len(found.relations) + 1}"
        found.relation(link.line or item.line, str(link.get("type") or ""), *ends, name=name)
    return found.parsed()


def _mentions(item: Placed) -> Iterator[tuple[int, Any, Any, Any, Any]]:
    """Line, id, start, end and label of each; what is none has no label."""
    for one in _listed(item, "entities"):
        mention = one if isinstance(one, Placed) else Placed()
        key = mention.get("id")
        own = (mention.get("start_offset"), mention.get("end_offset"), mention.get("label"))
        yield mention.line or item.line, key if isinstance(key, int) else None, *own
    for one in (*_listed(item, "label"), *_listed(item, "labels")):
        yield item.line, None, *(one if isinstance(one, list) and len(one) == 3 else (None, None, None))


def _listed(item: Placed, key: str) -> list[Any]:
    found = item.get(key)
    return found if isinstance(found, list) else []
