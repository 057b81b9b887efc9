"""spaCy's ``DocBin`` files <-> Extraction (https://spacy.io/api/docbin); needs spaCy, no model.

Each note is a ``Doc``. ``doc.spans["sc"]``, the key of spaCy's span categorizer, has every part of every mention in the mentions' order:
the label is the mention's, ``span.id_`` its id (parts of a mention share it), ``span.kb_id_`` its first code. ``doc.ents`` has mentions
that do not overlap, the longest first, for training a recognizer. ``doc.user_data["medllm"]`` has the note's id and meta, the attributes,
codes and confidence of mentions by id, and the relations. Tokens are those of spaCy's English tokenizer, cut at the edges of mentions.

Read are also other people's ``DocBin`` files: ``doc.spans["sc"]``, or ``doc.ents`` without it. Not held by the format: votes, the ledger,
lone surrogates (U+FFFD).
"""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from medllm.document import Entity, Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed
from medllm.formats.collecting import Collector, Given
from medllm.formats.conll import flat
from medllm.formats.corpus_files import clean, id_of, named_or_below
from medllm.formats.encodable import utf8
from medllm.formats.files import open_private, writing
from medllm.formats.ids import named
from medllm.schema import Schema, attribute_value

ENDINGS = (".spacy",)
SPANS_KEY, USER_DATA_KEY = "sc", "medllm"
DOCS_A_FILE = 1000


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The docs of a file, or of the ``.spacy`` files of a folder. Raises FormatError."""
    spacy = _spacy()
    for name, file in named_or_below(path, ENDINGS):
        try:
            docs = list(spacy.tokens.DocBin().from_bytes(file.read_bytes()).get_docs(spacy.vocab.Vocab()))
        except OSError as error:
            raise FormatError(f"cannot be read: {error.strerror}", path=str(file)) from None
        except Exception as error:  # whatever msgpack, numpy and spaCy say of bytes that are no DocBin
            raise FormatError(f"not a DocBin ({type(error).__name__})", path=str(file), hint="was it written by DocBin.to_disk?") from None
        for number, doc in enumerate(docs, 1):
            yield to_extraction(doc, f"{id_of(name)}/{number}", schema, path=str(file))


def to_extraction(doc: Any, note_id: str, schema: Schema | None = None, *, path: str = "") -> Parsed:
    """What a ``Doc`` says; ``note_id`` where it does not tell its own."""
    told = _dict(doc.user_data.get(USER_DATA_KEY))
    meta = {str(k): str(v) for k, v in _dict(told.get("meta")).items()}
    found = Collector(Note(id=clean(str(told.get("note_id") or note_id)), text=doc.text, meta=meta), schema, path)
    parts: dict[str, list[Any]] = {}
    for count, span in enumerate(doc.spans.get(SPANS_KEY, doc.ents)):
        parts.setdefault(span.id_ or f"#{count}", []).append(span)
    by_id: dict[str, Entity | None] = {}
    for name, spans in parts.items():
        more = _dict(_dict(told.get("mentions")).get(name))
        given = [Given(str(k), str(v)) for k, v in _dict(more.get("attributes")).items()]
        codes = [str(code) for code in more.get("codes") or ([spans[0].kb_id_] if spans[0].kb_id_ else [])]
        by_id[name] = found.entity(
            None,
            spans[0].label_,
            [(span.start_char, span.end_char) for span in spans],
            name="" if name.startswith("#") else name,
            attributes=given,
            codes=codes,
            confidence=more.get("confidence"),
        )
    for link in (_dict(one) for one in told.get("relations") or ()):
        ends = (by_id.get(str(link.get("head"))), by_id.get(str(link.get("tail"))))
        found.relation(None, str(link.get("label", "")), *ends, name=str(link.get("id", "")), confidence=link.get("confidence"))
    return found.parsed()


def from_extraction(extraction: Extraction) -> Any:
    """The ``Doc`` of a note. Raises FormatError without spaCy."""
    spacy = _spacy()
    nlp = _blank()
    mentions, relations = named(extraction)
    text = utf8(extraction.note.text)
    tokens = nlp.tokenizer(text)
    edges = {0, len(text), *(t.idx for t in tokens), *(t.idx + len(t) for t in tokens)}
    edges |= {edge for _, entity in mentions for span in entity.spans for edge in (span.start, span.end)}
    words, spaces, first, after = _words(text, sorted(edges))
    doc = spacy.tokens.Doc(nlp.vocab, words=words, spaces=spaces)

    def span(start: int, end: int, entity: Entity, name: str) -> Any:
        code = utf8(entity.codes[0]) if entity.codes else ""
        return spacy.tokens.Span(doc, first[start], after[end], label=utf8(entity.label), kb_id=code, span_id=utf8(name))

    doc.spans[SPANS_KEY] = [span(s.start, s.end, entity, name) for name, entity in mentions for s in entity.spans]
    doc.ents = [span(e.span.start, e.span.end, e, "") for e in flat(extraction.entities)[0]]
    doc.user_data[USER_DATA_KEY] = {
        "note_id": utf8(extraction.note.id),
        "meta": {utf8(k): utf8(v) for k, v in extraction.note.meta.items()},
        "mentions": {utf8(name): _more(entity) for name, entity in mentions},
        "relations": [
            {"id": utf8(r.name), "label": utf8(r.relation.label), "head": utf8(r.head), "tail": utf8(r.tail)}
            | {"confidence": r.relation.confidence}
            for r in relations
        ],
    }
    return doc


class Writer:
    """Writes ``docs-0001.spacy`` and so on in a folder, ``DOCS_A_FILE`` notes each; a path with the ending ``.spacy`` gets all notes."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._bin = self._empty()
        self._path = path
        self._one = path.suffix.lower() in ENDINGS
        self._files = 0
        self._closed = False
        self._save(path) if self._one else self._save(path / "docs-0001.spacy")

    def write(self, extraction: Extraction) -> None:
        """Add the doc of a note. Raises FormatError."""
        self._bin.add(from_extraction(extraction))
        if not self._one and len(self._bin) == DOCS_A_FILE:
            self._next()

    def close(self) -> None:
        """Write the last file. Raises FormatError."""
        if self._closed:
            return
        self._closed = True
        if self._one:
            self._save(self._path)
        elif len(self._bin) or not self._files:
            self._next()

    def _next(self) -> None:
        self._files += 1
        self._save(self._path / f"docs-{self._files:04}.spacy")
        self._bin = self._empty()

    def _save(self, path: Path) -> None:
        with writing(path), open_private(path, "wb") as file:
            file.write(self._bin.to_bytes())

    def _empty(self) -> Any:
        return _spacy().tokens.DocBin(store_user_data=True)


def _words(text: str, edges: list[int]) -> tuple[list[str], list[bool], dict[int, int], dict[int, int]]:
    """Words and whether a blank follows each; for each edge the token that begins there, and the number of tokens up to it."""
    words: list[str] = []
    spaces: list[bool] = []
    first: dict[int, int] = {}
    after: dict[int, int] = {}
    for start, end in pairwise(edges):
        first[start] = len(words)
        words.append(text[start:end])
        spaces.append(False)
        after[end] = len(words)
    return words, spaces, first, after


def _more(entity: Entity) -> dict[str, Any]:
    attributes = {utf8(k): utf8(attribute_value(v)) for k, v in entity.attributes.items() if v is not None}
    return {"attributes": attributes, "codes": list(map(utf8, entity.codes)), "confidence": entity.confidence}


def _dict(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


@cache
def _blank() -> Any:
    return _spacy().blank("en")


def _spacy() -> Any:
    try:
        import spacy
        import spacy.tokens
        import spacy.vocab
    except ImportError:
        raise FormatError("DocBin files need spaCy, which is not installed", hint="pip install medllm[spacy]") from None
    return spacy
