"""Files that hold a note a row: CSV and TSV (RFC 4180), JSON lines, Parquet, Arrow. Rows stream; a bad one never moves the next.

The input is decoded with ``surrogateescape``, so that a row with bytes outside the encoding is refused and the rest is read.
"""

import contextlib
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from medllm.errors import InputError
from medllm.formats.decoding import Reason, Refusal

_ESCAPED = re.compile("[\udc80-\udcff]")
_ARROW_MAGIC = b"ARROW1"
_BATCH_ROWS = 256
_PAGE_BUFFER = 1 << 16
_FIELD_LIMIT = 2**31 - 1  # the csv module's own limit would cut notes at 131,072 characters; records are bounded here


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its 1-based number (CSV, Parquet: of the data rows; JSON lines: of the lines) and its cells by column."""

    number: int
    cells: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read, and why."""

    number: int
    reason: Reason
    detail: str


def csv_header(stream: IO[bytes], *, delimiter: str, encoding: str, limit: int) -> list[str]:
    """The column names of the first line. Raises Refusal."""
    lines = _Lines(stream, encoding, limit)
    try:
        return _header(csv.reader(lines, delimiter=delimiter, strict=True))
    finally:
        lines.detach()


def csv_rows(stream: IO[bytes], *, delimiter: str, encoding: str, limit: int) -> Iterator[Row | BadRow]:
    """Rows under the header line. A record of more than ``limit`` characters ends the file: a quote was never closed.

    Raises Refusal where the header cannot be read.
    """
    lines = _Lines(stream, encoding, limit)
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header = _header(reader)
        number = 0
        while True:
            first = reader.line_num + 1
            lines.begin_record()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield BadRow(number, "malformed-row", f"lines {first} to {reader.line_num}: {error}")
                continue
            except Refusal as refusal:
                yield BadRow(number + 1, refusal.reason, f"from line {first} on, nothing is read: {refusal.detail}")
                return
            if not cells:
                continue
            number += 1
            if len(cells) != len(header):
                yield BadRow(number, "malformed-row", f"line {first}: {len(cells)} fields where the header has {len(header)}")
            elif any(_ESCAPED.search(cell) for cell in cells):
                yield BadRow(number, "encoding", f"line {first}: not {encoding}; give --encoding, such as latin-1, cp1252 or gb18030")
            else:
                yield Row(number, dict(zip(header, cells, strict=True)))
    finally:
        lines.detach()


def jsonl_rows(stream: IO[bytes], *, encoding: str, limit: int) -> Iterator[Row | BadRow]:
    """One JSON object a line (https://jsonlines.org); blank lines are passed over."""
    lines = _Lines(stream, encoding, limit, newline="\n")
    number = 0
    try:
        while True:
            number += 1
            lines.begin_record()
            try:
                line = lines.next_line()
            except Refusal as refusal:
                yield BadRow(number, refusal.reason, refusal.detail)
                if refusal.reason == "encoding":  # only where the decoder cannot go on (UTF-16 cut short)
                    return
                lines.skip_line()
                continue
            if not line:
                return
            if line.strip():
                yield _json_row(number, line, encoding)
    finally:
        lines.detach()


def parquet_names(stream: IO[bytes]) -> list[str]:
    """The columns of a Parquet file. Raises Refusal, and InputError where pyarrow is missing."""
    parquet, arrow_error = _pyarrow()
    try:
        return [str(name) for name in parquet.read_schema(stream).names]
    except (arrow_error, OSError) as error:
        raise Refusal("unreadable", f"not a Parquet file that can be read ({type(error).__name__})") from None


def parquet_rows(stream: IO[bytes]) -> Iterator[Row | BadRow]:
    """The rows of a Parquet file, batch by batch, its pages read as they come. Raises Refusal, and InputError where pyarrow is missing."""
    parquet, arrow_error = _pyarrow()
    number = 0
    try:
        # Without a pre-buffer, and with a small one for reading, a row group of any size takes the memory of a few pages.
        table = parquet.ParquetFile(stream, pre_buffer=False, buffer_size=_PAGE_BUFFER)
        for batch in table.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            for cells in _cells(batch):
                number += 1
                yield Row(number, cells)
    except (arrow_error, OSError, UnicodeDecodeError) as error:
        raise Refusal("unreadable", f"the Parquet file breaks after row {number} ({type(error).__name__})") from None


