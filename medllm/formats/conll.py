"""Columns of tokens and tags, as CoNLL shared tasks have them <-> Extraction (Tjong Kim Sang and De Meulder 2003, W03-0419).

::

    HISTORY<TAB>O
    of<TAB>O
    chest<TAB>B-problem
    pain<TAB>I-problem

The first column is the token, the last its tag (IOB1, IOB2, IOBES, BILOU; ``medllm.formats.bio_tags``); tabs divide columns, or blanks
where there is no tab. A blank line ends a sentence, a line ``-DOCSTART-`` begins a document. The text is rebuilt: tokens with one blank
between them, each sentence on a line; offsets count that. A file is one note (one sentence a file will do), or its documents are,
numbered ``FILE/1``, ``FILE/2``. Not held: other columns.

A tag that continues a mention which is not there opens one, as conlleval does; it is told, unless the file is in IOB1.

Written are ``NOTE_ID.conll`` in IOB2 with tabs: tokens are what stands between white space, cut at the edges of mentions, each line of
the note a sentence. Of overlapping mentions the longest is written, then the first; ``Writer.left_out`` counts the others. Not held by
the format: the white space of the note, parts of a discontinuous mention (written from start to end), attributes, codes, relations and
ids; a mention that runs over line ends becomes one in each line. A file in IOB2 with tabs and single blank lines between sentences is
written back byte for byte.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from medllm.document import Entity, Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed
from medllm.formats.bio_tags import OUTSIDE, Chunk, chunks, iob2, is_iob1
from medllm.formats.collecting import Collector
from medllm.formats.corpus_files import below, id_of, named_or_below, read_text, write_note
from medllm.schema import Schema

ENDINGS = (".conll", ".bio", ".iob", ".iob2", ".bioes", ".iobes", ".bilou")
OTHER_ENDINGS = (".txt", ".tsv")
DOCUMENT = "-DOCSTART-"

_TOKEN = re.compile(r"\S+")


@dataclass
class Sentence:
    """Tokens, their tags and the lines they stand on."""

    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


@dataclass
class Columns:
    """A document: its sentences, and the lines that broke the format with what was wrong with them."""

    sentences: list[Sentence] = field(default_factory=list)
    faults: list[tuple[int, str, bool]] = field(default_factory=list)


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a file, or of the files of a folder (``.conll``, ``.bio`` ..., else ``.txt`` and ``.tsv``). Raises FormatError."""
    endings = ENDINGS if path.is_dir() and any(below(path, ENDINGS)) else (*ENDINGS, *OTHER_ENDINGS)
    for name, file in named_or_below(path, endings):
        documents = parse(read_text(file))
        if not any(document.sentences for document in documents):
            raise FormatError("no line with a token", path=str(file), hint="a line has a token and its tag, with a tab or blank between")
        for number, document in enumerate(documents, 1):
            note_id = id_of(name)
            yield to_extraction(document, note_id if len(documents) == 1 else f"{note_id}/{number}", schema, path=str(file))


def parse(text: str) -> list[Columns]:
    """The documents of a file."""
    documents = [Columns()]
    current = Sentence()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.removesuffix("\r")
        blank = not line.strip()
        columns = line.split("\t") if "\t" in line else line.split(" ")
        if len(columns) > 2 and "\t" not in line:
            columns = [column for column in columns if column.strip()]
        if blank or columns[0] == DOCUMENT:
            current = Sentence()
            if not blank and documents[-1].sentences:
                documents.append(Columns())
            continue
        if not columns[0].strip():
            documents[-1].faults.append((number, "a tag without a token", True))
            continue
        if len(columns) < 2 or not columns[-1].strip():
            documents[-1].faults.append((number, "a token without a tag; O is taken", False))
        if not current.tokens:
            documents[-1].sentences.append(current)
        current.tokens.append(columns[0])
        current.tags.append(columns[-1].strip() if len(columns) > 1 and columns[-1].strip() else OUTSIDE)
        current.lines.append(number)
    return documents


