"""The way of a note through the readers. Read it from ``Extractor.read`` down."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medllm.background import BackgroundLoop, cancel, together
from medllm.deid.deidentifier import OFF, Deidentifier
from medllm.deid.replaced import ReplacedNote
from medllm.document import Extraction, Note, Span
from medllm.engines import EngineOptions, create_engine, create_later
from medllm.engines.base import Engine
from medllm.engines.none import NoEngine
from medllm.ensemble.boundary import BoundaryPolicy
from medllm.ensemble.calibration import DISPUTES, EXTRA, SECOND, Calibrator
from medllm.ensemble.disputes import find_disputes, with_votes
from medllm.ensemble.gate import choose, tagger_score
from medllm.ensemble.reconcile import join, judged, numbered, settle
from medllm.ensemble.second import EXAMPLES, VOICES, as_second, heard_twice
from medllm.ensemble.shipped import find_calibrator, find_policy
from medllm.errors import UsageError
from medllm.grammar.layout import get_layout
from medllm.prompting.disputes import Verdicts, ask_again
from medllm.prompting.questions import Questions
from medllm.prompting.reader import CHUNK_TOKENS, LLM, RULES, PromptedReader
from medllm.prompting.render import Prompts
from medllm.prompting.retrieval import EXAMPLES_TOKENS, AnnotatedExamples
from medllm.reading import Reading
from medllm.schema import Schema
from medllm.taggers.loading import find_reader
from medllm.taggers.pointer_reader import PointerReader
from medllm.taggers.pointers import PointerTagger
from medllm.taggers.reader import TAGGER, TaggerReader
from medllm.taggers.relations import RelationClassifier
from medllm.taggers.sources import model_folder
from medllm.taggers.tagger import Tagger
from medllm.text.chunks import Chunk
from medllm.text.language import language_of

if TYPE_CHECKING:
    from medllm.linking import Linkers

AUTO = "auto"
BOTH = "both"
READERS = (AUTO, BOTH, LLM, TAGGER)
AHEAD = 4
"""For each prompt that the engine takes at a time, so many chunks are under way: an engine that forms batches needs a choice."""


class Extractor:
    """Reads notes into typed, grounded extractions.

    ``schema`` is a pack's name, a ``.py`` file or a ``Schema``; ``engine`` a name (``auto``, ``vllm``, ``vllm-offline``,
    ``embedded``, ``transformers``, ``replay``) or an engine. ``readers`` is ``llm``, the prompted language model; ``tagger``, which
    needs no engine; ``both``, reconciled (where the tagger does not read a note's language, the model alone); or ``auto``: the tagger
    where it knows all that the schema asks for and the note's language, the language model elsewhere, and wherever an engine, a model
    or a server is named. ``tagger`` is a tagger's name, its folder, or a token classifier of the model hub (else ``clinical-en``, for
    Chinese schemas ``uie-nano``); ``tagger_labels`` maps its labels, or what UIE is asked for,
    to the schema's; ``tagger_relations`` is the folder of a relation classifier, in whose place rules attach modifiers otherwise.
    ``language`` is that of the prompts; without it each note is asked in its own. ``assertion`` says whose answer is taken (``rules``
    or ``llm``). ``examples`` are annotated notes (``FORMAT:PATH``, one or several): of their lines those most like a question are shown
    with it, in at most ``examples_tokens`` tokens (and a quarter of the context).
    ``deid`` replaces what identifies a patient before the engine sees a note (``mask``, ``surrogate`` or a
    ``Deidentifier``); extractions are of the original note all the same. ``boundary`` moves the edges of the language model's mentions to
    those of a corpus: ``auto`` (the shipped policy, where it knows the schema and the language), ``off``, or a file. ``calibrator`` is
    what ``medllm train calibrator`` wrote, ``auto`` (the shipped one of the shipped tagger) or ``off``: mentions get a probability, and
    those below its threshold are ``rejected``; ``min_precision`` asks it for lanes.
    ``budget``: with both readers, so many tokens of a note's text the language model may read, where the tagger is least sure.
    ``disputes``: with both readers, what they do not agree on is put to the language model again, as closed questions.
    ``second_voice``: with the language model alone, it reads twice, the second time in the other ``layout`` or with its ``examples`` in
    another order, and ``confidence`` tells how far it agrees with itself.
    ``linker`` gives mentions codes; with ``link_choice="llm"`` the language model chooses where only near names are found.
    Made once, used for many notes; ``close`` it, or use it as a context manager.

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
        link_choice: str = OFF,
        tagger_relations: str | Path | RelationClassifier | None = None,
        boundary: str | Path | BoundaryPolicy = AUTO,
        calibrator: str | Path | Calibrator = AUTO,
        min_precision: float | None = None,
        budget: int | None = None,
        disputes: bool = False,
        second_voice: str | None = None,
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
            questions = Questions(self.schema, get_layout(layout), Prompts(prompts), language)
        except KeyError:
            raise UsageError(f"there is no layout {layout!r}", hint="layouts are lines and copy") from None
        if assertion not in (RULES, LLM):
            raise UsageError(f"nobody is called {assertion!r}", hint=f"assertions come from {RULES} or {LLM}")
        options = options or EngineOptions()
        named = model is not None or engine != AUTO or options.base_url is not None or options.adapter is not None or examples is not None
        self.tagger: TaggerReader | PointerReader | None = None
        if readers in (TAGGER, BOTH) or (readers == AUTO and not named):
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
        self.readers = readers if readers in (TAGGER, BOTH) else LLM if self.tagger is None else AUTO
        if self.readers == TAGGER:
            engine = NoEngine()
        elif self.readers == AUTO:
            engine = create_later(options)
        elif isinstance(engine, str):
            engine = create_engine(engine, model, options)
        self.prompted = PromptedReader(
            engine,
            questions,
            relations=relations,
            assertion=assertion,
            chunk_tokens=chunk_tokens,
            any_language=language is None,
            boundary=find_policy(boundary, self.schema),
            examples=None if examples is None else AnnotatedExamples.load(examples, pack, self.schema),
            examples_tokens=examples_tokens,
        )
        if budget is not None and (readers != BOTH or deid != OFF):
            raise UsageError("a budget is for the language model beside the tagger", hint="give --readers both, and no --deid")
        self.budget = budget
        if disputes and (readers != BOTH or deid != OFF):
            raise UsageError("disputes are between the tagger and the language model", hint="give --readers both, and no --deid")
        self.disputes = disputes
        if second_voice is not None and (self.readers != LLM or second_voice not in VOICES):
            raise UsageError("a second voice is the language model's, alone", hint=f"--readers llm --second-voice {' or '.join(VOICES)}")
        self.second_voice = second_voice
        self.second = None if second_voice is None else self._second_reader(second_voice)
        fingerprint = None if self.tagger is None else self.tagger.tagger.fingerprint
        folder = self.tagger.tagger.folder if isinstance(self.tagger, TaggerReader) else None
        self.calibrator = find_calibrator(calibrator, self.schema, min_precision, tagger=fingerprint, folder=folder)
        if self.calibrator is not None and DISPUTES in self.calibrator.readers and not disputes:
            raise UsageError("the calibrator was fitted on answers about disputes", hint="give --disputes, or fit one without")
        if self.calibrator is not None and SECOND in self.calibrator.readers and second_voice is None:
            raise UsageError("the calibrator was fitted on a second voice", hint="give --second-voice, or fit one without")
        self.deid = None if deid == OFF else Deidentifier(deid) if isinstance(deid, str) else deid
        self.linker = linker
        if link_choice != OFF and (link_choice != LLM or linker is None or self.readers == TAGGER or self.deid is not None):
            raise UsageError(
                "the language model can choose codes only where it reads notes as they are and there is a terminology",
                hint="give --link NAME --link-choice llm, with neither --readers tagger nor --deid",
            )
        self.chooses_codes = link_choice == LLM
        self._loop = BackgroundLoop()

    @property
    def engine(self) -> Engine:
        """The engine that answers the prompts."""
        return self.prompted.engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self.prompted.engine = engine
        if self.second is not None:
            self.second.engine = engine

    # --- one note, from its text to its mentions -------------------------------------------------------------------

    async def read(self, note: Note) -> Reading:
        """Read one note, several chunks at a time."""
        return await self._read(note, self._turns())

    async def _read(self, note: Note, turns: asyncio.Semaphore) -> Reading:
        reading = await self._read_unlinked(note, turns)
        if self.linker is None:
            return reading
        reading = replace(reading, extraction=await asyncio.to_thread(self.linker.link, reading.extraction))
        if not self.chooses_codes:
            return reading
        from medllm.linking.choice import Chooser

        questions = self.prompted.questions
        chooser = Chooser(self.engine, questions.prompts, questions.language)
        extraction, requests = await chooser.choose(reading.extraction, self.linker, turns)
        return replace(reading, extraction=extraction, requests=(*reading.requests, *requests))

    async def _read_unlinked(self, note: Note, turns: asyncio.Semaphore) -> Reading:
        if self.tagger is not None and (self.readers == TAGGER or (self.readers == AUTO and self.tagger.reads(language_of(note.text)))):
            return _judged(await self._read_tagged(note, self.tagger), self._calibrator_of(TAGGER))
        if self.readers == BOTH and self.tagger is not None and self.tagger.reads(language_of(note.text)):
            if self.budget is not None:
                return await self._read_cascade(note, self.tagger, turns, self.budget)
            tagged, prompted = await together([self._read_tagged(note, self.tagger), self._read_with_model(note, turns)])
            return await self._reconciled(tagged, prompted, turns)
        if self.second is not None:
            both = await together([self._read_with_model(note, turns), self._read_with_model(note, turns, self.second)])
            return heard_twice(both[0], as_second(both[1]), self._calibrator_of(LLM))
        return _judged(await self._read_with_model(note, turns), self._calibrator_of(LLM))

    async def _read_with_model(self, note: Note, turns: asyncio.Semaphore, reader: PromptedReader | None = None) -> Reading:
        reader = reader or self.prompted
        if self.deid is not None:
            replaced = await asyncio.to_thread(self.deid.replace, note)
            return _of_original(replaced, await reader.read(replaced.note, turns))
        return await reader.read(note, turns)

    def _second_reader(self, voice: str) -> PromptedReader:
        """The language model, asked otherwise."""
        second, questions = copy.copy(self.prompted), self.prompted.questions
        if voice == EXAMPLES:
            second.questions = questions.in_other_order()
        else:
            layout = get_layout("copy" if questions.layout.name == "lines" else "lines")
            second.questions = Questions(self.schema, layout, questions.prompts, questions.language)
        second.relations = False
        return second

    async def _read_cascade(self, note: Note, tagger: TaggerReader | PointerReader, turns: asyncio.Semaphore, budget: int) -> Reading:
        """The tagger reads everything, the language model the parts of which the tagger is least sure, within the budget."""
        tagged = await self._read_tagged(note, tagger)
        left: list[Span] = []
        rest = budget

        def worth_it(chunks: Sequence[Chunk]) -> list[int]:
            asked = [number for number, chunk in enumerate(chunks) if chunk.lines]
            parts = [Span(start=chunks[number].start, end=chunks[number].end) for number in asked]
            costs = [sum(self.engine.count_tokens(line.view) for line in chunks[number].lines) for number in asked]
            chosen = {asked[n] for n in choose(parts, costs, tagged.extraction.entities, budget, tagger_score)}
            nonlocal rest
            rest -= sum(cost for number, cost in zip(asked, costs, strict=True) if number in chosen)
            left.extend(part for number, part in zip(asked, parts, strict=True) if number not in chosen)
            return [number for number, chunk in enumerate(chunks) if number in chosen or not chunk.lines]

        prompted = await self.prompted.read(note, turns, worth_it)
        return await self._reconciled(tagged, prompted, turns, left, rest)

    async def _reconciled(
        self, tagged: Reading, prompted: Reading, turns: asyncio.Semaphore, not_asked: Sequence[Span] = (), rest: int | None = None
    ) -> Reading:
        """Two readings of one note as one; ``rest`` is what is left of a budget."""
        tagged = _judged(tagged, self._calibrator_of(TAGGER))
        first, second = tagged.extraction, prompted.extraction
        known = () if self.tagger is None else self.tagger.labels.values()
        links = (*first.relations, *second.relations)
        joined = join((first.entities, ()), (second.entities, ()), known=known, not_asked=not_asked)
        verdicts = Verdicts()
        if self.disputes:
            verdicts = await ask_again(self.prompted, first.note, find_disputes(joined), turns, rest)
            joined = with_votes(joined, verdicts.votes)
        answer = settle(joined, links, known=known, calibrator=self._calibrator_of(TAGGER, LLM))
        extraction = Extraction(
            note=first.note,
            entities=answer.entities,
            relations=answer.relations,
            ledger=(*first.ledger, *second.ledger, *verdicts.ledger),
            rejected=numbered((*answer.rejected, *first.rejected), "X"),
        )
        return Reading(extraction, (*prompted.requests, *verdicts.requests), tagged.read | prompted.read, prompted.left)

    def _calibrator_of(self, *readers: str) -> Calibrator | None:
        """The calibrator, if it was fitted on votes of these readers; answers about disputes only add to them."""
        return self.calibrator if self.calibrator is not None and self.calibrator.readers - {*EXTRA} == set(readers) else None

    async def _read_tagged(self, note: Note, tagger: TaggerReader | PointerReader) -> Reading:
        entities, relations = await asyncio.to_thread(tagger.read, note)
        return Reading(Extraction(note=note, entities=entities, relations=relations), read={TAGGER: len(note.text)})

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
            await cancel(pending)

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

        return await together(one(as_note(note, number)) for number, note in enumerate(notes, 1))

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


