"""Retrieved examples: of the user's annotated notes, what is most like the question, shown as the question is.

For entities the unit is a line of an annotated note, for modifiers a mention in its line, for relations a few lines. BM25 (Robertson and
Zaragoza 2009, through ``bm25s``) ranks them. What is chosen holds the most similar ones, then one for each label that is still missing,
then look-alikes that have nothing, and never more than a budget of tokens. A note is never its own example: not by its id, not by its
text, and not by a long line that it shares with another note.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from medllm.document import Entity, Extraction, Note
from medllm.errors import InputError, UsageError
from medllm.formats.annotated import read_all
from medllm.grammar.layout import Found, Slot
from medllm.grammar.links import write_links
from medllm.prompting.gold import GoldMention, GoldNote, Losses
from medllm.prompting.pool import Pool, Unit, pair_terms, squeezed, terms_of
from medllm.prompting.questions import Questions, Shown, shown_mention
from medllm.schema import Schema, attribute_value
from medllm.text.chunks import Chunk
from medllm.text.lines import Line, split_lines

EXAMPLES_TOKENS = 800
"""Tokens of the retrieved examples of a prompt, unless something else is asked for."""

WINDOW = 3
"""Lines of an example about relations."""

LONG_LINE = 25
"""A line with so many letters and digits is its note's own: a note that has it too gets no example of it."""


@dataclass(frozen=True)
class _Line:
    """What a unit of entities or modifiers holds: a line, whose gold it is, and the mention that is asked about."""

    gold: GoldNote
    line: Line
    mentions: tuple[GoldMention, ...]


