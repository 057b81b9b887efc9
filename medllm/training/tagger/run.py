"""``medllm train tagger``: corpora in, a tagger's folder out, with warnings where the data cannot teach what is asked."""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medllm.document import Note
from medllm.ensemble.shipped import OWN
from medllm.errors import InputError, UsageError
from medllm.formats.inputs import read_inputs
from medllm.schema import Schema
from medllm.taggers.tagger import Tagger
from medllm.training.augmentation import augmented
from medllm.training.tagger.calibrated import judge_tagger, leave_calibrator
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
    ``held_out`` is a location, or the share of the notes of ``data`` to hold out (0 for none). ``silver`` are notes that a reader
    annotated, trusted where its confidence is at least ``silver_least``. ``augment`` names operators of ``medllm.training.augmentation``
    that make ``copies`` changed notes of each. ``pretraining`` is a folder of raw notes that the encoder is adapted to first.
    """

    data: Sequence[str]
    base: str
    schema: str | None = None
    labels: Sequence[str] | None = None
    held_out: str | float = 0.1
    auxiliary: Sequence[str] = ()
    auxiliary_epochs: float = 2
    silver: Sequence[str] = ()
    silver_least: float = 0.8
    augment: Sequence[str] = ()
    copies: int = 1
    pretraining: str | None = None
    pretraining_epochs: float = 3
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
    if not job.data and not job.silver:
        raise UsageError("there is nothing to learn from", hint="give --data FORMAT:PATH, or --silver with what a reader extracted")
    schema = Schema.load(job.schema) if job.schema else None
    corpora = [_read(location, schema, job.labels) for location in job.data]
    silver = [_read(location, schema, job.labels, least=job.silver_least) for location in job.silver]
    training, held_out = _divide(corpora, job, schema, options.seed)
    training, remarks = _without_overlap([*training, *(note for corpus in silver for note in corpus.notes)], held_out)
    _check(corpora, training, held_out, warn)
    more = augmented(training, job.augment, copies=job.copies, seed=options.seed)
    folder.mkdir(parents=True, exist_ok=True)
    base = _pretrained(job, held_out, folder, options, report) if job.pretraining else job.base
    start = _auxiliary(job, base, held_out, folder, options, report) if job.auxiliary else None
    fitted = fit(
        [*training, *more],
        base,
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
    tagger = Tagger.load(folder)
    scores = held_out_scores(tagger, held_out) if held_out else {}
    if schema is not None and (judged := judge_tagger(tagger, held_out, schema)):
        remarks.append(leave_calibrator(judged, tagger, schema, folder / OWN, command=command))
    kept = set(training)
    used = [dataclasses.replace(c, notes=tuple(n for n in c.notes if n in kept)) for c in (*corpora, *silver)]
    remarks += _remarks(job, len(more), silver)
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


def _read(location: str, schema: Schema | None, labels: Sequence[str] | None, *, least: float = 0.0) -> Corpus:
    place, at, labelmap = location.partition("@")
    return read_corpus(place, schema, Path(labelmap) if at else None, labels, least=least)


def _pretrained(
    job: Job, held_out: Sequence[TrainingNote], folder: Path, options: TrainingOptions, report: Callable[[dict[str, float]], None]
) -> str:
    """The encoder after masked language modelling on raw notes, none of which shares a line with the held-out ones."""
    from medllm.training.pretraining import PretrainingOptions, pretrain

    texts = [note for note in read_inputs([str(job.pretraining)]) if isinstance(note, Note)]
    raw = [TrainingNote(note.id, note.text, (), frozenset()) for note in texts]
    shared = overlapping(raw, held_out)
    target = folder / "pretrained"
    if not (target / "config.json").is_file():
        own = PretrainingOptions(
            epochs=job.pretraining_epochs,
            rate=options.rate,
            batch=options.batch,
            window=options.window,
            freeze=options.freeze,
            seed=options.seed,
            device=options.device,
        )
        gained = pretrain([note.text for note in raw if note.id not in shared], job.base, target, own, report=report)
        report(gained | {"epoch": job.pretraining_epochs})
    return str(target)


def _remarks(job: Job, more: int, silver: Sequence[Corpus]) -> list[str]:
    remarks = []
    if more:
        remarks.append(f"{more} changed copies of training notes were learnt from too: {', '.join(job.augment)}.")
    if silver:
        remarks.append(f"{', '.join(c.name for c in silver)}: annotated by a reader; below {job.silver_least} nothing was learnt from it.")
    if job.pretraining:
        remarks.append("The encoder was first adapted to raw notes by masked language modelling.")
    return remarks


def _auxiliary(
    job: Job,
    base: str,
    held_out: Sequence[TrainingNote],
    folder: Path,
    options: TrainingOptions,
    report: Callable[[dict[str, float]], None],
) -> Fitted:
    """The first stage: all auxiliary corpora at once, each with its own labels, none of them sharing text with the held-out notes."""
    notes = []
    for number, location in enumerate(job.auxiliary):
        corpus = _read(location, None, None).renamed(f"{number}")
        shared = overlapping(corpus.notes, held_out)
        notes += [note for note in corpus.notes if note.id not in shared]
    first = dataclasses.replace(options, epochs=job.auxiliary_epochs, patience=0)
    return fit(notes, base, folder / "checkpoints-auxiliary", first, name=job.name, report=report)


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
