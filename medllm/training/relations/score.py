"""Scores of a relation classifier on held-out notes, given their mentions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medllm.evaluation.counts import Counts, add, micro
from medllm.evaluation.statistics import bootstrap
from medllm.taggers.relations import RelationClassifier
from medllm.training.relations.data import RelationNote

Triple = tuple[Any, Any, str]
SAMPLES = 1000


@dataclass(frozen=True)
class RelationScores:
    """Counts by relation, and the 95 % interval of the micro F1 (bootstrap over ``notes`` notes)."""

    labels: dict[str, Counts]
    interval: tuple[float, float]
    notes: int

    @property
    def micro(self) -> Counts:
        """All relations together."""
        return micro(self.labels)


def found_in(classifier: RelationClassifier, note: RelationNote) -> set[Triple]:
    """What the classifier finds: (head, tail, label), by mention numbers or by codes."""
    links = classifier.classify(note.text, note.mentions)
    if classifier.config.concepts:
        return {(link.head.code, link.tail.code, link.label) for link in links}
    return {(link.head.members[0], link.tail.members[0], link.label) for link in links}


def held_out_scores(classifier: RelationClassifier, notes: Sequence[RelationNote], *, samples: int = SAMPLES) -> RelationScores:
    """The classifier's relations against the annotated ones."""
    counts = []
    for note in notes:
        gold, found = set[Triple](note.codes if classifier.config.concepts else note.relations), found_in(classifier, note)
        counts.append({label: _counts(gold, found, label) for label in classifier.config.relations})
    interval = bootstrap(counts, classifier.config.relations, samples=samples).micro["f1"]
    return RelationScores(add(counts), (interval.low, interval.high), len(notes))


def _counts(gold: set[Triple], found: set[Triple], label: str) -> Counts:
    want, have = ({t for t in side if t[2] == label} for side in (gold, found))
    return Counts(len(want & have), len(have - want), len(want - have))
