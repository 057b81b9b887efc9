"""n2c2 2018 track 2 and n2c2 2022, which are brat standoff with customs of their own <-> Extraction (``medllm.formats.brat``).

* n2c2 2018 track 2 (adverse drug events; Henry et al. 2020, JAMIA 27:3): a mention that runs over line ends is given in parts, one a
  line (``Drug 10 17;18 25``). Such parts are joined, so that the mention is continuous, as its text is; parts with anything but white
  space between them stay apart. The writer divides mentions at line ends again. A mention whose real parts have a line end and other
  white space between them, and nothing else, cannot be told from one that runs over the line.
  Relations are named ``Strength-Drug`` and go from the attribute to the drug.
* n2c2 2022 track 1 (medication changes; Mahajan et al. 2023, J Biomed Inform 144:104432) and track 2 (social determinants; Lybarger
  et al. 2023, JAMIA 30:1367): every finding is an event. An event's attributes are its trigger's, its arguments relations (brat.py).
  The writer makes an event of every mention that is no relation's tail or some relation's head, with its attributes, and arguments of
  the relations; a role that repeats is numbered (``Type2``). Other mentions keep their attributes themselves.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from medllm.document import Entity, Extraction, Relation, Span
from medllm.formats import brat
from medllm.formats.base import Parsed
from medllm.formats.corpus_files import write_note
from medllm.formats.standoff import Event, Flag, Line, Link, Standoff, TextBound
from medllm.schema import Schema

_LINE_END = re.compile(r"\s*\n\s*")


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder, or the one of an ``.ann`` or ``.txt``; mentions that run over lines are joined. Raises FormatError."""
    found = brat.read_folder(path, schema) if path.is_dir() else iter((brat.read(path, schema),))
    return (Parsed(_joined(parsed.extraction), parsed.problems) for parsed in found)


class Writer2018:
    """Writes ``NOTE_ID.txt`` and ``NOTE_ID.ann`` below a folder, mentions divided at line ends."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path

    def write(self, extraction: Extraction) -> None:
        """Write the files of a note. Raises FormatError."""
        write_note(self._folder, extraction.note.id, {".txt": extraction.note.text, ".ann": _divided(extraction).dumps()})

    def close(self) -> None:
        """Nothing is left open."""


class Writer2022(Writer2018):
    """The same with events."""

    def write(self, extraction: Extraction) -> None:
        """Write the files of a note. Raises FormatError."""
        write_note(self._folder, extraction.note.id, {".txt": extraction.note.text, ".ann": as_events(_divided(extraction)).dumps()})


def as_events(standoff: Standoff) -> Standoff:
    """The mentions, attributes and relations of a file as events. Other lines are left out.

    >>> as_events(Standoff.loads("T1\\tDisposition 0 5\\tLasix\\nA1\\tAction T1 Stop\\n")).dumps()
    'T1\\tDisposition 0 5\\tLasix\\nE1\\tDisposition:T1\\nA1\\tAction E1 Stop\\n'
    """
    links = [line for line in standoff.lines if isinstance(line, Link)]
    heads, tails = ({link.args[end][1] for link in links} for end in (0, 1))
    mentions = [line for line in standoff.lines if isinstance(line, TextBound)]
    triggers = [line for line in mentions if line.id not in tails or line.id in heads]
    events = {line.id: f"E{n}" for n, line in enumerate(triggers, 1)}
    lines: list[Line] = list(mentions)
    for line in triggers:
        roles: dict[str, int] = {}
        args = []
        for link in links:
            if link.args[0][1] == line.id:
                roles[link.label] = roles.get(link.label, 0) + 1
                tail = link.args[1][1]
                args.append((link.label + (str(roles[link.label]) if roles[link.label] > 1 else ""), events.get(tail, tail)))
        lines.append(Event(events[line.id], line.label, line.id, tuple(args)))
    flags = (line for line in standoff.lines if isinstance(line, Flag))
    return Standoff((*lines, *(replace(flag, target=events.get(flag.target, flag.target)) for flag in flags)))


def _joined(extraction: Extraction) -> Extraction:
    text = extraction.note.text
    joined = {id(e): _with_spans(e, _join(e.spans, text), text) for e in extraction.entities}
    relations: tuple[Relation[Any, Any], ...] = tuple(
        r.model_copy(update={"head": joined[id(r.head)], "tail": joined[id(r.tail)]}) for r in extraction.relations
    )
    return extraction.model_copy(update={"entities": tuple(joined.values()), "relations": relations})


def _join(spans: tuple[Span, ...], text: str) -> tuple[Span, ...]:
    parts = [spans[0]]
    for span in spans[1:]:
        if _LINE_END.fullmatch(text, parts[-1].end, span.start):
            parts[-1] = Span(start=parts[-1].start, end=span.end)
        else:
            parts.append(span)
    return tuple(parts)


def _with_spans(entity: Entity, spans: tuple[Span, ...], text: str) -> Entity:
    return (
        entity if spans == entity.spans else entity.model_copy(update={"spans": spans, "text": " ".join(span.of(text) for span in spans)})
    )


def _divided(extraction: Extraction) -> Standoff:
    """The lines of brat, each span in parts that stay on their lines and begin with no white space."""
    standoff = brat.from_extraction(extraction)
    text = extraction.note.text
    return Standoff(tuple(_divide(line, text) if isinstance(line, TextBound) else line for line in standoff.lines))


def _divide(line: TextBound, text: str) -> TextBound:
    parts = tuple(part for start, end in line.spans for part in _lines_of(text, start, end))
    return replace(line, spans=parts, text=" ".join(text[start:end] for start, end in parts))


def _lines_of(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The span without the white space around its line ends; a span of white space only is kept as it is."""
    cuts = [match.span() for match in _LINE_END.finditer(text, start, end) if start < match.start() and match.end() < end]
    edges = [start, *(edge for cut in cuts for edge in cut), end]
    return list(zip(edges[::2], edges[1::2], strict=True))
