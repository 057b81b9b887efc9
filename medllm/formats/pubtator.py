"""PubTator documents, as BC5CDR and BioRED have them <-> Extraction.

Formats: Wei et al. 2013, Nucleic Acids Res 41:W518; BC5CDR: Li et al. 2016, Database baw068; BioRED: Luo et al. 2022, Brief Bioinform
23:bbac282. ``medllm.formats.pubtator_lines`` shows the lines.

* The note is the title, a line feed and the abstract (of a document without abstract, the title): offsets count code points of that.
* Mentions have the concept ids as ``codes`` (``medllm.formats.concepts``). Not held: the texts of the single concepts of a composite
  mention (seventh column).
* A relation joins two concepts, not mentions. It is held as a relation from the first mention of the one to the first of the other,
  and its id, ``CID(MESH:D016651,MESH:D003490)``, says which concepts those are; where a mention has a concept alone, it comes before
  one that has others beside it. Writing takes the concepts from that id, else all codes of the two mentions; each pair is written once,
  and one with an end that has no code is left out. Not held: the novelty of BioRED's relations (fifth column).
* A document's id is the note's.

Not held by the format: line ends of the note but the first (blanks), a single one at its end, parts of a discontinuous mention (written
from start to end), attributes, mentions' ids, tabs and line ends in labels (blanks).
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from medllm.document import Entity, Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, Given, attach
from medllm.formats.concepts import codes_of, concept_mention, concepts_of, field_of, relation_id
from medllm.formats.corpus_files import OneFile, clean, named_or_below
from medllm.formats.ids import Positions
from medllm.formats.pubtator_lines import ABSTRACT, TITLE, Document, Link, Mention, Other, Text, documents
from medllm.formats.standoff import one_line
from medllm.schema import Schema

ENDINGS = (".pubtator.txt", ".pubtator", ".txt")

Type = Callable[[str], tuple[str, list[Given]]]
"""Reads the type column: the label, and attributes."""

TypeColumn = Callable[[Entity], str]


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The documents of a file, or of the files of a folder (those with ``pubtator`` in their names, if any). Raises FormatError."""
    return read_files(path, schema, lambda column: (column, []))


def read_files(path: Path, schema: Schema | None, type_of: Type) -> Iterator[Parsed]:
    """``read`` for a corpus with a type column of its own."""
    files = [file for _, file in named_or_below(path, ENDINGS)]
    for file in [f for f in files if "pubtator" in f.name.lower()] or files:
        yield from attach(_read(file, schema, type_of))


def to_extraction(document: Document, schema: Schema | None = None, type_of: Type | None = None, *, path: str = "") -> Parsed:
    """What the lines of a document say, and what was wrong with them."""
    parts = {line.kind: line for line in reversed(document.lines) if isinstance(line, Text)}
    title, abstract = (parts[kind].text if kind in parts else "" for kind in (TITLE, ABSTRACT))
    note = Note(id=clean(document.id), text=f"{title}\n{abstract}" if abstract else title)
    found = Collector(note, schema, path, same=_flat)
    for line in document.lines:
        if isinstance(line, Other):
            if line.raw.strip():
                found.report(line.number, "malformed-line", f"no text, mention or relation ({len(line.raw)} characters)", dropped=True)
        elif isinstance(line, Text):
            if line is not parts[line.kind]:
                found.report(line.number, "duplicate-id", "a second title or abstract of the document", dropped=True)
        elif isinstance(line, Mention | Link) and line.document != document.id:
            found.report(line.number, "unknown-reference", "a line of another document than the title before it", dropped=True)
        elif isinstance(line, Mention):
            label, given = type_of(line.type) if type_of else (line.type, [])
            codes = codes_of(line.concepts or "", label)
            name = f"T{len(found.entities) + 1}"
            spans = [(line.start, line.end_offset)]
            found.entity(line.number, label, spans, name=name, written=line.text, attributes=given, codes=codes)
    for line in document.lines:
        if isinstance(line, Link) and line.document == document.id:
            head, tail = concept_mention(found.entities, line.head), concept_mention(found.entities, line.tail)
            ends = ((codes_of(one, e.label) if e else ()) for one, e in ((line.head, head), (line.tail, tail)))
            found.relation(line.number, line.type, head, tail, name=relation_id(line.type, *ends))
    return found.parsed()


def from_extraction(extraction: Extraction, type_column: TypeColumn | None = None) -> Document:
    """The lines of a note, with a blank one after them. Raises FormatError for an id that the format cannot have.

    >>> note = Note(id="1", text="Lithium toxicity.\\nA case.")
    >>> found = Extraction(note=note, entities=(Entity.at(note.text, 0, 7, codes=("MESH:D008094",)),))
    >>> from_extraction(found).lines[2].render().split("\\t")
    ['1', '0', '7', 'Lithium', 'entity', 'D008094']
    """
    name = extraction.note.id
    if any(c in name for c in "|\t\r\n"):
        raise FormatError("a note id with a bar, a tab or a line end cannot be written as PubTator", hint="give the note another id")
    title, _, abstract = extraction.note.text.partition("\n")
    lines: list[Text | Mention] = [Text(name, TITLE, one_line(title)), Text(name, ABSTRACT, one_line(abstract))]
    for entity in extraction.entities:
        label = _flat(type_column(entity) if type_column else entity.label)
        span = entity.span
        written = _flat(span.of(extraction.note.text))
        lines.append(Mention(name, span.start, span.end, written, label, _flat(field_of(entity.codes, entity.label))))
    where, links = Positions(extraction), dict[Link, None]()
    for relation in extraction.relations:
        where.of(relation.head), where.of(relation.tail)
        if pair := concepts_of(relation):
            head, tail = field_of(pair[0], relation.head.label), field_of(pair[1], relation.tail.label)
            links[Link(name, _flat(relation.label), _flat(head), _flat(tail))] = None
    return Document(name, (*lines, *links, Other()))


class Writer:
    """Writes the documents to a file; a path without the ending ``.txt`` or ``.pubtator`` is a folder, which gets one."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._file = OneFile(path, ENDINGS, "extractions.pubtator.txt")

    def write(self, extraction: Extraction) -> None:
        """Add the lines of a note. Raises FormatError."""
        self._file.add(from_extraction(extraction, self.type_column).dumps())

    def type_column(self, entity: Entity) -> str:
        """What stands in the type column."""
        return entity.label

    def close(self) -> None:
        """Close the file. Raises FormatError."""
        self._file.close()


def _read(path: Path, schema: Schema | None, type_of: Type) -> Iterator[Parsed | Problem]:
    try:
        with open(path, encoding="utf-8", errors="surrogatepass", newline="\n") as file:
            yield from _documents(file, schema, type_of, str(path))
    except UnicodeDecodeError:
        raise FormatError("not UTF-8", path=str(path), hint="convert it, and check its offsets") from None
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", path=str(path)) from None


def _documents(lines: Iterable[str], schema: Schema | None, type_of: Type, path: str) -> Iterator[Parsed | Problem]:
    for document in documents(lines):
        if document.id:
            yield to_extraction(document, schema, type_of, path=path)
        else:
            for line in document.lines:
                if line.raw.strip():
                    yield Problem(path, line.number, "malformed-line", "a line before the first title", dropped=True)


def _flat(text: str) -> str:
    return one_line(text).replace("\t", " ")
