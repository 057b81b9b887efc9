"""Two systems on the same notes: paired tests of the micro averages and of each label, and who finds what."""

from collections.abc import Mapping
from dataclasses import dataclass

from medllm.evaluation.counts import Counts
from medllm.evaluation.result import Result
from medllm.evaluation.score import compare
from medllm.evaluation.statistics import MEASURES, Significance, approximate_randomisation


@dataclass(frozen=True)
class LabelTest:
    """The test of one label's F1; ``adjusted`` is its p after Holm's correction over the labels (Holm 1979)."""

    test: Significance
    adjusted: float


@dataclass(frozen=True)
class Comparison:
    """The first system against a second one, by metric. Differences are the first minus the second."""

    name: str
    results: Mapping[str, Result]
    tests: Mapping[str, tuple[Significance, ...]]
    labels: Mapping[str, Mapping[str, LabelTest]]


def compare_systems(name: str, first: Mapping[str, Result], second: Mapping[str, Result], *, seed: int = 0) -> Comparison:
    """Test the difference of two systems under every metric that both were scored with.

    ``name`` is the second system's. Raises UsageError where their notes differ.
    """
    tests, labels = {}, {}
    for metric in first.keys() & second.keys():
        a, b = same_labels(first[metric], second[metric])
        tests[metric] = tuple(compare(a, b, measure=measure, seed=seed) for measure in MEASURES)
        labels[metric] = _label_tests(a, b, seed)
    return Comparison(name, second, tests, labels)


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """The p values of a family of tests, adjusted by Holm's step-down procedure.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted, least = {}, 0.0
    for i, name in enumerate(sorted(ps, key=lambda n: ps[n])):
        least = max(least, min(1.0, (len(ps) - i) * ps[name]))
        adjusted[name] = least
    return adjusted


def same_labels(a: Result, b: Result) -> tuple[Result, Result]:
    """Both results over the labels of either: a label that one system never gave has no counts of its own."""
    labels = tuple(sorted({*a.labels, *b.labels}))
    return a.model_copy(update={"labels": labels}), b.model_copy(update={"labels": labels})


def _label_tests(a: Result, b: Result, seed: int) -> dict[str, LabelTest]:
    found = {}
    for label in a.labels:
        left, right = ([_counts(r, note_id, label) for note_id in sorted(r.notes)] for r in (a, b))
        if any(c.gold or c.pred for c in (*left, *right)):
            found[label] = approximate_randomisation(left, right, seed=seed)
    adjusted = holm({label: test.p for label, test in found.items()})
    return {label: LabelTest(test, adjusted[label]) for label, test in found.items()}


def _counts(result: Result, note_id: str, label: str) -> Counts:
    return Counts(*result.notes[note_id].get(label, (0, 0, 0)))
