"""The lattice against all paths written out."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.taggers.decoding import decode, mentions_of
from medllm.taggers.tags import NEVER, TagSet

SCHEMES = {
    "BIO": TagSet.of(["problem", "drug"]),
    "IO": TagSet.parse(["O", "problem", "drug"]),
    "BIOES": TagSet.parse(["O", *(f"{kind}-{label}" for label in ("problem", "drug") for kind in "BIES")]),
}


def all_paths(emissions: np.ndarray, tags: TagSet) -> dict[tuple[int, ...], float]:
    """Every path that the scheme admits, with its probability."""
    size, edge, weights = len(tags), len(tags), tags.transitions
    scores = {}
    for path in itertools.product(range(size), repeat=len(emissions)):
        steps = [weights[edge, path[0]], *(weights[a, b] for a, b in itertools.pairwise(path)), weights[path[-1], edge]]
        if min(steps) > NEVER / 2:
            scores[path] = float(np.exp(sum(emissions[i, tag] for i, tag in enumerate(path))))
    total = sum(scores.values())
    return {path: score / total for path, score in scores.items()}


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_mentions_are_those_of_the_best_path_with_their_exact_probability(scheme: str, data: st.DataObject) -> None:
    tags = SCHEMES[scheme]
    units = data.draw(st.integers(1, 4 if scheme == "BIOES" else 5))
    numbers = st.lists(st.floats(-4, 4, width=32), min_size=units * len(tags), max_size=units * len(tags))
    emissions = np.array(data.draw(numbers)).reshape(units, len(tags))
    paths = all_paths(emissions, tags)
    by_mention: dict[tuple[int, int, str], float] = defaultdict(float)
    for path, probability in paths.items():
        for mention in mentions_of(path, tags):
            by_mention[mention] += probability
    found = decode(emissions, tags, np.zeros(units, np.int64))
    best = max(paths.values())
    said = {(f.start, f.end, f.label) for f in found}
    assert any(paths[path] == pytest.approx(best) and set(mentions_of(path, tags)) == said for path in paths)
    for mention in found:
        assert mention.probability == pytest.approx(by_mention[mention.start, mention.end, mention.label], abs=1e-4)


def test_no_mention_crosses_a_segment() -> None:
    tags = TagSet.of(["problem"])
    emissions = np.array([[0, 5, 0], [0, 0, 5], [0, 0, 5], [0, 0, 5]], float)
    whole = decode(emissions, tags, np.array([0, 0, 0, 0]))
    cut = decode(emissions, tags, np.array([0, 0, 1, 1]))
    assert [(f.start, f.end) for f in whole] == [(0, 4)]
    assert all(f.end <= 2 or f.start >= 2 for f in cut)
    assert decode(np.zeros((0, 3)), tags, np.zeros(0, np.int64)) == []


def test_learned_transitions_replace_the_schemes_own() -> None:
    tags = TagSet.of(["problem"])
    emissions = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.9]])
    weights = tags.transitions.astype(float).copy()
    weights[1, 2] += 2  # B-problem before I-problem
    assert [(f.start, f.end) for f in decode(emissions, tags, np.zeros(2, np.int64))] == [(0, 1), (1, 2)]
    assert [(f.start, f.end) for f in decode(emissions, tags, np.zeros(2, np.int64), weights)] == [(0, 2)]


def test_segments_of_many_lengths_are_decoded_as_each_by_itself() -> None:
    tags, random = TagSet.of(["a", "b"]), np.random.default_rng(0)
    lengths = [1, 7, 3, 3, 120, 2, 45]
    parts = [random.normal(size=(n, len(tags))) * 3 for n in lengths]
    together = decode(np.concatenate(parts), tags, np.repeat(np.arange(len(parts)), lengths))
    apart, at = [], 0
    for part in parts:
        apart += [(f.start + at, f.end + at, f.label, round(f.probability, 9)) for f in decode(part, tags, np.zeros(len(part), np.int64))]
        at += len(part)
    assert [(f.start, f.end, f.label, round(f.probability, 9)) for f in together] == apart
