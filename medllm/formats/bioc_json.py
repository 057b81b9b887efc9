"""BioC JSON <-> the BioC model; ``medllm.formats.bioc`` makes extractions. The form is that of the ``bioc`` package.

::

    {"source": "", "date": "", "key": "", "infons": {}, "documents": [
    {"id": "1", "infons": {}, "passages": [{"offset": 0, "infons": {}, "text": "No fever.", "sentences": [], "annotations": [
      {"id": "T1", "infons": {"type": "problem"}, "text": "fever", "locations": [{"offset": 3, "length": 5}]}], "relations": []}],
     "annotations": [], "relations": []}
    ]}

Read are a collection, documents alone (one a line, or in an array), and the answers of PubTator3 (``{"PubTator3": [...]}``).
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from medllm.document import Extraction
from medllm.formats import bioc
from medllm.formats.base import Parsed, Problem
from medllm.formats.bioc_model import Annotation, Document, Header, Infons, Link, Location, Node, Passage
from medllm.formats.collecting import attach
from medllm.formats.corpus_files import OneFile, named_or_below
from medllm.formats.placed_json import Placed, objects
from medllm.schema import Schema

ENDINGS = (".bioc.json", ".json", ".jsonl")

T = TypeVar("T")
Faults = list[tuple[int, str]]


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The documents of a file, or of the ``.json`` files of a folder. Raises FormatError."""
    for _, file in named_or_below(path, ENDINGS):
        found = (item for item in read_documents(file) if not isinstance(item, Header))
        yield from attach(bioc.to_extraction(item, schema, path=str(file)) if isinstance(item, Document) else item for item in found)


def read_documents(path: Path) -> Iterator[Header | Document | Problem]:
    """The headers of the collections of a file, their documents, and what is no document. Raises FormatError."""
    for item in objects(path):
        if isinstance(item, Problem):
            yield item
            continue
        listed = next((item[key] for key in ("documents", "PubTator3") if isinstance(item.get(key), list)), None)
        if listed is not None:
            yield Header(_string(item.get("source")), _string(item.get("date")), _string(item.get("key")), _infons(item))
        for document in [item] if listed is None else listed:
            if isinstance(document, Placed) and isinstance(document.get("passages"), list):
                yield _document(document)
            else:
                line = document.line if isinstance(document, Placed) else item.line
                yield Problem(str(path), line, "malformed-line", "no BioC document: it has no passages", dropped=True)


class Writer:
    """Writes a collection; a path without the ending ``.json`` is a folder, which gets ``extractions.bioc.json``."""

    def __init__(self, path: Path, schema: Schema | None = None, header: Header | None = None) -> None:
        self._file = OneFile(path, (".json",), "extractions.bioc.json")
        self._between = "\n"
        head = header or Header(source="medllm")
        self._file.add(_dumps({"source": head.source, "date": head.date, "key": head.key, "infons": head.infons})[:-1] + ', "documents": [')

    def write(self, extraction: Extraction) -> None:
        """Add the document of a note. Raises FormatError."""
        self.write_document(bioc.from_extraction(extraction))

    def write_document(self, document: Document) -> None:
        """Add a document. Raises FormatError."""
        self._file.add(self._between + dumps_document(document))
        self._between = ",\n"

    def close(self) -> None:
        """Finish and close the file. Raises FormatError."""
        self._file.close("\n]}\n")


def dumps_document(document: Document) -> str:
    """A document as one line of JSON."""
    return _dumps(
        {
            "id": document.id,
            "infons": document.infons,
            "passages": [_from_passage(passage, sentences=True) for passage in document.passages],
            "annotations": list(map(_from_annotation, document.annotations)),
            "relations": list(map(_from_relation, document.relations)),
        }
    )


# --- reading ---------------------------------------------------------------------------------------------------------


def _document(item: Placed) -> Document:
    faults: Faults = []
    passages = _each(item, "passages", _passage, faults)
    relations, annotations = _each(item, "relations", _relation, faults), _each(item, "annotations", _annotation, faults)
    name = _string(item.get("id") or item.get("_id") or item.get("pmid"))
    return Document(name, _infons(item), passages, relations, annotations, item.line, tuple(faults))


def _passage(item: Placed, faults: Faults) -> Passage:
    offset, text = _whole(item.get("offset")), item.get("text")
    if offset is None:
        faults.append((item.line, "a passage or sentence without an offset that is a number; 0 is taken"))
    return Passage(
        offset or 0,
        text if isinstance(text, str) else None,
        _infons(item),
        _each(item, "sentences", _passage, faults),
        _each(item, "annotations", _annotation, faults),
        _each(item, "relations", _relation, faults),
        item.line,
    )


def _annotation(item: Placed, faults: Faults) -> Annotation:
    def place(location: Placed, _: Faults) -> Location | None:
        offset, length = _whole(location.get("offset")), _whole(location.get("length"))
        if offset is None or length is None:
            faults.append((location.line, "a location without an offset and a length that are numbers"))
            return None
        return Location(offset, length)

    text = item.get("text")
    places = tuple(one for one in _each(item, "locations", place, faults) if one)
    return Annotation(_string(item.get("id")), _infons(item), places, text if isinstance(text, str) else None, item.line)


def _relation(item: Placed, faults: Faults) -> Link:
    def node(one: Placed, _: Faults) -> Node:
        return Node(_string(one.get("refid")), _string(one.get("role")))

    return Link(_string(item.get("id")), _infons(item), _each(item, "nodes", node, faults), item.line)


def _each(item: Placed, key: str, build: Callable[[Placed, Faults], T], faults: Faults) -> tuple[T, ...]:
    listed = item.get(key)
    if listed is not None and not isinstance(listed, list):
        faults.append((item.line, f"{key} is not a list"))
        return ()
    found = [one for one in listed or () if isinstance(one, Placed)]
    if len(found) < len(listed or ()):
        faults.append((item.line, f"{key}: {len(listed or ()) - len(found)} are not objects"))
    return tuple(build(one, faults) for one in found)


def _infons(item: Placed) -> Infons:
    found = item.get("infons")
    return {key: _string(value) for key, value in found.items() if value is not None} if isinstance(found, dict) else {}


def _string(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else None


# --- writing ---------------------------------------------------------------------------------------------------------


def _from_passage(passage: Passage, *, sentences: bool) -> dict[str, Any]:
    inner = {"sentences": [_from_passage(sentence, sentences=False) for sentence in passage.sentences]} if sentences else {}
    return {
        "offset": passage.offset,
        "infons": passage.infons,
        **({} if passage.text is None else {"text": passage.text}),
        **inner,
        "annotations": list(map(_from_annotation, passage.annotations)),
        "relations": list(map(_from_relation, passage.relations)),
    }


def _from_annotation(annotation: Annotation) -> dict[str, Any]:
    places = [{"offset": place.offset, "length": place.length} for place in annotation.locations]
    text = {} if annotation.text is None else {"text": annotation.text}
    return {"id": annotation.id, "infons": annotation.infons, **text, "locations": places}


def _from_relation(link: Link) -> dict[str, Any]:
    return {"id": link.id, "infons": link.infons, "nodes": [{"refid": node.refid, "role": node.role} for node in link.nodes]}


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
