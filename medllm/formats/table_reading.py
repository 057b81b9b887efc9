"""The tables of ``medllm.formats.table`` -> Extraction: a folder with ``notes.*``, ``mentions.*`` and ``relations.*``.

Rows may stand in any order, and columns may be added: unknown ones of ``mentions`` are attributes. ``relations`` may be missing. The
mentions and relations are held in memory, the notes stream.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from medllm.document import Entity, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, Given, attach
from medllm.formats.decoding import Refusal
from medllm.formats.inputs import MAX_CHARS
from medllm.formats.rows import BadRow, Row, csv_rows, parquet_rows
from medllm.formats.table import CONFIDENCE, MENTION_COLUMNS, NOTE_COLUMNS, RELATION_COLUMNS
from medllm.schema import Schema

_RECORD = 7 * MAX_CHARS
_SPANS = re.compile(r"[0-9]{1,9} [0-9]{1,9}(?:;[0-9]{1,9} [0-9]{1,9})*")

MENTION_NEEDS = ("note_id", "id", "label", "spans", "text", "codes")

Rows = dict[str, list[Row]]
Rename = Callable[[str], str]


def read_csv(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder of CSV tables. Raises FormatError."""
    return attach(read_tables(path, ".csv", schema))


def read_parquet(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder of Parquet tables. Raises FormatError, and InputError without pyarrow."""
    return attach(read_tables(path, ".parquet", schema))


def read_tables(folder: Path, ending: str, schema: Schema | None, rename: Rename = str) -> Iterator[Parsed | Problem]:
    """The notes of a folder of tables, and what belongs to none. ``rename`` gives the names used here for those of the columns; a column
    that it names with nothing is passed over. Raises FormatError."""
    places = {name: folder / f"{name}{ending}" for name in ("notes", "mentions", "relations")}
    if not places["notes"].is_file() or not places["mentions"].is_file():
        raise FormatError(f"no notes{ending} and mentions{ending} here", path=str(folder), hint="name the folder that holds the tables")
    mentions = yield from _by_note(places["mentions"], MENTION_NEEDS, rename)
    relations: Rows = defaultdict(list)
    if places["relations"].is_file():
        relations = yield from _by_note(places["relations"], RELATION_COLUMNS[:5], rename)
    seen: set[str] = set()
    for row in table_rows(places["notes"], NOTE_COLUMNS[:2], rename):
        where = str(places["notes"])
        if isinstance(row, Problem):
            yield row
            continue
        name, text = row.cells["note_id"], row.cells["text"]
        if not isinstance(name, str) or not name or not isinstance(text, str):
            yield Problem(where, None, "malformed-line", f"row {row.number}: no note_id, or no text", dropped=True)
        elif name in seen:
            yield Problem(where, None, "duplicate-id", f"row {row.number}: an earlier note has the same id", dropped=True)
        else:
            seen.add(name)
            note = Note(id=name, text=text, meta=_meta(row.cells.get("meta")))
            yield _parsed(note, mentions.pop(name, []), relations.pop(name, []), schema, places)
    for table, rest in (("mentions", mentions), ("relations", relations)):
        if rest:
            yield Problem(str(places[table]), None, "unknown-reference", f"{len(rest)} notes of these rows are not there", dropped=True)


def table_rows(path: Path, needed: tuple[str, ...], rename: Rename = str) -> Iterator[Row | Problem]:
    """The rows of a ``.csv`` or ``.parquet`` file, and what is none. Raises FormatError where a needed column is missing."""
    try:
        with path.open("rb") as stream, closing(_rows(stream, path.suffix)) as rows:
            for row in rows:
                if isinstance(row, BadRow):
                    yield Problem(str(path), None, "malformed-line", f"row {row.number}: {row.reason}: {row.detail}", dropped=True)
                    continue
                cells = {rename(name): value for name, value in row.cells.items()}
                if missing := [name for name in needed if name not in cells]:
                    raise FormatError(f"no column {', '.join(missing)}", path=str(path), hint=f"it needs {', '.join(needed)}")
                yield Row(row.number, cells)
    except Refusal as refusal:
        raise FormatError(f"{refusal.reason}: {refusal.detail}", path=str(path)) from None
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror or type(error).__name__}", path=str(path)) from None


def _rows(stream: IO[bytes], ending: str) -> Generator[Row | BadRow, None, None]:
    if ending == ".parquet":
        yield from parquet_rows(stream)
    else:
        yield from csv_rows(stream, delimiter=",", encoding="utf-8", limit=_RECORD)


def number_in(value: Any) -> float | None:
    """The number that a cell holds; None for none, and for what is no probability."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if 0 <= found <= 1 else None


def spans_in(value: Any) -> list[tuple[int, int]]:
    """The parts that a cell holds; none where it is no list of them.

    >>> spans_in("3 8;12 15"), spans_in("3-8")
    ([(3, 8), (12, 15)], [])
    """
    if not isinstance(value, str) or not _SPANS.fullmatch(value):
        return []
    return [(int(start), int(end)) for start, end in (part.split(" ") for part in value.split(";"))]


def _by_note(path: Path, needed: tuple[str, ...], rename: Rename) -> Generator[Problem, None, Rows]:
    found: Rows = defaultdict(list)
    for row in table_rows(path, needed, rename):
        if isinstance(row, Problem):
            yield row
        else:
            found[str(row.cells["note_id"])].append(row)
    return found


def _parsed(note: Note, mentions: list[Row], relations: list[Row], schema: Schema | None, places: Mapping[str, Path]) -> Parsed:
    found = Collector(note, schema, str(places["mentions"]))
    by_id: dict[str, Entity | None] = {}
    for row in mentions:
        cells = row.cells
        name = str(cells["id"] or "")
        made = found.entity(
            row.number,
            str(cells["label"] or ""),
            spans_in(cells["spans"]),
            name=name,
            written=cells["text"] if isinstance(cells["text"], str) else None,
            attributes=[Given(_attribute(k), str(v)) for k, v in cells.items() if _is_attribute(k) and v not in (None, "")],
            codes=[code for code in str(cells["codes"] or "").split(";") if code],
            confidence=number_in(cells.get(CONFIDENCE)),
        )
        if by_id.setdefault(name, made) is not made:
            found.report(row.number, "duplicate-id", "an earlier mention has the same id, and the relations to it", dropped=False)
    for row in relations:
        cells = row.cells
        head, tail = by_id.get(str(cells["head"])), by_id.get(str(cells["tail"]))
        confidence = number_in(cells.get(CONFIDENCE))
        name, path = str(cells["id"] or ""), str(places["relations"])
        found.relation(row.number, str(cells["label"] or ""), head, tail, name=name, path=path, confidence=confidence)
    return found.parsed()


def _is_attribute(column: str) -> bool:
    return column not in MENTION_COLUMNS and column not in ("", CONFIDENCE)


def _attribute(column: str) -> str:
    own = column.removeprefix("attribute_")
    return column if _is_attribute(own) else own


def _meta(value: Any) -> dict[str, str]:
    try:
        found = json.loads(value) if value else {}
    except (TypeError, ValueError, RecursionError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
