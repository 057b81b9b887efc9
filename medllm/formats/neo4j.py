"""A knowledge graph as CSV files for ``neo4j-admin database import`` <-> Extraction (Neo4j Operations Manual, "Import", CSV headers).

Nodes are notes, mentions (with their label as a second Neo4j label) and codes; relationships lead from notes to mentions
(``HAS_MENTION``), from mentions to codes (``HAS_CODE``) and between mentions (of the relation's label)::

    neo4j-admin database import full --multiline-fields=true --nodes=notes.csv --nodes=mentions.csv --nodes=codes.csv
      --relationships=has_mention.csv --relationships=has_code.csv --relationships=relations.csv

The columns are those of ``medllm.formats.table``, with Neo4j's types. Not held by the format: votes, the ledger, empty attributes;
``:`` in the name of an attribute and ``;`` in a label become ``_``. ``codes.csv`` needs every code once, so that they are held in memory.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from medllm.formats.base import Parsed
from medllm.formats.collecting import attach
from medllm.formats.encodable import utf8_row
from medllm.formats.files import open_private
from medllm.formats.table import CONFIDENCE, TableWriter
from medllm.formats.table_reading import read_tables
from medllm.schema import Schema

ENDING = ".csv"
_TYPES = {"start": "start:long", "end": "end:long", CONFIDENCE: f"{CONFIDENCE}:double"}
_RELATIONS = (":START_ID(Mention)", ":END_ID(Mention)", ":TYPE", "note_id", "id", "head", "tail", f"{CONFIDENCE}:double")


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder of such files. Raises FormatError."""
    return attach(read_tables(path, ENDING, schema, _column))


class Writer(TableWriter):
    """Writes the six files in a folder. They appear whole, when it is closed."""

    ending = ENDING

    def _save(self, name: str, path: Path, columns: Sequence[str], rows: Iterator[Mapping[str, Any]]) -> None:
        if name == "notes":
            header = ["note_id:ID(Note)", *columns[1:], ":LABEL"]
            _write(path, header, ([*(row[c] for c in columns), "Note"] for row in rows))
        elif name == "mentions":
            header = ["key:ID(Mention)", *(_TYPES.get(c, c.replace(":", "_")) for c in columns), ":LABEL"]
            _write(path, header, self._mention_rows(columns, rows))
        else:
            _write(path, _RELATIONS, map(_relation, rows))

    def _mention_rows(self, columns: Sequence[str], rows: Iterator[Mapping[str, Any]]) -> Iterator[list[Any]]:
        """The rows of mentions; the files that come from the same rows are written on the way."""
        codes: dict[str, None] = {}
        with ExitStack() as files:

            def opened(name: str, header: Sequence[str]) -> Any:
                writer = csv.writer(files.enter_context(open_private(self._folder / f"{name}{ENDING}")))
                writer.writerow(header)
                return writer

            has_mention = opened("has_mention", (":START_ID(Note)", ":END_ID(Mention)", ":TYPE"))
            has_code = opened("has_code", (":START_ID(Mention)", ":END_ID(Code)", ":TYPE"))
            for row in rows:
                key = _key(row["note_id"], row["id"])
                has_mention.writerow(utf8_row((row["note_id"], key, "HAS_MENTION")))
                for code in filter(None, row["codes"].split(";")):
                    codes[code] = None
                    has_code.writerow(utf8_row((key, code, "HAS_CODE")))
                yield [key, *(row.get(c, "") for c in columns), f"Mention;{row['label'].replace(';', '_')}"]
        _write(self._folder / f"codes{ENDING}", ("code:ID(Code)", ":LABEL"), ([code, "Code"] for code in codes))


def _relation(row: Mapping[str, Any]) -> list[Any]:
    ends = [_key(row["note_id"], row[side]) for side in ("head", "tail")]
    return [*ends, row["label"], *(row[c] for c in ("note_id", "id", "head", "tail", CONFIDENCE))]


def _write(path: Path, header: Sequence[str], rows: Iterator[list[Any]]) -> None:
    with open_private(path) as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(map(utf8_row, rows))


def _key(note_id: str, name: str) -> str:
    return f"{note_id}#{name}"


def _column(header: str) -> str:
    """The column of a table that a header of Neo4j stands for; nothing for those that only Neo4j needs."""
    name, _, kind = header.partition(":")
    if kind == "TYPE":
        return "label"
    return "" if name == "key" and kind.startswith("ID") else name
