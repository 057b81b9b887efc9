"""Tables as CSV (RFC 4180, UTF-8) or Parquet: ``notes.*``, ``mentions.*`` and ``relations.*`` in a folder.

``notes``: note_id, text, meta (a JSON object).
``mentions``: note_id, id, label, start, end, spans, text, codes, one column for each attribute, confidence.
``relations``: note_id, id, label, head, tail, head_label, tail_label, head_text, tail_text, confidence.

``start`` and ``end`` are half-open code points around the whole mention; ``spans`` has each part, ``3 8;12 15``; ``codes`` are
joined by ``;``. An attribute that has the name of another column is called ``attribute_NAME``. ``table_reading`` is the way back. Not
held: votes, the ledger, lone surrogates (U+FFFD); by CSV also empty attributes.
"""

import csv
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from medllm.document import Entity, Extraction
from medllm.errors import FormatError
from medllm.formats.encodable import utf8
from medllm.formats.files import open_private, writing
from medllm.formats.ids import Positions, complete
from medllm.schema import Schema, attribute_value, attributes

NOTE_COLUMNS = ("note_id", "text", "meta")
MENTION_COLUMNS = ("note_id", "id", "label", "start", "end", "spans", "text", "codes")
RELATION_COLUMNS = ("note_id", "id", "label", "head", "tail", "head_label", "tail_label", "head_text", "tail_text")
CONFIDENCE = "confidence"

_WHOLE_NUMBERS = ("start", "end")
_BATCH = 10_000


class TableWriter(ABC):
    """Rows wait in a hidden file until ``close``: only then are all columns known. The tables appear whole, or not at all."""

    ending: str

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        if path.suffix.lower() == self.ending:
            raise FormatError("three tables are written: notes, mentions and relations", path=str(path), hint="name a folder for them")
        named = [a.name for c in schema.entities for a in attributes(c)] if schema else []
        self._attributes = dict.fromkeys(map(_attribute_column, named))
        self._folder = path
        with writing(path):
            self._notes = open_private(self._waiting("notes"))
            self._mentions = open_private(self._waiting("mentions"))
            self._relations = open_private(self._waiting("relations"))

    def write(self, extraction: Extraction) -> None:
        """Add the rows of a note. Raises FormatError."""
        names = complete((e.id for e in extraction.entities), "T")
        where = Positions(extraction)
        note = extraction.note
        with writing(self._folder):
            _append(self._notes, dict(zip(NOTE_COLUMNS, (note.id, note.text, json.dumps(note.meta)), strict=True)))
            for name, entity in zip(names, extraction.entities, strict=True):
                row = _mention(extraction.note.id, name, entity)
                self._attributes |= dict.fromkeys(k for k in row if k not in MENTION_COLUMNS and k != CONFIDENCE)
                _append(self._mentions, row)
            for name, r in zip(complete((r.id for r in extraction.relations), "R"), extraction.relations, strict=True):
                ends = (names[where.of(r.head)], names[where.of(r.tail)], r.head.label, r.tail.label, r.head.text, r.tail.text)
                row = dict(zip(RELATION_COLUMNS, (extraction.note.id, name, r.label, *ends), strict=True))
                _append(self._relations, row | {CONFIDENCE: r.confidence})

    def close(self) -> None:
        """Write the tables. Raises FormatError."""
        with writing(self._folder):
            self._finish("notes", self._notes, NOTE_COLUMNS)
            self._finish("mentions", self._mentions, (*MENTION_COLUMNS, *self._attributes, CONFIDENCE))
            self._finish("relations", self._relations, (*RELATION_COLUMNS, CONFIDENCE))

    @abstractmethod
    def _save(self, name: str, path: Path, columns: Sequence[str], rows: Iterator[Mapping[str, Any]]) -> None:
        """Write the rows of the table ``name`` to ``path``."""

    def _finish(self, name: str, waiting: TextIO, columns: Sequence[str]) -> None:
        if waiting.closed:
            return
        waiting.close()
        half = self._folder / f".{name}{self.ending}.part"
        with open(self._waiting(name), encoding="utf-8") as file:
            self._save(name, half, columns, map(json.loads, file))
        os.replace(half, self._folder / f"{name}{self.ending}")
        self._waiting(name).unlink()

    def _waiting(self, name: str) -> Path:
        return self._folder / f".{name}{self.ending}.rows"


class CsvWriter(TableWriter):
    """Writes ``notes.csv``, ``mentions.csv`` and ``relations.csv`` in a folder."""

    ending = ".csv"

    def _save(self, name: str, path: Path, columns: Sequence[str], rows: Iterator[Mapping[str, Any]]) -> None:
        with open_private(path) as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)


class ParquetWriter(TableWriter):
    """Writes ``notes.parquet``, ``mentions.parquet`` and ``relations.parquet`` in a folder."""

    ending = ".parquet"

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        _pyarrow()
        super().__init__(path, schema)

    def _save(self, name: str, path: Path, columns: Sequence[str], rows: Iterator[Mapping[str, Any]]) -> None:
        pa, pq = _pyarrow()
        kinds = {name: pa.int64() if name in _WHOLE_NUMBERS else pa.float64() if name == CONFIDENCE else pa.string() for name in columns}
        schema = pa.schema(kinds.items())
        with open_private(path, "wb") as file, pq.ParquetWriter(file, schema) as table:
            for batch in _batches(rows):
                table.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))


def _mention(note_id: str, name: str, entity: Entity) -> dict[str, Any]:
    spans = ";".join(f"{span.start} {span.end}" for span in entity.spans)
    outer = entity.span
    values = (note_id, name, entity.label, outer.start, outer.end, spans, entity.text, ";".join(entity.codes))
    own = {_attribute_column(k): attribute_value(v) for k, v in entity.attributes.items() if v is not None}
    return dict(zip(MENTION_COLUMNS, values, strict=True)) | own | {CONFIDENCE: entity.confidence}


def _attribute_column(name: str) -> str:
    return f"attribute_{name}" if name in MENTION_COLUMNS or name == CONFIDENCE else name


def _append(file: TextIO, row: Mapping[str, Any]) -> None:
    file.write(json.dumps({name: utf8(cell) if isinstance(cell, str) else cell for name, cell in row.items()}) + "\n")


def _batches(rows: Iterator[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    batch: list[Mapping[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise FormatError("writing Parquet needs pyarrow, which is not installed", hint="pip install medllm[parquet]") from None
    return pyarrow, pyarrow.parquet
