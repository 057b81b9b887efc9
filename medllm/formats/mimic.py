"""MIMIC note tables: ``NOTEEVENTS`` of MIMIC-III, ``discharge`` and ``radiology`` of MIMIC-IV-Note, as ``.csv`` or ``.csv.gz``.

Johnson et al. 2016, Sci Data 3:160035; Johnson et al. 2023, PhysioNet, doi:10.13026/1n74-ne17. There are no annotations: each row is a
note without mentions, with the id ``TABLE/ROW_ID`` (MIMIC-III) or ``TABLE/note_id`` (MIMIC-IV), and its other columns as ``meta``; rows
that MIMIC-III marks as errors have ``ISERROR`` there. A row that cannot be read is a problem, and its neighbours are kept.

Written is a table a file, ``TABLE.csv``, in the columns of its release, or one file where the path ends in ``.csv``. Not held: mentions and
relations (``Writer.left_out`` counts them), and what ``meta`` has under other names than the columns'.
"""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from medllm.document import Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import attach
from medllm.formats.corpus_files import OneFile, below, clean, stem
from medllm.formats.decoding import Refusal, check_text
from medllm.formats.encodable import utf8_row
from medllm.formats.inputs import MAX_CHARS
from medllm.formats.rows import BadRow, csv_rows
from medllm.schema import Schema

TABLES = ("noteevents", "discharge", "radiology")
ENDINGS = (".csv.gz", ".csv")

EVENTS = ("ROW_ID", "SUBJECT_ID", "HADM_ID", "CHARTDATE", "CHARTTIME", "STORETIME", "CATEGORY", "DESCRIPTION", "CGID", "ISERROR", "TEXT")
"""The columns of ``NOTEEVENTS``."""
NOTES = ("note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text")
"""The columns of MIMIC-IV-Note's ``discharge`` and ``radiology``."""

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


class Writer:
    """Writes note tables; rows keep the order in which notes come."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._path = path
        self._files: dict[str, OneFile] = {}
        self.left_out = 0

    def write(self, extraction: Extraction) -> None:
        """Add the row of a note. Raises FormatError."""
        self.left_out += len(extraction.entities) + len(extraction.relations)
        table, slash, row_id = extraction.note.id.rpartition("/")
        table = table if slash else TABLES[0].upper()
        columns = EVENTS if table.rpartition("/")[2].lower() == TABLES[0] else NOTES
        known = {name: extraction.note.meta.get(name, "") for name in columns[1:-1]}
        file = self._file(table, columns)
        file.add(_line([row_id, *known.values(), extraction.note.text]))

    def close(self) -> None:
        """Close the files. Raises FormatError."""
        for file in self._files.values():
            file.close()

    def _file(self, table: str, columns: tuple[str, ...]) -> OneFile:
        single = self._path.name.lower().endswith(".csv")
        if single and self._files and table not in self._files:
            raise FormatError("the notes are of several tables", path=str(self._path), hint="name a folder: each table gets its file")
        if table not in self._files:
            path = self._path if single else self._path / f"{table}.csv"
            self._files[table] = OneFile(path, (".csv",), path.name)
            self._files[table].add(_line(columns))
        return self._files[table]


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(utf8_row(cells))
    return line.getvalue()


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
