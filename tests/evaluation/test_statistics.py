import pytest

from medllm.document import any_entity
from medllm.errors import UsageError
from medllm.evaluation.calibration import Outcome, calibration, outcomes, precision_coverage
from medllm.evaluation.counts import Counts
from medllm.evaluation.matching import align
from medllm.evaluation.statistics import approximate_randomisation, bootstrap

NOTES = [{"drug": Counts(3, 1, i % 3), "problem": Counts(i % 4, 1, 1)} for i in range(40)]


def test_the_bootstrap_is_repeatable_and_depends_on_its_seed() -> None:
    first, again, other = (bootstrap(NOTES, ["drug", "problem"], samples=300, seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_intervals_hold_the_score_and_grow_with_the_level() -> None:
    wide, narrow = (bootstrap(NOTES, ["drug", "problem"], samples=500, level=level) for level in (0.99, 0.5))
    total = sum((c for note in NOTES for c in note.values()), Counts())
    for measure in ("precision", "recall", "f1"):
        assert wide.micro[measure].low < narrow.micro[measure].low < getattr(total, measure) < narrow.micro[measure].high
        assert narrow.macro[measure].high < wide.macro[measure].high
        assert 0 <= wide.labels["drug"][measure].low <= wide.labels["drug"][measure].high <= 1


def test_the_bootstrap_agrees_with_resampling_by_hand() -> None:
    import numpy as np

    drawn = bootstrap(NOTES, ["drug"], samples=4000, seed=3).labels["drug"]["recall"]
    rng = np.random.default_rng(99)
    recalls = []
    for _ in range(4000):
        total = sum((NOTES[i]["drug"] for i in rng.integers(0, len(NOTES), len(NOTES))), Counts())
        recalls.append(total.recall)
    low, high = np.quantile(recalls, [0.025, 0.975])
    assert drawn.low == pytest.approx(low, abs=0.01)
    assert drawn.high == pytest.approx(high, abs=0.01)


def test_equal_notes_have_no_spread() -> None:
    interval = bootstrap([{"drug": Counts(2, 1, 1)}] * 5, ["drug"], samples=50).macro["f1"]
    assert interval.low == interval.high == pytest.approx(2 / 3)


@pytest.mark.parametrize(("notes", "samples", "level"), [([], 10, 0.95), (NOTES, 1, 0.95), (NOTES, 10, 1.0)])
def test_no_interval_from_nothing(notes: list[dict[str, Counts]], samples: int, level: float) -> None:
    with pytest.raises(UsageError):
        bootstrap(notes, ["drug"], samples=samples, level=level)


def test_equal_systems_do_not_differ() -> None:
    counts = [Counts(i % 5, i % 2, i % 3) for i in range(30)]
    assert approximate_randomisation(counts, counts, samples=500).p == 1.0


def test_the_test_is_symmetric_and_repeatable() -> None:
    a, b = [Counts(4, i % 3, 1) for i in range(30)], [Counts(4 - i % 2, 1, 1 + i % 2) for i in range(30)]
    forth, back = approximate_randomisation(a, b, samples=2000), approximate_randomisation(b, a, samples=2000)
    assert forth.difference == -back.difference
    assert forth.p == back.p == approximate_randomisation(a, b, samples=2000).p
    assert approximate_randomisation(a, b, measure="recall", samples=200).difference > 0


def test_two_notes_can_hardly_show_a_difference() -> None:
    assert approximate_randomisation([Counts(1, 0, 0)] * 2, [Counts(0, 1, 1)] * 2, samples=4000).p == pytest.approx(0.5, abs=0.05)


def test_a_paired_test_needs_pairs() -> None:
    with pytest.raises(UsageError, match="3 and 2 notes"):
        approximate_randomisation([Counts()] * 3, [Counts()] * 2)
    with pytest.raises(UsageError):
        approximate_randomisation([Counts()], [Counts()], measure="accuracy")


def test_outcomes_are_of_predictions_with_a_confidence() -> None:
    text, drug = "aspirin and heparin", any_entity("drug")
    pred = [drug.at(text, 0, 7, confidence=0.9), drug.at(text, 12, 19, confidence=0.4), drug.at(text, 8, 11)]
    assert outcomes([align([drug.at(text, 0, 7)], pred)]) == [Outcome(0.9, True), Outcome(0.4, False)]


def test_perfect_calibration() -> None:
    found = [Outcome(0.75, i % 4 != 0) for i in range(40)] + [Outcome(1.0, True)] * 10
    result = calibration(found)
    assert result.ece == 0
    assert [(b.low, b.count) for b in result.bins if b.count] == [(0.7, 40), (0.9, 10)]
    assert sum(b.count for b in result.bins) == result.count == 50


def test_overconfidence() -> None:
    result = calibration([Outcome(1.0, False)] * 4, bins=5)
    assert (result.ece, result.brier) == (1.0, 1.0)
    with pytest.raises(UsageError):
        calibration([])


def test_precision_against_coverage() -> None:
    found = [Outcome(0.5, False), Outcome(0.9, True), Outcome(0.5, True), Outcome(0.7, True)]
    curve = precision_coverage(found, gold=5)
    assert [(p.confidence, p.coverage, p.precision, p.recall) for p in curve] == [
        (0.9, 0.25, 1, 0.2),
        (0.7, 0.5, 1, 0.4),
        (0.5, 1, 0.75, 0.6),
    ]
    assert precision_coverage([], gold=5) == ()
