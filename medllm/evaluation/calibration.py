"""Whether a mention's confidence means what it says: reliability, ECE, Brier score, and precision against coverage."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medllm.errors import UsageError
from medllm.evaluation.matching import Alignment


@dataclass(frozen=True)
class Outcome:
    """The confidence of one predicted mention, in [0, 1], and whether it matched gold."""

    confidence: float
    correct: bool


@dataclass(frozen=True)
class Bin:
    """Predictions with a confidence in [low, high) (the last bin includes 1): how many, how confident, how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far confidence is from truth; both figures are 0 at best.

    ``ece``: expected calibration error (Naeini et al. 2015), the gap of each bin weighted by its count.
    ``brier``: mean squared difference between confidence and outcome (Brier 1950).
    """

    ece: float
    brier: float
    bins: tuple[Bin, ...]
    count: int


@dataclass(frozen=True)
class CoveragePoint:
    """Keep what has at least ``confidence``: the share of predictions kept, and the precision and recall of what is kept."""

    confidence: float
    coverage: float
    precision: float
    recall: float


def outcomes(alignments: Iterable[Alignment]) -> list[Outcome]:
    """One outcome for each predicted mention that has a confidence; the others are left out."""
    found = []
    for alignment in alignments:
        matched = {p for _, p in alignment.pairs}
        found += [Outcome(e.confidence, i in matched) for i, e in enumerate(alignment.pred) if e.confidence is not None]
    return found


def calibration(found: Sequence[Outcome], *, bins: int = 10) -> Calibration:
    """Reliability in ``bins`` bins of equal width. Raises UsageError without outcomes.

    >>> c = calibration([Outcome(0.9, True), Outcome(0.9, True), Outcome(0.9, False), Outcome(0.2, False)])
    >>> round(c.ece, 3), round(c.brier, 4), [b.count for b in c.bins if b.count]
    (0.225, 0.2175, [1, 3])
    """
    if not found or bins < 1:
        raise UsageError(
            f"no calibration from {len(found)} confidences in {bins} bins",
            hint="the predictions must have a confidence; is a calibrator on?",
        )
    inside: list[list[Outcome]] = [[] for _ in range(bins)]
    for outcome in found:
        inside[min(int(outcome.confidence * bins), bins - 1)].append(outcome)
    table = tuple(_bin(i / bins, (i + 1) / bins, members) for i, members in enumerate(inside))
    ece = sum(b.count * abs(b.confidence - b.accuracy) for b in table) / len(found)
    brier = sum((o.confidence - o.correct) ** 2 for o in found) / len(found)
    return Calibration(ece, brier, table, len(found))


def precision_coverage(found: Sequence[Outcome], *, gold: int) -> tuple[CoveragePoint, ...]:
    """The curve from the most confident prediction to all of them, one point for each distinct confidence.

    ``gold`` is the number of gold mentions, for the recall. Predictions of equal confidence are kept or dropped together.
    """
    points, kept, right = [], 0, 0
    ordered = sorted(found, key=lambda o: -o.confidence)
    for i, outcome in enumerate(ordered):
        kept, right = kept + 1, right + outcome.correct
        if i + 1 == len(ordered) or ordered[i + 1].confidence != outcome.confidence:
            points.append(CoveragePoint(outcome.confidence, kept / len(ordered), right / kept, right / gold if gold else 0.0))
    return tuple(points)


def _bin(low: float, high: float, members: Sequence[Outcome]) -> Bin:
    n = len(members) or 1
    return Bin(low, high, len(members), sum(o.confidence for o in members) / n, sum(o.correct for o in members) / n)
