"""MIMIC note tables: ``NOTEEVENTS`` of MIMIC-III, ``discharge`` and ``radiology`` of MIMIC-IV-Note, as ``.csv`` or ``.csv.gz``.

Johnson et al. 2016, Sci Data 3:160035; Johnson et al. 2023, PhysioNet, doi:10.13026/1n74-ne17. There are no annotations: each row is a
note without mentions, with the id ``TABLE/ROW_ID`` (MIMIC-III) or ``TABLE/note_id`` (MIMIC-IV), and its other columns as ``meta``; rows
that MIMIC-III marks as errors have ``ISERROR`` there. A row that cannot be read is a problem, and its neighbours are kept.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from medllm.document import Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import attach
from medllm.formats.corpus_files import below, clean, stem
from medllm.formats.decoding import Refusal, check_text
from medllm.formats.inputs import MAX_CHARS
from medllm.formats.rows import BadRow, csv_rows
from medllm.schema import Schema

TABLES = ("noteevents", "discharge", "radiology")
ENDINGS = (".csv.gz", ".csv")

_COLUMNS = (("ROW_ID", "TEXT"), ("note_id", "text"))
_RECORD = 2 * MAX_CHARS


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a table, or of the tables of a folder, in their order. Raises FormatError."""
    files = [path]
    if path.is_dir():
        files = [file for file in below(path, ENDINGS) if stem(file.name, ENDINGS).lower() in TABLES]
        if not files:
            raise FormatError("no note table in this folder", path=str(path), hint=f"one of {', '.join(TABLES)}, as .csv or .csv.gz")
    for file in files:
        yield from attach(_read(file))


def _read(path: Path) -> Iterator[Parsed | Problem]:
    try:
        with _open(path) as stream:
            yield from _notes(stream, path)
    except Refusal as refusal:
        raise FormatError(f"{refusal.reason}: {refusal.detail}", path=str(path)) from None
    except (OSError, EOFError) as error:
        raise FormatError(f"cannot be read: {getattr(error, 'strerror', None) or type(error).__name__}", path=str(path)) from None


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]  # a binary stream


def _notes(stream: IO[bytes], path: Path) -> Iterator[Parsed | Problem]:
    table = stem(path.name, ENDINGS)
    for row in csv_rows(stream, delimiter=",", encoding="utf-8", limit=_RECORD):
        if isinstance(row, BadRow):
            yield Problem(str(path), None, "malformed-line", f"row {row.number}: {row.reason}: {row.detail}", dropped=True)
            continue
        columns = next((names for names in _COLUMNS if row.cells.keys() >= {*names}), None)
        if columns is None:
            names = " or ".join(f"{name} and {text}" for name, text in _COLUMNS)
            raise FormatError(f"no columns {names}", path=str(path), hint="is it a note table of MIMIC?")
        try:
            text = check_text(row.cells[columns[1]], MAX_CHARS)
        except Refusal as refusal:
            yield Problem(str(path), None, "malformed-line", f"row {row.number}: {refusal.reason}: {refusal.detail}", dropped=True)
            continue
        meta = {name: value for name, value in row.cells.items() if name not in columns and value}
        yield Parsed(Extraction(note=Note(id=clean(f"{table}/{row.cells[columns[0]]}"), text=text, meta=meta)))
