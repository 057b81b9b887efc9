"""Notes in: files, folders, globs, tables, documents, messages and standard input, one at a time.

Text is never repaired and its encoding never guessed: a file or a row that is not a note is an ``Unreadable`` with a reason, and
the rest goes on. Only what no run should begin with is an InputError: nothing to read, a shared id, a missing column.
"""

import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, BinaryIO

from medllm.digests import DigestMap
from medllm.document import Note
from medllm.errors import InputError
from medllm.formats import fhir_notes, hl7v2
from medllm.formats.decoding import Reason, Refusal, Unreadable, check_encoding, check_text, decode, open_regular, sniff
from medllm.formats.discovery import ENDINGS, FHIR, OMOP, STDIN, TABLES, Source, discover
from medllm.formats.documents import KINDS, extract, read_all
from medllm.formats.documents.base import Found
from medllm.formats.encodable import xml
from medllm.formats.rows import BadRow, Row, arrow_names, arrow_rows, csv_header, csv_rows, jsonl_rows, parquet_names, parquet_rows

__all__ = ["MAX_CHARS", "Reason", "RowOptions", "Unreadable", "read_inputs", "row_notes"]

MAX_CHARS = 2_000_000
TEXT_COLUMNS = ("text", "note_text", "TEXT", "note")
ID_FIELDS = ("id", "note_id")
META_COLUMNS = 64
META_CHARS = 1024
ID_CHARS = 256

_OMOP_TEXT, _OMOP_ID = "note_text", "note_id"
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")


@dataclass(frozen=True, slots=True)
class RowOptions:
    """How notes are read: the columns of tables, the longest text, and the encoding of text files."""

    text_column: str | None = None
    id_column: str | None = None
    max_chars: int = MAX_CHARS
    encoding: str = "utf-8"

    @property
    def max_record(self) -> int:
        """The most characters of a row."""
        return 6 * self.max_chars + (1 << 20)  # a character may be written as \uXXXX, and a row has other columns


def read_inputs(
    inputs: Sequence[str],
    *,
    text_column: str | None = None,
    id_column: str | None = None,
    max_chars: int = MAX_CHARS,
    encoding: str = "utf-8",
    stdin: BinaryIO | None = None,
) -> Iterator[Note | Unreadable]:
    """The notes of the inputs, lazily and in order, and an Unreadable for each that cannot be read.

    An input is a ``.txt`` or ``.md`` file, a document (``.pdf``, ``.docx``, ``.html``, ``.rtf``), a table (``.csv``, ``.tsv``,
    ``.parquet``, ``.arrow``, ``.jsonl``, ``.ndjson``), a file of HL7 v2 messages (``.hl7``), a folder, a glob (``**`` too), or ``-`` for
    one plain text on standard input. ``FORMAT:PATH`` forces a reader (``txt``, ``pdf``, ``csv`` ...), and names two that no ending tells:
    ``fhir``, resources as JSON, and ``omop``, the NOTE table of the OMOP model (of a folder, its ``note.csv`` or ``note.parquet``).

    The id of a note is its path below the input named, without ending; of a table's row, the table's followed by ``/`` and the
    value of ``id_column`` or the 1-based number of the row; of a JSON line its field ``id`` or ``note_id``, or as in a table; of a
    resource or a message the file's, ``/`` and its own id.
    The text of a row is in ``text_column``, else in the first of ``text``, ``note_text``, ``TEXT``, ``note``. Its other short
    scalar columns (or, of a JSON line that has one, its object ``meta``) become ``Note.meta``.

    A byte order mark overrules ``encoding`` and is removed: ``meta["encoding"]`` then says so, since offsets on disk are behind by it.
    ``max_chars`` bounds the text of a note; no larger file is read into memory.

    Raises InputError, before anything is read, for an input that does not exist, for nothing to read, for files that would share
    an id, for a table without the column that is named itself or beside which there is nothing else (in a folder it is an
    Unreadable), and for Parquet, FHIR or HL7 without their library.
    """
    check_encoding(encoding)
    options = RowOptions(text_column, id_column, max_chars, encoding)
    sources = discover(inputs)
    if any(source.format == FHIR for source in sources):
        fhir_notes.check_library()
    named = {*inputs, *(name.partition(":")[2] for name in inputs)}
    wrong: dict[str, InputError] = {}
    for source in sources:
        if source.format in TABLES and source.path != STDIN:
            try:
                _check_table(source, options)
            except InputError as error:
                if source.path in named:
                    raise
                wrong[source.path] = error
    if wrong and len(wrong) == len(sources):
        raise next(iter(wrong.values()))
    faults = {path: str(error).removeprefix(f"{path}: ") for path, error in wrong.items()}
    return _read_all([replace(s, fault=faults.get(s.path, s.fault)) for s in sources], options, stdin)


