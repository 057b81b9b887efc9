"""i2b2/VA 2010: a ``.txt``, ``.con``, ``.ast`` and ``.rel`` for each note <-> Extraction (Uzuner et al. 2011, JAMIA 18:552).

::

    c="dull knee pain" 2:2 2:4||t="problem"                                   concepts
    c="dull knee pain" 2:2 2:4||t="problem"||a="present"                      assertions
    c="ibuprofen" 3:0 3:0||r="TrAP"||c="knee pain" 3:15 3:16                  relations

Positions are ``line:token`` (``medllm.formats.line_tokens``) and decide; the quoted text is a copy, in lower case. The files of a note
stand side by side, or in the folders ``txt``, ``concept`` (``concepts``), ``ast`` and ``rel``, as they were handed out; those folders
are no part of the note's id. The texts of the challenge's test part stand in a folder of their own (``test_data``): a text alone joins
the annotations of its name, if there is one of each. A ``.ast`` or a ``.rel`` may be missing.

Concepts are mentions, ids ``T`` and the number of the line; assertions their attribute ``assertion``; relations go from the first
concept of the line to the second, ids ``R`` and the number of the line. An assertion or a relation is about the concepts of the same
tokens, whatever ``t=`` says where only one is there.

Not held by the format: parts of a discontinuous mention (written from its first token to its last), edges within a token (the whole
token is written), attributes other than ``assertion``, codes, ids and the order of ids. Two mentions of the same tokens cannot be told
apart by a relation, of the same label not by an assertion either. Written are the three files beside the ``.txt``, in the order of the
extraction, so that files in reading order are written back byte for byte, but for double blanks within a quoted text.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from medllm.document import Entity, Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed, ProblemKind
from medllm.formats.classes import fold, relation_class
from medllm.formats.collecting import Collector, Given, number, squeeze
from medllm.formats.corpus_files import below, id_of, numbered_lines, read_text, write_note
from medllm.formats.ids import Positions
from medllm.formats.line_tokens import LineTokens, Position, cover, shown
from medllm.schema import Schema, attribute_value

ASSERTION = "assertion"

_FOLDERS = {".txt": ("txt",), ".con": ("concept", "concepts"), ".ast": ("ast",), ".rel": ("rel",)}
_SPAN = r'c="(.*)" ([0-9]+):([0-9]+) ([0-9]+):([0-9]+)'
_LINES = {
    ".con": re.compile(rf'{_SPAN}\|\|t="([^"]+)"\s*'),
    ".ast": re.compile(rf'{_SPAN}\|\|t="([^"]+)"\|\|a="([^"]+)"\s*'),
    ".rel": re.compile(rf'{_SPAN}\|\|r="([^"]+)"\|\|{_SPAN}\s*'),
}

Span = tuple[Position, Position]


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder in the order of their ids, or the one of a ``.txt`` or ``.con``. Raises FormatError.

    A note without a ``.con`` has no mentions, and a problem that says so; a folder without any is an error.
    """
    root = path
    if path.is_file():
        root = path.parent.parent if _is_kind_folder(path.parent, path.suffix) else path.parent
    notes = _notes(root, deep=path.is_dir())
    if path.is_file():
        notes = {stem: files for stem, files in notes.items() if path in files.values()}
    if not any(".con" in files for files in notes.values()):
        raise FormatError("no .con file here", path=str(path), hint="a note has a .txt and a .con, and may have an .ast and a .rel")
    if lone := sorted(stem for stem, files in notes.items() if ".txt" not in files):
        raise FormatError(
            f"no .txt for {lone[0]} (and {len(lone) - 1} others)", path=str(root), hint="positions need the text", names=lone[:1]
        )
    return (_Reading(id_of(stem), files, schema).parsed() for stem, files in sorted(notes.items()))


