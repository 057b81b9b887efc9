"""OMOP CDM 5.4: the tables ``note.csv`` and ``note_nlp.csv`` <-> Extraction (https://ohdsi.github.io/CommonDataModel/cdm54.html).

Each mention is a row of NOTE_NLP: ``offset`` is its first character, ``lexical_variant`` its text from start to end, ``term_exists`` is
``N`` where its ``assertion`` says that the patient has it not (absent, conditional, hypothetical, somebody else's), else ``Y``.
``term_modifiers`` has what the table has no column for, as ``NAME=VALUE`` divided by commas: ``label``, ``id``, each ``code``,
``confidence`` and the attributes, with ``%``, ``,`` and ``=`` percent-encoded. ``note_nlp_concept_id`` is the first code of the system
``OMOP``, else 0.

NOTE has the note's id as ``note_source_value``, and as ``note_id`` the whole number that the id ends in (as ``notes/17`` of a table
read), else the next one that is free; of the meta it has ``person_id``, ``note_date`` and the other columns of NOTE. Column names are
read in any case. Not held by the format: relations, parts of a discontinuous mention (written from start to end), votes, other meta.
"""

import csv
import datetime
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from medllm.document import Assertion, Entity, Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, Given, attach
from medllm.formats.collecting import number as whole_number
from medllm.formats.encodable import utf8_row
from medllm.formats.files import open_private, writing
from medllm.formats.ids import named
from medllm.formats.rows import Row
from medllm.formats.table_reading import number_in, table_rows
from medllm.schema import Schema, attribute_value

NOTE_FILE, NLP_FILE = "note.csv", "note_nlp.csv"
NOTE_COLUMNS = (
    "note_id",
    "person_id",
    "note_date",
    "note_datetime",
    "note_type_concept_id",
    "note_class_concept_id",
    "note_title",
    "note_text",
    "encoding_concept_id",
    "language_concept_id",
    "provider_id",
    "visit_occurrence_id",
    "visit_detail_id",
    "note_source_value",
    "note_event_id",
    "note_event_field_concept_id",
)
NLP_COLUMNS = (
    "note_nlp_id",
    "note_id",
    "section_concept_id",
    "snippet",
    "offset",
    "lexical_variant",
    "note_nlp_concept_id",
    "note_nlp_source_concept_id",
    "nlp_system",
    "nlp_date",
    "nlp_datetime",
    "term_exists",
    "term_temporal",
    "term_modifiers",
)
_OURS = ("note_id", "note_text", "note_source_value")
_MUST = {
    "person_id": "0",
    "note_type_concept_id": "0",
    "note_class_concept_id": "0",
    "encoding_concept_id": "0",
    "language_concept_id": "0",
}
_NOT_THE_PATIENTS = frozenset({Assertion.ABSENT, Assertion.CONDITIONAL, Assertion.HYPOTHETICAL, Assertion.ASSOCIATED_WITH_SOMEONE_ELSE})
_AROUND = 50
_LAST_NUMBER = re.compile(r"(?:.*/)?([1-9][0-9]{0,17})", re.DOTALL)
_LABEL = "concept"
"""The label of rows of other systems, which do not tell one."""


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder with the two tables; without ``note_nlp.csv`` they have no mentions. Raises FormatError."""
    return attach(_read(path, schema))


class Writer:
    """Writes the two tables in a folder, row by row."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path
        self._system = f"medllm {version('medllm')}"
        self._used: set[int] = set()
        self._next_note = self._next_row = 1
        with writing(path):
            self._files = [open_private(path / name) for name in (NOTE_FILE, NLP_FILE)]
            self._notes, self._rows = (csv.writer(file) for file in self._files)
            self._notes.writerow(NOTE_COLUMNS)
            self._rows.writerow(NLP_COLUMNS)

    def write(self, extraction: Extraction) -> None:
        """Add the rows of a note. Raises FormatError."""
        note = extraction.note
        number = self._number(note.id)
        cells = _MUST | note.meta | {"note_id": number, "note_text": note.text, "note_source_value": note.id}
        now = datetime.datetime.now(datetime.UTC)
        with writing(self._folder):
            self._notes.writerow(utf8_row(cells.get(column, "") for column in NOTE_COLUMNS))
            for name, entity in named(extraction).mentions:
                row = row_of(note.text, name, entity) | {"note_nlp_id": self._next_row, "note_id": number, "nlp_system": self._system}
                row |= {"nlp_date": now.date().isoformat(), "nlp_datetime": now.isoformat(timespec="seconds").removesuffix("+00:00")}
                self._rows.writerow(utf8_row(row.get(column, "") for column in NLP_COLUMNS))
                self._next_row += 1

    def close(self) -> None:
        """Close the files. Raises FormatError."""
        with writing(self._folder):
            for file in self._files:
                file.close()

    def _number(self, note_id: str) -> int:
        match = _LAST_NUMBER.fullmatch(note_id)
        number = int(match[1]) if match else 0
        if not number or number in self._used:
            while self._next_note in self._used:
                self._next_note += 1
            number = self._next_note
        self._used.add(number)
        return number


