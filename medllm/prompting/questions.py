"""Questions: what a chunk is asked, as messages, slots and a grammar. One function a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from medllm.document import Entity, Relation
from medllm.engines.base import Message
from medllm.grammar.constraint import Constraint
from medllm.grammar.layout import Attribute, Found, Label, Layout, Part, Slot, get_layout
from medllm.grammar.links import Link, LinkSlot, describe_links, write_links
from medllm.prompting.examples import Example, parse_example
from medllm.prompting.render import Prompts
from medllm.schema import Schema, attributes, guideline
from medllm.text.chunks import Chunk
from medllm.text.lines import Line, split_lines

NEAR_LINES = 1
MAX_TAILS = 12
"""A mention is asked about relations to at most so many others, the nearest, in its line and ``NEAR_LINES`` around it."""


@dataclass(frozen=True)
class Question:
    """Messages and the constraint of their answer, with the slots that read it."""

    messages: tuple[Message, ...]
    constraint: Constraint
    slots: tuple[Slot, ...] = ()
    links: tuple[LinkSlot, ...] = ()


def to_label(kind: type[Entity]) -> Label:
    """The label of an entity class as layouts know it."""
    return Label(kind.label, tuple(Attribute(a.name, a.values, a.default) for a in attributes(kind)))


class Questions:
    """Makes the questions of one schema in one layout and language."""

    def __init__(self, schema: Schema, layout: Layout, prompts: Prompts, language: str | None = None) -> None:
        self.schema = schema
        self.layout = layout
        self.prompts = prompts
        self.language = language or schema.language
        self._pinned = get_layout("lines")
        self._labels = {c.label: to_label(c) for c in schema.entities}
        self._examples = tuple(parse_example(e) for e in schema.examples)
        self.example_answers = lru_cache(maxsize=None)(self._example_answers)

    # --- entities: every line of a chunk ---------------------------------------------------------------------------

    def entities(self, chunk: Chunk) -> Question:
        """Which mentions stand in the lines of ``chunk``."""
        slots = self._line_slots(chunk.lines)
        grammar = self.layout.describe(slots, nested=self.schema.nested, discontinuous=self.schema.discontinuous)
        messages = self.prompts.messages(
            "entities",
            self.language,
            static={"schema": self.schema, "labels": self._described(self.schema.main_entities), "layout": self.layout.name},
            examples=self.example_answers("entities"),
            variables={"slots": slots, "section": chunk.section, "context": chunk.context},
        )
        return Question(messages, Constraint(grammar), slots)

    def _line_slots(self, lines: Sequence[Line]) -> tuple[Slot, ...]:
        labels = tuple(self._labels[c.label] for c in self.schema.main_entities)
        return tuple(Slot(number, line, labels) for number, line in enumerate(lines, 1))

    # --- modifiers: every mention ----------------------------------------------------------------------------------

    def modifiers(self, mentions: Sequence[tuple[Entity, Line]]) -> Question:
        """Which words of its line qualify each of ``mentions`` (those that can have modifiers at all)."""
        slots = tuple(Slot(n, line, self.modifier_labels(entity.label)) for n, (entity, line) in enumerate(mentions, 1))
        messages = self.prompts.messages(
            "modifiers",
            self.language,
            static={"schema": self.schema, "labels": self._described(self.schema.modifiers)},
            examples=self.example_answers("modifiers"),
            variables={"slots": slots, "mentions": [_shown(e) for e, _ in mentions]},
        )
        return Question(messages, Constraint(self._pinned.describe(slots)), slots)

    def modifier_labels(self, head: str) -> tuple[Label, ...]:
        """The modifiers that a mention of this label can have."""
        return tuple(self._labels[m.label] for m in self.schema.modifiers if self.schema.relations_between(head, m.label))

    # --- relations: pairs of mentions ------------------------------------------------------------------------------

    def relations(self, mentions: Sequence[tuple[Entity, int]], lines: Sequence[Line]) -> Question:
        """How ``mentions``, each with the index of its line among ``lines``, are related."""
        slots = tuple(LinkSlot(n, self._links(n - 1, mentions)) for n in range(1, len(mentions) + 1))
        messages = self.prompts.messages(
            "relations",
            self.language,
            static={"schema": self.schema, "relations": [_described_relation(r) for r in self.schema.pair_relations]},
            examples=self.example_answers("relations"),
            variables={"lines": [line.view for line in lines], "mentions": [_shown(e) for e, _ in mentions]},
        )
        return Question(messages, Constraint(describe_links(slots)), links=slots)

    def _links(self, head: int, mentions: Sequence[tuple[Entity, int]]) -> tuple[Link, ...]:
        entity, line = mentions[head]
        near = [n for n, (_, other) in enumerate(mentions) if n != head and abs(other - line) <= NEAR_LINES]
        near = sorted(sorted(near, key=lambda n: abs(mentions[n][0].span.start - entity.span.start))[:MAX_TAILS])
        return tuple(
            Link(relation.label, n + 1)
            for n in near
            for relation in self.schema.relations_between(entity.label, mentions[n][0].label)
            if relation in self.schema.pair_relations
        )

    # --- what is shown ---------------------------------------------------------------------------------------------

    def _described(self, kinds: Sequence[type[Entity]]) -> list[Mapping[str, Any]]:
        return [{"name": c.label, "guideline": " ".join(guideline(c).split()), "attributes": attributes(c)} for c in kinds]

    def _example_answers(self, task: str) -> list[tuple[Mapping[str, Any], str]]:
        """The pack's worked examples as this task would be asked and answered."""
        answers: list[tuple[Mapping[str, Any], str]] = []
        for example in self._examples:
            lines = split_lines(example.text)
            placed = [(m, *_place(example, m.start, m.end, lines)) for m in example.mentions]
            main = [
                (i, m, line, part) for i, (m, line, part) in enumerate(placed) if m.label in {c.label for c in self.schema.main_entities}
            ]
            if task == "entities":
                slots = self._line_slots(lines)
                found = [Found(line + 1, m.label, (part,), m.attributes) for _, m, line, part in main]
                answers.append(({"slots": slots, "section": "", "context": ()}, self.layout.write(slots, found)))
            elif task == "modifiers":
                heads = [x for x in main if self.modifier_labels(x[1].label)]
                slots = tuple(Slot(n, lines[line], self.modifier_labels(m.label)) for n, (_, m, line, _) in enumerate(heads, 1))
                number = {i: n for n, (i, *_) in enumerate(heads, 1)}
                found = [
                    Found(number[h], placed[t][0].label, (placed[t][2],))
                    for _, h, t in example.links
                    if h in number and self.schema.relations_between(placed[h][0].label, placed[t][0].label) and t not in number
                ]
                shown = [{"label": m.label, "text": example.text[m.start : m.end]} for _, m, _, _ in heads]
                if slots:
                    answers.append(({"slots": slots, "mentions": shown}, self._pinned.write(slots, found)))
            elif main:
                number = {i: n for n, (i, *_) in enumerate(main, 1)}
                given = [(number[h], Link(label, number[t])) for label, h, t in example.links if h in number and t in number]
                link_slots = [LinkSlot(n, tuple(link for head, link in given if head == n)) for n in number.values()]
                shown = [{"label": m.label, "text": example.text[m.start : m.end]} for _, m, _, _ in main]
                answers.append(({"lines": [line.view for line in lines], "mentions": shown}, write_links(link_slots, given)))
        return answers


def _shown(entity: Entity) -> Mapping[str, str]:
    return {"label": entity.label, "text": " ".join(entity.text.split())}


def _described_relation(relation: type[Relation[Any, Any]]) -> Mapping[str, Any]:
    return {
        "name": relation.label,
        "heads": [c.label for c in relation.heads()],
        "tails": [c.label for c in relation.tails()],
        "guideline": " ".join(guideline(relation).split()),
    }


def _place(example: Example, start: int, end: int, lines: Sequence[Line]) -> tuple[int, Part]:
    for index, line in enumerate(lines):
        if line.start <= start and end <= line.end:
            first = next(i for i, p in enumerate(line.pieces) if p.start == start)
            return index, Part(first, next(i for i, p in enumerate(line.pieces) if p.end == end) + 1)
    raise ValueError("a mention of an example crosses lines")
