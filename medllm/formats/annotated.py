"""Annotated notes by ``FORMAT:PATH``, or ``FORMAT:PATH@LABELMAP.toml`` for a corpus with labels of its own."""

from collections.abc import Sequence
from pathlib import Path

from medllm.document import Extraction
from medllm.errors import UsageError
from medllm.formats import labelmap as maps
from medllm.formats.base import Problem
from medllm.formats.registry import reader
from medllm.schema import Schema


def read_annotated(location: str, schema: Schema | None, labelmap: Path | None = None) -> tuple[list[Extraction], list[Problem]]:
    """The notes of a location in the classes of the schema, and what was wrong with the files.

    Without a schema the labels are taken as they come; a label map names its own. Raises UsageError for a location without a format,
    FormatError for files that cannot be read.
    """
    place, at, named = location.partition("@")
    name, colon, path = place.partition(":")
    if not colon or not path:
        raise UsageError(f"{location!r} is no FORMAT:PATH", hint="such as brat:corpus/train")
    chosen = maps.load(Path(named)) if at else maps.load(labelmap) if labelmap else None
    pack = schema or Schema.load(chosen.schema_name) if chosen else schema
    found: list[Extraction] = []
    problems: list[Problem] = []
    for parsed in reader(name)(Path(path), None if chosen else pack):
        found.append(maps.apply(parsed.extraction, chosen, pack) if chosen and pack else parsed.extraction)
        problems += parsed.problems
    return found, problems


def read_all(locations: Sequence[str], schema: Schema | None) -> list[Extraction]:
    """The notes of several locations."""
    return [extraction for location in locations for extraction in read_annotated(location, schema)[0]]
