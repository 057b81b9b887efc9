"""The eligibility table: a trial's criteria one a row, taken in or left out, with their bounds."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medllm.document import Entity, Extraction, Modifier
from medllm.text.lines import split_lines

_HEADING = re.compile(r"\W*(?:key |main |major )?(inclusion|exclusion)(?: criteria| criterion)?\b\W*", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One mention of a criterion, with what narrows it: ``(label, text)``. ``negated``: one of these is a negation."""

    label: str
    text: str
    codes: tuple[str, ...]
    narrowed: tuple[tuple[str, str], ...]
    negated: bool


@dataclass(frozen=True)
class Criterion:
    """A line of a trial that says something. ``side``: ``inclusion``, ``exclusion``, or empty where no heading told."""

    side: str
    text: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Trial:
    """A note with its criteria."""

    note_id: str
    criteria: tuple[Criterion, ...]


def trials(extractions: Iterable[Extraction]) -> Sequence[Trial]:
    """The criteria of each note: its lines that hold a mention, under the last heading before them."""
    return [Trial(extraction.note.id, tuple(_criteria(extraction))) for extraction in extractions]


def _criteria(extraction: Extraction) -> Iterable[Criterion]:
    narrowing: dict[int, list[Entity]] = {}
    for relation in extraction.relations:
        if isinstance(relation.tail, Modifier):
            narrowing.setdefault(id(relation.head), []).append(relation.tail)
    heads = [entity for entity in extraction.entities if not isinstance(entity, Modifier)]
    side = _side_of_id(extraction.note.id)
    for line in split_lines(extraction.note.text):
        text = extraction.note.text[line.start : line.end].strip()
        if heading := _HEADING.match(text):
            side = heading[1].lower()
        within = [entity for entity in heads if line.start <= entity.span.start < line.end]
        if within:
            yield Criterion(side, text, tuple(_part(entity, narrowing.get(id(entity), [])) for entity in within))


def _side_of_id(note_id: str) -> str:
    """Some collections keep the two lists in files of their own (``NCT00050349_exc``)."""
    name = note_id.lower()
    return "exclusion" if name.endswith(("_exc", "-exclusion")) else "inclusion" if name.endswith(("_inc", "-inclusion")) else ""


def _part(entity: Entity, modifiers: Sequence[Entity]) -> Part:
    ordered = sorted(modifiers, key=Entity.sort_key)
    negated = any(m.label == "negation" for m in ordered) or str(entity.attributes.get("assertion", "")) == "absent"
    return Part(entity.label, entity.text, entity.codes, tuple((m.label, m.text) for m in ordered if m.label != "negation"), negated)
