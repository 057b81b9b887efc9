"""Sentences in a language model's other words: the mentions stand in the grammar, so none can be lost or changed.

The words between them come from a vocabulary, which keeps the grammar finite and the new sentence one that a note might have.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from medllm.engines.base import Engine, Request
from medllm.errors import EngineError
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import EMPTY, Choice, Expression, Grammar, Literal, Ref
from medllm.grammar.description import Sequence as Then
from medllm.prompting.render import Prompts
from medllm.text.language import language_of
from medllm.text.lines import split_lines
from medllm.training.augmentation.operators import alone
from medllm.training.tagger.data import Mention, TrainingNote

VOCABULARY = 400
GAP = 10
"""The most words before, between and behind mentions."""
LONGEST = 300
"""Characters of a sentence that is rewritten; longer ones make grammars that cost more than they bring."""
_WORD = re.compile(r"[^\W\d_]+")
_MARKS = (",", ".", ";", ":")


@dataclass(frozen=True)
class Sentence:
    """A line of a note with its mentions, none of which lies in another; offsets in ``text``."""

    id: str
    text: str
    mentions: tuple[Mention, ...]
    note: TrainingNote

    @property
    def marked(self) -> str:
        """The text with its mentions in square brackets."""
        parts, at = [], 0
        for mention in self.mentions:
            parts.append(f"{self.text[at : mention.start]}[{self.text[mention.start : mention.end]}]")
            at = mention.end
        return "".join([*parts, self.text[at:]])


def paraphrased(
    notes: Sequence[TrainingNote], engine: Engine, *, copies: int = 1, temperature: float = 0.8, prompts: Prompts | None = None
) -> list[TrainingNote]:
    """For each sentence with mentions that the engine rewrote, a note of its own with the same mentions.

    Sentences with nested mentions, with brackets, or of more than LONGEST characters are left out; so are answers that were cut, or say
    what was there. Raises EngineError where the engine cannot be asked at all.
    """
    sentences = [sentence for note in notes for sentence in sentences_of(note)]
    words = vocabulary(notes)
    return asyncio.run(_rewrite(sentences, words, engine, copies, temperature, prompts or Prompts()))


def sentences_of(note: TrainingNote) -> Iterator[Sentence]:
    """The sentences of a note that can be rewritten."""
    apart = set(alone(note))
    for line in split_lines(note.text):
        inside = [m for m in note.mentions if m.start < line.end and line.start < m.end]
        text = note.text[line.start : line.end]
        whole = all(m in apart and line.start <= m.start and m.end <= line.end for m in inside)
        if inside and whole and len(text) <= LONGEST and not {"[", "]", "\n"} & set(text):
            moved = tuple(replace(m, start=m.start - line.start, end=m.end - line.start) for m in sorted(inside, key=lambda m: m.start))
            yield Sentence(f"{note.id}@{line.start}", text, moved, note)


def vocabulary(notes: Sequence[TrainingNote]) -> tuple[str, ...]:
    """The commonest words outside of mentions, at most VOCABULARY."""
    count: Counter[str] = Counter()
    for note in notes:
        at = 0
        for start, end in [*sorted((m.start, m.end) for m in note.mentions), (len(note.text), len(note.text))]:
            count.update(_WORD.findall(note.text[at : max(at, start)]))
            at = max(at, end)
    return tuple(word for word, _ in count.most_common(VOCABULARY))


def grammar_of(sentence: Sentence, words: Sequence[str]) -> Grammar:
    """All sentences with these mentions, in brackets and in order, among at most GAP words before, between and behind them."""
    known = dict.fromkeys([*_WORD.findall(_outside(sentence)), *words])
    rules: dict[str, Expression] = {
        "word": Choice((*(Literal(f" {word}") for word in known), *(Literal(mark) for mark in _MARKS))),
        "gap0": EMPTY,
    }
    for size in range(1, GAP + 1):
        rules[f"gap{size}"] = Choice((EMPTY, Then((Ref("word"), Ref(f"gap{size - 1}")))))
    parts: list[Expression] = [Ref(f"gap{GAP}")]
    for mention in sentence.mentions:
        parts += [Literal(f" [{sentence.text[mention.start : mention.end]}]"), Ref(f"gap{GAP}")]
    return Grammar({**rules, "root": Then(tuple(parts))})


def read(answer: str, sentence: Sentence) -> TrainingNote:
    """What an answer of ``grammar_of`` says, without its brackets."""
    text, mentions, at = "", [], 0
    for mention in sentence.mentions:
        words = sentence.text[mention.start : mention.end]
        start = answer.index(f"[{words}]", at)
        text += answer[at:start]
        mentions.append(replace(mention, start=len(text), end=len(text) + len(words)))
        text += words
        at = start + len(words) + 2
    text += answer[at:]
    left = len(text) - len(text.lstrip())
    mentions = [replace(m, start=m.start - left, end=m.end - left) for m in mentions]
    return replace(sentence.note, id=f"{sentence.id}~paraphrase", text=text.strip(), mentions=tuple(mentions), unsure=())


async def _rewrite(
    sentences: Sequence[Sentence], words: Sequence[str], engine: Engine, copies: int, temperature: float, prompts: Prompts
) -> list[TrainingNote]:
    gate = asyncio.Semaphore(engine.concurrency)
    failures: list[EngineError] = []

    async def one(sentence: Sentence, seed: int) -> TrainingNote | None:
        constraint = Constraint(grammar_of(sentence, words))
        language = language_of(sentence.text)
        messages = prompts.messages("paraphrase", language, static={}, variables={"sentence": sentence.marked})
        room = 40 + 2 * engine.count_tokens(sentence.marked)
        async with gate:
            try:
                answer = await engine.complete(Request(messages, constraint, room, temperature, seed))
            except EngineError as error:
                failures.append(error)
                return None
        if answer.finish_reason != "stop":
            return None
        made = read(answer.text, sentence)
        return None if made.text == sentence.text else made

    found = await asyncio.gather(*(one(sentence, seed) for seed in range(copies) for sentence in sentences))
    await engine.aclose()
    if failures and not any(found):
        raise failures[0]
    return [note for note in found if note is not None]


def _outside(sentence: Sentence) -> str:
    parts, at = [], 0
    for mention in sentence.mentions:
        parts.append(sentence.text[at : mention.start])
        at = mention.end
    return " ".join([*parts, sentence.text[at:]])
