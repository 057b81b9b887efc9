"""Annotated notes of several corpora, each with the labels it annotates: what it does not annotate is unknown, not absent."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medllm.document import Entity, Extraction
from medllm.errors import InputError
from medllm.formats.annotated import read_annotated
from medllm.schema import Schema, attribute_value, attributes

BOILERPLATE = 60


@dataclass(frozen=True)
class Mention:
    """A mention to learn: half-open offsets of its first part's start and its last part's end, label, attribute values."""

    start: int
    end: int
    label: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TrainingNote:
    """A note to learn from. ``labels`` are those its corpus annotates, ``attributes`` the attribute names it annotates.

    ``unsure`` are half-open stretches of which nothing is known: where a reader that annotated the note was not sure.
    """

    id: str
    text: str
    mentions: tuple[Mention, ...]
    labels: frozenset[str]
    attributes: frozenset[str] = frozenset()
    unsure: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Corpus:
    """Notes of one source. ``faults`` counts what its files got wrong, ``discontinuous`` the mentions with several parts."""

    name: str
    notes: tuple[TrainingNote, ...]
    faults: int = 0
    discontinuous: int = 0
    labels: frozenset[str] = field(default_factory=frozenset)

    def renamed(self, prefix: str) -> "Corpus":
        """The same notes with ``prefix:`` before each label: a task of its own, on the same encoder."""
        notes = tuple(
            replace(
                note,
                mentions=tuple(replace(m, label=f"{prefix}:{m.label}", attributes=()) for m in note.mentions),
                labels=frozenset(f"{prefix}:{label}" for label in note.labels),
                attributes=frozenset(),
            )
            for note in self.notes
        )
        return replace(self, notes=notes, labels=frozenset(f"{prefix}:{label}" for label in self.labels))


def read_corpus(
    location: str,
    schema: Schema | None = None,
    labelmap: Path | None = None,
    labels: Iterable[str] | None = None,
    *,
    least: float = 0.0,
) -> Corpus:
    """The notes at ``FORMAT:PATH``, in the labels of the schema where one is given.

    ``labels`` restricts what is learnt; of mentions that a reader found with less confidence than ``least`` nothing is. Raises UsageError
    for a location without a format, FormatError for files that cannot be read, InputError where nothing is annotated.
    """
    found, problems = read_annotated(location, schema, labelmap)
    name, _, path = location.partition(":")
    faults = sum(problem.dropped for problem in problems)
    return of_extractions(found, name=f"{name}:{Path(path).name}", labels=labels, faults=faults, least=least)


def of_extractions(
    extractions: Sequence[Extraction], *, name: str, labels: Iterable[str] | None = None, faults: int = 0, least: float = 0.0
) -> Corpus:
    """A corpus of extractions that hold gold, or silver of which ``least`` is trusted. Its labels are those that occur.

    Raises InputError where there are none.
    """
    wanted = None if labels is None else frozenset(labels)
    there = frozenset(e.label for x in extractions for e in x.entities)
    known = there if wanted is None else there & wanted
    if not known:
        raise InputError(
            f"{len(extractions)} notes at {name}, and no mention" + (f" of {', '.join(sorted(wanted))}" if wanted and there else ""),
            hint=f"the labels there are {', '.join(sorted(there))}" if there else "are the annotations beside the texts?",
        )
    named = frozenset(a.name for x in extractions for kind in {type(e) for e in x.entities} for a in attributes(kind))
    varied = frozenset(
        attribute
        for attribute in named
        if len({attribute_value(getattr(e, attribute)) for x in extractions for e in x.entities if hasattr(e, attribute)}) > 1
    )
    notes = tuple(
        TrainingNote(
            x.note.id,
            x.note.text,
            tuple(
                Mention(
                    e.spans[0].start,
                    e.spans[-1].end,
                    e.label,
                    tuple((a, attribute_value(getattr(e, a))) for a in sorted(varied) if getattr(e, a, None) is not None),
                )
                for e in x.entities
                if e.label in known and certainty(e) >= least
            ),
            known,
            varied,
            tuple((e.spans[0].start, e.spans[-1].end) for e in x.entities if e.label in known and certainty(e) < least),
        )
        for x in extractions
    )
    discontinuous = sum(len(e.spans) > 1 for x in extractions for e in x.entities)
    return Corpus(name, notes, faults, discontinuous, known)


def certainty(entity: Entity) -> float:
    """The confidence of a mention, else the best score of its votes; 1 where it has neither, as gold has."""
    scores = [vote.score for vote in entity.votes if vote.score is not None and not vote.about]
    return entity.confidence if entity.confidence is not None else max(scores, default=1.0)


def overlapping(notes: Iterable[TrainingNote], others: Iterable[TrainingNote], *, least: int = 40) -> frozenset[str]:
    """Ids of ``notes`` that share a line of at least ``least`` letters and digits with ``others``: leave them out of training.

    A short line (below BOILERPLATE letters and digits) that stands in more than one note in twenty is a form's, and does not count.
    """
    mine = {note.id: set(_lines(note.text, least)) for note in notes}
    theirs = [set(_lines(note.text, least)) for note in others]
    count = Counter(line for lines in (*mine.values(), *theirs) for line in lines)
    common = max(4, (len(mine) + len(theirs)) // 20)
    seen = {line for lines in theirs for line in lines if count[line] <= common or len(line) >= BOILERPLATE}
    return frozenset(name for name, lines in mine.items() if not seen.isdisjoint(lines))


def _lines(text: str, least: int) -> Iterable[str]:
    for line in text.splitlines():
        squeezed = "".join(c for c in line if c.isalnum()).casefold()
        if len(squeezed) >= least:
            yield squeezed


def folds(notes: Sequence[TrainingNote], number: int, seed: int = 0) -> list[tuple[list[TrainingNote], list[TrainingNote]]]:
    """``number`` pairs of (training, held out), by note, in an order that only the seed decides."""
    ordered = sorted(notes, key=lambda note: note.id)
    random.Random(seed).shuffle(ordered)
    parts = [ordered[i::number] for i in range(number)]
    return [([n for j, part in enumerate(parts) if j != i for n in part], parts[i]) for i in range(number)]
