"""What every format shares: the result of reading one note, and the shapes of a reader and a writer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from medllm.document import Extraction
from medllm.schema import Schema

ProblemKind = Literal[
    "malformed-line",  # breaks the format
    "duplicate-id",  # an id that an earlier line has
    "unknown-reference",  # names an annotation that is not there, or was dropped
    "bad-span",  # empty, or beyond the text
    "text-mismatch",  # the file's copy of the span's text is not what the note has there
    "span-order",  # the parts of a discontinuous mention were put in order, or joined where they overlapped
    "unknown-label",  # the schema has no such entity class
    "attribute",  # a name, a value or a target that the mention's class does not admit
    "relation",  # a relation that the schema does not admit
    "not-held",  # something that an Extraction has no place for
    "missing-file",  # a note without its annotation file
]


@dataclass(frozen=True)
class Problem:
    """A fault in an annotation file. ``dropped`` says whether what the line tells is missing from the extraction.

    ``line`` is 1-based, None where it concerns the file. ``detail`` never holds note text.
    """

    path: str
    line: int | None
    kind: ProblemKind
    detail: str
    dropped: bool

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.kind}: {self.detail}{' (dropped)' if self.dropped else ''}"


@dataclass(frozen=True)
class Parsed:
    """One note as an annotation file has it, and what was wrong with the file."""

    extraction: Extraction
    problems: tuple[Problem, ...] = ()


class Writer(Protocol):
    """An open output of one format. ``close`` finishes the files; without it they may be missing or cut short."""

    def write(self, extraction: Extraction) -> None:
        """Write what was found in one note."""
        ...

    def close(self) -> None:
        """Finish and close the files."""
        ...


Reader = Callable[[Path, Schema | None], Iterator[Parsed]]
"""Reads a file or a folder, lazily. Without a schema the labels are taken as they come."""

WriterFactory = Callable[[Path, Schema | None], Writer]
"""Opens a path for writing."""
