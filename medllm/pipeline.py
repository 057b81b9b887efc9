"""The way of a note: split, prompt, decode, ground; then its modifiers and relations. Read it from ``Extractor.read`` down."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from medllm.aligner import align
from medllm.document import Entity, Extraction, LedgerEntry, Note, Relation, Vote
from medllm.engines import EngineOptions, create_engine
from medllm.engines.base import Completion, Engine, Request, Usage
from medllm.errors import EngineError, UsageError
from medllm.grammar.layout import Answer, Found, Layout, Slot, get_layout
from medllm.grammar.links import Link, read_links
from medllm.grounding import ground, score
from medllm.prompting.questions import Question, Questions
from medllm.prompting.render import Prompts
from medllm.schema import Schema
from medllm.text.chunks import Chunk, split_chunks
from medllm.text.lines import Line

LLM = "llm"
CHUNK_TOKENS = 64
MENTIONS_A_PROMPT = 24
ANSWER_ROOM = 4
"""An answer may take up to so many tokens for each token that is asked about; what is longer is cut in two and asked again."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class RequestUsage:
    """What one request cost, and why it ended."""

    note_id: str
    task: str
    start: int
    end: int
    finish_reason: str
    usage: Usage


@dataclass(frozen=True)
class Reading:
    """Everything that reading a note gave. ``read`` counts the characters each reader read; the rest is in the ledger."""

    extraction: Extraction
    requests: tuple[RequestUsage, ...] = ()
    read: dict[str, int] = field(default_factory=dict)

    @property
    def accounted_for(self) -> bool:
        """True if, for each reader, the characters read and those in the ledger add up to the note."""
        total = len(self.extraction.note.text)
        missed = {reader: 0 for reader in self.read}
        for entry in self.extraction.ledger:
            if entry.reason in UNREAD:
                missed[entry.reader] += (entry.end or total) - (entry.start or 0)
        return all(self.read[reader] + missed[reader] == total for reader in self.read)


UNREAD = frozenset({"output-limit", "context", "engine-error"})
"""Ledger reasons whose range was not read."""


