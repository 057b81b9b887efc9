"""Questions: what a chunk is asked, as messages, slots and a grammar. One function a task."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

from medllm.document import Entity, Relation
from medllm.engines.base import Message
from medllm.errors import PromptError, SchemaError
from medllm.grammar.choices import ChoiceSlot
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar
from medllm.grammar.json_answer import answer_schema
from medllm.grammar.layout import Attribute, Found, Label, Layout, Part, Slot, get_layout
from medllm.grammar.links import Link, LinkSlot, describe_links, write_links
from medllm.prompting.examples import Example, ExampleMention, parse_example
from medllm.prompting.render import Guidelines, Prompts
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
    shown: Mapping[str, Any]
    """What the user message was filled with."""
    slots: tuple[Slot, ...] = ()
    links: tuple[LinkSlot, ...] = ()
    choices: tuple[ChoiceSlot, ...] = ()

    def json_schema(self) -> dict[str, Any]:
        """The same answers as JSON, for engines without grammars."""
        return answer_schema(self.slots, self.links, self.choices)


Shown = tuple[Mapping[str, Any], str]
"""An example of a task: the variables of its user message, and its answer."""


class MoreExamples(Protocol):
    """Chooses further examples for a question, in the order in which they are to be shown: the most alike last."""

    def entities(self, chunk: Chunk) -> Sequence[Shown]:
        """For the lines of a chunk."""
        ...

    def modifiers(self, mentions: Sequence[tuple[Entity, Line]]) -> Sequence[Shown]:
        """For mentions in their lines."""
        ...

    def relations(self, mentions: Sequence[tuple[Entity, int]], lines: Sequence[Line], group: int) -> Sequence[Shown]:
        """For mentions in the lines of a chunk."""
        ...


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
        if self.language not in (known := prompts.languages("entities")):
            raise PromptError(
                f"there are no prompts in the language {self.language!r}",
                hint=f"there are {', '.join(known)}; your own stand in a folder entities/{self.language} of --prompts",
            )
        self.more: MoreExamples | None = None
        self.pinned = get_layout("lines")  # for modifiers: a mention's line may not be copied once a mention
        self._labels = {c.label: to_label(c) for c in schema.entities}
        self.examples = tuple(parse_example(e) for e in schema.examples)
        self._answers = {"entities": self._example_answers(self._entities_of)}
        if schema.modifiers:
            self._answers["modifiers"] = self._example_answers(self._modifiers_of)
        for group, kinds in enumerate(schema.relation_groups):
            self._answers[f"relations{group}"] = self._example_answers(partial(self._relations_of, kinds=kinds))

    def in_language(self, language: str) -> "Questions":
        """The same questions in another language; in this one where there are no prompts in that."""
        if language == self.language or language not in self.prompts.languages("entities"):
            return self
        other = copy.copy(self)
        other.language = language
        return other

    def with_examples(self, more: MoreExamples) -> "Questions":
        """The same questions with further examples after the pack's own, so that what is the same for every question stands first."""
        other = copy.copy(self)
        other.more = more
        return other

    def in_other_order(self) -> "Questions":
        """The same questions with the pack's examples from the last to the first. Raises SchemaError where there are not two."""
        if len(self.examples) < 2:
            raise SchemaError(f"the schema {self.schema.name!r} has fewer than two examples", hint="they cannot stand in another order")
        other = copy.copy(self)
        other._answers = {task: answers[::-1] for task, answers in self._answers.items()}
        return other

    # --- entities: every line of a chunk ---------------------------------------------------------------------------

    def entities(self, chunk: Chunk) -> Question:
        """Which mentions stand in the lines of ``chunk``."""
        slots = self.line_slots(chunk.lines)
        grammar = self.layout.describe(slots, nested=self.schema.nested, discontinuous=self.schema.discontinuous)
        shown = {"slots": slots, "section": chunk.section, "context": chunk.context}
        messages = self.prompts.messages(
            "entities",
            self.language,
            static={
                "schema": self.schema,
                "description": self._description(),
                "labels": self.described(self.schema.main_entities),
                "layout": self.layout.name,
            },
            examples=[*self._answers["entities"], *(self.more.entities(chunk) if self.more else ())],
            variables=shown,
        )
        return Question(messages, Constraint(grammar), shown, slots)

    def line_slots(self, lines: Sequence[Line]) -> tuple[Slot, ...]:
        """A slot for each line, with the labels that are asked for line by line."""
        labels = tuple(self._labels[c.label] for c in self.schema.main_entities)
        return tuple(Slot(number, line, labels) for number, line in enumerate(lines, 1))

    # --- modifiers: every mention ----------------------------------------------------------------------------------

    def modifiers(self, mentions: Sequence[tuple[Entity, Line]]) -> Question:
        """Which words of its line qualify each of ``mentions`` (those that can have modifiers at all)."""
        slots = tuple(Slot(n, line, self.modifier_labels(entity.label)) for n, (entity, line) in enumerate(mentions, 1))
        shown = {"slots": slots, "mentions": [shown_mention(e) for e, _ in mentions]}
        messages = self.prompts.messages(
            "modifiers",
            self.language,
            static={"schema": self.schema, "labels": self.described(self.schema.modifiers)},
            examples=[*self._answers["modifiers"], *(self.more.modifiers(mentions) if self.more else ())],
            variables=shown,
        )
        return Question(messages, Constraint(self.pinned.describe(slots)), shown, slots)

    def modifier_labels(self, head: str) -> tuple[Label, ...]:
        """The modifiers that a mention of this label can have."""
        return tuple(self._labels[m.label] for m in self.schema.modifiers if self.schema.relations_between(head, m.label))

    # --- relations: pairs of mentions ------------------------------------------------------------------------------

    def relations(self, mentions: Sequence[tuple[Entity, int]], lines: Sequence[Line], group: int = 0) -> Question:
        """How ``mentions``, each with the index of its line among ``lines``, are related, as far as a group of the schema's tells."""
        kinds = self.schema.relation_groups[group]
        slots = self.link_slots(mentions, group)
        shown = {"lines": [line.view for line in lines], "mentions": [shown_mention(e) for e, _ in mentions]}
        messages = self.prompts.messages(
            "relations",
            self.language,
            static={"schema": self.schema, "relations": [self._described_relation(r) for r in kinds]},
            examples=[*self._answers[f"relations{group}"], *(self.more.relations(mentions, lines, group) if self.more else ())],
            variables=shown,
        )
        return Question(messages, Constraint(describe_links(slots)), shown, links=slots)

    def link_slots(self, mentions: Sequence[tuple[Entity, int]], group: int) -> tuple[LinkSlot, ...]:
        """The relations of a group that each of ``mentions`` is asked about."""
        return _link_slots([_Placed(e.label, e.span.start, line) for e, line in mentions], self.schema.relation_groups[group])

    # --- what is shown ---------------------------------------------------------------------------------------------

    def described(self, kinds: Sequence[type[Entity]]) -> list[Mapping[str, Any]]:
        """Entity classes as prompts describe them: name, guideline, attributes."""
        text = self._guidelines()
        return [
            {
                "name": c.label,
                "guideline": text.entities.get(c.label) or " ".join(guideline(c).split()),
                "attributes": [replace(a, guideline=text.attributes.get(a.name, a.guideline)) for a in attributes(c)],
            }
            for c in kinds
        ]

    def _described_relation(self, relation: type[Relation[Any, Any]]) -> Mapping[str, Any]:
        return {
            "name": relation.label,
            "heads": [c.label for c in relation.heads()],
            "tails": [c.label for c in relation.tails()],
            "guideline": self._guidelines().relations.get(relation.label) or " ".join(guideline(relation).split()),
        }

    def _guidelines(self) -> Guidelines:
        """Of the pack, in the language of the prompts where that is not its own."""
        return Guidelines() if self.language == self.schema.language else self.prompts.guidelines(self.schema.name, self.language)

    def _description(self) -> str:
        return self._guidelines().description or self.schema.description

    def _example_answers(self, write: "_Write") -> list[tuple[Mapping[str, Any], str]]:
        """The pack's worked examples as a task would be asked and answered. Raises SchemaError for one that could not be."""
        answers = []
        for number, example in enumerate(self.examples, 1):
            lines = split_lines(example.text)
            mentions = [_Mention(m, *_place(example, m, lines, number)) for m in example.mentions]
            self._check_links(example, number)
            if (made := write(example, lines, mentions)) is None:
                continue
            shown, answer, grammar = made
            if not grammar.accepts(answer):
                raise SchemaError(
                    f"the grammar refuses what example {number} of schema {self.schema.name!r} answers",
                    hint="are its attributes those of the classes, and do related mentions stand in the same line or in neighbouring ones?",
                )
            answers.append((shown, answer))
        return answers

    def _check_links(self, example: Example, number: int) -> None:
        for label, h, t in example.links:
            head, tail = example.mentions[h].label, example.mentions[t].label
            kinds = {r.label for r in self.schema.relations_between(head, tail)}
            if {head, tail} <= set(self.schema.labels) and label not in kinds:
                raise SchemaError(
                    f"example {number} of schema {self.schema.name!r} has {label!r} from {head} to {tail}, which no relation admits",
                    hint=f"relations between them: {', '.join(sorted(kinds)) or 'none'}",
                )

    def _entities_of(self, example: Example, lines: Sequence[Line], mentions: "Sequence[_Mention]") -> "_Answer":
        slots = self.line_slots(lines)
        found = [Found(m.line + 1, m.label, (m.part,), m.marked.attributes) for m in self._main(mentions).values()]
        grammar = self.layout.describe(slots, nested=self.schema.nested, discontinuous=self.schema.discontinuous)
        return {"slots": slots, "section": "", "context": ()}, self.layout.write(slots, found), grammar

    def _modifiers_of(self, example: Example, lines: Sequence[Line], mentions: "Sequence[_Mention]") -> "_Answer | None":
        main = self._main(mentions)
        heads = {i: m for i, m in main.items() if self.modifier_labels(m.label)}
        at = {i: n for n, i in enumerate(heads, 1)}
        slots = tuple(Slot(at[i], lines[m.line], self.modifier_labels(m.label)) for i, m in heads.items())
        found = [
            Found(at[h], mentions[t].label, (mentions[t].part,))
            for _, h, t in example.links
            if h in heads and t not in main and self.schema.relations_between(mentions[h].label, mentions[t].label)
        ]
        shown = {"slots": slots, "mentions": [m.shown(example) for m in heads.values()]}
        return (shown, self.pinned.write(slots, found), self.pinned.describe(slots)) if slots else None

    def _relations_of(
        self, example: Example, lines: Sequence[Line], mentions: "Sequence[_Mention]", kinds: "Sequence[type[Relation[Any, Any]]]"
    ) -> "_Answer | None":
        main = self._main(mentions)
        at = {i: n for n, i in enumerate(main, 1)}
        slots = _link_slots([_Placed(m.label, m.marked.start, m.line) for m in main.values()], kinds)
        labels = {kind.label for kind in kinds}
        given = [(at[h], Link(label, at[t])) for label, h, t in example.links if h in main and t in main and label in labels]
        offered = [LinkSlot(s.number, (*s.links, *(link for n, link in given if n == s.number and link not in s.links))) for s in slots]
        shown = {"lines": [line.view for line in lines], "mentions": [m.shown(example) for m in main.values()]}
        return (shown, write_links(offered, given), describe_links(slots)) if slots else None

    def _main(self, mentions: "Sequence[_Mention]") -> "dict[int, _Mention]":
        """By their index, those that are asked for line by line."""
        labels = {c.label for c in self.schema.main_entities}
        return {i: m for i, m in enumerate(mentions) if m.label in labels}