def row_of(text: str, name: str, entity: Entity) -> dict[str, Any]:
    """The columns of NOTE_NLP that a mention fills.

    >>> row_of("No fever.", "T1", Entity.at("No fever.", 3, 8))["term_modifiers"]
    'label=entity,id=T1'
    """
    span = entity.span
    values = {k: attribute_value(v) for k, v in entity.attributes.items() if v is not None}
    modifiers = [("label", entity.label), ("id", name), *(("code", code) for code in entity.codes)]
    if entity.confidence is not None:
        modifiers.append(("confidence", repr(entity.confidence)))
    modifiers += [(f"attribute_{k}" if k in ("label", "id", "code", "confidence") else k, v) for k, v in values.items()]
    concept = next((code.partition(":")[2] for code in entity.codes if code.startswith("OMOP:")), "0")
    return {
        "section_concept_id": 0,
        "snippet": text[max(0, span.start - _AROUND) : span.end + _AROUND],
        "offset": span.start,
        "lexical_variant": span.of(text),
        "note_nlp_concept_id": concept if concept.isdigit() else "0",
        "note_nlp_source_concept_id": 0,
        "term_exists": "N" if values.get("assertion") in _NOT_THE_PATIENTS else "Y",
        "term_modifiers": ",".join(f"{_escaped(k)}={_escaped(v)}" for k, v in modifiers),
    }


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(folder: Path, schema: Schema | None) -> Iterator[Parsed | Problem]:
    notes, nlp = folder / NOTE_FILE, folder / NLP_FILE
    if not notes.is_file():
        raise FormatError(f"no {NOTE_FILE} here", path=str(folder), hint=f"name the folder that holds {NOTE_FILE} and {NLP_FILE}")
    mentions: defaultdict[str, list[Row]] = defaultdict(list)
    if nlp.is_file():
        for row in table_rows(nlp, ("note_id", "offset", "lexical_variant"), str.lower):
            if isinstance(row, Problem):
                yield row
            else:
                mentions[str(row.cells["note_id"])].append(row)
    for row in table_rows(notes, ("note_id", "note_text"), str.lower):
        if isinstance(row, Problem):
            yield row
            continue
        number, text = str(row.cells["note_id"] or ""), str(row.cells["note_text"] or "")
        note_id = str(row.cells.get("note_source_value") or "") or number
        if not note_id:
            yield Problem(str(notes), None, "malformed-line", f"row {row.number}: no note_id", dropped=True)
            continue
        meta = {k: str(v) for k, v in row.cells.items() if k in NOTE_COLUMNS and k not in _OURS and v not in (None, "", _MUST.get(k))}
        yield _parsed(Note(id=note_id, text=text, meta=meta), mentions.pop(number, []), schema, str(nlp))
    if mentions:
        yield Problem(str(nlp), None, "unknown-reference", f"{len(mentions)} notes of these rows are not there", dropped=True)


def _parsed(note: Note, rows: list[Row], schema: Schema | None, path: str) -> Parsed:
    found = Collector(note, schema, path)
    for row in rows:
        start, text = whole_number(str(row.cells["offset"] or "")), str(row.cells["lexical_variant"] or "")
        told = list(_modifiers(row.cells))
        of = {name: value for name, value in reversed(told)}
        codes = [value for name, value in told if name == "code"]
        concept = str(row.cells.get("note_nlp_concept_id") or "0")
        if concept != "0" and f"OMOP:{concept}" not in codes:
            codes.append(f"OMOP:{concept}")
        found.entity(
            row.number,
            of.get("label", _LABEL),
            [] if start is None else [(start, start + len(text))],
            name=of.get("id", ""),
            written=text,
            attributes=[Given(k.removeprefix("attribute_"), v) for k, v in told if k not in ("label", "id", "code", "confidence")],
            codes=codes,
            confidence=number_in(of.get("confidence")),
        )
    return found.parsed()


def _modifiers(cells: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in str(cells.get("term_modifiers") or "").split(","):
        name, _, value = part.strip().partition("=")
        if name:
            yield unquote(name), unquote(value)


def _escaped(text: str) -> str:
    return re.sub("[%,=\\s]", lambda m: quote(m[0]), text)
