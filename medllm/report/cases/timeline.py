"""The patient timeline: findings, tests and treatments of a note in lanes, under the times the note gives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medllm.document import Entity, Extraction, Modifier
from medllm.schema import attribute_value

TIMES = ("date", "temporal", "time")
LANES: Sequence[tuple[str, tuple[str, ...]]] = (
    ("Course", ("clinical_event",)),
    ("Findings", ("sign_symptom", "problem")),
    ("Diagnoses", ("disease_disorder",)),
    ("Tests", ("diagnostic_procedure", "test")),
    ("Treatments", ("therapeutic_procedure", "treatment")),
    ("Medication", ("medication", "drug")),
)
START = "at first"


@dataclass(frozen=True)
class Event:
    """A mention in the timeline, with its modifiers other than its time, and what the note says of it (``absent``)."""

    text: str
    label: str
    more: tuple[str, ...]
    assertion: str
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Timeline:
    """A note: its times in the order of the note, and the events of each lane at each time. Lanes without events are left out."""

    note_id: str
    times: tuple[str, ...]
    lanes: tuple[tuple[str, tuple[tuple[Event, ...], ...]], ...]


def timelines(extractions: Iterable[Extraction]) -> Sequence[Timeline]:
    """A timeline for each note.

    An event stands under the time that a relation gives it. One without stands under the last time that the note gave before it, as
    stories are told in order; before any time it stands under ``at first``. Times of equal words are one.
    """
    return [_timeline(extraction) for extraction in extractions]


def _timeline(extraction: Extraction) -> Timeline:
    modifiers: dict[int, list[Entity]] = {}
    for relation in extraction.relations:
        if isinstance(relation.tail, Modifier):
            modifiers.setdefault(id(relation.head), []).append(relation.tail)
    times: list[str] = []
    placed: list[tuple[str, Event, str]] = []
    now = START
    for entity in sorted(extraction.entities, key=Entity.sort_key):
        if entity.label in TIMES:
            now = _shown(entity.text)
        lane = next((name for name, labels in LANES if entity.label in labels), None)
        if lane is None or isinstance(entity, Modifier):
            continue
        own = sorted(modifiers.get(id(entity), []), key=Entity.sort_key)
        given = [_shown(m.text) for m in own if m.label in TIMES]
        at = given[0] if given else now
        if at not in times:
            times.append(at)
        more = tuple(m.text for m in own if m.label not in TIMES)
        assertion = attribute_value(entity.attributes.get("assertion") or "present")
        placed.append((lane, Event(entity.text, entity.label, more, assertion, entity.codes), at))
    lanes = []
    for name, _ in LANES:
        cells = tuple(tuple(event for lane, event, at in placed if lane == name and at == time) for time in times)
        if any(cells):
            lanes.append((name, cells))
    return Timeline(extraction.note.id, tuple(times), tuple(lanes))


def _shown(text: str) -> str:
    return " ".join(text.split())
