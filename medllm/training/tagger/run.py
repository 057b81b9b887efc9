"""``medllm train tagger``: corpora in, a tagger's folder out, with warnings where the data cannot teach what is asked."""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medllm.errors import InputError, UsageError
from medllm.schema import Schema
from medllm.taggers.tagger import Tagger
from medllm.training.tagger.card import held_out_scores, write_card
from medllm.training.tagger.data import Corpus, TrainingNote, overlapping, read_corpus
from medllm.training.tagger.export import export, save_encoder
from medllm.training.tagger.fit import Fitted, TrainingOptions, fit, save_history

FEW = 20
"""A label with fewer mentions than this gets a warning."""
LONG = 1_000_000
"""A note with more characters than this gets a warning: it is probably several."""


@dataclass(frozen=True)
class Job:
    """What to train on what. Locations are ``FORMAT:PATH``, or ``FORMAT:PATH@LABELMAP.toml``.

    ``auxiliary`` corpora teach the encoder first, each with a head of its own that is dropped before the second stage, over ``data``.
    ``held_out`` is a location, or the share of the notes of ``data`` to hold out (0 for none).
    """

    data: Sequence[str]
    base: str
    schema: str | None = None
    labels: Sequence[str] | None = None
    held_out: str | float = 0.1
    auxiliary: Sequence[str] = ()
    auxiliary_epochs: float = 2
    name: str = "tagger"
    licence: str = "other"
    quantize: bool = True


def train(
    job: Job,
    folder: Path,
    options: TrainingOptions,
    *,
    command: str,
    warn: Callable[[str], None] = lambda _: None,
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> dict[str, Any]:
    """Train, write the folder with its card, and return the held-out scores. Raises MedllmError."""
    schema = Schema.load(job.schema) if job.schema else None
    corpora = [_read(location, schema, job.labels) for location in job.data]
    training, held_out = _divide(corpora, job, schema, options.seed)
    training, remarks = _without_overlap(training, held_out)
    _check(corpora, training, held_out, warn)
    folder.mkdir(parents=True, exist_ok=True)
    start = _auxiliary(job, held_out, folder, options, report) if job.auxiliary else None
    fitted = fit(
        training,
        job.base,
        folder / "checkpoints",
        options,
        name=job.name,
        held_out=held_out,
        schema=schema,
        start=start.network if start else None,
        report=report,
    )
    if fitted.losses.nested or fitted.losses.inside_unit:
        warn(
            f"of {fitted.losses.mentions} mentions, {fitted.losses.nested} are nested in their own layer and left out, "
            f"{fitted.losses.inside_unit} have an edge inside a word and were widened to it"
        )
    save_history(fitted.history, folder / "history.jsonl")
    export(fitted, folder, quantize=job.quantize)
    save_encoder(fitted, folder / "encoder")
    scores = held_out_scores(Tagger.load(folder), held_out) if held_out else {}
    used = [dataclasses.replace(c, notes=tuple(n for n in c.notes if n in set(training))) for c in corpora]
    write_card(
        folder,
        name=job.name,
        base=Path(job.base).name if Path(job.base).exists() else job.base,
        licence=job.licence,
        command=command,
        corpora=used,
        held_out=held_out,
        scores=scores,
        settings=dataclasses.asdict(options),
        remarks=remarks,
    )
    return scores


def _read(location: str, schema: Schema | None, labels: Sequence[str] | None) -> Corpus:
    place, at, labelmap = location.partition("@")
    return read_corpus(place, schema, Path(labelmap) if at else None, labels)


def _auxiliary(
    job: Job, held_out: Sequence[TrainingNote], folder: Path, options: TrainingOptions, report: Callable[[dict[str, float]], None]
) -> Fitted:
    """The first stage: all auxiliary corpora at once, each with its own labels, none of them sharing text with the held-out notes."""
    notes = []
    for number, location in enumerate(job.auxiliary):
        corpus = _read(location, None, None).renamed(f"{number}")
        shared = overlapping(corpus.notes, held_out)
        notes += [note for note in corpus.notes if note.id not in shared]
    first = dataclasses.replace(options, epochs=job.auxiliary_epochs, patience=0)
    return fit(notes, job.base, folder / "checkpoints-auxiliary", first, name=job.name, report=report)


def _divide(corpora: Sequence[Corpus], job: Job, schema: Schema | None, seed: int) -> tuple[list[TrainingNote], list[TrainingNote]]:
    notes = [note for corpus in corpora for note in corpus.notes]
    if isinstance(job.held_out, str):
        return notes, list(_read(job.held_out, schema, job.labels).notes)
    if not 0 <= job.held_out < 1:
        raise UsageError(f"a share of {job.held_out} cannot be held out", hint="give a number below 1, or FORMAT:PATH")
    chosen = sorted(notes, key=lambda n: n.id)
    random.Random(seed).shuffle(chosen)
    size = round(len(notes) * job.held_out)
    return chosen[size:], chosen[:size]


def _without_overlap(training: list[TrainingNote], held_out: Sequence[TrainingNote]) -> tuple[list[TrainingNote], list[str]]:
    shared = overlapping(training, held_out) if held_out else frozenset()
    remarks = [f"{len(shared)} notes were left out of training because they share lines with held-out ones."] if shared else []
    return [note for note in training if note.id not in shared], remarks


def _check(
    corpora: Sequence[Corpus], training: Sequence[TrainingNote], held_out: Sequence[TrainingNote], warn: Callable[[str], None]
) -> None:
    counts = Counter(m.label for note in training for m in note.mentions)
    if not counts:
        raise InputError(f"{len(training)} training notes have no mentions", hint="a tagger learnt from them would find nothing")
    for corpus in corpora:
        if corpus.faults:
            warn(f"{corpus.name}: {corpus.faults} annotations cannot be read; `medllm score` with this corpus as gold lists them")
        if corpus.discontinuous:
            warn(f"{corpus.name}: {corpus.discontinuous} mentions have several parts, and are learnt from the first to the last")
    empty = sum(not note.mentions for note in training)
    if empty * 2 > len(training):
        warn(f"{empty} of {len(training)} training notes have no mention: are they annotated?")
    if few := [f"{label} ({count})" for label, count in counts.items() if count < FEW]:
        warn(f"labels with fewer than {FEW} mentions are hardly learnt: {', '.join(sorted(few))}")
    if long := sum(len(note.text) > LONG for note in training):
        warn(f"{long} notes have more than {LONG:,} characters")
    if never := sorted({m.label for note in held_out for m in note.mentions} - set(counts)):
        warn(f"labels of the held-out notes that training never shows: {', '.join(never)}")