def to_extraction(
    document: Columns, note_id: str, schema: Schema | None = None, *, path: str = "", between: tuple[str, str] = (" ", "\n")
) -> Parsed:
    """The note and the mentions of a document. ``between`` is what stands between tokens, and between sentences, in the text."""
    text = between[1].join(between[0].join(sentence.tokens) for sentence in document.sentences)
    found = Collector(Note(id=note_id, text=text), schema, path)
    for line, fault, dropped in document.faults:
        found.report(line, "malformed-line", fault, dropped=dropped)
    quiet = is_iob1(sentence.tags for sentence in document.sentences)
    begin = 0
    for sentence in document.sentences:
        starts = []
        for token in sentence.tokens:
            starts.append(begin)
            begin += len(token) + len(between[0])
        begin += len(between[1]) - len(between[0])
        told = chunks(sentence.tags)
        for index in told.bad:
            found.report(sentence.lines[index], "malformed-line", "the tag is no prefix and label; O is taken", dropped=True)
        for index in () if quiet else told.opened:
            found.report(sentence.lines[index], "malformed-line", "the tag continues a mention that is not there; opened", dropped=False)
        for label, first, after in told.found:
            offsets = starts[first], starts[after - 1] + len(sentence.tokens[after - 1])
            found.entity(sentence.lines[first], label, [offsets], name=f"T{len(found.entities) + 1}")
    return found.parsed()


def from_extraction(extraction: Extraction) -> tuple[str, int]:
    """The lines of a note, and the number of mentions left out.

    >>> note = Note(id="n", text="No fever.")
    >>> from_extraction(Extraction(note=note, entities=(Entity.at(note.text, 3, 8),)))
    ('No\\tO\\nfever\\tB-entity\\n.\\tO\\n', 0)
    """
    kept, left_out = flat(extraction.entities)
    text = extraction.note.text
    spans = [(e.span.start, e.span.end) for e in kept]
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    edges = sorted({*starts, *ends})
    written: set[int] = set()
    sentences = []
    for line in re.finditer("[^\n]+", text):
        if tokens := list(_tokens(text, *line.span(), edges)):
            here = range(bisect_right(ends, line.start()), bisect_left(starts, line.end()))
            found = {n: chunk for n in here if (chunk := _chunk(kept[n].label, *spans[n], tokens))}
            written |= found.keys()
            tags = iob2(found.values(), len(tokens))
            sentences.append("".join(f"{text[start:end]}\t{tag}\n" for (start, end), tag in zip(tokens, tags, strict=True)))
    return "\n".join(sentences), left_out + len(kept) - len(written)


def flat(entities: Sequence[Entity]) -> tuple[list[Entity], int]:
    """Mentions that do not overlap, the longest first, then the first, in reading order; and the number of the others."""
    kept: list[tuple[int, int, Entity]] = []
    for start, length, _, entity in sorted(((e.span.start, len(e.span), n, e) for n, e in enumerate(entities)), key=_longest_first):
        place = bisect_left(kept, start, key=lambda one: one[0])
        before, after = kept[place - 1 : place], kept[place : place + 1]
        if (not before or before[0][1] <= start) and (not after or start + length <= after[0][0]):
            kept.insert(place, (start, start + length, entity))
    return [entity for _, _, entity in kept], len(entities) - len(kept)


def _longest_first(one: tuple[int, int, int, Entity]) -> tuple[int, int, str, int]:
    start, length, n, entity = one
    return -length, start, entity.label, n


class Writer:
    """Writes ``NOTE_ID.conll`` below a folder, readable by the owner only. ``left_out`` counts the mentions not written."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path
        self.left_out = 0

    def write(self, extraction: Extraction) -> None:
        """Write the file of a note. Raises FormatError."""
        content, left_out = from_extraction(extraction)
        self.left_out += left_out
        write_note(self._folder, extraction.note.id, {ENDINGS[0]: content})

    def close(self) -> None:
        """Nothing is left open."""


def _tokens(text: str, start: int, end: int, edges: Sequence[int]) -> Iterator[tuple[int, int]]:
    for match in _TOKEN.finditer(text, start, end):
        inside = edges[bisect_right(edges, match.start()) : bisect_left(edges, match.end())]
        yield from pairwise((match.start(), *inside, match.end()))


def _chunk(label: str, start: int, end: int, tokens: Sequence[tuple[int, int]]) -> Chunk | None:
    first = bisect_right(tokens, start, key=lambda token: token[1])
    after = bisect_left(tokens, end, key=lambda token: token[0])
    return Chunk(re.sub(r"\s", "_", label), first, after) if first < after else None