def _read_all(sources: Sequence[Source], options: RowOptions, stdin: BinaryIO | None) -> Iterator[Note | Unreadable]:
    seen = DigestMap()
    for source in sources:
        try:
            for item in _read(source, options, stdin):
                if isinstance(item, Note):
                    if seen.get(item.id):
                        yield Unreadable(item.id, source.path, "duplicate-id", "an earlier note has the same id")
                        continue
                    seen.set(item.id, 1)
                yield item
        except Refusal as refusal:
            yield Unreadable(source.id, source.path, refusal.reason, refusal.detail)
        except OSError as error:
            yield Unreadable(source.id, source.path, "unreadable", error.strerror or type(error).__name__)


def _read(source: Source, options: RowOptions, stdin: BinaryIO | None) -> Iterator[Note | Unreadable]:
    if source.fault:
        raise Refusal("unreadable", source.fault)
    if source.path == STDIN:
        stream = io.BufferedReader(stdin or sys.stdin.buffer)  # type: ignore[type-var]  # any binary stream will do
        try:
            yield from _parse(source, stream, options)
        finally:
            stream.detach()
    else:
        with open_regular(source.path) as file:
            yield from _parse(source, file, options)


def _parse(source: Source, stream: IO[bytes], options: RowOptions) -> Iterator[Note | Unreadable]:
    if source.format in ("txt", "md"):
        yield _text_note(source, stream, options)
    elif source.format in KINDS:
        document = extract(source.format, read_all(stream), options.encoding)
        yield Note(id=source.id, text=check_text(document.text, options.max_chars), meta=document.meta)
    elif source.format == FHIR:
        yield from _found_notes(source, fhir_notes.notes(_resources(source, stream, options), options.encoding), options)
    elif source.format == "hl7":
        text, used = decode(read_all(stream), options.encoding)
        yield from _found_notes(source, hl7v2.notes(text, used), options)
    elif source.format == OMOP:
        rows = (row if isinstance(row, BadRow) else Row(row.number, _lower(row.cells)) for row in _rows(source, stream, options))
        yield from row_notes(source, rows, replace(options, text_column=_OMOP_TEXT, id_column=_OMOP_ID))
    else:
        yield from row_notes(source, _rows(source, stream, options), options)


def _rows(source: Source, stream: IO[bytes], options: RowOptions) -> Iterator[Row | BadRow]:
    kind = _table_kind(source)
    if kind == "parquet":
        return parquet_rows(stream)
    if kind == "arrow":
        return arrow_rows(stream)
    encoding = _sniff(stream, options)
    if kind == "jsonl":
        return jsonl_rows(stream, encoding=encoding, limit=options.max_record)
    return csv_rows(stream, delimiter=_delimiter(kind), encoding=encoding, limit=options.max_record)


def _table_kind(source: Source) -> str:
    """What a table is, also where it is one of a model."""
    return ENDINGS.get(os.path.splitext(source.path)[1].lower(), "csv") if source.format == OMOP else source.format


def _lower(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in cells.items()}


def _resources(source: Source, stream: IO[bytes], options: RowOptions) -> Iterator[Any]:
    """The JSON objects of a file: one, or one a line, which is how servers export in bulk."""
    if source.path.lower().endswith((".ndjson", ".jsonl")):
        for row in jsonl_rows(stream, encoding=_sniff(stream, options), limit=8 * options.max_record):
            yield None if isinstance(row, BadRow) else row.cells
        return
    text, _ = decode(read_all(stream), options.encoding)
    try:
        yield json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Refusal("malformed-row", f"not JSON{where}; resources one a line are in a .ndjson file") from None


def _found_notes(source: Source, found: Iterator[Found], options: RowOptions) -> Iterator[Note | Unreadable]:
    for one in found:
        note_id = f"{source.id}/{_printable(one.name)}"
        if one.reason is not None:
            yield Unreadable(note_id, source.path, one.reason, one.detail)
            continue
        try:
            text = check_text(xml(one.text), options.max_chars)
        except Refusal as refusal:
            yield Unreadable(note_id, source.path, refusal.reason, refusal.detail)
            continue
        yield Note(id=note_id, text=text, meta={name: value[:META_CHARS] for name, value in one.meta.items()})


def _printable(name: str) -> str:
    """A name that a file gives a note, without what no id should have."""
    return "".join(c if c.isprintable() else "?" for c in name)[:ID_CHARS]


def _text_note(source: Source, stream: IO[bytes], options: RowOptions) -> Note:
    most = 4 * options.max_chars + 4  # no encoding in use takes more bytes for a character
    data = stream.read(most + 1)
    if len(data) > most:
        raise Refusal("too-large", f"more than {options.max_chars} characters")
    text, used = decode(data, options.encoding)
    meta = {"encoding": used} if sniff(data[:4], "") else {}
    return Note(id=source.id, text=check_text(text, options.max_chars), meta=meta)


