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
SURE = 1e-5
"""A unit that is outside with a probability of all but this is taken as outside."""
TINY = 1e-200
"""What stands for a probability of zero, so that no step of the lattice is empty."""


class Found(NamedTuple):
    """A mention in a lattice: half-open unit indexes, label and probability in [0, 1]."""

    start: int
    end: int
    label: str
    probability: float


def decode(emissions: NDArray[np.floating], tags: TagSet, segments: NDArray[np.int64], transitions: Scores | None = None) -> list[Found]:
    """The mentions on the best path, in order.

    ``emissions`` [units, tags] scores; ``segments`` [units] numbers: no mention crosses a change. ``transitions`` [tags + 1, tags + 1]
    are the weights of a conditional random field (last row and column: the edges of a segment). Without them, units that are outside
    of all mentions with a probability of all but SURE part the lattice, which moves no probability by much more than that.
    """
    scores = np.asarray(emissions, np.float64)
    kept = np.arange(len(scores))
    if transitions is None:
        elsewhere = np.exp(np.minimum(scores - scores[:, [tags.outside]], 0.0)).sum(1) - 1.0  # odds against outside, at least where small
        kept = np.flatnonzero(elsewhere > SURE)
    weights = np.asarray(tags.transitions if transitions is None else transitions, np.float64)
    found: list[Found] = []
    for group in _alike(_runs(kept, segments)):
        batch, lengths = _pad([scores[start:end] for start, end in group])
        paths = _viterbi(batch, lengths, weights)
        lattice: _Lattice | None = None
        for row, (start, _) in enumerate(group):
            for a, b, label in mentions_of(paths[row], tags):
                lattice = lattice or _Lattice(batch, lengths, weights, tags)
                found.append(Found(start + a, start + b, label, lattice.probability(row, paths[row][a:b], a, b)))
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
        if start < 0 and tag != tags.outside:
            start = index
    if start >= 0:
        found.append((start, len(path), tags.tags[path[start]][1]))
    return found


def _runs(kept: NDArray[np.int64], segments: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Stretches of neighbouring units of one segment: half-open."""
    if not len(kept):
        return []
    parts = np.flatnonzero((np.diff(kept) > 1) | (np.diff(segments[kept]) != 0)) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(kept, parts)]


def _alike(runs: list[tuple[int, int]], at_a_time: int = 64) -> list[list[tuple[int, int]]]:
    """Stretches of similar length together, so that the lattice steps through many at once."""
    ordered = sorted(runs, key=lambda run: run[1] - run[0])
    return [ordered[i : i + at_a_time] for i in range(0, len(ordered), at_a_time)]


def _pad(rows: list[Scores]) -> tuple[Scores, NDArray[np.int64]]:
    lengths = np.array([len(row) for row in rows])
    batch = np.zeros((len(rows), int(lengths.max()), rows[0].shape[1]))
    for index, row in enumerate(rows):
        batch[index, : len(row)] = row
    return batch, lengths


def _viterbi(batch: Scores, lengths: NDArray[np.int64], weights: Scores) -> list[list[int]]:
    rows, steps, size = batch.shape
    into_each = np.ascontiguousarray(weights[:size, :size].T)  # [after, before]: the maximum is over the last axis
    into, out_of = weights[size, :size], weights[:size, size]
    best = into + batch[:, 0]
    back = np.zeros((rows, steps, size), np.int16)
    for step in range(1, steps):
        through = best[:, None, :] + into_each
        back[:, step] = through.argmax(2)
        fresh = through.max(2) + batch[:, step]
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
    """Forward and backward probabilities of a batch of stretches, scaled to sum to one at every step (Rabiner 1989, section V.A)."""

    def __init__(self, batch: Scores, lengths: NDArray[np.int64], weights: Scores, tags: TagSet) -> None:
        rows, steps, size = batch.shape
        self.lengths, self.tags = lengths, tags
        factors = np.exp(weights)
        self.inner, self.into, self.out_of = factors[:size, :size], factors[size, :size], factors[:size, size]
        self.local = np.maximum(np.exp(batch - batch.max(2, keepdims=True)), TINY)
        self.before, self.after = np.zeros_like(batch), np.zeros_like(batch)
        self.scale = np.ones((rows, steps))
        fresh = self.into * self.local[:, 0]
        for step in range(steps):
            if step:
                fresh = (self.before[:, step - 1] @ self.inner) * self.local[:, step]
            self.scale[:, step] = fresh.sum(1)
            self.before[:, step] = fresh / self.scale[:, step, None]
        onward = np.zeros((rows, size))
        for step in range(steps - 1, -1, -1):
            is_last = np.equal(lengths, step + 1)[:, None]
            self.after[:, step] = np.where(is_last, self.out_of, onward)
            onward = (self.local[:, step] * self.after[:, step] / self.scale[:, step, None]) @ self.inner.T
        self.total = (self.before[np.arange(rows), lengths - 1] * self.out_of).sum(1)

    def probability(self, row: int, path: Sequence[int], start: int, end: int) -> float:
        """The probability that the stretch holds exactly this mention, tagged as ``path``."""
        first, last = path[0], path[-1]
        units = np.arange(start, end)
        inside = np.prod(self.local[row, units, path] / self.scale[row, units]) * np.prod([self.inner[a, b] for a, b in pairwise(path)])
        if start == 0:
            left = self.into[first]
        else:
            left = (np.where(self.tags.continues[:, first], 0.0, self.before[row, start - 1]) * self.inner[:, first]).sum()
        if end == self.lengths[row]:
            right = self.out_of[last]
        else:
            onward = self.inner[last] * self.local[row, end] * self.after[row, end] / self.scale[row, end]
            right = np.where(self.tags.continues[last], 0.0, onward).sum()
        return float(min(1.0, left * inside * right / self.total[row]))