class AnnotatedExamples:
    """The user's annotated notes as a store of examples for one schema.

    Raises InputError where no mention of the schema is annotated, UsageError without ``bm25s``.
    """

    def __init__(self, extractions: Sequence[Extraction], schema: Schema) -> None:
        try:
            import bm25s  # noqa: F401  better now than at the first note
        except ImportError:
            raise UsageError("retrieved examples need bm25s, which is not installed", hint="pip install 'medllm[retrieval]'") from None
        self.schema = schema
        self.losses = Losses()
        self.extractions = tuple(extractions)
        self._gold = [GoldNote(x, schema, split_lines(x.note.text), self.losses) for x in extractions]
        self.labels = frozenset(m.entity.label for gold in self._gold for m in gold.main)
        """The labels that have an example, of those that are asked for line by line."""
        if not self.labels:
            raise InputError(
                f"in {len(self.extractions)} annotated notes there is no mention of the schema {schema.name!r}",
                hint=f"its labels are {', '.join(schema.labels)}; a corpus with others needs a label map: FORMAT:PATH@MAP.toml",
            )
        self._texts = [squeezed(x.note.text) for x in extractions]
        self._pools: dict[str, Pool] = {}

    @classmethod
    def load(cls, examples: "str | Sequence[str] | AnnotatedExamples", pack: Schema, asked: Schema) -> "AnnotatedExamples":
        """Of ``FORMAT:PATH``, one or several, read in the classes of ``pack``, for questions about ``asked``, which may be a part of it.

        Raises UsageError, FormatError and InputError.
        """
        if isinstance(examples, AnnotatedExamples):
            return examples if examples.schema.digest == asked.digest else cls(examples.extractions, asked)
        return cls(read_all([examples] if isinstance(examples, str) else examples, pack), asked)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the texts and all that is annotated in them, in the order of their ids."""
        hashed = hashlib.sha256()
        for x in sorted(self.extractions, key=lambda x: (x.note.id, x.note.sha256)):
            mentions = [(_name(e), {k: attribute_value(v) for k, v in e.attributes.items()}) for e in x.entities]
            links = [(r.label, _name(r.head), _name(r.tail)) for r in x.relations]
            hashed.update(json.dumps([x.note.sha256, mentions, links], sort_keys=True).encode())
        return hashed.hexdigest()

    def of(self, note: Note, questions: Questions, count_tokens: Callable[[str], int], budget: int) -> Questions:
        """The questions of a note, each with examples from other notes of at most ``budget`` tokens."""
        return questions.with_examples(_Retriever(self, note, questions, count_tokens, budget))

    def excluded(self, note: Note) -> tuple[frozenset[int], frozenset[str]]:
        """The indices of the annotated notes that are this note, and its long lines."""
        text = squeezed(note.text)
        same = frozenset(i for i, x in enumerate(self.extractions) if x.note.id == note.id or self._texts[i] == text)
        return same, frozenset(long_lines(split_lines(note.text)))

    def pool(self, task: str, questions: Questions) -> Pool:
        """The units of a task (``entities``, ``modifiers``, ``relations0`` …), made when it is first asked."""
        if task not in self._pools:
            make = {"entities": self._line_units, "modifiers": self._modifier_units}.get(task)
            units = make(questions) if make else self._relation_units(questions, int(task.removeprefix("relations")))
            self._pools[task] = Pool(units)
        return self._pools[task]

    def _line_units(self, questions: Questions) -> list[Unit]:
        units = []
        for number, gold in enumerate(self._gold):
            by_line: dict[int, list[GoldMention]] = {}
            for m in gold.main:
                by_line.setdefault(m.line, []).append(m)
            for index, line in enumerate(gold.lines):
                here = tuple(by_line.get(index, ()))
                content = _Line(gold, line, here)
                units.append(
                    Unit(number, terms_of(line.pieces), frozenset(m.entity.label for m in here), frozenset(long_lines([line])), content)
                )
        return units

    def _modifier_units(self, questions: Questions) -> list[Unit]:
        units = []
        for number, gold in enumerate(self._gold):
            for m in gold.main:
                if not questions.modifier_labels(m.entity.label):
                    continue
                line = gold.lines[m.line]
                terms = _mention_terms(m.entity, line)
                labels = frozenset(f.label for f in gold.modifiers_of(1, m, line))
                units.append(Unit(number, terms, labels, frozenset(long_lines([line])), _Line(gold, line, (m,))))
        return units

    def _relation_units(self, questions: Questions, group: int) -> list[Unit]:
        units = []
        for number, gold in enumerate(self._gold):
            for first in range(0, len(gold.lines), WINDOW):
                lines = gold.lines[first : first + WINDOW]
                mentions = gold.in_order(Chunk(lines[0].start, lines[-1].end, lines))
                placed = [(m.entity, m.line) for m in mentions]
                slots = questions.link_slots(placed, group)
                if not any(slot.links for slot in slots):
                    continue
                found = gold.links(mentions, slots, group)
                shown = {"lines": [line.view for line in lines], "mentions": [shown_mention(m.entity) for m in mentions]}
                units.append(
                    Unit(
                        number,
                        pair_terms(placed, lines, slots),
                        frozenset(link.label for _, link in found),
                        frozenset(long_lines(lines)),
                        (shown, write_links(slots, found)),
                    )
                )
        return units


@dataclass(frozen=True)
class _Retriever:
    """Examples for the questions about one note; see ``medllm.prompting.questions.MoreExamples``."""

    store: AnnotatedExamples
    note: Note
    questions: Questions
    count_tokens: Callable[[str], int]
    budget: int

    @cached_property
    def _excluded(self) -> tuple[frozenset[int], frozenset[str]]:
        return self.store.excluded(self.note)

    def _like(self, task: str, queries: Sequence[Sequence[str]], written: Callable[[Unit], str]) -> list[Unit]:
        notes, lines = self._excluded
        pool = self.store.pool(task, self.questions)
        return pool.choose(queries, notes, lines, self.budget, lambda unit: self.count_tokens(written(unit)) + 4)

    def entities(self, chunk: Chunk) -> list[Shown]:
        """One example with the lines that are most like those of a chunk."""
        chosen = [u.content for u in self._like("entities", [terms_of(line.pieces) for line in chunk.lines], self._line_text)]
        slots = self.questions.line_slots([c.line for c in chosen])
        found = [self._numbered(c.gold.found(c.mentions), n) for n, c in enumerate(chosen, 1)]
        answer = self.questions.layout.write(slots, [f for here in found for f in here])
        return [({"slots": slots, "section": "", "context": ()}, answer)] if chosen else []

    def modifiers(self, mentions: Sequence[tuple[Entity, Line]]) -> list[Shown]:
        """One example with mentions of the same labels in lines that are alike."""
        queries = [_mention_terms(e, line) for e, line in mentions]
        chosen = [u.content for u in self._like("modifiers", queries, self._modifier_text)]
        slots = tuple(self._modifier_slot(c, n) for n, c in enumerate(chosen, 1))
        found = [f for n, c in enumerate(chosen, 1) for f in c.gold.modifiers_of(n, c.mentions[0], c.line)]
        shown = {"slots": slots, "mentions": [shown_mention(c.mentions[0].entity) for c in chosen]}
        return [(shown, self.questions.pinned.write(slots, found))] if chosen else []

    def relations(self, mentions: Sequence[tuple[Entity, int]], lines: Sequence[Line], group: int) -> list[Shown]:
        """Lines whose mentions are of the same types, with like words between them."""
        slots = self.questions.link_slots(mentions, group)
        return [u.content for u in self._like(f"relations{group}", [pair_terms(mentions, lines, slots)], _relation_text)]

    def _line_text(self, unit: Unit) -> str:
        (slot,) = self.questions.line_slots([unit.content.line])
        answer = self.questions.layout.write((slot,), self._numbered(unit.content.gold.found(unit.content.mentions), 1))
        return f"1: {slot.line.view}\n{answer}"

    def _modifier_text(self, unit: Unit) -> str:
        slot = self._modifier_slot(unit.content, 1)
        mention = unit.content.mentions[0]
        answer = self.questions.pinned.write((slot,), unit.content.gold.modifiers_of(1, mention, unit.content.line))
        return f'1: {mention.entity.label} "{mention.entity.text}" in: {slot.line.view}\n{answer}'

    def _modifier_slot(self, content: _Line, number: int) -> Slot:
        return Slot(number, content.line, self.questions.modifier_labels(content.mentions[0].entity.label))

    def _numbered(self, found: Sequence[Found], number: int) -> list[Found]:
        return [Found(number, f.label, f.parts, f.attributes) for f in found]


def long_lines(lines: Sequence[Line]) -> list[str]:
    """The letters and digits of those lines that have at least ``LONG_LINE`` of them."""
    return [s for line in lines if len(s := squeezed(line.view)) >= LONG_LINE]


def _mention_terms(entity: Entity, line: Line) -> tuple[str, ...]:
    """What mentions are compared by: their label, their own words twice, and those of their line once."""
    own = [p for p in line.pieces if p.start < entity.span.end and entity.span.start < p.end]
    return (f"<{entity.label}>", *terms_of(own), *terms_of(line.pieces))


def _relation_text(unit: Unit) -> str:
    shown, answer = unit.content
    listed = "\n".join(f'1: {m["label"]} "{m["text"]}"' for m in shown["mentions"])
    return "\n".join([*shown["lines"], listed, answer])


def _name(entity: Entity) -> list[Any]:
    return [entity.label, [(s.start, s.end) for s in entity.spans]]