def row_notes(source: Source, rows: Iterator[Row | BadRow], options: RowOptions) -> Iterator[Note | Unreadable]:
    """The notes of a table's rows, and what is none."""
    by_field = source.format == "jsonl"
    numbered = options.id_column is None and not by_field
    for row in rows:
        fallback = f"{source.id}/{row.number}" if numbered else f"{source.id}/row-{row.number}"
        if isinstance(row, BadRow):
            yield Unreadable(fallback, source.path, row.reason, row.detail)
            continue
        try:
            note_id = _row_id(source, row, options)
            fallback = note_id
            text, text_name = _row_text(row, options)
            meta = _meta(row.cells, {text_name, options.id_column or ""} | (set(ID_FIELDS) if by_field else set()), by_field)
            yield Note(id=note_id, text=check_text(text, options.max_chars), meta=meta)
        except Refusal as refusal:
            yield Unreadable(fallback, source.path, refusal.reason, f"row {row.number}: {refusal.detail}")


def _row_id(source: Source, row: Row, options: RowOptions) -> str:
    fields = (options.id_column,) if options.id_column is not None else ID_FIELDS if source.format == "jsonl" else ()
    value = next((row.cells[name] for name in fields if row.cells.get(name) is not None), None)
    if value is None and options.id_column is None:
        return f"{source.id}/{row.number}"
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise Refusal("malformed-row", "no id, or one that is neither text nor a whole number")
    name = str(value)
    if len(name) > ID_CHARS or not name.isprintable():
        raise Refusal("malformed-row", f"an id of more than {ID_CHARS} characters, or with control characters")
    return name if source.format == "jsonl" else f"{source.id}/{name}"


def _row_text(row: Row, options: RowOptions) -> tuple[str, str]:
    names = TEXT_COLUMNS if options.text_column is None else (options.text_column,)
    name = next((n for n in names if row.cells.get(n) is not None), None)
    if name is None:
        raise Refusal("no-text", f"no text in {' or '.join(names)}; --text-column names another")
    text = row.cells[name]
    if not isinstance(text, str):
        raise Refusal("no-text", f"{name} is not a string")
    return text, name


def _meta(cells: Mapping[str, Any], without: set[str], nested: bool) -> dict[str, str]:
    if nested and isinstance(cells.get("meta"), dict):
        cells, without = cells["meta"], set()
    meta: dict[str, str] = {}
    for name, value in cells.items():
        if name in without or value is None or isinstance(value, bytes | list | dict | tuple):
            continue
        written = value if isinstance(value, str) else json.dumps(value) if isinstance(value, bool) else str(value)
        if len(written) <= META_CHARS and len(name) <= META_CHARS and len(meta) < META_COLUMNS:
            meta[name] = written
    return meta


QUERY = "the query"
"""What stands for a table's path where rows come from a database."""


def _check_table(source: Source, options: RowOptions) -> None:
    """Raises InputError for a table without the columns; what else is wrong with it is told when its turn comes."""
    try:
        with open_regular(source.path) as stream:
            kind = _table_kind(source)
            if kind == "parquet":
                names = parquet_names(stream)
            elif kind == "arrow":
                names = arrow_names(stream)
            else:
                encoding = _sniff(stream, options)
                names = csv_header(stream, delimiter=_delimiter(kind), encoding=encoding, limit=options.max_record)
    except (Refusal, OSError):
        return
    check_columns(source.path, names, options, omop=source.format == OMOP)


def check_columns(where: str, names: Sequence[str], options: RowOptions, *, omop: bool = False) -> None:
    """Raises InputError for columns among which the text's or the id's is missing, or twice."""
    if omop:
        lower = [name.lower() for name in names]
        if missing := [name for name in (_OMOP_ID, _OMOP_TEXT) if name not in lower]:
            raise InputError(
                f"{where}: no column {' or '.join(missing)}; it has {_shown(names)}",
                hint="is it the NOTE table?",
                names=_quoted(where),
            )
        return
    wanted = TEXT_COLUMNS if options.text_column is None else (options.text_column,)
    _check_column(where, names, wanted, "--text-column")
    if options.id_column is not None:
        _check_column(where, names, (options.id_column,), "--id-column")


def _check_column(where: str, names: Sequence[str], wanted: Sequence[str], option: str) -> None:
    found = next((name for name in wanted if name in names), None)
    if found is None:
        raise InputError(
            f"{where}: no column {' or '.join(wanted)}; it has {_shown(names)}",
            hint=f"{option} names another",
            names=_quoted(where),
        )
    if names.count(found) > 1:
        raise InputError(f"{where}: two columns have the name {found}", hint="rename one of them", names=_quoted(where))


def _quoted(where: str) -> tuple[str, ...]:
    return () if where == QUERY else (where,)


def _shown(names: Sequence[str]) -> str:
    """Column names for a message. A table without a header line has note text there: only what looks like a name is shown."""
    plain = [name for name in names if _PLAIN_NAME.fullmatch(name)][:20]
    others = len(names) - len(plain)
    return ", ".join(plain + ([f"{others} not shown"] if others else [])) or "none"


def _sniff(stream: IO[bytes], options: RowOptions) -> str:
    head = stream.peek(4096)[:4096] if isinstance(stream, io.BufferedReader) else b""
    encoding = sniff(head, options.encoding)
    if b"\0" in head and encoding == options.encoding and not encoding.lower().startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
        raise Refusal("binary", "holds NUL bytes: not a table of text")
    return encoding


def _delimiter(kind: str) -> str:
    return "\t" if kind == "tsv" else ","
