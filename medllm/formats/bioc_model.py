"""The BioC model: a collection of documents of passages with annotations and relations (Comeau et al. 2013, Database bat064).

``medllm.formats.bioc_xml`` and ``bioc_json`` read and write it without loss; ``medllm.formats.bioc`` makes extractions of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

Infons = dict[str, str]


@dataclass(frozen=True)
class Location:
    """A part of an annotation: ``offset`` counts from the document's beginning, as passages' offsets do."""

    offset: int
    length: int


@dataclass(frozen=True)
class Annotation:
    """A mention. ``line`` is where the file has it, 1-based; it plays no part in comparison."""

    id: str = ""
    infons: Infons = field(default_factory=dict)
    locations: tuple[Location, ...] = ()
    text: str | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Node:
    """What a relation joins: the id of an annotation, or of a relation, and its role."""

    refid: str
    role: str = ""


@dataclass(frozen=True)
class Link:
    """A relation."""

    id: str = ""
    infons: Infons = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Passage:
    """A part of a document, or a sentence of a passage: with a text, or with sentences that have it."""

    offset: int = 0
    text: str | None = None
    infons: Infons = field(default_factory=dict)
    sentences: tuple["Passage", ...] = ()
    annotations: tuple[Annotation, ...] = ()
    relations: tuple[Link, ...] = ()
    line: int = field(default=0, compare=False)

    def leaves(self) -> Iterator["Passage"]:
        """The passage itself, if it has a text or no sentences, then its sentences."""
        if self.text is not None or not self.sentences:
            yield self
        for sentence in self.sentences:
            yield from sentence.leaves()

    def parts(self) -> Iterator["Passage"]:
        """The passage and its sentences."""
        yield self
        for sentence in self.sentences:
            yield from sentence.parts()


@dataclass(frozen=True)
class Document:
    """A document; ``faults`` has what could not be read in it: the line and one clause."""

    id: str = ""
    infons: Infons = field(default_factory=dict)
    passages: tuple[Passage, ...] = ()
    relations: tuple[Link, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    line: int = field(default=0, compare=False)
    faults: tuple[tuple[int, str], ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Header:
    """What a collection says of itself."""

    source: str = ""
    date: str = ""
    key: str = ""
    infons: Infons = field(default_factory=dict)
