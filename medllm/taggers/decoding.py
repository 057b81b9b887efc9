"""From scores of tags to mentions: the best path that the tag scheme admits, and the exact probability of each mention on it.

A linear-chain lattice (Lafferty et al. 2001) with the classifier's log-probabilities as emissions. Its transitions forbid what the
scheme forbids, and carry learned weights where the tagger was trained as a conditional random field. The probability of a mention is
that of all paths that hold exactly it: the same start, end and label (forward-backward), not a product of its tags' probabilities.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medllm.taggers.tags import TagSet

Scores = NDArray[np.float64]


class Found(NamedTuple):
    """A mention in a lattice: half-open unit indexes, label and probability in [0, 1]."""

    start: int
    end: int
    label: str
    probability: float


def decode(emissions: NDArray[np.floating], tags: TagSet, segments: NDArray[np.int64], transitions: Scores | None = None) -> list[Found]:
    """The mentions on the best path, in order.

    ``emissions`` [units, tags] log-scores; ``segments`` [units] numbers: no mention crosses a change; ``transitions``
    [tags + 1, tags + 1] replaces the scheme's own (the last row and column are the edges of a segment).
    """
    scores = np.asarray(emissions, np.float64)
    weights = np.asarray(tags.transitions if transitions is None else transitions, np.float64)
    bounds = [0, *(np.flatnonzero(np.diff(segments)) + 1).tolist(), len(scores)] if len(scores) else [0]
    pieces = [(bounds[i], bounds[i + 1]) for i in range(len(bounds) - 1)]
    found: list[Found] = []
    for group in _alike(pieces):
        batch, lengths = _pad([scores[start:end] for start, end in group])
        paths = _viterbi(batch, lengths, weights)
        lattice: _Lattice | None = None
        for row, (start, end) in enumerate(group):
            path = paths[row][: end - start]
            for a, b, label in mentions_of(path, tags):
                lattice = lattice or _Lattice(batch, lengths, weights, tags)
                found.append(Found(start + a, start + b, label, lattice.probability(row, path[a:b], a, b)))
    return sorted(found)


def mentions_of(path: Sequence[int], tags: TagSet) -> list[tuple[int, int, str]]:
    """The mentions that a sequence of tags says: (start, end, label), half-open.

    >>> mentions_of([1, 2, 1, 0, 3], TagSet.of(["problem", "test"]))
    [(0, 2, 'problem'), (2, 3, 'problem'), (4, 5, 'test')]
    """
    found: list[tuple[int, int, str]] = []
    start = -1
    for index, tag in enumerate(path):
        if start >= 0 and not tags.continues[path[index - 1], tag]:
            found.append((start, index, tags.tags[path[start]][1]))
            start = -1
        if start < 0 and tags.tags[tag][0] != "O":
            start = index
    if start >= 0:
        found.append((start, len(path), tags.tags[path[start]][1]))
    return found


def _alike(pieces: list[tuple[int, int]], at_a_time: int = 64) -> list[list[tuple[int, int]]]:
    """Segments of similar length together, so that the lattice steps through many at once."""
    ordered = sorted(pieces, key=lambda piece: piece[1] - piece[0])
    return [ordered[i : i + at_a_time] for i in range(0, len(ordered), at_a_time)]


def _pad(rows: list[Scores]) -> tuple[Scores, NDArray[np.int64]]:
    lengths = np.array([len(row) for row in rows])
    batch = np.zeros((len(rows), int(lengths.max()), rows[0].shape[1]))
    for index, row in enumerate(rows):
        batch[index, : len(row)] = row
    return batch, lengths


def _viterbi(batch: Scores, lengths: NDArray[np.int64], weights: Scores) -> list[list[int]]:
    rows, steps, size = batch.shape
    inner, into, out_of = weights[:size, :size], weights[size, :size], weights[:size, size]
    best = into + batch[:, 0]
    back = np.zeros((rows, steps, size), np.int16)
    for step in range(1, steps):
        through = best[:, :, None] + inner
        back[:, step] = through.argmax(1)
        fresh = through.max(1) + batch[:, step]
        best = np.where((step < lengths)[:, None], fresh, best)
    last = (best + out_of).argmax(1)
    paths: list[list[int]] = []
    for row in range(rows):
        path = [int(last[row])]
        for step in range(int(lengths[row]) - 1, 0, -1):
            path.append(int(back[row, step, path[-1]]))
        paths.append(path[::-1])
    return paths


class _Lattice:
    """Forward and backward scores of a batch of segments. ``after`` [rows, steps, tags] leaves out the step's own emission."""

    def __init__(self, batch: Scores, lengths: NDArray[np.int64], weights: Scores, tags: TagSet) -> None:
        _, steps, size = batch.shape
        self.batch, self.lengths, self.tags, self.size = batch, lengths, tags, size
        self.inner, self.into, self.out_of = weights[:size, :size], weights[size, :size], weights[:size, size]
        self.before, self.after = np.zeros_like(batch), np.zeros_like(batch)
        self.before[:, 0] = self.into + batch[:, 0]
        for step in range(1, steps):
            self.before[:, step] = _logsumexp(self.before[:, step - 1, :, None] + self.inner, 1) + batch[:, step]
        for step in range(steps - 1, -1, -1):
            is_last = np.equal(lengths, step + 1)[:, None]
            onward = batch[:, step + 1] + self.after[:, step + 1] if step < steps - 1 else np.zeros((len(batch), size))
            following = _logsumexp(self.inner + onward[:, None, :], 2)
            self.after[:, step] = np.where(is_last, self.out_of, following)
        self.total = _logsumexp(self.into + batch[:, 0] + self.after[:, 0], 1)

    def probability(self, row: int, path: Sequence[int], start: int, end: int) -> float:
        """The probability that the segment holds exactly this mention, tagged as ``path``."""
        first, last = path[0], path[-1]
        inside = self.batch[row, range(start, end), path].sum() + sum(self.inner[a, b] for a, b in pairwise(path))
        if start == 0:
            left = self.into[first]
        else:
            left = _logsumexp(np.where(self.tags.continues[:, first], -np.inf, self.before[row, start - 1] + self.inner[:, first]), 0)
        if end == self.lengths[row]:
            right = self.out_of[last]
        else:
            onward = self.inner[last] + self.batch[row, end] + self.after[row, end]
            right = _logsumexp(np.where(self.tags.continues[last], -np.inf, onward), 0)
        return float(np.exp(min(0.0, left + inside + right - self.total[row])))


def _logsumexp(values: Scores, axis: int) -> Scores:
    top = values.max(axis, keepdims=True)
    return np.asarray(np.squeeze(np.log(np.exp(values - top).sum(axis, keepdims=True)) + top, axis))
