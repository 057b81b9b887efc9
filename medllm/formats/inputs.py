"""Notes in: files, folders, globs, tables and standard input, one at a time.

Text is never repaired and its encoding never guessed: a file or a row that is not a note is an ``Unreadable`` with a reason, and
the rest goes on. Only what no run should begin with is an InputError: nothing to read, a shared id, a missing column.
"""

import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import IO, Any, BinaryIO

from medllm.document import Note
from medllm.errors import InputError
from medllm.formats.decoding import Reason, Refusal, Unreadable, check_encoding, check_text, decode, open_regular, sniff
from medllm.formats.discovery import STDIN, TABLES, Source, discover
from medllm.formats.rows import BadRow, Row, csv_header, csv_rows, jsonl_rows, parquet_names, parquet_rows

__all__ = ["MAX_CHARS", "Reason", "Unreadable", "read_inputs"]

MAX_CHARS = 2_000_000
TEXT_COLUMNS = ("text", "note_text", "TEXT", "note")
ID_FIELDS = ("id", "note_id")
META_COLUMNS = 64
META_CHARS = 1024
ID_CHARS = 256

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")


@dataclass(frozen=True, slots=True)
class _Options:
    text_column: str | None
    id_column: str | None
    max_chars: int
    encoding: str

    @property
    def max_record(self) -> int:
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

    An input is a ``.txt`` or ``.md`` file, a table (``.csv``, ``.tsv``, ``.parquet``, ``.jsonl``, ``.ndjson``), a folder, a glob
    (``**`` too), or ``-`` for one plain text on standard input. ``FORMAT:PATH`` (``txt md jsonl csv tsv parquet``) forces a reader.

    The id of a note is its path below the input named, without ending; of a table's row, the table's followed by ``/`` and the
    value of ``id_column`` or the 1-based number of the row; of a JSON line its field ``id`` or ``note_id``, or as in a table.
    The text of a row is in ``text_column``, else in the first of ``text``, ``note_text``, ``TEXT``, ``note``. Its other short
    scalar columns (or, of a JSON line that has one, its object ``meta``) become ``Note.meta``.

    A byte order mark overrules ``encoding`` and is removed: ``meta["encoding"]`` then says so, since offsets on disk are behind by it.
    ``max_chars`` bounds the text of a note; no larger file is read into memory.

    Raises InputError, before anything is read, for an input that does not exist, for nothing to read, for files that would share
    an id, for a table without the column, and for Parquet without pyarrow.
    """
    check_encoding(encoding)
    options = _Options(text_column, id_column, max_chars, encoding)
    sources = discover(inputs)
    for source in sources:
        if source.format in TABLES and source.path != STDIN:
            _check_table(source, options)
    return _read_all(sources, options, stdin)


def _read_all(sources: Sequence[Source], options: _Options, stdin: BinaryIO | None) -> Iterator[Note | Unreadable]:
    seen: set[bytes] = set()
    for source in sources:
        try:
            for item in _read(source, options, stdin):
                if isinstance(item, Note):
                    digest = blake2b(item.id.encode(), digest_size=16).digest()
                    if digest in seen:
                        yield Unreadable(item.id, source.path, "duplicate-id", "an earlier note has the same id")
                        continue
                    seen.add(digest)
                yield item
        except Refusal as refusal:
            yield Unreadable(source.id, source.path, refusal.reason, refusal.detail)
        except OSError as error:
            yield Unreadable(source.id, source.path, "unreadable", error.strerror or type(error).__name__)


def _read(source: Source, options: _Options, stdin: BinaryIO | None) -> Iterator[Note | Unreadable]:
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


def _parse(source: Source, stream: IO[bytes], options: _Options) -> Iterator[Note | Unreadable]:
    if source.format in ("txt", "md"):
        yield _text_note(source, stream, options)
    elif source.format == "jsonl":
        yield from _row_notes(source, jsonl_rows(stream, encoding=_sniff(stream, options), limit=options.max_record), options)
    elif source.format == "parquet":
        yield from _row_notes(source, parquet_rows(stream), options)
    else:
        encoding = _sniff(stream, options)
        yield from _row_notes(source, csv_rows(stream, delimiter=_delimiter(source), encoding=encoding, limit=options.max_record), options)


def _text_note(source: Source, stream: IO[bytes], options: _Options) -> Note:
    most = 4 * options.max_chars + 4  # no encoding in use takes more bytes for a character
    data = stream.read(most + 1)
    if len(data) > most:
        raise Refusal("too-large", f"more than {options.max_chars} characters")
    text, used = decode(data, options.encoding)
    meta = {"encoding": used} if sniff(data[:4], "") else {}
    return Note(id=source.id, text=check_text(text, options.max_chars), meta=meta)


def _row_notes(source: Source, rows: Iterator[Row | BadRow], options: _Options) -> Iterator[Note | Unreadable]:
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


def _row_id(source: Source, row: Row, options: _Options) -> str:
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


def _row_text(row: Row, options: _Options) -> tuple[str, str]:
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


def _check_table(source: Source, options: _Options) -> None:
    """Raises InputError for a table without the columns; what else is wrong with it is told when its turn comes."""
    try:
        with open_regular(source.path) as stream:
            if source.format == "parquet":
                names = parquet_names(stream)
            else:
                encoding = _sniff(stream, options)
                names = csv_header(stream, delimiter=_delimiter(source), encoding=encoding, limit=options.max_record)
    except (Refusal, OSError):
        return
    wanted = TEXT_COLUMNS if options.text_column is None else (options.text_column,)
    _check_column(source, names, wanted, "--text-column")
    if options.id_column is not None:
        _check_column(source, names, (options.id_column,), "--id-column")


def _check_column(source: Source, names: Sequence[str], wanted: Sequence[str], option: str) -> None:
    found = next((name for name in wanted if name in names), None)
    if found is None:
        raise InputError(f"{source.path}: no column {' or '.join(wanted)}; it has {_shown(names)}", hint=f"{option} names another")
    if names.count(found) > 1:
        raise InputError(f"{source.path}: two columns have the name {found}", hint="rename one of them")


def _shown(names: Sequence[str]) -> str:
    """Column names for a message. A table without a header line has note text there: only what looks like a name is shown."""
    plain = [name for name in names if _PLAIN_NAME.fullmatch(name)][:20]
    others = len(names) - len(plain)
    return ", ".join(plain + ([f"{others} not shown"] if others else [])) or "none"


def _sniff(stream: IO[bytes], options: _Options) -> str:
    head = stream.peek(4096)[:4096] if isinstance(stream, io.BufferedReader) else b""
    encoding = sniff(head, options.encoding)
    if b"\0" in head and encoding == options.encoding and not encoding.lower().startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
        raise Refusal("binary", "holds NUL bytes: not a table of text")
    return encoding


def _delimiter(source: Source) -> str:
    return "\t" if source.format == "tsv" else ","
