"""BioC XML (http://bioc.sourceforge.net, BioC.dtd) <-> the BioC model, document by document; ``medllm.formats.bioc`` makes extractions.

No entity declaration is accepted, and nothing is fetched. Layout, quotes and references are written as in the BC5CDR files, so that
these are written back byte for byte; another program's layout is not kept, and of XML's control characters none can be (U+FFFD).
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from medllm.document import Extraction
from medllm.errors import FormatError
from medllm.formats import bioc
from medllm.formats.base import Parsed, Problem
from medllm.formats.bioc_model import Annotation, Document, Header, Infons, Link, Location, Node, Passage
from medllm.formats.collecting import attach, number
from medllm.formats.corpus_files import OneFile, named_or_below
from medllm.schema import Schema

ENDINGS = (".bioc.xml", ".xml")

_CHUNK = 1 << 16
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The documents of a file, or of the ``.xml`` files of a folder. Raises FormatError."""
    for _, file in named_or_below(path, ENDINGS):
        found = (item for item in read_documents(file) if not isinstance(item, Header))
        yield from attach(bioc.to_extraction(item, schema, path=str(file)) if isinstance(item, Document) else item for item in found)


def read_documents(path: Path) -> Iterator[Header | Document | Problem]:
    """The header of a collection, its documents, and where the XML breaks, a problem. Raises FormatError."""
    builder = _Builder(str(path))
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                builder.parser.Parse(chunk, False)
                yield from builder.finished()
            builder.parser.Parse(b"", True)
            yield from builder.finished()
    except expat.ExpatError as error:
        yield from builder.finished()
        message = f"{expat.ErrorString(error.code)}; the rest is not read"
        yield Problem(str(path), error.lineno, "malformed-line", message, dropped=True)
    except (LookupError, ValueError):
        raise FormatError("in an encoding that cannot be read", path=str(path), hint="convert it to UTF-8") from None
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", path=str(path)) from None


class Writer:
    """Writes a collection; a path without the ending ``.xml`` is a folder, which gets ``extractions.bioc.xml``."""

    def __init__(self, path: Path, schema: Schema | None = None, header: Header | None = None) -> None:
        self._file = OneFile(path, ENDINGS, "extractions.bioc.xml")
        self._file.add(dumps_header(header or Header(source="medllm")))

    def write(self, extraction: Extraction) -> None:
        """Add the document of a note. Raises FormatError."""
        self.write_document(bioc.from_extraction(extraction))

    def write_document(self, document: Document) -> None:
        """Add a document. Raises FormatError."""
        self._file.add(dumps_document(document))

    def close(self) -> None:
        """Finish and close the file. Raises FormatError."""
        self._file.close(END)


END = "</collection>\n"


def dumps_header(header: Header) -> str:
    """What comes before the documents."""
    return (
        "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE collection SYSTEM 'BioC.dtd'>\n<collection>\n"
        f"<source>{_escape(header.source)}</source>\n<date>{_escape(header.date)}</date>\n<key>{_escape(header.key)}</key>\n"
        f"{_infons(header.infons)}"
    )


def dumps_document(document: Document) -> str:
    """A document as XML."""
    inside = (*map(_passage, document.passages), *map(_annotation, document.annotations), *map(_relation, document.relations))
    return f"<document>\n<id>{_escape(document.id)}</id>\n{_infons(document.infons)}{''.join(inside)}</document>\n"


# --- reading ---------------------------------------------------------------------------------------------------------


class _Element:
    __slots__ = ("attributes", "children", "line", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str], line: int) -> None:
        self.name = name
        self.attributes = attributes
        self.line = line
        self.text: list[str] = []
        self.children: list[_Element] = []

    def all(self, name: str) -> "list[_Element]":
        return [child for child in self.children if child.name == name]

    def content(self, name: str) -> str | None:
        found = next((child for child in self.children if child.name == name), None)
        return None if found is None else "".join(found.text)


