"""Conversations to learn from: a system message and several questions of one task, each with its gold answer.

They are what the engine sees at inference, worked or retrieved examples included: those are earlier turns of the same conversation. Several
questions after one system message cost little more than one, and teach to answer with and without examples. Only the
answers are learnt: the loss is masked elsewhere.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from medllm.document import Extraction
from medllm.engines.base import Message
from medllm.engines.transformers import encode_chat
from medllm.grammar.layout import get_layout
from medllm.prompting.gold import Answered, GoldNote, Losses
from medllm.prompting.questions import Questions
from medllm.prompting.reader import MENTIONS_A_PROMPT
from medllm.prompting.render import Prompts
from medllm.schema import Schema
from medllm.text.chunks import split_chunks
from medllm.text.language import language_of
from medllm.text.lines import split_lines
from medllm.training.llm.schemas import plain, varied

IGNORED = -100
"""The label of tokens that are not learnt (PyTorch's cross-entropy leaves them out)."""


@dataclass(frozen=True)
class TokenSequence:
    """Token ids, and the same with ``IGNORED`` in place of what is not learnt."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Plan:
    """What conversations are made of. ``variation`` is the share of notes under a varied schema, ``empty`` the share of the answers
    without anything that is kept, ``worked`` the share of conversations that begin with the pack's own examples."""

    layout: str = "lines"
    chunk_tokens: int = 64
    relations: bool = True
    variation: float = 0.3
    empty: float = 0.5
    worked: float = 0.3


def questions_about(
    extractions: Sequence[Extraction], schema: Schema, count_tokens: Callable[[str], int], plan: Plan, losses: Losses, seed: int
) -> Iterator[tuple[str, Answered]]:
    """All questions about notes with their answers, and the group they belong to: questions of one group can share a conversation."""
    chooser = random.Random(seed)
    prompts, layout = Prompts(), get_layout(plan.layout)
    own = Questions(schema, layout, prompts)
    for number, extraction in enumerate(extractions):
        changed = chooser.random() < plan.variation
        variant = varied(schema, chooser) if changed else plain(schema)
        asked = (Questions(variant.schema, layout, prompts) if changed else own).in_language(language_of(extraction.note.text))
        gold = GoldNote(variant.of(extraction), variant.schema, split_lines(extraction.note.text), losses)
        group = f"{schema.name}/{number if changed else ''}/{asked.language}"
        for chunk in split_chunks(extraction.note.text, count_tokens, plan.chunk_tokens):
            if not chunk.lines:
                continue
            found = [gold.entities(asked, chunk)]
            if plan.relations and variant.schema.modifiers:
                found += gold.modifiers(asked, chunk, MENTIONS_A_PROMPT)
            if plan.relations:
                groups = range(len(variant.schema.relation_groups))
                found += [one for g in groups if (one := gold.relations(asked, chunk, g)) is not None]
            for one in found:
                keep = one.labels or chooser.random() < plan.empty
                if keep and one.question.constraint.grammar.accepts(one.answer):
                    yield f"{group}/{one.task}/{one.question.messages[0].content}", one


def conversations(
    asked: Sequence[tuple[str, Answered]], tokenizer: Any, ends: frozenset[int], tokens: int, plan: Plan, seed: int
) -> Iterator[TokenSequence]:
    """Questions of one group put together at random, up to ``tokens`` in all. One that is longer by itself is left out."""
    chooser = random.Random(seed)
    groups: dict[str, list[Answered]] = {}
    for group, one in asked:
        groups.setdefault(group, []).append(one)
    for members in groups.values():
        chooser.shuffle(members)
        while members:
            turns = _Turns(tokenizer, ends, tokens)
            if chooser.random() < plan.worked:
                for question, answer in _worked(members[-1]):
                    turns.add(members[-1].question.messages[0], question, answer)
            before = len(members)
            while members and turns.add(members[-1].question.messages[0], members[-1].question.messages[-1], members[-1].answer):
                members.pop()
            if len(members) == before:
                if turns.ids:  # the pack's examples have left no room
                    turns = _Turns(tokenizer, ends, tokens)
                    turns.add(members[-1].question.messages[0], members[-1].question.messages[-1], members[-1].answer)
                members.pop()
            if turns.ids:
                yield turns.sequence()


def _worked(one: Answered) -> list[tuple[Message, str]]:
    middle = one.question.messages[1:-1]
    return [(q, a.content) for q, a in zip(middle[::2], middle[1::2], strict=True)]


class _Turns:
    """A conversation that grows turn by turn, as tokens."""

    def __init__(self, tokenizer: Any, ends: frozenset[int], room: int) -> None:
        self._tokenizer, self._ends, self._room = tokenizer, ends, room
        self._messages: list[Message] = []
        self.ids: list[int] = []
        self._labels: list[int] = []

    def add(self, system: Message, question: Message, answer: str) -> bool:
        """Add a turn; False if it does not fit, or the chat template would write the turns before it in another way."""
        asked = [*(self._messages or [system]), question]
        prompt = encode_chat(self._tokenizer, asked)
        if prompt[: len(self.ids)] != self.ids:
            return False
        written = self._tokenizer.encode(answer, add_special_tokens=False)
        end = self._end([*asked, Message("assistant", answer)], len(prompt) + len(written))
        if len(prompt) + len(written) + 1 > self._room:
            return False
        self._labels += [IGNORED] * (len(prompt) - len(self.ids)) + [*written, end]
        self.ids = [*prompt, *written, end]
        self._messages = [*asked, Message("assistant", answer)]
        return True

    def _end(self, messages: Sequence[Message], at: int) -> int:
        """The token with which the template ends an answer."""
        if self._tokenizer.chat_template:
            whole = encode_chat(self._tokenizer, [*messages, Message("user", "")])
            if at < len(whole) and whole[at] in self._ends:
                return whole[at]
        eos = self._tokenizer.eos_token_id
        return int(eos if eos in self._ends else min(self._ends))

    def sequence(self) -> TokenSequence:
        return TokenSequence(tuple(self.ids), tuple(self._labels))
