"""A run: notes in, a run directory out, everything accounted for."""

import datetime
import platform
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import medllm
from medllm.document import LedgerEntry, Note
from medllm.engines.base import Usage
from medllm.errors import RunError
from medllm.formats import jsonl, registry
from medllm.formats.inputs import Unreadable
from medllm.pipeline import Extractor
from medllm.reading import Reading
from medllm.runs.directory import EXTRACTIONS, RunDirectory
from medllm.runs.ledger import INPUT
from medllm.versions import versions


@dataclass
class Progress:
    """How far a run is; handed to ``report`` after every note. ``from_cache`` counts answers; they are not in ``usage``."""

    notes: int = 0
    skipped: int = 0
    mentions: int = 0
    ledger: int = 0
    from_cache: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0


@dataclass(frozen=True)
class RunResult:
    """What came of a run. ``ledger`` counts all entries of the directory, ``unaccounted`` notes that do not add up; earlier ones too."""

    progress: Progress
    ledger: int
    unaccounted: int

    @property
    def accounted_for(self) -> bool:
        """True if every character of every note was read, or is in the ledger."""
        return self.unaccounted == 0

    @property
    def exit_code(self) -> int:
        """0: everything was read. 3: finished, and the ledger is not empty. 4: the accounting does not add up."""
        return 4 if not self.accounted_for else 3 if self.ledger else 0


def configuration(extractor: Extractor) -> dict[str, Any]:
    """Everything that decides what a run extracts; two runs with one configuration may share a directory."""
    always: dict[str, Any] = {"medllm": medllm.__version__, "schema": {"name": extractor.schema.name, "digest": extractor.schema.digest}}
    always["readers"] = extractor.readers
    if extractor.linker is not None:
        always["link"] = extractor.linker.fingerprint
        if extractor.chooses_codes:
            always["link_choice"] = "llm"
    if extractor.tagger is not None:
        tagger = extractor.tagger.tagger
        always |= {"tagger": tagger.config.name, "tagger_sha256": tagger.fingerprint, "tagger_labels": extractor.tagger.labels}
        if (classifier := extractor.tagger.classifier) is not None:
            always |= {"tagger_relations": classifier.config.name, "tagger_relations_sha256": classifier.fingerprint}
    if extractor.calibrator is not None:
        always |= {"calibrator": extractor.calibrator.digest, "min_precision": extractor.calibrator.promised}
    if extractor.readers == "tagger":
        return always | {"engine": "tagger", "model": tagger.config.name, "relations": extractor.prompted.relations}
    if extractor.deid is not None:
        always |= {"deid": {"mode": extractor.deid.mode, "ner": extractor.deid.ner or "none"}}
    if extractor.prompted.examples is not None:
        always |= {"examples": {"sha256": extractor.prompted.examples.digest, "tokens": extractor.prompted.examples_tokens}}
    if not extractor.engine.constrained:
        always |= {"constrained": False}
    return always | {
        "engine": extractor.engine.name,
        "model": extractor.engine.model,
        "model_sha256": extractor.engine.fingerprint,
        "prompts": extractor.prompted.questions.prompts.digest,
        "language": "auto" if extractor.prompted.any_language else extractor.prompted.questions.language,
        "layout": extractor.prompted.questions.layout.name,
        "assertion": extractor.prompted.assertion,
        "relations": extractor.prompted.relations,
        **({"budget": extractor.budget} if extractor.budget is not None else {}),
        **({"disputes": True} if extractor.disputes else {}),
        **({"second_voice": extractor.second_voice} if extractor.second_voice else {}),
        "boundary": "off" if extractor.prompted.boundary is None else extractor.prompted.boundary.digest,
        "chunk_tokens": extractor.prompted.chunk_tokens,
        "context_tokens": extractor.engine.context_tokens,
    }


def first_notes(inputs: Iterable[Note | Unreadable], limit: int) -> Iterator[Note | Unreadable]:
    """The inputs up to the note number ``limit``; what is no note does not count."""
    for item in inputs:
        yield item
        limit -= isinstance(item, Note)
        if limit <= 0:
            return


async def run(
    extractor: Extractor,
    inputs: Iterable[Note | Unreadable],
    directory: RunDirectory,
    *,
    formats: Sequence[str] = (),
    report: Callable[[Progress], None] = lambda _: None,
) -> RunResult:
    """Read all inputs that the directory does not hold yet, then write the manifest and the other formats."""
    started = time.monotonic()
    begun = datetime.datetime.now(datetime.UTC)
    progress = Progress()
    handed = 0

    def fresh_notes() -> Iterator[Note]:
        nonlocal handed
        for item in inputs:
            if isinstance(item, Unreadable):
                directory.write_unread(LedgerEntry(note_id=item.id, reader=INPUT, reason=item.reason, detail=item.detail))
                progress.ledger += 1
            elif directory.is_done(item):
                progress.skipped += 1
            else:
                handed += 1
                yield item

    try:
        async with aclosing(extractor.stream(fresh_notes())) as readings:
            async for reading in readings:
                directory.write(reading)
                _add(progress, reading)
                progress.seconds = time.monotonic() - started
                report(progress)
        accounts = directory.account()
        accounts = replace(accounts, unaccounted=accounts.unaccounted + handed - progress.notes)
        directory.finish(_manifest(begun, started, progress, directory, "finished") | _about(extractor) | {"accounting": asdict(accounts)})
        _write_formats(directory, formats, extractor)
    except BaseException as error:
        state = "interrupted" if isinstance(error, CancelledError | KeyboardInterrupt) else f"stopped: {type(error).__name__}"
        with suppress(RunError):  # it may be the very error
            directory.finish(_manifest(begun, started, progress, directory, state) | _about(extractor))
        raise
    return RunResult(progress, accounts.ledger, accounts.unaccounted)


def _add(progress: Progress, reading: Reading) -> None:
    progress.notes += 1
    progress.mentions += len(reading.extraction.entities)
    progress.ledger += len(reading.extraction.ledger)
    for request in reading.requests:
        progress.usage += request.usage
        progress.from_cache += request.from_cache


def _write_formats(directory: RunDirectory, formats: Sequence[str], extractor: Extractor) -> None:
    for name in dict.fromkeys(formats):
        if name == "jsonl":
            continue
        writer = registry.writer(name)(directory.path / name, extractor.schema)
        try:
            for extraction in jsonl.read(directory.path / EXTRACTIONS, extractor.schema):
                writer.write(extraction)
        finally:
            writer.close()


def _manifest(begun: datetime.datetime, started: float, progress: Progress, directory: RunDirectory, state: str) -> dict[str, Any]:
    seconds = time.monotonic() - started
    this_run = {"notes": progress.notes, "already_done": progress.skipped, "mentions": progress.mentions, "ledger": progress.ledger}
    return {
        "state": state,
        "started": begun.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "notes": directory.notes_done,
        "this_run": this_run | ({"from_cache": progress.from_cache} if progress.from_cache else {}),
        "usage": asdict(progress.usage) | {"seconds": round(progress.usage.seconds, 1)},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions(),
    }


def _about(extractor: Extractor) -> dict[str, Any]:
    """What an engine has to say of its server."""
    about = getattr(extractor.engine, "about", None)
    return {"server": about} if about else {}
