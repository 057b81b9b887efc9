"""Gold annotations as answers: what a perfect model would write to a question about a chunk, in the layout of the question.

Retrieved examples and training texts are made of these, so that a model is shown and taught exactly what it is asked for.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from medllm.document import Entity, Extraction, Relation
from medllm.grammar.layout import Found, Part, is_separator
from medllm.grammar.links import Link, LinkSlot, write_links
from medllm.prompting.questions import Question, Questions
from medllm.schema import Schema, attribute_value, attributes
from medllm.text.chunks import Chunk
from medllm.text.lines import Line


@dataclass(frozen=True)
class Answered:
    """A question with its gold answer. ``labels`` are those of the mentions, modifiers or relations in the answer."""

    task: str
    question: Question
    answer: str
    labels: frozenset[str] = frozenset()


@dataclass
class Losses:
    """What no answer can hold: mentions across lines, without a word, or in another mention's way; relations out of reach."""

    mentions: Counter[str] = field(default_factory=Counter)
    relations: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class GoldMention:
    """A mention in its line: the index of the line, and its pieces there. Edges inside a word are widened to it."""

    entity: Entity
    line: int
    part: Part


class GoldNote:
    """The gold mentions and relations of one note, ready to be cut into chunks. Offsets of discontinuous mentions are their hull's."""

    def __init__(self, extraction: Extraction, schema: Schema, lines: Sequence[Line], losses: Losses | None = None) -> None:
        self.schema = schema
        self.lines = tuple(lines)
        self.losses = losses or Losses()
        self._starts = [line.start for line in lines]
        main = {c.label for c in schema.main_entities}
        known = set(schema.labels)
        placed = [m for e in extraction.entities if e.label in known and (m := self._placed(e)) is not None]
        modifiers = [m for m in placed if m.entity.label not in main]
        self.main = self._without_overlap([m for m in placed if m.entity.label in main], apart=not schema.nested)
        self._modifiers = {_key(m.entity): m for m in modifiers}
        self._relations = extraction.relations
        self._by_head: dict[tuple[Any, ...], list[Relation[Any, Any]]] = {}
        for r in self._relations:
            self._by_head.setdefault(_key(r.head), []).append(r)

    def _placed(self, entity: Entity) -> GoldMention | None:
        start, end = entity.span.start, entity.span.end
        index = bisect_right(self._starts, start) - 1
        if 0 <= index < len(self.lines) and end <= self.lines[index].end:
            pieces = self.lines[index].pieces
            inside = [i for i, p in enumerate(pieces) if p.start < end and start < p.end]
            if inside and not (len(inside) == 1 and is_separator(pieces[inside[0]])):
                return GoldMention(entity, index, Part(inside[0], inside[-1] + 1))
        self.losses.mentions[entity.label] += 1
        return None

    def _without_overlap(self, mentions: Sequence[GoldMention], *, apart: bool) -> list[GoldMention]:
        """In reading order, without the shorter of two that overlap (``apart``) or the second of two that are the same."""
        lines: dict[int, list[GoldMention]] = {}
        for m in sorted(mentions, key=lambda m: (m.part.first - m.part.end, m.line, m.part, m.entity.label)):
            same_line = lines.setdefault(m.line, [])
            if any(k.part == m.part and k.entity.label == m.entity.label for k in same_line) or (
                apart and any(k.part.first < m.part.end and m.part.first < k.part.end for k in same_line)
            ):
                self.losses.mentions[m.entity.label] += 1
            else:
                same_line.append(m)
        return sorted((m for kept in lines.values() for m in kept), key=lambda m: (m.line, m.part, m.entity.label))

    # --- the answers of a chunk ------------------------------------------------------------------------------------

    def within(self, chunk: Chunk) -> list[GoldMention]:
        """The main mentions in the lines of a chunk, with the index of their line there."""
        at = {line.start: index for index, line in enumerate(chunk.lines)}
        found = [(m, at.get(self.lines[m.line].start)) for m in self.main]
        return [GoldMention(m.entity, index, m.part) for m, index in found if index is not None]

    def found(self, mentions: Sequence[GoldMention]) -> list[Found]:
        """The answers about lines that hold these mentions; slots are numbered as the lines are, from 1."""
        return [Found(m.line + 1, m.entity.label, (m.part,), _attributes(m.entity, self.schema)) for m in mentions]

    def modifiers_of(self, number: int, head: GoldMention, line: Line) -> list[Found]:
        """The answer about the modifiers of a mention in its line, as that of the slot ``number``."""
        admitted = {c.label for c in self.schema.modifiers if self.schema.relations_between(head.entity.label, c.label)}
        tails = []
        for r in self._by_head.get(_key(head.entity), ()):
            modifier = self._modifiers.get(_key(r.tail))
            if modifier is None or modifier.entity.label not in admitted:
                continue
            if self.lines[modifier.line].start == line.start:
                tails.append(modifier)
            else:
                self.losses.relations[r.label] += 1
        return [Found(number, m.entity.label, (m.part,)) for m in self._without_overlap(tails, apart=True)]

    def links(self, mentions: Sequence[GoldMention], slots: Sequence[LinkSlot], group: int) -> list[tuple[int, Link]]:
        """The answer about the relations of a group between mentions, of which ``slots`` offers what can be said."""
        numbers: dict[tuple[Any, ...], int] = {}
        for number, m in enumerate(mentions, 1):
            numbers.setdefault(_key(m.entity), number)
        offered = {(slot.number, link) for slot in slots for link in slot.links}
        labels = {kind.label for kind in self.schema.relation_groups[group]}
        found = []
        for r in self._relations:
            head, tail = numbers.get(_key(r.head)), numbers.get(_key(r.tail))
            if r.label not in labels or head is None or tail is None:
                continue
            if (one := (head, Link(r.label, tail))) in offered:
                found.append(one)
            else:
                self.losses.relations[r.label] += 1
        return found

    # --- with their questions --------------------------------------------------------------------------------------

    def entities(self, questions: Questions, chunk: Chunk) -> Answered:
        """What ``Questions.entities`` asks of a chunk."""
        mentions = self.within(chunk)
        question = questions.entities(chunk)
        answer = questions.layout.write(question.slots, self.found(mentions))
        return Answered("entities", question, answer, frozenset(m.entity.label for m in mentions))

    def modifiers(self, questions: Questions, chunk: Chunk, at_a_time: int) -> Iterator[Answered]:
        """What ``Questions.modifiers`` asks of a chunk's mentions, so many at a time."""
        heads = [m for m in self.within(chunk) if questions.modifier_labels(m.entity.label)]
        for first in range(0, len(heads), at_a_time):
            batch = [(m, chunk.lines[m.line]) for m in heads[first : first + at_a_time]]
            question = questions.modifiers([(m.entity, line) for m, line in batch])
            found = [f for number, (m, line) in enumerate(batch, 1) for f in self.modifiers_of(number, m, line)]
            yield Answered("modifiers", question, questions.pinned.write(question.slots, found), frozenset(f.label for f in found))

    def relations(self, questions: Questions, chunk: Chunk, group: int) -> Answered | None:
        """What ``Questions.relations`` asks of a chunk; None where there is nothing to ask."""
        mentions = self.in_order(chunk)
        question = questions.relations([(m.entity, m.line) for m in mentions], chunk.lines, group)
        if not any(slot.links for slot in question.links):
            return None
        found = self.links(mentions, question.links, group)
        return Answered("relations", question, write_links(question.links, found), frozenset(link.label for _, link in found))

    def in_order(self, chunk: Chunk) -> list[GoldMention]:
        """``within``, as relations number them."""
        return sorted(self.within(chunk), key=lambda m: _key(m.entity))


def _key(entity: Entity) -> tuple[Any, ...]:
    return (*entity.sort_key(), tuple((s.start, s.end) for s in entity.spans))


def _attributes(entity: Entity, schema: Schema) -> dict[str, str]:
    """The attributes that the class of the schema has; what the corpus does not say, or says in other words, takes the default."""
    given = {}
    for attribute in attributes(schema.entity(entity.label)):
        value = entity.attributes.get(attribute.name)
        written = attribute.default if value is None else attribute_value(value)
        given[attribute.name] = str(written if written in attribute.values else attribute.default or attribute.values[0])
    return given
