"""i2b2 2009 medication entries: a text and a file of entries for each note <-> Extraction (Uzuner et al. 2010, JAMIA 17:514).

::

    m="aspirin" 3:2 3:2||do="81 mg" 3:3 3:4||mo="po" 3:5 3:5||f="daily" 3:6 3:6||du="nm"||r="nm"||ln="list"

An entry is one way a medication is taken: its name, dosage, mode, frequency, duration and reason, each with ``line:token`` positions
(``medllm.formats.line_tokens``), or ``nm``, not mentioned; parts of a discontinuous phrase are divided by commas (some files have
blanks). ``e``, ``t`` and ``c`` (event, temporal marker, certainty) may follow, then ``ln``: in a list or in narrative.

Names are mentions of ``medication``, with the attributes ``event``, ``temporal``, ``certainty`` and ``list_narrative``; the others are
mentions of ``dosage``, ``mode``, ``frequency``, ``duration`` and ``reason``, each joined to its medication by a relation of the same
label. Phrases of the same tokens are one mention, so that a name with two dosages counts once; which entry a relation comes from stands
in its id: ``E3.do``, of the third line. Not held: attributes that differ between the entries of one name, and an entry without any
phrase beside others of its name (told).

The entries of ``NAME`` or ``NAME.txt`` are in ``NAME.i2b2.entries``, ``NAME.entries``, ``NAME_gold.entries``, ``NAME.i2b2`` or
``NAME.m``, beside it or in another folder. Written are ``NOTE_ID.txt`` and ``NOTE_ID.i2b2.entries``: for each name its entries, as the
ids of the relations tell, else each phrase in the first entry that has room. ``drug`` and ``route`` are taken for ``medication`` and
``mode``; other mentions, phrases that no relation joins to a name, codes, edges within a token and ids are not held.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medllm.document import Entity, Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed
from medllm.formats.classes import fold
from medllm.formats.collecting import Collector, Given, Offsets, number, squeeze
from medllm.formats.corpus_files import Texts, numbered_lines, read_text, write_note
from medllm.formats.ids import Positions
from medllm.formats.line_tokens import LineTokens, Position, shown
from medllm.schema import Schema, attribute_value

ENDINGS = (".i2b2.entries", "_gold.entries", ".entries", ".i2b2", ".m")
NAME = "m"
LABELS = {"m": "medication", "do": "dosage", "mo": "mode", "f": "frequency", "du": "duration", "r": "reason"}
ATTRIBUTES = {"e": "event", "t": "temporal", "c": "certainty", "ln": "list_narrative"}
NOT_MENTIONED = "nm"

_FIELDS = {"medication": "m", "drug": "m", "route": "mo"} | {label: key for key, label in LABELS.items()}
_KEY = "|".join((*LABELS, *ATTRIBUTES))
_BETWEEN = re.compile(rf'\s*\|\|\s*(?=(?:{_KEY})=")')
_FIELD = re.compile(rf'({_KEY})="(.*)"\s*([0-9:,\s]*)')
_PART = re.compile(r"([0-9]+):([0-9]+)\s+([0-9]+):([0-9]+)[\s,]*")
_UNQUOTABLE = re.compile(r'["|\r\n]')
_ENTRY_ID = re.compile(r"E([0-9]+)\.[a-z]+")

Spans = tuple[Offsets, ...]


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder in the order of their ids, or the one of a file of entries or its text. Raises FormatError."""
    for note_id, text, entries in Texts(path, ENDINGS, plain=True).pairs():
        yield _Reading(note_id, text, entries, schema).parsed()


