"""The prompted reader: a note in chunks, each asked for its mentions, then for their modifiers and relations, and grounded."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from medllm.aligner import align
from medllm.background import together
from medllm.document import Entity, Extraction, LedgerEntry, Note, Relation, Span, Vote
from medllm.engines.base import Completion, Engine, Request, Usage
from medllm.ensemble.boundary import BoundaryPolicy, move_edges
from medllm.errors import EngineError
from medllm.grammar.layout import Answer, Found, Layout, Slot
from medllm.grammar.links import Link, read_links
from medllm.grounding import ground, score
from medllm.prompting.questions import Question, Questions
from medllm.prompting.retrieval import EXAMPLES_TOKENS, AnnotatedExamples
from medllm.reading import Reading, RequestUsage
from medllm.rules.voice import assert_by_rules
from medllm.text.chunks import Chunk, split_chunks
from medllm.text.language import language_of
from medllm.text.lines import Line

LLM = "llm"
RULES = "rules"
CHUNK_TOKENS = 64
MENTIONS_A_PROMPT = 24
ANSWER_ROOM = 4
"""An answer may take up to so many tokens for each token that is asked about; what is longer is cut in two and asked again."""
MOST_EXAMPLES = 4
"""Retrieved examples take at most one part in so many of the context."""


class PromptedReader:
    """Reads notes with a language model. ``assertion`` says whose answer is taken (``rules`` or ``llm``), ``any_language`` that
    ``questions`` may be put in a note's own language."""

    def __init__(
        self,
        engine: Engine,
        questions: Questions,
        *,
        relations: bool = True,
        assertion: str = RULES,
        chunk_tokens: int = CHUNK_TOKENS,
        any_language: bool = True,
        boundary: BoundaryPolicy | None = None,
        examples: AnnotatedExamples | None = None,
        examples_tokens: int = EXAMPLES_TOKENS,
    ) -> None:
        self.engine = engine
        self.questions = questions
        self.relations = relations
        self.assertion = assertion
        self.chunk_tokens = chunk_tokens
        self.any_language = any_language
        self.boundary = boundary
        self.examples = examples
        self.examples_tokens = examples_tokens

    def questions_for(self, note: Note) -> Questions:
        """The questions in the note's own language, where they may be and there are prompts in it; with examples from other notes,
        where annotated notes are given."""
        questions = self.questions_in_language(note)
        if self.examples is None:
            return questions
        budget = min(self.examples_tokens, self.engine.context_tokens // MOST_EXAMPLES)
        return self.examples.of(note, questions, self.engine.count_tokens, budget)

    def questions_in_language(self, note: Note) -> Questions:
        """As ``questions_for``, without examples from other notes."""
        return self.questions.in_language(language_of(note.text)) if self.any_language else self.questions

    async def read(
        self, note: Note, turns: asyncio.Semaphore, choose: Callable[[Sequence[Chunk]], Collection[int]] | None = None
    ) -> Reading:
        """Read one note, several chunks at a time, each in its turn. What could not be read is in the ledger.

        ``choose`` says which of the chunks to read, by their numbers; the others are left to the other reader.
        """
        left = 0
        try:
            chunks = self.split(note)
        except EngineError as error:
            found = _Found(ledger=[entry(note, Chunk(0, len(note.text), ()), "engine-error", str(error))])
        else:
            wanted = range(len(chunks)) if choose is None else choose(chunks)
            left = sum(chunk.end - chunk.start for number, chunk in enumerate(chunks) if number not in wanted)
            found = _Found.join(await together(self._read_chunk(note, chunks[number], turns) for number in sorted(wanted)))
        mentions = {_key(e): e for e in found.entities}  # a modifier of several mentions was found with each of them
        judged = assert_by_rules(note.text, mentions.values(), decide=self.assertion == RULES)
        mentions = dict(zip(mentions, judged, strict=True))
        named = {key: mentions[key].model_copy(update={"id": f"T{n}"}) for n, key in enumerate(sorted(mentions), 1)}
        links = {(_key(r.head), _key(r.tail), r.label): r for r in found.relations}
        relations = tuple(
            links[key].model_copy(update={"id": f"R{n}", "head": named[key[0]], "tail": named[key[1]]})
            for n, key in enumerate(sorted(links), 1)
        )
        extraction = Extraction(note=note, entities=tuple(named.values()), relations=relations, ledger=tuple(found.ledger))
        return Reading(extraction, tuple(found.requests), {LLM: found.read}, {LLM: left} if left else {})

    def split(self, note: Note) -> list[Chunk]:
        """The chunks of a note, counted with the model's tokenizer. Raises EngineError."""
        return split_chunks(note.text, self.engine.count_tokens, self.chunk_tokens)

    async def _read_chunk(self, note: Note, chunk: Chunk, turns: asyncio.Semaphore) -> "_Found":
        async with turns:
            found = await self._entities(note, chunk)
            if not self.relations or not found.entities:
                return found
            more = []
            if self.questions.schema.modifiers:
                more.append(self._modifiers(note, chunk, found.entities))
            more += [self._pairs(note, chunk, found.entities, group) for group in range(len(self.questions.schema.relation_groups))]
            return _Found.join([found, *await together(more)])

    # --- the three tasks -------------------------------------------------------------------------------------------

    async def _entities(self, note: Note, chunk: Chunk) -> "_Found":
        if not chunk.lines:
            return _Found(read=chunk.end - chunk.start)
        question = self.questions_for(note).entities(chunk)
        completion, found = await self.ask(note, chunk, "entities", question, sum(len(line.pieces) for line in chunk.lines))
        answer, whole = self._answer(self.questions.layout, question, completion)
        if not whole and not found.failed and (halves := chunk.halves()):
            parts = await together(self._entities(note, half) for half in halves)
            return _Found.join([_Found(requests=found.requests), *parts])
        if completion is None:
            if chunk.context and not found.failed:  # better without the lines before it than not at all
                return await self._entities(note, replace(chunk, context=()))
            return found
        found.entities.extend(self._with_edges(note, chunk, self._ground(note, question.slots, answer, completion)))
        found.ledger.extend(self._not_kept(note, question.slots, answer))
        if not whole:
            found.ledger.append(not_whole(note, chunk, completion))
            return found
        return replace(found, read=chunk.end - chunk.start)

    async def _modifiers(self, note: Note, chunk: Chunk, entities: Sequence[Entity]) -> "_Found":
        heads = [(e, _line_of(e, chunk)) for e in entities if self.questions.modifier_labels(e.label)]
        batches = [heads[i : i + MENTIONS_A_PROMPT] for i in range(0, len(heads), MENTIONS_A_PROMPT)]
        return _Found.join(await together(self._modifiers_of(note, chunk, batch) for batch in batches))

    async def _modifiers_of(self, note: Note, chunk: Chunk, heads: Sequence[tuple[Entity, Line]]) -> "_Found":
        question = self.questions_for(note).modifiers(heads)
        completion, found = await self.ask(note, chunk, "modifiers", question, sum(8 + len(line.pieces) for _, line in heads))
        answer, whole = self._answer(self.questions.pinned, question, completion)
        if not whole and not found.failed and len(heads) > 1:
            halves = heads[: len(heads) // 2], heads[len(heads) // 2 :]
            parts = await together(self._modifiers_of(note, chunk, half) for half in halves)
            return _Found.join([_Found(requests=found.requests), *parts])
        if completion is None:
            return found
        found.ledger.extend(self._not_kept(note, question.slots, answer, task="modifiers"))
        if not whole:
            found.ledger.append(not_whole(note, chunk, completion, task="modifiers"))
        for item, modifier in zip(answer.found, self._ground(note, question.slots, answer, completion), strict=True):
            found.entities.append(modifier)
            found.relations.append(self._relate(heads[item.slot - 1][0], modifier, None, modifier.votes))
        return found

    async def _pairs(self, note: Note, chunk: Chunk, entities: Sequence[Entity], group: int) -> "_Found":
        lines = list(chunk.lines)
        mentions = [(e, lines.index(_line_of(e, chunk))) for e in sorted(entities, key=_key)]
        question = self.questions_for(note).relations(mentions, lines, group)
        if not any(slot.links for slot in question.links):
            return _Found()
        completion, found = await self.ask(note, chunk, "relations", question, 8 * len(mentions))
        if completion is None:
            return found
        cut_off = completion.finish_reason == "length"
        links, answered, unplaced = read_links(question.links, completion.text, cut_off=cut_off)
        if unplaced:
            found.ledger.append(entry(note, chunk, "unplaced", f"{unplaced} relations", task="relations"))
        if answered < len(question.links):
            found.ledger.append(not_whole(note, chunk, completion, task="relations"))
        for number, link in links:
            found.relations.append(self._relate(mentions[number - 1][0], mentions[link.target - 1][0], link, (self.vote(None),)))
        return found

    # --- shared by the tasks ---------------------------------------------------------------------------------------

    async def ask(self, note: Note, chunk: Chunk, task: str, question: Question, pieces: int) -> "tuple[Completion | None, _Found]":
        """One request. Without a completion, what is found holds the ledger entry that says why."""
        try:
            prompt_tokens = sum(self.engine.count_tokens(m.content) + 8 for m in question.messages)
            room = self.engine.context_tokens - prompt_tokens
            needed = 32 + pieces
            if room < needed:
                return None, _Found(ledger=[entry(note, chunk, "context", f"{prompt_tokens} prompt tokens", task=task)])
            free = not self.engine.constrained
            request = Request(
                question.messages,
                None if free else question.constraint,
                min(room, 64 + ANSWER_ROOM * pieces),
                logprobs=True,
                json_schema=question.json_schema() if free and (task != "entities" or self.questions.layout.name == "lines") else None,
            )
            completion = await self.engine.complete(request)
        except EngineError as error:
            return None, _Found(ledger=[entry(note, chunk, "engine-error", str(error), task=task)])
        cost = Usage() if completion.from_cache else completion.usage
        used = RequestUsage(note.id, task, chunk.start, chunk.end, completion.finish_reason, cost, completion.from_cache)
        return completion, _Found(requests=[used])

    def _answer(self, layout: Layout, question: Question, completion: Completion | None) -> tuple[Answer, bool]:
        """What is in a completion, and whether it answers all slots to their end. None gives an empty answer."""
        if completion is None:
            return Answer((), 0), False
        cut_off = completion.finish_reason == "length"
        if self.engine.constrained or layout.name != "lines":
            answer = layout.read(question.slots, completion.text, cut_off=cut_off)
            return answer, answer.read_to == len(question.slots)
        answer = align(question.slots, completion.text)
        return answer, answer.read_to == len(question.slots) and not cut_off

    def _ground(self, note: Note, slots: Sequence[Slot], answer: Answer, completion: Completion) -> list[Entity]:
        by_number = {s.number: s for s in slots}
        return [
            ground(note, by_number[f.slot], f, self.questions.schema.entity(f.label), self.vote(self._score(completion, f)))
            for f in answer.found
        ]

    def _with_edges(self, note: Note, chunk: Chunk, mentions: list[Entity]) -> list[Entity]:
        """The mentions with the edges of the boundary policy, each in its line; two that become one are one."""
        if self.boundary is None or self.boundary.about.get("language") not in (None, language_of(note.text)):
            return mentions
        moved: dict[tuple[int, int, str, tuple[tuple[int, int], ...]], Entity] = {}
        for mention in mentions:
            line = _line_of(mention, chunk)
            after = move_edges(note.text, mention, self.boundary, Span(start=line.start, end=line.end))
            moved.setdefault(_key(after), after)
        return list(moved.values())

    def _score(self, completion: Completion, found: Found) -> float | None:
        value = score(completion, found)
        return None if value is None else round(value, 4)

    def vote(self, value: float | None) -> Vote:
        """A vote of the language model with this score."""
        placed = "grammar" if self.engine.constrained else "aligned"
        return Vote(reader=LLM, model=self.engine.model, placed=placed, score=value)

    def _relate(self, head: Entity, tail: Entity, link: Link | None, votes: tuple[Vote, ...]) -> Relation[Any, Any]:
        kinds = self.questions.schema.relations_between(head.label, tail.label)
        kind = next(k for k in kinds if link is None or k.label == link.label)
        return kind(head=head, tail=tail, votes=votes)

    def _not_kept(self, note: Note, slots: Sequence[Slot], answer: Answer, *, task: str = "entities") -> list[LedgerEntry]:
        by_number = {s.number: s.line for s in slots}
        reader = _reader(task)
        entries = [
            LedgerEntry(note_id=note.id, reader=reader, reason="layout-bound", start=by_number[n].start, end=by_number[n].end)
            for n in answer.bounded
        ]
        if answer.unplaced:
            start, end = min(s.line.start for s in slots), max(s.line.end for s in slots)
            detail = f"{answer.unplaced} mentions"
            entries.append(LedgerEntry(note_id=note.id, reader=reader, reason="unplaced", start=start, end=end, detail=detail))
        return entries


@dataclass(frozen=True)
class _Found:
    """What came of one or several requests; ``read`` is in characters."""

    entities: list[Entity] = field(default_factory=list)
    relations: list[Relation[Any, Any]] = field(default_factory=list)
    ledger: list[LedgerEntry] = field(default_factory=list)
    requests: list[RequestUsage] = field(default_factory=list)
    read: int = 0

    @staticmethod
    def join(parts: "Sequence[_Found]") -> "_Found":
        return _Found(
            [e for p in parts for e in p.entities],
            [r for p in parts for r in p.relations],
            [x for p in parts for x in p.ledger],
            [q for p in parts for q in p.requests],
            sum(p.read for p in parts),
        )

    @property
    def failed(self) -> bool:
        """True if the engine did not answer: asking for less would not help."""
        return any(e.reason == "engine-error" for e in self.ledger)


def _reader(task: str) -> str:
    return LLM if task == "entities" else f"{LLM}-{task}"


def entry(note: Note, chunk: Chunk, reason: str, detail: str, *, task: str = "entities") -> LedgerEntry:
    """What a task could not read or keep of a chunk."""
    return LedgerEntry(note_id=note.id, reader=_reader(task), reason=reason, start=chunk.start, end=chunk.end, detail=detail)


def not_whole(note: Note, chunk: Chunk, completion: Completion, *, task: str = "entities") -> LedgerEntry:
    """The entry for an answer that does not come to its end."""
    reason = "output-limit" if completion.finish_reason == "length" else "unanswered"
    return entry(note, chunk, reason, f"an answer of {completion.usage.completion_tokens} tokens", task=task)


def _key(entity: Entity) -> tuple[int, int, str, tuple[tuple[int, int], ...]]:
    """What tells two mentions apart, in reading order."""
    return (*entity.sort_key(), tuple((s.start, s.end) for s in entity.spans))


def _line_of(entity: Entity, chunk: Chunk) -> Line:
    return next(line for line in chunk.lines if line.start <= entity.span.start and entity.span.end <= line.end)