class Writer:
    """Writes ``NOTE_ID.txt``, ``.con``, ``.ast`` and ``.rel`` below a folder, readable by the owner only."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path

    def write(self, extraction: Extraction) -> None:
        """Write the files of a note. Raises FormatError, also for a mention of white space only, which has no token."""
        write_note(self._folder, extraction.note.id, {".txt": extraction.note.text} | from_extraction(extraction))

    def close(self) -> None:
        """Nothing is left open."""


def from_extraction(extraction: Extraction) -> dict[str, str]:
    """The contents of the ``.con``, ``.ast`` and ``.rel``. Raises FormatError.

    >>> note = Note(id="n", text="No fever .")
    >>> from_extraction(Extraction(note=note, entities=(Entity.at(note.text, 3, 8),)))[".con"]
    'c="fever" 1:1 1:1||t="entity"\\n'
    """
    tokens = LineTokens(extraction.note.text)
    concepts = [_concept(entity, tokens) for entity in extraction.entities]
    lines: dict[str, list[str]] = {".con": [], ".ast": [], ".rel": []}
    for entity, concept in zip(extraction.entities, concepts, strict=True):
        line = f'{concept}||t="{_word(entity.label)}"'
        lines[".con"].append(line)
        if (value := entity.attributes.get(ASSERTION)) is not None:
            lines[".ast"].append(f'{line}||a="{_word(attribute_value(value))}"')
    where = Positions(extraction)
    for relation in extraction.relations:
        head, tail = (concepts[where.of(end)] for end in (relation.head, relation.tail))
        lines[".rel"].append(f'{head}||r="{_word(relation.label)}"||{tail}')
    return {ending: "".join(f"{line}\n" for line in found) for ending, found in lines.items()}


def _concept(entity: Entity, tokens: LineTokens) -> str:
    span = cover(entity, tokens)
    if span is None:
        raise FormatError("a mention of white space only has no token", hint="i2b2 positions count tokens: leave such mentions out")
    quoted = tokens.text(entity.span.start, entity.span.end).replace("||", "| |")  # the official scorer skips lines with more bars
    return f'c="{quoted}" {shown(span)}'


def _word(name: str) -> str:
    return re.sub(r"[\s\"|]+", "_", name)


def _is_kind_folder(folder: Path, ending: str) -> bool:
    return folder.name in _FOLDERS.get(ending.lower(), ())


def _notes(root: Path, *, deep: bool) -> dict[str, dict[str, Path]]:
    """For each note, its path below ``root`` without ending, the files of each kind."""
    notes: dict[str, dict[str, Path]] = {}
    found = list(below(root, tuple(_FOLDERS), deep=deep))
    if not deep:
        folders = (root / name for names in _FOLDERS.values() for name in names)
        found += [file for folder in folders if folder.is_dir() for file in below(folder, tuple(_FOLDERS), deep=False)]
    for file in found:
        folder = file.parent.parent if file.parent != root and _is_kind_folder(file.parent, file.suffix) else file.parent
        stem = (folder / file.stem).relative_to(root).as_posix()
        other = notes.setdefault(stem, {}).setdefault(file.suffix.lower(), file)
        if other != file:
            raise FormatError(
                f"a second {file.suffix} for the same note", path=str(file), hint=f"the other is {other}", names=(str(other),)
            )
    _join_texts(notes)
    return {stem: files for stem, files in notes.items() if files.keys() & {".txt", ".con"}}


def _join_texts(notes: dict[str, dict[str, Path]]) -> None:
    """Texts that stand alone join the annotations of their name in another folder, where there is one of each."""
    alone: dict[str, list[str]] = {}
    for stem, files in notes.items():
        if files.keys() == {".txt"}:
            alone.setdefault(stem.rpartition("/")[2], []).append(stem)
    lone = [stem for stem, files in notes.items() if ".txt" not in files]
    named = Counter(stem.rpartition("/")[2] for stem in lone)
    for stem in lone:
        name = stem.rpartition("/")[2]
        if named[name] == 1 and len(texts := alone.get(name, [])) == 1:
            notes[stem] |= notes.pop(texts[0])


class _Reading:
    def __init__(self, note_id: str, files: Mapping[str, Path], schema: Schema | None) -> None:
        text = read_text(files[".txt"])
        self._files = files
        self._schema = schema
        self._tokens = LineTokens(text)
        self._found = Collector(Note(id=note_id, text=text), schema, str(files.get(".con", files[".txt"])), same=_same)
        self._concepts: dict[Span, list[Entity]] = {}

    def parsed(self) -> Parsed:
        if ".con" not in self._files:
            self._found.report(None, "missing-file", "there is no .con for it", dropped=False)
        concepts = list(self._spans(".con"))
        alone = {span for span, count in Counter(span for _, span, _, _ in concepts).items() if count == 1}
        assertions: dict[Span, list[tuple[str, Given]]] = {}
        for line, span, _, (_, label, value) in self._spans(".ast"):
            given = Given(ASSERTION, value, line, str(self._files[".ast"]))
            assertions.setdefault(span, []).append((fold(label), given))
        for line, span, offsets, (written, label) in concepts:
            about = [given for of, given in assertions.get(span, ()) if of == fold(label) or span in alone]
            entity = self._found.entity(line, label, [offsets], name=f"T{line}", written=written, attributes=about)
            if entity is not None:
                self._concepts.setdefault(span, []).append(entity)
        for span, found in assertions.items():
            labels = {fold(entity.label) for entity in self._concepts.get(span, ())}
            for label, given in found:
                if not labels or (span not in alone and label not in labels):
                    self._report(given.line, ".ast", "unknown-reference", "no concept of its label has these tokens, or it was dropped")
        for line, span, _, (_, label, _, *rest) in self._spans(".rel"):
            self._relation(line, label, span, rest)
        return self._found.parsed()

    def _relation(self, line: int, label: str, head: Span, numbers: Sequence[str]) -> None:
        tail, offsets = self._span(line, ".rel", numbers)
        if offsets is None:
            return
        heads, tails = self._concepts.get(head, []), self._concepts.get(tail, [])
        pairs = [(h, t) for h in heads for t in tails]
        pair = next((p for p in pairs if relation_class(self._schema, label, *p)), pairs[0] if pairs else None)
        ends = pair or (heads[0] if heads else None, tails[0] if tails else None)
        self._found.relation(line, label, *ends, name=f"R{line}", path=str(self._files[".rel"]))

    def _spans(self, ending: str) -> Iterator[tuple[int, Span, tuple[int, int], Sequence[str]]]:
        """Number of the line, tokens, offsets and the other fields of the lines that have a span."""
        for line, (written, a, b, c, d, *fields) in self._read(ending):
            span, offsets = self._span(line, ending, (a, b, c, d))
            if offsets is not None:
                yield line, span, offsets, (written, *fields)

    def _read(self, ending: str) -> Iterator[tuple[int, Sequence[str]]]:
        if ending not in self._files:
            return
        for line, text in numbered_lines(read_text(self._files[ending])):
            if match := _LINES[ending].fullmatch(text):
                yield line, match.groups()
            else:
                self._report(line, ending, "malformed-line", f"not a line of a {ending} file ({len(text)} characters)")

    def _span(self, line: int, ending: str, numbers: Sequence[str]) -> tuple[Span, tuple[int, int] | None]:
        a, b, c, d = (-1 if (n := number(text)) is None else n for text in numbers)
        span = (a, b), (c, d)
        offsets = None if min(a, b, c, d) < 0 else self._tokens.offsets(*span)
        if offsets is None:
            self._report(line, ending, "bad-span", "the note has no such tokens, or the last is before the first")
        return span, offsets

    def _report(self, line: int | None, ending: str, kind: ProblemKind, detail: str) -> None:
        self._found.report(line, kind, detail, dropped=True, path=str(self._files[ending]))


def _same(text: str) -> str:
    return squeeze(text.replace("|", ""))