def _link_slots(mentions: "Sequence[_Placed]", kinds: Sequence[type[Relation[Any, Any]]]) -> tuple[LinkSlot, ...]:
    return tuple(LinkSlot(n, _links(n - 1, mentions, kinds)) for n in range(1, len(mentions) + 1))


def _links(head: int, mentions: "Sequence[_Placed]", kinds: Sequence[type[Relation[Any, Any]]]) -> tuple[Link, ...]:
    here = mentions[head]
    near = [n for n, other in enumerate(mentions) if n != head and abs(other.line - here.line) <= NEAR_LINES]
    near = sorted(sorted(near, key=lambda n: abs(mentions[n].start - here.start))[:MAX_TAILS])
    return tuple(Link(kind.label, n + 1) for n in near for kind in kinds if _admits(kind, here.label, mentions[n].label))


def _admits(kind: type[Relation[Any, Any]], head: str, tail: str) -> bool:
    return any(c.label == head for c in kind.heads()) and any(c.label == tail for c in kind.tails())


_Answer = tuple[Mapping[str, Any], str, Grammar]  # what is shown, its answer, and the grammar that must admit it
_Write = Callable[[Example, Sequence[Line], "Sequence[_Mention]"], _Answer | None]


class _Placed(NamedTuple):
    """Where a mention begins: in the text, and in which line."""

    label: str
    start: int
    line: int


class _Mention(NamedTuple):
    """A mention of an example, the index of its line, and its pieces there."""

    marked: ExampleMention
    line: int
    part: Part

    @property
    def label(self) -> str:
        return self.marked.label

    def shown(self, example: Example) -> Mapping[str, str]:
        return {"label": self.label, "text": example.text[self.marked.start : self.marked.end]}


def shown_mention(entity: Entity) -> Mapping[str, str]:
    """A mention as prompts show it."""
    return {"label": entity.label, "text": " ".join(entity.text.split())}


def _place(example: Example, mention: ExampleMention, lines: Sequence[Line], number: int) -> tuple[int, Part]:
    for index, line in enumerate(lines):
        if line.start <= mention.start and mention.end <= line.end:
            first = next((i for i, p in enumerate(line.pieces) if p.start == mention.start), None)
            last = next((i for i, p in enumerate(line.pieces) if p.end == mention.end), None)
            if first is not None and last is not None:
                return index, Part(first, last + 1)
    raise SchemaError(
        f"a mention of example {number}, a {mention.label}, crosses lines, or begins or ends inside a word",
        hint="mark whole words, without blanks at their ends",
    )
