"""``medllm train relations``: corpora in, a relation classifier's folder out, with warnings where the data cannot teach what is asked."""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medllm.errors import InputError, UsageError
from medllm.schema import Schema
from medllm.taggers.relations import RelationClassifier
from medllm.training.relations.card import write_card
from medllm.training.relations.data import RelationCorpus, RelationNote, read_relations
from medllm.training.relations.export import export
from medllm.training.relations.fit import Fitted, RelationOptions, fit
from medllm.training.relations.score import RelationScores, held_out_scores
from medllm.training.tagger.data import TrainingNote, overlapping

LONG = 100_000
"""A note with more characters than this gets a warning where concepts are joined: it is learnt whole, in one step."""
FEW = 20
"""A relation with fewer examples than this gets a warning."""


@dataclass(frozen=True)
class RelationJob:
    """What to train on what. Locations are ``FORMAT:PATH``, or ``FORMAT:PATH@LABELMAP.toml``.

    ``held_out`` is a location, or the share of the notes of ``data`` to hold out (0 for none).
    """

    data: Sequence[str]
    base: str
    schema: str | None = None
    relations: Sequence[str] | None = None
    held_out: str | float = 0.1
    name: str = "relations"
    licence: str = "other"
    quantize: bool = True


def train(
    job: RelationJob,
    folder: Path,
    options: RelationOptions,
    *,
    command: str,
    warn: Callable[[str], None] = lambda _: None,
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> RelationScores | None:
    """Train, write the folder with its card, and return the held-out scores. Raises MedllmError."""
    schema = Schema.load(job.schema) if job.schema else None
    corpora = [_read(location, schema, job.relations) for location in job.data]
    training, held_out = _divide(corpora, job, schema, options.seed)
    shared = overlapping(_texts(training), _texts(held_out))
    training = [note for note in training if note.id not in shared]
    remarks = [f"{len(shared)} notes were left out of training because they share lines with held-out ones."] if shared else []
    _check(corpora, training, warn, concepts=options.concepts)
    folder.mkdir(parents=True, exist_ok=True)
    fitted = fit(training, job.base, folder / "checkpoints", options, name=job.name, report=report)
    _tell_losses(fitted, warn)
    export(fitted, folder, quantize=job.quantize)
    scores = held_out_scores(RelationClassifier.load(folder), held_out) if held_out else None
    kept = set(training)
    write_card(
        folder,
        fitted,
        base=Path(job.base).name if Path(job.base).exists() else job.base,
        licence=job.licence,
        command=command,
        corpora=[dataclasses.replace(c, notes=tuple(n for n in c.notes if n in kept)) for c in corpora],
        scores=scores,
        settings=dataclasses.asdict(options),
        remarks=remarks,
    )
    return scores


def _read(location: str, schema: Schema | None, relations: Sequence[str] | None) -> RelationCorpus:
    place, at, labelmap = location.partition("@")
    return read_relations(place, schema, Path(labelmap) if at else None, relations)


def _texts(notes: Sequence[RelationNote]) -> list[TrainingNote]:
    return [TrainingNote(note.id, note.text, (), frozenset()) for note in notes]


def _divide(
    corpora: Sequence[RelationCorpus], job: RelationJob, schema: Schema | None, seed: int
) -> tuple[list[RelationNote], list[RelationNote]]:
    notes = [note for corpus in corpora for note in corpus.notes]
    if isinstance(job.held_out, str):
        return notes, list(_read(job.held_out, schema, job.relations).notes)
    if not 0 <= job.held_out < 1:
        raise UsageError(f"a share of {job.held_out} cannot be held out", hint="give a number below 1, or FORMAT:PATH")
    chosen = sorted(notes, key=lambda n: n.id)
    random.Random(seed).shuffle(chosen)
    size = round(len(notes) * job.held_out)
    return chosen[size:], chosen[:size]


def _check(corpora: Sequence[RelationCorpus], training: Sequence[RelationNote], warn: Callable[[str], None], *, concepts: bool) -> None:
    counts = Counter(label for note in training for *_, label in (note.codes if concepts else note.relations))
    if not counts:
        raise InputError(
            f"{len(training)} training notes have no relations" + (" between mentions with codes" if concepts else ""),
            hint="leave out --concepts: relations are then learnt between mentions" if concepts else "are the mentions joined there?",
        )
    for corpus in corpora:
        if corpus.faults:
            warn(f"{corpus.name}: {corpus.faults} annotations cannot be read; `medllm score` with this corpus as gold lists them")
    if concepts and (long := sum(len(note.text) > LONG for note in training)):
        warn(f"{long} notes have more than {LONG:,} characters, and each is learnt in one step: that may need much memory")
    if few := [f"{label} ({count})" for label, count in sorted(counts.items()) if count < FEW]:
        warn(f"relations with fewer than {FEW} examples are hardly learnt: {', '.join(few)}")


def _tell_losses(fitted: Fitted, warn: Callable[[str], None]) -> None:
    losses = fitted.losses
    if losses.no_candidate or losses.second:
        warn(
            f"of {losses.relations} relations, {losses.no_candidate} join no candidate pair (too far apart, in different parts of a "
            f"note, or of labels that are rarely related), and {losses.second} share their pair with another relation"
        )