class _Builder:
    """Keeps one document at a time as a tree."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stack: list[_Element] = []
        self._header: _Element | None = None
        self._told = False
        self._done: list[Header | Document | Problem] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._refuse

    def finished(self) -> Iterator[Header | Document | Problem]:
        yield from self._done
        self._done.clear()

    def _refuse(self, *_: object) -> None:
        line = self.parser.CurrentLineNumber
        raise FormatError("declares entities", path=self._path, line=line, hint="BioC needs none: remove the declarations")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = _Element(name, attributes, self.parser.CurrentLineNumber)
        if not self._stack:
            if name != "collection":
                raise FormatError("not a BioC collection", path=self._path, line=element.line, hint="its root element is <collection>")
            self._header = element
        elif name != "document" or len(self._stack) > 1:
            self._stack[-1].children.append(element)
        if name == "document":
            self._tell_header()
        self._stack.append(element)

    def _end(self, name: str) -> None:
        element = self._stack.pop()
        if name == "document" and len(self._stack) == 1:
            self._done.append(_document(element))
        elif not self._stack:
            self._tell_header()

    def _characters(self, text: str) -> None:
        self._stack[-1].text.append(text)

    def _tell_header(self) -> None:
        if not self._told and self._header is not None:
            source, date, key = (self._header.content(name) or "" for name in ("source", "date", "key"))
            self._done.append(Header(source, date, key, _read_infons(self._header)))
            self._told = True


def _document(element: _Element) -> Document:
    faults: list[tuple[int, str]] = []
    return Document(
        element.content("id") or "",
        _read_infons(element),
        tuple(_read_passage(child, faults) for child in element.all("passage")),
        tuple(map(_read_relation, element.all("relation"))),
        tuple(_read_annotation(child, faults) for child in element.all("annotation")),
        element.line,
        tuple(faults),
    )


def _read_passage(element: _Element, faults: list[tuple[int, str]]) -> Passage:
    offset = number((element.content("offset") or "").strip())
    if offset is None:
        faults.append((element.line, f"a {element.name} without an offset that is a number; 0 is taken"))
    return Passage(
        offset or 0,
        element.content("text"),
        _read_infons(element),
        tuple(_read_passage(child, faults) for child in element.all("sentence")),
        tuple(_read_annotation(child, faults) for child in element.all("annotation")),
        tuple(map(_read_relation, element.all("relation"))),
        element.line,
    )


def _read_annotation(element: _Element, faults: list[tuple[int, str]]) -> Annotation:
    locations = []
    for child in element.all("location"):
        offset, length = (number(child.attributes.get(key, "")) for key in ("offset", "length"))
        if offset is None or length is None:
            faults.append((child.line, "a location without an offset and a length that are numbers"))
        else:
            locations.append(Location(offset, length))
    infons = _read_infons(element)
    return Annotation(element.attributes.get("id", ""), infons, tuple(locations), element.content("text"), element.line)


def _read_relation(element: _Element) -> Link:
    nodes = tuple(Node(child.attributes.get("refid", ""), child.attributes.get("role", "")) for child in element.all("node"))
    return Link(element.attributes.get("id", ""), _read_infons(element), nodes, element.line)


def _read_infons(element: _Element) -> Infons:
    return {child.attributes.get("key", ""): "".join(child.text) for child in element.all("infon")}


# --- writing ---------------------------------------------------------------------------------------------------------


def _passage(passage: Passage, name: str = "passage") -> str:
    text = "" if passage.text is None else f"<text>{_escape(passage.text)}</text>\n"
    sentences = (_passage(sentence, "sentence") for sentence in passage.sentences)
    inside = (*sentences, *map(_annotation, passage.annotations), *map(_relation, passage.relations))
    return f"<{name}>\n{_infons(passage.infons)}<offset>{passage.offset}</offset>\n{text}{''.join(inside)}</{name}>\n"


def _annotation(annotation: Annotation) -> str:
    places = "".join(f"<location offset='{place.offset}' length='{place.length}' />\n" for place in annotation.locations)
    text = "" if annotation.text is None else f"<text>{_escape(annotation.text)}</text>\n"
    return f"<annotation id='{_quote(annotation.id)}'>\n{_infons(annotation.infons)}{places}{text}</annotation>\n"


def _relation(link: Link) -> str:
    nodes = "".join(f"<node refid='{_quote(node.refid)}' role='{_quote(node.role)}' />\n" for node in link.nodes)
    return f"<relation id='{_quote(link.id)}'>\n{_infons(link.infons)}{nodes}</relation>\n"


def _infons(infons: Infons) -> str:
    return "".join(f'<infon key="{_quote(key)}">{_escape(value)}</infon>\n' for key, value in infons.items())


def _escape(text: str) -> str:
    safe = html.escape(_FORBIDDEN.sub("\ufffd", text)).replace("&#x27;", "&apos;")
    return safe.replace("\r", "&#13;")


def _quote(text: str) -> str:
    return _escape(text).replace("\n", "&#10;").replace("\t", "&#9;")
