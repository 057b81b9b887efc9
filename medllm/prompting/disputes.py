"""Disputes asked again: one small closed prompt a chunk, with the candidates in their sentence."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medllm.background import together
from medllm.document import Entity, LedgerEntry, Note, Vote, any_entity
from medllm.ensemble.disputes import EDGES, LABEL, LETTERS, LLM_ONLY, NEITHER, NO, TAGGER_ONLY, YES, Dispute
from medllm.errors import EngineError
from medllm.grammar.choices import ChoiceSlot, describe_choices, read_choices, write_choices
from medllm.grammar.constraint import Constraint
from medllm.grounding import probability
from medllm.prompting.questions import Question, Questions, shown_mention
from medllm.prompting.reader import PromptedReader, entry, not_whole
from medllm.reading import RequestUsage
from medllm.text.chunks import Chunk
from medllm.text.lines import Line, split_lines
from medllm.text.pieces import Piece

TASK = "disputes"
WINDOW = 16
"""So many pieces of a sentence are shown at each side of the place in question."""
_PIECES_AN_ANSWER = 4


@dataclass(frozen=True)
class Verdicts:
    """The votes, by the number of their dispute, and what they cost."""

    votes: Mapping[int, Vote] = field(default_factory=dict)
    requests: tuple[RequestUsage, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()


def ask_about(questions: Questions, disputes: Sequence[Dispute], lines: Sequence[Line]) -> Question:
    """Which candidate of each dispute is right; ``lines`` are those of the note."""
    slots = [ChoiceSlot(number, each.options) for number, each in enumerate(disputes, 1)]
    shown = _shown(disputes, lines)
    messages = questions.prompts.messages(
        TASK,
        questions.language,
        static={"labels": questions.described(questions.schema.main_entities)},
        examples=list(_examples(questions)),
        variables=shown,
    )
    return Question(messages, Constraint(describe_choices(slots)), shown, choices=tuple(slots))


async def ask_again(
    reader: PromptedReader, note: Note, disputes: Mapping[int, Dispute], turns: asyncio.Semaphore, budget: int | None = None
) -> Verdicts:
    """Put the disputes of a note to the language model, those of a chunk in one prompt; ``budget`` bounds the tokens of the sentences
    shown. What got no answer is in the ledger and has no vote."""
    if not disputes:
        return Verdicts()
    try:
        chunks = reader.split(note)
        lines = [line for chunk in chunks for line in chunk.lines]
        asked: list[tuple[Chunk, dict[int, Dispute]]] = []
        for chunk in chunks:
            here = {n: d for n, d in disputes.items() if chunk.start <= d.candidates[0].span.start < chunk.end}
            if budget is not None:
                here, budget = _affordable(reader, here, lines, budget)
            if here:
                asked.append((chunk, here))
    except EngineError as error:
        return Verdicts(ledger=(entry(note, Chunk(0, len(note.text), ()), "engine-error", str(error), task=TASK),))
    parts = await together(_of_chunk(reader, note, chunk, here, lines, turns) for chunk, here in asked)
    return Verdicts(
        {number: vote for part in parts for number, vote in part.votes.items()},
        tuple(request for part in parts for request in part.requests),
        tuple(line for part in parts for line in part.ledger),
    )


def _affordable(
    reader: PromptedReader, disputes: Mapping[int, Dispute], lines: Sequence[Line], budget: int
) -> tuple[dict[int, Dispute], int]:
    """The first disputes whose sentences together hold at most ``budget`` tokens, and what is left of it."""
    kept = {}
    for number, dispute in disputes.items():
        cost = reader.engine.count_tokens(_sentence(dispute, lines))
        if cost <= budget:
            kept[number] = dispute
            budget -= cost
    return kept, budget


async def _of_chunk(
    reader: PromptedReader, note: Note, chunk: Chunk, disputes: Mapping[int, Dispute], lines: Sequence[Line], turns: asyncio.Semaphore
) -> Verdicts:
    question = ask_about(reader.questions_in_language(note), tuple(disputes.values()), lines)
    async with turns:
        completion, found = await reader.ask(note, chunk, TASK, question, _PIECES_AN_ANSWER * len(disputes))
    if completion is None:
        return Verdicts({}, tuple(found.requests), tuple(found.ledger))
    chosen, unplaced = read_choices(question.choices, completion.text, cut_off=completion.finish_reason == "length")
    numbers = list(disputes)
    votes = {}
    for each in chosen:
        number, score = numbers[each.slot - 1], probability(completion, each.where)
        vote = reader.vote(None if score is None else round(score, 4))
        votes[number] = disputes[number].vote(each.option, vote)
    ledger = list(found.ledger)
    if unplaced:
        ledger.append(entry(note, chunk, "unplaced", f"{unplaced} answers", task=TASK))
    if len(votes) < len(disputes):
        ledger.append(not_whole(note, chunk, completion, task=TASK))
    return Verdicts(votes, tuple(found.requests), tuple(ledger))


# --- what is shown -----------------------------------------------------------------------------------------------------


def _shown(disputes: Sequence[Dispute], lines: Sequence[Line]) -> dict[str, Any]:
    return {"questions": [{"sentence": _sentence(d, lines), "candidates": [shown_mention(c) for c in d.shown]} for d in disputes]}


def _sentence(dispute: Dispute, lines: Sequence[Line]) -> str:
    """The line with the stretch of all candidates in brackets, and not much of it around them."""
    start, end = min(c.span.start for c in dispute.candidates), max(c.span.end for c in dispute.candidates)
    pieces = [p for line in lines if line.start < end and start < line.end for p in line.pieces]
    inside = [n for n, p in enumerate(pieces) if p.start < end and start < p.end]
    first, last = inside[0], inside[-1]
    shown = range(max(0, first - WINDOW), min(len(pieces), last + WINDOW + 1))
    marked = [_gap(pieces[n], n == shown[0]) + "[" * (n == first) + pieces[n].text + "]" * (n == last) for n in shown]
    return "…" * (shown[0] > 0) + "".join(marked) + "…" * (shown[-1] + 1 < len(pieces))


def _gap(piece: Piece, first: bool) -> str:
    return " " if piece.gap and not first else ""


# --- worked examples ---------------------------------------------------------------------------------------------------


def _examples(questions: Questions) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The pack's worked examples as disputes: a right mention, one with other edges, what is none, another label, neither, in turn."""
    labels = [c.label for c in questions.schema.main_entities]
    for example in questions.examples:
        lines = split_lines(example.text)
        mentions = [any_entity(m.label).at(example.text, m.start, m.end) for m in example.mentions if m.label in labels]
        asked = [_made(number, mentions, lines, labels, example.text) for number in range(len(mentions))]
        if asked:
            slots = [ChoiceSlot(n, d.options) for n, (d, _) in enumerate(asked, 1)]
            yield _shown([d for d, _ in asked], lines), write_choices(slots, {n: a for n, (_, a) in enumerate(asked, 1)})