def arrow_names(stream: IO[bytes]) -> list[str]:
    """The columns of an Arrow IPC file or stream. Raises Refusal, and InputError where pyarrow is missing."""
    _, arrow_error = _pyarrow()
    try:
        return [str(name) for name in _arrow(stream)[0].names]
    except (arrow_error, OSError) as error:
        raise Refusal("unreadable", f"not an Arrow file that can be read ({type(error).__name__})") from None


def arrow_rows(stream: IO[bytes]) -> Iterator[Row | BadRow]:
    """The rows of an Arrow IPC file (Feather 2) or stream, batch by batch. Raises Refusal, and InputError where pyarrow is missing."""
    _, arrow_error = _pyarrow()
    number = 0
    try:
        for batch in _arrow(stream)[1]:
            for first in range(0, len(batch), _BATCH_ROWS):
                for cells in _cells(batch.slice(first, _BATCH_ROWS)):
                    number += 1
                    yield Row(number, cells)
    except (arrow_error, OSError, UnicodeDecodeError) as error:
        raise Refusal("unreadable", f"the Arrow file breaks after row {number} ({type(error).__name__})") from None


def _arrow(stream: IO[bytes]) -> tuple[Any, Iterator[Any]]:
    """The schema and the batches."""
    import pyarrow

    whole = stream.read(len(_ARROW_MAGIC)) == _ARROW_MAGIC
    stream.seek(0)
    if not whole:
        reader = pyarrow.ipc.open_stream(stream)
        return reader.schema, iter(reader)
    file = pyarrow.ipc.open_file(stream)
    return file.schema, (file.get_batch(n) for n in range(file.num_record_batches))


def _cells(batch: Any) -> list[dict[str, Any]]:
    """The rows of a batch, checked first: offsets in a broken file would make pyarrow read beyond its buffers."""
    batch.validate(full=True)
    rows: list[dict[str, Any]] = batch.to_pylist()
    return rows


def _pyarrow() -> tuple[Any, type[Exception]]:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise InputError("reading Parquet and Arrow needs pyarrow, which is not installed", hint="pip install medllm[parquet]") from None
    return pyarrow.parquet, pyarrow.ArrowException


def _header(reader: Any) -> list[str]:
    csv.field_size_limit(_FIELD_LIMIT)
    try:
        header: list[str] = next(reader, [])
    except csv.Error as error:
        raise Refusal("malformed-row", f"the header line: {error}") from None
    if not header:
        raise Refusal("empty", "no header line")
    return [name.strip() for name in header]


def _json_row(number: int, line: str, encoding: str) -> Row | BadRow:
    if _ESCAPED.search(line):
        return BadRow(number, "encoding", f"not {encoding}; give --encoding, such as latin-1, cp1252 or gb18030")
    try:
        cells = json.loads(line)
    except json.JSONDecodeError as error:
        return BadRow(number, "malformed-row", f"not JSON (column {error.colno})")
    except (ValueError, RecursionError):
        return BadRow(number, "malformed-row", "JSON that cannot be held: a number too long, or nesting too deep")
    if not isinstance(cells, dict):
        return BadRow(number, "malformed-row", "not a JSON object")
    return Row(number, cells)


class _Lines(Iterator[str]):
    """Lines with their ends, and a bound on the characters of a record."""

    def __init__(self, stream: IO[bytes], encoding: str, limit: int, newline: str = "") -> None:
        self._text = io.TextIOWrapper(stream, encoding=encoding, errors="surrogateescape", newline=newline)
        self._encoding = encoding
        self._limit = limit
        self._left = limit

    def begin_record(self) -> None:
        self._left = self._limit

    def next_line(self) -> str:
        try:
            line = self._text.readline(self._left + 1)
        except UnicodeError:
            raise Refusal("encoding", f"not {self._encoding}") from None
        self._left -= len(line)
        if self._left < 0:
            raise Refusal("too-large", f"a record of more than {self._limit} characters; is a quote never closed?")
        return line

    def skip_line(self) -> None:
        with contextlib.suppress(UnicodeError):  # met again, and told, by the next line
            while (part := self._text.readline(1 << 16)) and not part.endswith("\n"):
                pass

    def __next__(self) -> str:
        if line := self.next_line():
            return line
        raise StopIteration

    def detach(self) -> None:
        """Leave the stream open: it may be standard input."""
        self._text.detach()
