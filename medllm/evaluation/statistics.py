"""How sure a score is: bootstrap intervals over notes, and whether one system is better than another.

Both work on counts by note, an integer array of shape (notes, labels, 3) with (tp, fp, fn) last, and never look at the notes
again. Notes, not mentions, are drawn: mentions of one note are not independent. Everything is seeded and repeatable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medllm.errors import UsageError
from medllm.evaluation.counts import Counts, LabelCounts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    CountArray = NDArray[np.int64]

MEASURES = ("precision", "recall", "f1")
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Interval:
    """The central interval of the bootstrap distribution: percentile method (Efron & Tibshirani 1993, ch. 13)."""

    low: float
    high: float


Intervals = Mapping[str, Interval]
"""``precision``, ``recall`` and ``f1`` -> Interval."""


@dataclass(frozen=True)
class Bootstrap:
    """Intervals for the micro and macro averages and for each label, and how they were drawn."""

    micro: Intervals
    macro: Intervals
    labels: Mapping[str, Intervals]
    samples: int
    level: float
    seed: int
    notes: int


@dataclass(frozen=True)
class Significance:
    """``difference`` is A minus B on all notes; ``p`` the two-sided chance of one at least as large between equal systems."""

    measure: str
    difference: float
    p: float
    samples: int
    seed: int
    notes: int


def count_array(notes: Sequence[LabelCounts], labels: Sequence[str]) -> "CountArray":
    """Counts by note as an array of shape (notes, labels, 3): tp, fp, fn."""
    import numpy as np

    column = {label: i for i, label in enumerate(labels)}
    array = np.zeros((len(notes), len(labels), 3), dtype=np.int64)
    for row, counts in enumerate(notes):
        for label, c in counts.items():
            if label in column:
                array[row, column[label]] = c.tp, c.fp, c.fn
    return array


def bootstrap(notes: Sequence[LabelCounts], labels: Sequence[str], *, samples: int = 1000, level: float = 0.95, seed: int = 0) -> Bootstrap:
    """Resample whole notes with replacement ``samples`` times and take the central ``level`` of each score.

    The macro average of a sample is over the labels that occur in it. Raises UsageError without notes or with fewer than 2 samples.

    >>> b = bootstrap([{"drug": Counts(3, 1, 0)}, {"drug": Counts(1, 0, 2)}], ["drug"], samples=200)
    >>> b.micro["recall"].low, b.micro["recall"].high
    (0.3333333333333333, 1.0)
    """
    import numpy as np

    if not notes or samples < 2 or not 0 < level < 1:
        raise UsageError(
            f"no interval from {len(notes)} notes, {samples} samples and level {level}",
            hint="give notes, 2 samples or more, a level in (0, 1)",
        )
    counts = count_array(notes, labels)
    rng = np.random.default_rng(seed)
    n = len(notes)
    flat = counts.reshape(n, -1).astype(np.float64)
    at_once = max(1, _CELLS_AT_ONCE // n)
    sums = [
        rng.multinomial(n, np.full(n, 1 / n), size=min(at_once, samples - done)).astype(np.float64) @ flat
        for done in range(0, samples, at_once)
    ]
    drawn = np.concatenate(sums).reshape(samples, len(labels), 3)
    by_label = _measures(drawn)
    present = drawn.sum(axis=2, keepdims=True) > 0
    macro = (by_label * present).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    quantiles = [(1 - level) / 2, (1 + level) / 2]

    def intervals(values: "NDArray[np.float64]") -> dict[str, Interval]:
        low, high = np.quantile(values, quantiles, axis=0)
        return {m: Interval(float(low[i]), float(high[i])) for i, m in enumerate(MEASURES)}

    return Bootstrap(
        micro=intervals(_measures(drawn.sum(axis=1))),
        macro=intervals(macro),
        labels={label: intervals(by_label[:, i]) for i, label in enumerate(labels)},
        samples=samples,
        level=level,
        seed=seed,
        notes=n,
    )


def approximate_randomisation(
    a: Sequence[Counts], b: Sequence[Counts], *, measure: str = "f1", samples: int = 10_000, seed: int = 0
) -> Significance:
    """Paired test between two systems over the same notes in the same order (Noreen 1989; Yeh 2000, COLING).

    Each sample swaps the two systems' counts in a random half of the notes; ``p`` is (times the difference was at least as
    large as the one seen + 1) / (samples + 1). ``measure`` is ``precision``, ``recall`` or ``f1`` of the micro average.
    Raises UsageError for different numbers of notes or an unknown measure.

    >>> worse, better = [Counts(2, 3, 3)] * 30, [Counts(4, 1, 1)] * 30
    >>> test = approximate_randomisation(better, worse, samples=999)
    >>> round(test.difference, 3), test.p
    (0.4, 0.001)
    """
    import numpy as np

    if len(a) != len(b) or not a or measure not in MEASURES or samples < 1:
        raise UsageError(
            f"no paired test of {measure!r} between {len(a)} and {len(b)} notes with {samples} samples",
            hint=f"both systems need the same notes; the measure is one of {', '.join(MEASURES)}",
        )
    which = MEASURES.index(measure)
    left = np.array([(c.tp, c.fp, c.fn) for c in a], dtype=np.float64)
    right = np.array([(c.tp, c.fp, c.fn) for c in b], dtype=np.float64)
    rng = np.random.default_rng(seed)

    def difference(first: Any, second: Any) -> Any:
        return _measures(first)[..., which] - _measures(second)[..., which]

    observed = float(difference(left.sum(axis=0), right.sum(axis=0)))
    at_once = max(1, _CELLS_AT_ONCE // len(a))
    at_least = 0
    for done in range(0, samples, at_once):
        swap = rng.integers(0, 2, size=(min(at_once, samples - done), len(a))).astype(np.float64)
        moved = swap @ (right - left)
        shuffled = difference(left.sum(axis=0) + moved, right.sum(axis=0) - moved)
        at_least += int((np.abs(shuffled) >= abs(observed) - 1e-12).sum())
    return Significance(measure, observed, (at_least + 1) / (samples + 1), samples, seed, len(a))


def _measures(counts: Any) -> Any:
    """(..., tp/fp/fn) -> (..., precision/recall/f1), 0 where undefined."""
    import numpy as np

    tp, fp, fn = counts[..., 0], counts[..., 1], counts[..., 2]
    parts = ((tp, tp + fp), (tp, tp + fn), (2 * tp, 2 * tp + fp + fn))
    return np.stack([np.divide(a, b, out=np.zeros_like(a, dtype=np.float64), where=b > 0) for a, b in parts], axis=-1)