class Extractor:
    """Reads notes into typed, grounded extractions.

    ``schema`` is a pack's name, a ``.py`` file or a ``Schema``; ``engine`` a name (``auto``, ``embedded``, ``transformers``,
    ``replay``) or an engine. Made once, used for many notes; ``close`` it, or use it as a context manager.

    Raises SchemaError, ModelError or EngineError if it cannot be set up. What cannot be read later is in the ledger instead.
    """

    def __init__(
        self,
        schema: str | Path | Schema = "clinical",
        *,
        engine: str | Engine = "auto",
        model: str | None = None,
        layout: str = "lines",
        prompts: str | Path | None = None,
        language: str | None = None,
        labels: Iterable[str] | None = None,
        relations: bool = True,
        chunk_tokens: int = CHUNK_TOKENS,
        options: EngineOptions | None = None,
    ) -> None:
        if chunk_tokens < 1:
            raise UsageError("a chunk must hold at least one token", hint="give --chunk-tokens 256")
        self.schema = Schema.load(schema)
        if labels is not None:
            self.schema = self.schema.restrict(labels)
        self.layout = get_layout(layout)
        self.questions = Questions(self.schema, self.layout, Prompts(prompts), language)
        self.relations = relations
        self.chunk_tokens = chunk_tokens
        self.engine = create_engine(engine, model, options or EngineOptions()) if isinstance(engine, str) else engine
        self._loop = _BackgroundLoop()

    # --- one note, from its text to its mentions -------------------------------------------------------------------

    async def read(self, note: Note) -> Reading:
        """Read one note: all its chunks at a time, as far as the engine takes them."""
        chunks = self.split(note)
        parts = await asyncio.gather(*(self._read_chunk(note, chunk) for chunk in chunks))
        found = _Found.join(parts)
        entities = sorted({e.sort_key(): e for e in found.entities}.values(), key=Entity.sort_key)
        named = {id(e): e.model_copy(update={"id": f"T{n}"}) for n, e in enumerate(entities, 1)}
        by_key = {e.sort_key(): named[id(e)] for e in entities}
        relations = {
            (r.label, r.head.sort_key(), r.tail.sort_key()): r for r in found.relations
        }  # the same link may have been found from two windows
        ordered = tuple(
            r.model_copy(update={"id": f"R{n}", "head": by_key[r.head.sort_key()], "tail": by_key[r.tail.sort_key()]})
            for n, r in enumerate(sorted(relations.values(), key=lambda r: (r.head.sort_key(), r.tail.sort_key(), r.label)), 1)
        )
        extraction = Extraction(note=note, entities=tuple(named.values()), relations=ordered, ledger=tuple(found.ledger))
        return Reading(extraction, tuple(found.requests), {LLM: found.read})

    def split(self, note: Note) -> list[Chunk]:
        """The chunks of a note, counted with the model's tokenizer."""
        return split_chunks(note.text, self.engine.count_tokens, self.chunk_tokens)

    async def _read_chunk(self, note: Note, chunk: Chunk) -> "_Found":
        found = await self._entities(note, chunk)
        if not self.relations or not found.entities:
            return found
        more = []
        if self.schema.modifiers:
            more.append(self._modifiers(note, chunk, found.entities))
        if self.schema.pair_relations:
            more.append(self._pairs(note, chunk, found.entities))
        return _Found.join([found, *await asyncio.gather(*more)])

    # --- the three tasks -------------------------------------------------------------------------------------------

    async def _entities(self, note: Note, chunk: Chunk) -> "_Found":
        if not chunk.lines:
            return _Found(read=chunk.end - chunk.start)
        question = self.questions.entities(chunk)
        completion, failure = await self._ask(note, chunk, "entities", question, sum(len(line.pieces) for line in chunk.lines))
        if completion is None:
            return await self._retry_halves(note, chunk, failure)
        answer = self._answer(self.layout, question, completion)
        whole = answer.read_to == len(question.slots)
        if not whole and chunk.halves():
            retried = await self._retry_halves(note, chunk, failure)
            return replace(retried, requests=failure.requests + retried.requests)
        found = replace(failure, entities=self._ground(note, question.slots, answer, completion), read=chunk.end - chunk.start)
        found.ledger.extend(self._not_kept(note, question.slots, answer))
        if not whole:
            found = replace(found, read=0)
            found.ledger.append(_entry(note, chunk, "output-limit", f"answered {completion.usage.completion_tokens} tokens"))
        return found

    async def _retry_halves(self, note: Note, chunk: Chunk, failure: "_Found") -> "_Found":
        halves = chunk.halves()
        if halves is None or any(e.reason == "engine-error" for e in failure.ledger):
            return failure
        parts = await asyncio.gather(*(self._entities(note, half) for half in halves))
        return _Found.join([_Found(requests=failure.requests), *parts])

    async def _modifiers(self, note: Note, chunk: Chunk, entities: Sequence[Entity]) -> "_Found":
        heads = [(e, _line_of(e, chunk)) for e in entities if self.questions.modifier_labels(e.label)]
        batches = [heads[i : i + MENTIONS_A_PROMPT] for i in range(0, len(heads), MENTIONS_A_PROMPT)]
        return _Found.join(await asyncio.gather(*(self._modifiers_of(note, chunk, batch) for batch in batches)))

    async def _modifiers_of(self, note: Note, chunk: Chunk, heads: Sequence[tuple[Entity, Line]]) -> "_Found":
        question = self.questions.modifiers(heads)
        completion, found = await self._ask(note, chunk, "modifiers", question, sum(8 + len(line.pieces) for _, line in heads))
        if completion is None:
            return found
        answer = self._answer(get_layout("lines"), question, completion)
        found.ledger.extend(self._not_kept(note, question.slots, answer))
        if answer.read_to < len(question.slots):
            found.ledger.append(_entry(note, chunk, "output-limit", "modifiers", task="modifiers"))
        for item, modifier in zip(answer.found, self._ground(note, question.slots, answer, completion), strict=True):
            head = heads[item.slot - 1][0]
            found.entities.append(modifier)
            found.relations.append(self._relate(head, modifier, None, modifier.votes))
        return found

    async def _pairs(self, note: Note, chunk: Chunk, entities: Sequence[Entity]) -> "_Found":
        lines = list(chunk.lines)
        mentions = [(e, lines.index(_line_of(e, chunk))) for e in sorted(entities, key=Entity.sort_key)]
        question = self.questions.relations(mentions, lines)
        if not any(slot.links for slot in question.links):
            return _Found()
        completion, found = await self._ask(note, chunk, "relations", question, 8 * len(mentions))
        if completion is None:
            return found
        links, answered, unplaced = read_links(question.links, completion.text)
        if unplaced:
            found.ledger.append(_entry(note, chunk, "unplaced", f"{unplaced} relations", task="relations"))
        if answered < len(question.links):
            found.ledger.append(_entry(note, chunk, "output-limit", "relations", task="relations"))
        for number, link in links:
            found.relations.append(self._relate(mentions[number - 1][0], mentions[link.target - 1][0], link, (self._vote(None),)))
        return found

    # --- shared by the tasks ---------------------------------------------------------------------------------------

    async def _ask(self, note: Note, chunk: Chunk, task: str, question: Question, pieces: int) -> "tuple[Completion | None, _Found]":
        """One request. Without a completion, what is found holds the ledger entry that says why."""
        prompt_tokens = sum(self.engine.count_tokens(m.content) + 8 for m in question.messages)
        room = self.engine.context_tokens - prompt_tokens
        needed = 32 + pieces
        if room < needed:
            return None, _Found(ledger=[_entry(note, chunk, "context", f"{prompt_tokens} prompt tokens", task=task)])
        constraint = question.constraint if self.engine.constrained else None
        request = Request(question.messages, constraint, min(room, 64 + ANSWER_ROOM * pieces), logprobs=True)
        try:
            completion = await self.engine.complete(request)
        except EngineError as error:
            return None, _Found(ledger=[_entry(note, chunk, "engine-error", str(error), task=task)])
        used = RequestUsage(note.id, task, chunk.start, chunk.end, completion.finish_reason, completion.usage)
        return completion, _Found(requests=[used])

    def _answer(self, layout: Layout, question: Question, completion: Completion) -> Answer:
        if self.engine.constrained or layout.name != "lines":
            return layout.read(question.slots, completion.text)
        return align(question.slots, completion.text)

    def _ground(self, note: Note, slots: Sequence[Slot], answer: Answer, completion: Completion) -> list[Entity]:
        by_number = {s.number: s for s in slots}
        return [
            ground(note, by_number[f.slot], f, self.schema.entity(f.label), self._vote(self._score(completion, f))) for f in answer.found
        ]

    def _score(self, completion: Completion, found: Found) -> float | None:
        value = score(completion, found)
        return None if value is None else round(value, 4)

    def _vote(self, value: float | None) -> Vote:
        placed = "grammar" if self.engine.constrained else "aligned"
        return Vote(reader=LLM, model=self.engine.model, placed=placed, score=value)

    def _relate(self, head: Entity, tail: Entity, link: Link | None, votes: tuple[Vote, ...]) -> Relation[Any, Any]:
        kinds = self.schema.relations_between(head.label, tail.label)
        kind = next(k for k in kinds if link is None or k.label == link.label)
        return kind(head=head, tail=tail, votes=votes)

    def _not_kept(self, note: Note, slots: Sequence[Slot], answer: Answer) -> list[LedgerEntry]:
        by_number = {s.number: s.line for s in slots}
        entries = [
            LedgerEntry(note_id=note.id, reader=LLM, reason="layout-bound", start=by_number[n].start, end=by_number[n].end)
            for n in answer.bounded
        ]
        if answer.unplaced:
            start, end = slots[0].line.start, slots[-1].line.end
            detail = f"{answer.unplaced} mentions"
            entries.append(LedgerEntry(note_id=note.id, reader=LLM, reason="unplaced", start=start, end=end, detail=detail))
        return entries

    # --- many notes, and the synchronous façade --------------------------------------------------------------------

    async def stream(self, notes: Iterable[Note], *, in_flight: int | None = None) -> AsyncIterator[Reading]:
        """Read notes as they come, at most ``in_flight`` at a time; yields them as they are done, in any order."""
        width = in_flight or self.engine.concurrency + 1
        pending: set[asyncio.Task[Reading]] = set()
        iterator = iter(notes)
        try:
            while True:
                while len(pending) < width and (note := next(iterator, None)) is not None:
                    pending.add(asyncio.create_task(self.read(note)))
                if not pending:
                    return
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in pending:
                task.cancel()

    async def extract_async(self, note: str | Note) -> Extraction:
        """As ``extract``, for callers with an event loop."""
        return (await self.read(as_note(note))).extraction

    def extract(self, note: str | Note) -> Extraction:
        """Read one note. ``extraction.ledger`` tells what could not be read."""
        return self._loop.run(self.extract_async(note))

    def extract_batch(self, notes: Iterable[str | Note]) -> list[Extraction]:
        """Read many notes at a time; the results are in the order of ``notes``."""

        async def all_of() -> list[Extraction]:
            return list(await asyncio.gather(*(self.extract_async(as_note(n, i)) for i, n in enumerate(notes, 1))))

        return self._loop.run(all_of())

    def close(self) -> None:
        """Give back the engine's memory."""
        self._loop.run(self.engine.aclose())
        self._loop.close()

    def __enter__(self) -> "Extractor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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


class _BackgroundLoop:
    """An event loop in a thread of its own, so that the synchronous calls also work inside a notebook's loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="medllm", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None


def as_note(note: str | Note, number: int = 1) -> Note:
    """A note of a text, named ``note-1``; a Note as it is."""
    return note if isinstance(note, Note) else Note(id=f"note-{number}", text=note)


def _entry(note: Note, chunk: Chunk, reason: str, detail: str, *, task: str = "entities") -> LedgerEntry:
    reader = LLM if task == "entities" else f"{LLM}-{task}"
    return LedgerEntry(note_id=note.id, reader=reader, reason=reason, start=chunk.start, end=chunk.end, detail=detail)


def _line_of(entity: Entity, chunk: Chunk) -> Line:
    return next(line for line in chunk.lines if line.start <= entity.span.start and entity.span.end <= line.end)
