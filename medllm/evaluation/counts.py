"""Counts of true positives, false positives and false negatives, and the scores that follow from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LabelCounts = Mapping[str, "Counts"]


@dataclass(frozen=True)
class Counts:
    """True positives, false positives, false negatives. They add up:

    >>> Counts(3, 1, 2) + Counts(1, 0, 0)
    Counts(tp=4, fp=1, fn=2)
    >>> round(Counts(4, 1, 2).f1, 3)
    0.727
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def gold(self) -> int:
        """How many items the gold standard has."""
        return self.tp + self.fn

    @property
    def pred(self) -> int:
        """How many items were predicted."""
        return self.tp + self.fp

    @property
    def precision(self) -> float:
        """tp / (tp + fp), in [0, 1]; 0 where nothing was predicted."""
        return self.tp / self.pred if self.pred else 0.0

    @property
    def recall(self) -> float:
        """tp / (tp + fn), in [0, 1]; 0 where there is no gold. Over matched mentions this is the accuracy."""
        return self.tp / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn); 0 where there is nothing at all."""
        return 2 * self.tp / (self.pred + self.gold) if self.pred + self.gold else 0.0

    @property
    def scores(self) -> "Scores":
        """Precision, recall and F1 together."""
        return Scores(self.precision, self.recall, self.f1)


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1, each in [0, 1]."""

    precision: float = 0.0
    recall: float = 0.0
    f1: float = 0.0

    def to_json(self) -> dict[str, float]:
        """``{"precision": …, "recall": …, "f1": …}``."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}


def add(counts: Iterable[LabelCounts]) -> dict[str, Counts]:
    """The sums by label over several notes, in alphabetical order of the labels."""
    total: dict[str, Counts] = {}
    for note in counts:
        for label, c in note.items():
            total[label] = total.get(label, Counts()) + c
    return dict(sorted(total.items()))


def micro(counts: LabelCounts) -> Counts:
    """The sum over labels: every item weighs the same."""
    return sum(counts.values(), Counts())


def macro(counts: LabelCounts) -> Scores:
    """The plain mean over the labels that have gold or predicted items: every label weighs the same.

    F1 is the mean of the labels' F1 (as seqeval and scikit-learn have it), not the F1 of the mean precision and recall.
    """
    present = [c for c in counts.values() if c.gold or c.pred]
    if not present:
        return Scores()
    n = len(present)
    return Scores(sum(c.precision for c in present) / n, sum(c.recall for c in present) / n, sum(c.f1 for c in present) / n)
