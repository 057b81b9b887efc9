"""The way of a note: split, prompt, decode, ground; then its modifiers and relations. Read it from ``Extractor.read`` down."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from medllm.aligner import align
from medllm.background import BackgroundLoop
from medllm.deid.deidentifier import OFF, Deidentifier
from medllm.deid.replaced import ReplacedNote
from medllm.document import Entity, Extraction, LedgerEntry, Note, Relation, Vote
from medllm.engines import EngineOptions, create_engine, create_later
from medllm.engines.base import Completion, Engine, Request, Usage
from medllm.engines.none import NoEngine
from medllm.errors import EngineError, UsageError
from medllm.grammar.layout import Answer, Found, Layout, Slot, get_layout
from medllm.grammar.links import Link, read_links
from medllm.grounding import ground, score
from medllm.prompting.questions import Question, Questions
from medllm.prompting.render import Prompts
from medllm.prompting.retrieval import EXAMPLES_TOKENS, AnnotatedExamples
from medllm.rules.voice import assert_by_rules
from medllm.schema import Schema
from medllm.taggers.loading import find_reader
from medllm.taggers.pointer_reader import PointerReader
from medllm.taggers.pointers import PointerTagger
from medllm.taggers.reader import TAGGER, TaggerReader
from medllm.taggers.relations import RelationClassifier
from medllm.taggers.sources import model_folder
from medllm.taggers.tagger import Tagger
from medllm.text.chunks import Chunk, split_chunks
from medllm.text.language import language_of
from medllm.text.lines import Line

if TYPE_CHECKING:
    from medllm.linking import Linkers

LLM = "llm"
RULES = "rules"
AUTO = "auto"
READERS = (AUTO, LLM, TAGGER)
CHUNK_TOKENS = 64
MENTIONS_A_PROMPT = 24
ANSWER_ROOM = 4
"""An answer may take up to so many tokens for each token that is asked about; what is longer is cut in two and asked again."""
MOST_EXAMPLES = 4
"""Retrieved examples take at most one part in so many of the context."""
AHEAD = 4
"""For each prompt that the engine takes at a time, so many chunks are under way: an engine that forms batches needs a choice."""

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
        return all(read + self.unread(reader) == total for reader, read in self.read.items())

    def unread(self, reader: str) -> int:
        """How many characters of the note the ledger says that a reader did not read."""
        total = len(self.extraction.note.text)
        entries = (e for e in self.extraction.ledger if e.reason in UNREAD and e.reader == reader)
        return sum((total if e.end is None else e.end) - (e.start or 0) for e in entries)


UNREAD = frozenset({"output-limit", "unanswered", "context", "engine-error"})
"""Ledger reasons whose range was not read."""


class Extractor:
    """Reads notes into typed, grounded extractions.

    ``schema`` is a pack's name, a ``.py`` file or a ``Schema``; ``engine`` a name (``auto``, ``vllm``, ``vllm-offline``,
    ``embedded``, ``transformers``, ``replay``) or an engine. ``readers`` is ``llm``, the prompted language model; ``tagger``, which
    needs no engine; or ``auto``: the tagger where it knows all that the schema asks for and the note's language, the language model
    elsewhere, and wherever an engine, a model or a server is named. ``tagger`` is a tagger's name, its folder, or a token classifier of
    the model hub (else ``clinical-en``, for Chinese schemas ``uie-nano``); ``tagger_labels`` maps its labels, or what UIE is asked for,
    to the schema's; ``tagger_relations`` is the folder of a relation classifier, in whose place rules attach modifiers otherwise.
    ``language`` is that of the prompts; without it each note is asked in its own. ``assertion`` says whose answer is taken (``rules``
    or ``llm``). ``examples`` are annotated notes (``FORMAT:PATH``, one or several): of their lines those most like a question are shown
    with it, in at most ``examples_tokens`` tokens (and a quarter of the context).
    ``deid`` replaces what identifies a patient before the engine sees a note (``mask``, ``surrogate`` or a
    ``Deidentifier``); extractions are of the original note all the same. ``linker`` gives mentions codes. Made once, used for many
    notes; ``close`` it, or use it as a context manager.

    Raises SchemaError, ModelError or EngineError if it cannot be set up. What cannot be read later is in the ledger instead, but for a
    server that has gone away: ServerLostError then stops the reading.
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
        assertion: str = RULES,
        chunk_tokens: int = CHUNK_TOKENS,
        options: EngineOptions | None = None,
        readers: str = AUTO,
        tagger: str | Path | Tagger | PointerTagger | None = None,
        tagger_labels: Mapping[str, str] | None = None,
        deid: str | Deidentifier = OFF,
        linker: "Linkers | None" = None,
        tagger_relations: str | Path | RelationClassifier | None = None,
        examples: str | Sequence[str] | AnnotatedExamples | None = None,
        examples_tokens: int = EXAMPLES_TOKENS,
    ) -> None:
        if readers not in READERS:
            raise UsageError(f"there are no readers {readers!r}", hint=f"readers are {', '.join(READERS)}")
        if examples is not None and (readers == TAGGER or deid != OFF):
            raise UsageError(
                "examples are for the language model, which sees them as they are",
                hint="they go neither with --readers tagger nor with --deid: de-identify the annotated notes themselves",
            )
        if chunk_tokens < 1:
            raise UsageError("a chunk must hold at least one token", hint=f"give --chunk-tokens {CHUNK_TOKENS}")
        self.schema = pack = Schema.load(schema)
        if labels is not None:
            self.schema = self.schema.restrict(labels)
        try:
            self.layout = get_layout(layout)
        except KeyError:
            raise UsageError(f"there is no layout {layout!r}", hint="layouts are lines and copy") from None
        self.language = language
        self.questions = Questions(self.schema, self.layout, Prompts(prompts), language)
        """In the language given, or in the schema's; ``questions_for`` gives those of a note."""
        if assertion not in (RULES, LLM):
            raise UsageError(f"nobody is called {assertion!r}", hint=f"assertions come from {RULES} or {LLM}")
        self.relations = relations
        self.assertion = assertion
        self.chunk_tokens = chunk_tokens
        options = options or EngineOptions()
        named = model is not None or engine != AUTO or options.base_url is not None or options.adapter is not None or examples is not None
        self.tagger: TaggerReader | PointerReader | None = None
        if readers == TAGGER or (readers == AUTO and not named):
            self.tagger = find_reader(
                tagger,
                self.schema,
                if_it_knows_all=readers == AUTO,
                labels=tagger_labels,
                relations=relations,
                classifier=_load_relations(tagger_relations, options) if tagger_relations is not None else None,
                device=options.device,
                threads=options.threads,
                progress=options.progress,
            )
        self.readers = TAGGER if readers == TAGGER else LLM if self.tagger is None else AUTO
        self.engine: Engine
        if self.readers == TAGGER:
            self.engine = NoEngine()
        elif self.readers == AUTO:
            self.engine = create_later(options)
        else:
            self.engine = create_engine(engine, model, options) if isinstance(engine, str) else engine
        self.deid = None if deid == OFF else Deidentifier(deid) if isinstance(deid, str) else deid
        self.linker = linker
        self.examples_tokens = examples_tokens
        self.examples = None if examples is None else AnnotatedExamples.load(examples, pack, self.schema)
        self._loop = BackgroundLoop()

    def questions_for(self, note: Note) -> Questions:
        """The questions in the language given for all notes, else in the note's own, where there are prompts in it; with examples
        from other notes, where annotated notes are given."""
        questions = self.questions if self.language else self.questions.in_language(language_of(note.text))
        if self.examples is None:
            return questions
        budget = min(self.examples_tokens, self.engine.context_tokens // MOST_EXAMPLES)
        return self.examples.of(note, questions, self.engine.count_tokens, budget)

    # --- one note, from its text to its mentions -------------------------------------------------------------------

    async def read(self, note: Note) -> Reading:
        """Read one note, several chunks at a time."""
        return await self._read(note, self._turns())

    async def _read(self, note: Note, turns: asyncio.Semaphore) -> Reading:
        reading = await self._read_unlinked(note, turns)
        if self.linker is None:
            return reading
        return replace(reading, extraction=await asyncio.to_thread(self.linker.link, reading.extraction))

    async def _read_unlinked(self, note: Note, turns: asyncio.Semaphore) -> Reading:
        if self.tagger is not None and (self.readers == TAGGER or self.tagger.reads(language_of(note.text))):
            return await self._read_tagged(note, self.tagger)
        if self.deid is not None:
            replaced = await asyncio.to_thread(self.deid.replace, note)
            return _of_original(replaced, await self._read_prompted(replaced.note, turns))
        return await self._read_prompted(note, turns)

    async def _read_tagged(self, note: Note, tagger: TaggerReader | PointerReader) -> Reading:
        entities, relations = await asyncio.to_thread(tagger.read, note)
        return Reading(Extraction(note=note, entities=entities, relations=relations), read={TAGGER: len(note.text)})

    async def _read_prompted(self, note: Note, turns: asyncio.Semaphore) -> Reading:
        try:
            chunks = self.split(note)
        except EngineError as error:
            found = _Found(ledger=[_entry(note, Chunk(0, len(note.text), ()), "engine-error", str(error))])
        else:
            found = _Found.join(await _together(self._read_chunk(note, chunk, turns) for chunk in chunks))
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
        return Reading(extraction, tuple(found.requests), {LLM: found.read})

    def split(self, note: Note) -> list[Chunk]:
        """The chunks of a note, counted with the model's tokenizer. Raises EngineError."""
        return split_chunks(note.text, self.engine.count_tokens, self.chunk_tokens)

    async def _read_chunk(self, note: Note, chunk: Chunk, turns: asyncio.Semaphore) -> "_Found":
        async with turns:
            found = await self._entities(note, chunk)
            if not self.relations or not found.entities:
                return found
            more = []
            if self.schema.modifiers:
                more.append(self._modifiers(note, chunk, found.entities))
            more += [self._pairs(note, chunk, found.entities, group) for group in range(len(self.schema.relation_groups))]
            return _Found.join([found, *await _together(more)])

    # --- the three tasks -------------------------------------------------------------------------------------------

    async def _entities(self, note: Note, chunk: Chunk) -> "_Found":
        if not chunk.lines:
            return _Found(read=chunk.end - chunk.start)
        question = self.questions_for(note).entities(chunk)
        completion, found = await self._ask(note, chunk, "entities", question, sum(len(line.pieces) for line in chunk.lines))
        answer, whole = self._answer(self.layout, question, completion)
        if not whole and not found.failed and (halves := chunk.halves()):
            parts = await _together(self._entities(note, half) for half in halves)
            return _Found.join([_Found(requests=found.requests), *parts])
        if completion is None:
            if chunk.context and not found.failed:  # better without the lines before it than not at all
                return await self._entities(note, replace(chunk, context=()))
            return found
        found.entities.extend(self._ground(note, question.slots, answer, completion))
        found.ledger.extend(self._not_kept(note, question.slots, answer))
        if not whole:
            found.ledger.append(_not_whole(note, chunk, completion))
            return found
        return replace(found, read=chunk.end - chunk.start)

    async def _modifiers(self, note: Note, chunk: Chunk, entities: Sequence[Entity]) -> "_Found":
        heads = [(e, _line_of(e, chunk)) for e in entities if self.questions.modifier_labels(e.label)]
        batches = [heads[i : i + MENTIONS_A_PROMPT] for i in range(0, len(heads), MENTIONS_A_PROMPT)]
        return _Found.join(await _together(self._modifiers_of(note, chunk, batch) for batch in batches))

    async def _modifiers_of(self, note: Note, chunk: Chunk, heads: Sequence[tuple[Entity, Line]]) -> "_Found":
        question = self.questions_for(note).modifiers(heads)
        completion, found = await self._ask(note, chunk, "modifiers", question, sum(8 + len(line.pieces) for _, line in heads))
        answer, whole = self._answer(self.questions.pinned, question, completion)
        if not whole and not found.failed and len(heads) > 1:
            halves = heads[: len(heads) // 2], heads[len(heads) // 2 :]
            parts = await _together(self._modifiers_of(note, chunk, half) for half in halves)
            return _Found.join([_Found(requests=found.requests), *parts])
        if completion is None:
            return found
        found.ledger.extend(self._not_kept(note, question.slots, answer, task="modifiers"))
        if not whole:
            found.ledger.append(_not_whole(note, chunk, completion, task="modifiers"))
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
        completion, found = await self._ask(note, chunk, "relations", question, 8 * len(mentions))
        if completion is None:
            return found
        cut_off = completion.finish_reason == "length"
        links, answered, unplaced = read_links(question.links, completion.text, cut_off=cut_off)
        if unplaced:
            found.ledger.append(_entry(note, chunk, "unplaced", f"{unplaced} relations", task="relations"))
        if answered < len(question.links):
            found.ledger.append(_not_whole(note, chunk, completion, task="relations"))
        for number, link in links:
            found.relations.append(self._relate(mentions[number - 1][0], mentions[link.target - 1][0], link, (self._vote(None),)))
        return found

    # --- shared by the tasks ---------------------------------------------------------------------------------------

    async def _ask(self, note: Note, chunk: Chunk, task: str, question: Question, pieces: int) -> "tuple[Completion | None, _Found]":
        """One request. Without a completion, what is found holds the ledger entry that says why."""
        try:
            prompt_tokens = sum(self.engine.count_tokens(m.content) + 8 for m in question.messages)
            room = self.engine.context_tokens - prompt_tokens
            needed = 32 + pieces
            if room < needed:
                return None, _Found(ledger=[_entry(note, chunk, "context", f"{prompt_tokens} prompt tokens", task=task)])
            free = not self.engine.constrained
            request = Request(
                question.messages,
                None if free else question.constraint,
                min(room, 64 + ANSWER_ROOM * pieces),
                logprobs=True,
                json_schema=question.json_schema() if free and (task != "entities" or self.layout.name == "lines") else None,
            )
            completion = await self.engine.complete(request)
        except EngineError as error:
            return None, _Found(ledger=[_entry(note, chunk, "engine-error", str(error), task=task)])
        used = RequestUsage(note.id, task, chunk.start, chunk.end, completion.finish_reason, completion.usage)
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

    # --- many notes, and the synchronous façade --------------------------------------------------------------------

    async def stream(self, notes: Iterable[Note], *, in_flight: int | None = None) -> AsyncGenerator[Reading, None]:
        """Read notes as they come, at most ``in_flight`` at a time; yields them as they are done, in any order."""
        width = in_flight or self._width
        turns = self._turns()
        pending: set[asyncio.Task[Reading]] = set()
        iterator = iter(notes)
        try:
            while True:
                while len(pending) < width and (note := next(iterator, None)) is not None:
                    pending.add(asyncio.create_task(self._read(note, turns)))
                if not pending:
                    return
                done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=lambda t: t.cancelled() or t.exception() is not None):  # what was read is not lost
                    pending.remove(task)
                    yield task.result()
        finally:
            await _cancel(pending)

    async def extract_async(self, note: str | Note) -> Extraction:
        """As ``extract``, for callers with an event loop."""
        return (await self.read(as_note(note))).extraction

    def extract(self, note: str | Note) -> Extraction:
        """Read one note. ``extraction.ledger`` tells what could not be read."""
        return self._loop.run(self.extract_async(note))

    def extract_batch(self, notes: Iterable[str | Note]) -> list[Extraction]:
        """Read many notes, several at a time; the results are in the order of ``notes``."""
        return self._loop.run(self.extract_batch_async(notes))

    async def extract_batch_async(self, notes: Iterable[str | Note]) -> list[Extraction]:
        """As ``extract_batch``, for callers with an event loop."""
        room, turns = asyncio.Semaphore(self._width), self._turns()

        async def one(note: Note) -> Extraction:
            async with room:
                return (await self._read(note, turns)).extraction

        return await _together(one(as_note(note, number)) for number, note in enumerate(notes, 1))

    @property
    def _width(self) -> int:
        """Notes at a time: one more than the engine takes, so that the next one is ready when it is free."""
        return self.engine.concurrency + 1

    def _turns(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(AHEAD * self.engine.concurrency)

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

    @property
    def failed(self) -> bool:
        """True if the engine did not answer: asking for less would not help."""
        return any(e.reason == "engine-error" for e in self.ledger)


def _of_original(replaced: ReplacedNote, reading: Reading) -> Reading:
    """A reading of a de-identified note as one of the original: what was replaced counts with its own characters."""
    back = replaced.original_offset
    extraction = replaced.original_extraction(reading.extraction)
    requests = tuple(replace(r, start=back(r.start), end=back(r.end)) for r in reading.requests)
    missing = {reader: len(replaced.note.text) - read - reading.unread(reader) for reader, read in reading.read.items()}
    moved = Reading(extraction, requests)
    read = {reader: len(replaced.original.text) - moved.unread(reader) - missing[reader] for reader in reading.read}
    return replace(moved, read=read)


def _load_relations(classifier: str | Path | RelationClassifier, options: EngineOptions) -> RelationClassifier:
    if isinstance(classifier, RelationClassifier):
        return classifier
    return RelationClassifier.load(model_folder(classifier), threads=options.threads)


def as_note(note: str | Note, number: int = 1) -> Note:
    """A note of a text, named ``note-1``; a Note as it is."""
    return note if isinstance(note, Note) else Note(id=f"note-{number}", text=note)


def _reader(task: str) -> str:
    return LLM if task == "entities" else f"{LLM}-{task}"


def _entry(note: Note, chunk: Chunk, reason: str, detail: str, *, task: str = "entities") -> LedgerEntry:
    return LedgerEntry(note_id=note.id, reader=_reader(task), reason=reason, start=chunk.start, end=chunk.end, detail=detail)


def _not_whole(note: Note, chunk: Chunk, completion: Completion, *, task: str = "entities") -> LedgerEntry:
    reason = "output-limit" if completion.finish_reason == "length" else "unanswered"
    return _entry(note, chunk, reason, f"an answer of {completion.usage.completion_tokens} tokens", task=task)


def _key(entity: Entity) -> tuple[int, int, str, tuple[tuple[int, int], ...]]:
    """What tells two mentions apart, in reading order."""
    return (*entity.sort_key(), tuple((s.start, s.end) for s in entity.spans))


async def _together(work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """The results of all, in order. If one fails, or the call is cancelled, none of them is left running."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _cancel(tasks)


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def _line_of(entity: Entity, chunk: Chunk) -> Line:
    return next(line for line in chunk.lines if line.start <= entity.span.start and entity.span.end <= line.end)
