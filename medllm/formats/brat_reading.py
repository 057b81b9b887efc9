"""The lines of a brat file -> Extraction. ``medllm.formats.brat`` says what is held and what is not."""

import re
from collections.abc import Iterator
from typing import TypeVar

from pydantic import ValidationError

from medllm.document import Entity, Extraction, Note, Relation, Span
from medllm.formats.base import Parsed, Problem, ProblemKind
from medllm.formats.classes import attribute_of, entity_class, relation_class
from medllm.formats.standoff import Event, Flag, Line, Link, Normalization, Standoff, TextBound, Unparsed, one_line
from medllm.schema import Schema

_ROLE_NUMBER = re.compile(r"(?<=\D)[0-9]+\Z")
_NO_SYSTEM = "-"

L = TypeVar("L", bound=Line)
About = TypeVar("About", Flag, Normalization)


def to_extraction(standoff: Standoff, note: Note, schema: Schema | None = None, *, path: str = "") -> Parsed:
    """What the lines say of ``note``, and what was wrong with them; a bad line never moves its neighbours.

    ``path`` is named in the problems. With a schema: its classes; labels, attributes and relations that it lacks are problems.
    """
    return _Reading(standoff, note, schema, path).parsed()


class _Reading:
    def __init__(self, standoff: Standoff, note: Note, schema: Schema | None, path: str) -> None:
        self._note = note
        self._schema = schema
        self._path = path
        self._problems: list[Problem] = []
        self._lines: dict[str, tuple[int, Line]] = {}
        for number, line in standoff.numbered():
            self._enter(number, line)

    def parsed(self) -> Parsed:
        attributes = self._about_mentions(Flag)
        codes = self._about_mentions(Normalization)
        entities: dict[str, Entity] = {}
        for number, line in self._of(TextBound):
            entity = self._entity(number, line, attributes.get(line.id, []), codes.get(line.id, []))
            if entity is not None:
                entities[line.id] = entity
        relations = [relation for number, line in self._of(Link) if (relation := self._link(number, line, entities))]
        relations += [relation for number, event in self._of(Event) for relation in self._arguments(number, event, entities)]
        return Parsed(
            Extraction(note=self._note, entities=tuple(sorted(entities.values(), key=Entity.sort_key)), relations=tuple(relations)),
            tuple(sorted(self._problems, key=lambda p: p.line or 0)),
        )

    def _enter(self, number: int, line: Line) -> None:
        name = getattr(line, "id", "")
        if isinstance(line, Unparsed) and not line.blank:
            self._report(number, "malformed-line", f"not a line of brat standoff ({len(line.raw)} characters)", dropped=True)
        elif name in self._lines:
            self._report(number, "duplicate-id", f"{name} is the id of line {self._lines[name][0]}", dropped=True)
        elif name:
            self._lines[name] = (number, line)

    def _of(self, kind: type[L]) -> Iterator[tuple[int, L]]:
        return ((number, line) for number, line in self._lines.values() if isinstance(line, kind))

    def _report(self, number: int, kind: ProblemKind, detail: str, *, dropped: bool) -> None:
        self._problems.append(Problem(self._path, number, kind, detail, dropped))

    def _mention_of(self, name: str) -> str:
        """The id of the mention that ``name`` stands for: an event stands for its trigger."""
        line = self._lines.get(name, (0, None))[1]
        return line.trigger if isinstance(line, Event) else name

    def _about_mentions(self, kind: type[About]) -> dict[str, list[tuple[int, About]]]:
        found: dict[str, list[tuple[int, About]]] = {}
        for number, line in self._of(kind):
            mention = self._mention_of(line.target)
            target = self._lines.get(mention, (0, None))[1]
            if isinstance(target, TextBound):
                found.setdefault(mention, []).append((number, line))
            elif target is None:
                self._report(number, "unknown-reference", f"{line.id} is about {line.target}, which is not there", dropped=True)
            else:
                self._report(number, "not-held", f"{line.id} is about {line.target}, which is not a mention", dropped=True)
        return found

    def _entity(self, number: int, line: TextBound, flags: list[tuple[int, Flag]], codes: list[tuple[int, Normalization]]) -> Entity | None:
        text = self._note.text
        if any(end <= start or end > len(text) for start, end in line.spans):
            self._report(number, "bad-span", f"{line.id} has an empty part, or ends beyond the text ({len(text)} characters)", dropped=True)
            return None
        kind = entity_class(self._schema, line.label)
        if kind is None:
            self._report(number, "unknown-label", f"the schema has no {line.label!r}", dropped=True)
            return None
        if one_line(line.text) != one_line(" ".join(text[start:end] for start, end in line.spans)):
            self._report(number, "text-mismatch", f"the text of {line.id} is not what the note has there; offsets decide", dropped=False)
        spans = _ordered(line.spans)
        if spans != line.spans:
            self._report(number, "span-order", f"the parts of {line.id} were put in order, or joined", dropped=False)
        parts = tuple(Span(start=start, end=end) for start, end in spans)
        try:
            return kind(
                id=line.id,
                spans=parts,
                text=" ".join(part.of(text) for part in parts),
                codes=tuple(_code(n) for _, n in codes),
                **self._attributes(kind, flags),
            )
        except ValidationError as error:
            missing = ", ".join(str(e["loc"][0]) for e in error.errors() if e["loc"])
            self._report(number, "attribute", f"{line.id} needs {missing}", dropped=True)
            return None

    def _attributes(self, kind: type[Entity], flags: list[tuple[int, Flag]]) -> dict[str, str]:
        values: dict[str, str] = {}
        for number, flag in flags:
            try:
                name, value = attribute_of(kind, flag.name, flag.value)
            except ValueError as error:
                self._report(number, "attribute", f"{flag.id}: {error}", dropped=True)
                continue
            if values.setdefault(name, value) != value:
                self._report(number, "attribute", f"{flag.id}: {name} has another value already", dropped=True)
        return values

    def _link(self, number: int, line: Link, entities: dict[str, Entity]) -> Relation[Entity, Entity] | None:
        (role, head), (_, tail) = line.args
        if role == "Arg2":
            head, tail = tail, head
        return self._relation(number, line.id, (line.label,), (head, tail), entities)

    def _arguments(self, number: int, event: Event, entities: dict[str, Entity]) -> Iterator[Relation[Entity, Entity]]:
        trigger = self._lines.get(event.trigger, (0, None))[1]
        if isinstance(trigger, TextBound) and trigger.label != event.label:
            self._report(number, "not-held", f"{event.id} is a {event.label!r} on a trigger of another label", dropped=False)
        elif not isinstance(trigger, TextBound):
            self._report(number, "unknown-reference", f"{event.id} has no trigger", dropped=True)
            return
        for place, (role, target) in enumerate(event.args, 1):
            labels = (_ROLE_NUMBER.sub("", role), role)
            relation = self._relation(number, f"{event.id}.{place}", labels, (event.trigger, target), entities)
            if relation is not None:
                yield relation

    def _relation(
        self, number: int, name: str, labels: tuple[str, ...], ends: tuple[str, str], entities: dict[str, Entity]
    ) -> Relation[Entity, Entity] | None:
        found = [entities.get(self._mention_of(end)) for end in ends]
        head, tail = found
        if head is None or tail is None:
            missing = " and ".join(end for end, entity in zip(ends, found, strict=True) if entity is None)
            self._report(number, "unknown-reference", f"{name} points at {missing}, which is not there or was dropped", dropped=True)
            return None
        kind = next((c for label in labels if (c := relation_class(self._schema, label, head, tail))), None)
        if kind is None:
            self._report(number, "relation", f"the schema has no {labels[0]!r} from {head.label} to {tail.label}", dropped=True)
            return None
        return kind(id=name, head=head, tail=tail)


def _ordered(spans: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """In order, those that overlap joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def _code(line: Normalization) -> str:
    return line.code if line.system == _NO_SYSTEM else f"{line.system.upper()}:{line.code}"
