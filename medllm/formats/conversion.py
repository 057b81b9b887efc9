"""From one format to another, telling what the second has no place for."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medllm.document import Extraction, Note
from medllm.errors import UsageError
from medllm.formats import discovery, registry
from medllm.formats.base import Parsed, Problem, Writer
from medllm.formats.decoding import Unreadable
from medllm.formats.holding import Feature, features, held
from medllm.formats.inputs import read_inputs
from medllm.schema import Schema

MAX_TOLD = 1000
"""Problems kept one by one; the others are counted."""


@dataclass
class Conversion:
    """What came of a conversion.

    ``lost`` counts what the target has no place for, ``left_out`` the mentions that its writer did not write; ``told`` is False for a
    format of somebody else's that does not say what it holds. ``problems`` are the first ``MAX_TOLD`` of ``faults``.
    """

    notes: int = 0
    mentions: int = 0
    relations: int = 0
    lost: Counter[Feature] = field(default_factory=Counter)
    left_out: int = 0
    told: bool = True
    faults: int = 0
    problems: list[Problem | Unreadable] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """True if nothing was lost, and nothing was wrong with the source."""
        return self.told and not self.lost and not self.left_out and not self.faults

    def add(self, problem: Problem | Unreadable) -> None:
        """Count a problem, and keep it if there is room."""
        self.faults += 1
        if len(self.problems) < MAX_TOLD:
            self.problems.append(problem)


def convert(source: str, target: str, schema: Schema | None = None) -> Conversion:
    """Read ``FORMAT:PATH``, write ``FORMAT:PATH``, note by note.

    The source may also be one of the forms that ``medllm extract`` takes notes from (``pdf:``, ``txt:`` ...): then there are no mentions.
    Without a schema labels are taken as they come. What is written before an error is left as it is. Raises UsageError, and FormatError
    or InputError where the source cannot be read at all or the target cannot be written.
    """
    read_from, source_path = _split(source, "brat:notes/")
    write_to, target_path = _split(target, "csv:tables/")
    items = _read(read_from, source_path, schema)
    if _same(source_path, target_path):
        raise UsageError("the source would be written over", hint="name another path for the target")
    return write_all(items, registry.writer(write_to)(Path(target_path), schema), held(write_to))


def write_all(items: Iterable[Parsed | Unreadable], writer: Writer, holds: frozenset[Feature] | None) -> Conversion:
    """Write every extraction, and count. ``holds`` is what the writer's format holds, None if that is not known. Closes the writer."""
    result = Conversion(told=holds is not None)
    try:
        for item in items:
            if isinstance(item, Unreadable):
                result.add(item)
                continue
            for problem in item.problems:
                result.add(problem)
            extraction = item.extraction
            writer.write(extraction)
            result.notes += 1
            result.mentions += len(extraction.entities)
            result.relations += len(extraction.relations)
            if holds is not None:
                result.lost.update({what: n for what, n in features(extraction).items() if what not in holds})
    finally:
        writer.close()
    result.left_out = getattr(writer, "left_out", 0)
    if Feature.OVERLAPS in result.lost and result.left_out:
        result.left_out = max(0, result.left_out - result.lost[Feature.OVERLAPS])  # the same mentions
    return result


def _split(given: str, example: str) -> tuple[str, str]:
    name, colon, path = given.partition(":")
    if not colon or not name or not path:
        raise UsageError(f"{given!r} is not FORMAT:PATH", hint=f"such as {example}")
    return name, path


def _read(name: str, path: str, schema: Schema | None) -> Iterator[Parsed | Unreadable]:
    one_table = name in ("csv", "parquet") and Path(path).is_file()  # of notes: annotations are tables in a folder
    if name in discovery.FORMATS and (one_table or name not in registry.READERS):
        return map(_without_mentions, read_inputs([f"{name}:{path}"]))
    return registry.reader(name)(Path(path), schema)


def _without_mentions(item: Note | Unreadable) -> Parsed | Unreadable:
    return Parsed(Extraction(note=item)) if isinstance(item, Note) else item


def _same(source: str, target: str) -> bool:
    return Path(source).resolve() == Path(target).resolve()