def _made(number: int, mentions: Sequence[Entity], lines: Sequence[Line], labels: Sequence[str], text: str) -> tuple[Dispute, str]:
    mention = mentions[number]
    line = next(line for line in lines if line.start <= mention.span.start < line.end)
    swapped = number // 2 % 2 == 0
    letter = LETTERS[swapped]
    inside = [p for p in line.pieces if p.start < mention.span.end and mention.span.start < p.end]
    plain = [p for p in line.pieces if p.text.isalpha() and not any(m.span.start < p.end and p.start < m.span.end for m in mentions)]
    others = [any_entity(label) for label in labels if label != mention.label]
    other = others[number % len(others)] if others else None
    match number % 5:
        case 1 if len(inside) > 1:
            shorter = type(mention).at(text, inside[1].start, mention.span.end)
            return Dispute(EDGES, (mention, shorter), swapped), letter
        case 2 if plain:
            return Dispute(LLM_ONLY, (type(mention).at(text, plain[0].start, plain[0].end),)), NO
        case 3 if other:
            return Dispute(LABEL, (mention, other.at(text, mention.span.start, mention.span.end)), swapped), letter
        case 4 if plain and other:
            wrong = [kind.at(text, plain[0].start, plain[0].end) for kind in (type(mention), other)]
            return Dispute(LABEL, tuple(wrong), swapped), NEITHER
    return Dispute(TAGGER_ONLY, (mention,)), YES