def _of_original(replaced: ReplacedNote, reading: Reading) -> Reading:
    """A reading of a de-identified note as one of the original: what was replaced counts with its own characters."""
    back = replaced.original_offset
    extraction = replaced.original_extraction(reading.extraction)
    requests = tuple(replace(r, start=back(r.start), end=back(r.end)) for r in reading.requests)
    missing = {reader: len(replaced.note.text) - read - reading.unread(reader) for reader, read in reading.read.items()}
    moved = Reading(extraction, requests)
    read = {reader: len(replaced.original.text) - moved.unread(reader) - missing[reader] for reader in reading.read}
    return replace(moved, read=read)


def _judged(reading: Reading, calibrator: Calibrator | None) -> Reading:
    """What one reader found, with probabilities."""
    if calibrator is None:
        return reading
    answer = judged((reading.extraction.entities, reading.extraction.relations), calibrator)
    update = {"entities": answer.entities, "relations": answer.relations, "rejected": answer.rejected}
    return replace(reading, extraction=reading.extraction.model_copy(update=update))


def _load_relations(classifier: str | Path | RelationClassifier, options: EngineOptions) -> RelationClassifier:
    if isinstance(classifier, RelationClassifier):
        return classifier
    return RelationClassifier.load(model_folder(classifier), threads=options.threads)


def as_note(note: str | Note, number: int = 1) -> Note:
    """A note of a text, named ``note-1``; a Note as it is."""
    return note if isinstance(note, Note) else Note(id=f"note-{number}", text=note)