class Writer:
    """Writes ``NOTE_ID.txt`` and ``NOTE_ID.i2b2.entries`` below a folder, readable by the owner only."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path

    def write(self, extraction: Extraction) -> None:
        """Write the files of a note. Raises FormatError, also for a mention of white space only, which has no token."""
        write_note(self._folder, extraction.note.id, {".txt": extraction.note.text, ENDINGS[0]: from_extraction(extraction)})

    def close(self) -> None:
        """Nothing is left open."""


def from_extraction(extraction: Extraction) -> str:
    """The entries of a note. Raises FormatError.

    >>> from medllm.document import any_entity
    >>> note = Note(id="n", text="Take aspirin .")
    >>> from_extraction(Extraction(note=note, entities=(any_entity("drug").at(note.text, 5, 12),)))
    'm="aspirin" 1:1 1:1||do="nm"||mo="nm"||f="nm"||du="nm"||r="nm"||ln="nm"\\n'
    """
    tokens = LineTokens(extraction.note.text)
    where = Positions(extraction)
    keys = [_FIELDS.get(fold(entity.label)) for entity in extraction.entities]
    names = {n: _field(NAME, n, extraction, tokens) for n, key in enumerate(keys) if key == NAME}
    entries: dict[str, list[tuple[str, dict[str, int]]]] = {name: [] for name in names.values()}
    for relation in extraction.relations:
        head, tail = where.of(relation.head), where.of(relation.tail)
        key = keys[tail]
        if head in names and key not in (NAME, None):
            match = _ENTRY_ID.fullmatch(relation.id)
            _place(entries[names[head]], match[1] if match else "", str(key), tail)
    lines = []
    for n, name in names.items():
        if name not in entries:  # written already: another mention of the same tokens
            continue
        for _, phrases in entries.pop(name) or [("", {})]:
            fields = (_field(key, phrases.get(key), extraction, tokens) for key in LABELS if key != NAME)
            lines.append("||".join((name, *fields, *_about(extraction.entities[n]))))
    return "".join(f"{line}\n" for line in lines)


def _place(entries: list[tuple[str, dict[str, int]]], entry: str, key: str, phrase: int) -> None:
    """Into the entry named, or the first that has no such phrase yet; else into a new one."""
    for name, phrases in entries:
        if name == entry and phrases.get(key, phrase) == phrase:
            phrases[key] = phrase
            return
    entries.append((entry, {key: phrase}))


def _field(key: str, phrase: int | None, extraction: Extraction, tokens: LineTokens) -> str:
    if phrase is None:
        return f'{key}="{NOT_MENTIONED}"'
    parts: list[tuple[int, int, tuple[Position, Position]]] = []
    for span in extraction.entities[phrase].spans:
        found = tokens.positions(span.start, span.end)
        if found and parts and found[0] <= parts[-1][2][1]:
            parts[-1] = (parts[-1][0], span.end, (parts[-1][2][0], found[1]))
        elif found:
            parts.append((span.start, span.end, found))
    if not parts:
        raise FormatError("a mention of white space only has no token", hint="i2b2 positions count tokens: leave such mentions out")
    quoted = "...".join(tokens.text(start, end) for start, end, _ in parts)
    return f'{key}="{quoted}" ' + ",".join(shown(found) for _, _, found in parts)


def _about(entity: Entity) -> Iterator[str]:
    values = {fold(name): attribute_value(value) for name, value in entity.attributes.items() if value is not None}
    for key, name in ATTRIBUTES.items():
        value = values.get(fold(name))
        if value is not None or key == "ln":
            yield f'{key}="{_UNQUOTABLE.sub(" ", value or NOT_MENTIONED)}"'


@dataclass
class _Entry:
    line: int
    phrases: dict[str, tuple[Spans, str]] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)


class _Reading:
    def __init__(self, note_id: str, text: Path, entries: Path | None, schema: Schema | None) -> None:
        note = Note(id=note_id, text=read_text(text))
        self._path = entries
        self._tokens = LineTokens(note.text)
        self._found = Collector(note, schema, str(entries or text), same=_same)

    def parsed(self) -> Parsed:
        if self._path is None:
            self._found.report(None, "missing-file", "there are no entries for it", dropped=False)
            return self._found.parsed()
        entries = [entry for line, raw in numbered_lines(read_text(self._path)) if (entry := self._entry(line, raw))]
        first: dict[Spans, _Entry] = {}
        bare: dict[Spans, bool] = {}
        for entry in entries:
            spans = entry.phrases[NAME][0]
            if spans in first:
                self._compare(entry, first[spans], bare[spans])
            first.setdefault(spans, entry)
            bare[spans] = bare.get(spans, False) or len(entry.phrases) == 1
        mentions: dict[tuple[str, Spans], Entity | None] = {}
        for entry in entries:
            for key, (spans, written) in entry.phrases.items():
                if (key, spans) not in mentions:
                    given = [Given(ATTRIBUTES[k], v) for k, v in entry.about.items()] if key == NAME else []
                    name = f"T{len(mentions) + 1}"
                    made = self._found.entity(entry.line, LABELS[key], spans, name=name, written=written, attributes=given)
                    mentions[key, spans] = made
                if key != NAME:
                    ends = mentions[NAME, entry.phrases[NAME][0]], mentions[key, spans]
                    self._found.relation(entry.line, LABELS[key], *ends, name=f"E{entry.line}.{key}")
        return self._found.parsed()

    def _compare(self, entry: _Entry, first: _Entry, bare: bool) -> None:
        if entry.about != first.about:
            detail = f"the entry of line {first.line} has other values of {', '.join(ATTRIBUTES.values())}; those are kept"
            self._found.report(entry.line, "not-held", detail, dropped=True)
        if bare or len(entry.phrases) == 1:
            self._found.report(entry.line, "not-held", f"an entry without phrases beside that of line {first.line}", dropped=True)

    def _entry(self, line: int, raw: str) -> _Entry | None:
        entry = _Entry(line)
        for part in _BETWEEN.split(raw.strip()):
            match = _FIELD.fullmatch(part)
            if match is None or match[1] in entry.phrases.keys() | entry.about.keys():
                self._found.report(line, "malformed-line", f"a field that breaks the format ({len(part)} characters)", dropped=True)
            elif match[1] in ATTRIBUTES:
                if match[2] != NOT_MENTIONED:
                    entry.about[match[1]] = match[2]
            elif (match[2] != NOT_MENTIONED or match[3].strip()) and (spans := self._spans(line, match[1], match[3])):
                entry.phrases[match[1]] = (spans, match[2])
        if NAME in entry.phrases:
            return entry
        self._found.report(line, "malformed-line", "an entry without the name of a medication", dropped=True)
        return None

    def _spans(self, line: int, key: str, positions: str) -> Spans | None:
        parts = list(_PART.finditer(positions))
        if not parts or "".join(part[0] for part in parts) != positions:
            self._found.report(line, "malformed-line", f"{key}: not line:token pairs", dropped=True)
            return None
        spans: list[Any] = []
        for part in parts:
            a, b, c, d = (number(text) for text in part.groups())
            whole = None in (a, b, c, d)
            spans.append(None if whole else self._tokens.offsets((a or 0, b or 0), (c or 0, d or 0)))
        if None in spans:
            self._found.report(line, "bad-span", f"{key}: the note has no such tokens, or the last is before the first", dropped=True)
            return None
        return tuple(spans)


def _same(text: str) -> str:
    return squeeze(html.unescape(text).replace("...", ""))
