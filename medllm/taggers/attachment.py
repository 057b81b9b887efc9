"""Which mention a modifier belongs to, by place alone: around it, else the nearest in its line that may have it.

A cue of assertion (a negation, say) belongs to every mention with the assertion it stands for that has no nearer cue of its kind;
other modifiers belong to one mention, and look back before they look ahead: "aspirin 81 mg daily, Plavix 75 mg".
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medllm.document import Entity, Modifier, Relation
from medllm.schema import Schema, attribute_value

CUES: Mapping[str, frozenset[str]] = {
    "negation": frozenset({"absent"}),
    "uncertain": frozenset({"possible"}),
    "condition": frozenset({"conditional", "hypothetical"}),
    "subject": frozenset({"associated_with_someone_else"}),
}
"""Labels of cues, and the assertions they stand for."""
AHEAD = 3
"""A mention after the modifier counts as so many times farther away than one before it, unless the modifier is a cue."""


def attach(text: str, entities: Sequence[Entity], schema: Schema) -> list[Relation[Any, Any]]:
    """The relations from mentions to their modifiers; those of other kinds are not guessed."""
    found: list[Relation[Any, Any]] = []
    line = _line_numbers(text, entities)
    for modifier in (e for e in entities if isinstance(e, Modifier)):
        able = [e for e in entities if not isinstance(e, Modifier) and schema.relations_between(e.label, modifier.label)]
        around = [e for e in able if _start(e) <= _start(modifier) and _end(modifier) <= _end(e)]
        near = [e for e in able if line[id(e)] == line[id(modifier)]]
        if around:
            heads = [min(around, key=lambda e: _end(e) - _start(e))]
        elif (values := CUES.get(modifier.label)) is not None and any(_assertion(e) in values for e in near):
            cues = [e for e in entities if e.label == modifier.label and line[id(e)] == line[id(modifier)]]
            heads = [e for e in near if _assertion(e) in values and _nearest(e, cues) is modifier]
        else:
            heads = sorted(near, key=lambda e: _gap(e, modifier) * (1 if _end(e) <= _start(modifier) else AHEAD))[:1]
        for head in heads:
            found.append(schema.relations_between(head.label, modifier.label)[0](head=head, tail=modifier, votes=modifier.votes))
    return found


def _nearest(entity: Entity, cues: Sequence[Entity]) -> Entity:
    return min(cues, key=lambda cue: _gap(cue, entity))


def _assertion(entity: Entity) -> str | None:
    return attribute_value(getattr(entity, "assertion", None))


def _gap(one: Entity, other: Entity) -> int:
    """Characters between two mentions; 0 where they touch or overlap. A cue behind what it may mean counts a little farther."""
    return max(0, _start(other) - _end(one), _start(one) - _end(other) + 1)


def _start(entity: Entity) -> int:
    return entity.spans[0].start


def _end(entity: Entity) -> int:
    return entity.spans[-1].end


def _line_numbers(text: str, entities: Iterable[Entity]) -> dict[int, int]:
    """For each mention the number of its paragraph: wrapped lines count as one where the second begins in lower case."""
    starts = [0]
    for place, character in enumerate(text):
        if character == "\n":
            rest = text[place + 1 : place + 2]
            if not rest.islower():
                starts.append(place + 1)
    return {id(e): bisect_right(starts, _start(e)) for e in entities}
