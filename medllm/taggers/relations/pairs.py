"""Which mentions, or concepts, might be related: pairs that the signatures admit, near enough to each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medllm.taggers.encoding import Encoded
from medllm.taggers.relations.config import RelationConfig

Numbers = NDArray[np.int64]

EDGES = (0, 1, 2, 4, 8, 16, 32, 64)
"""Distances in units, from which the buckets of the first feature begin; there are as many again for a tail that comes first."""
MOST = 3
FEATURES = (2 * len(EDGES) + 2, MOST + 1, MOST + 1)
"""The number of values of each feature of a pair."""


class PairMention(NamedTuple):
    """A mention that may be related to others: half-open offsets of its first part's start and its last part's end, label, codes."""

    start: int
    end: int
    label: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placed:
    """Mentions among a note's units: half-open unit indexes ``low`` and ``high`` [mentions]."""

    mentions: tuple[PairMention, ...]
    low: Numbers
    high: Numbers

    @classmethod
    def among(cls, encoded: Encoded, mentions: Sequence[PairMention]) -> "Placed":
        """The units that each mention touches; one that touches none stands at the unit after it, empty."""
        starts, ends = np.array([u.start for u in encoded.units], np.int64), np.array([u.end for u in encoded.units], np.int64)
        low = np.searchsorted(ends, np.array([m.start for m in mentions], np.int64), "right")
        high = np.searchsorted(starts, np.array([m.end for m in mentions], np.int64))
        return cls(tuple(mentions), low, np.maximum(low, high))


class Item(NamedTuple):
    """What a relation joins: one mention, or the mentions of a concept. ``code`` is empty for the former."""

    label: str
    members: tuple[int, ...]
    code: str = ""


class Pairs(NamedTuple):
    """Candidates: the numbers of their items [pairs], and their features [pairs, 3].

    The features are the distance of the nearest two mentions with its direction, and between mentions, how many others of the head's and
    of the tail's label begin between them; between concepts, how many more mentions each has. Counts end at MOST.
    """

    heads: Numbers
    tails: Numbers
    features: Numbers


def items_of(mentions: Sequence[PairMention], *, concepts: bool) -> list[Item]:
    """The mentions one by one, or together by label and code; a mention without a code is then in none.

    >>> flu = PairMention(0, 3, "Disease", ("MESH:D007251",))
    >>> items_of([flu, flu._replace(start=9, end=12)], concepts=True)
    [Item(label='Disease', members=(0, 1), code='MESH:D007251')]
    """
    if not concepts:
        return [Item(m.label, (n,)) for n, m in enumerate(mentions)]
    found: dict[tuple[str, str], list[int]] = {}
    for number, mention in enumerate(mentions):
        for code in mention.codes:
            found.setdefault((mention.label, code), []).append(number)
    return [Item(label, tuple(members), code) for (label, code), members in found.items()]


def candidates(placed: Placed, items: Sequence[Item], config: RelationConfig) -> Pairs:
    """All pairs of different items that the signatures admit, within reach of each other."""
    near = _concept_pairs(placed, items, config) if config.concepts else _mention_pairs(placed, items, config)
    if not near:
        empty = np.zeros(0, np.int64)
        return Pairs(empty, empty, np.zeros((0, len(FEATURES)), np.int64))
    heads, tails, distances, one, two = (np.concatenate(column) for column in zip(*near, strict=True))
    return Pairs(heads, tails, np.stack([_bucket(distances), np.minimum(one, MOST), np.minimum(two, MOST)], 1))


_Columns = tuple[Numbers, Numbers, Numbers, Numbers, Numbers]


def _mention_pairs(placed: Placed, items: Sequence[Item], config: RelationConfig) -> list[_Columns]:
    """For each head, in columns: head, tail, signed distance, others of the head's and of the tail's label between the two."""
    order = np.argsort(placed.low, kind="stable")
    low, high = placed.low[order], placed.high[order]
    labels = np.array([items[n].label for n in order], object)
    longest = int((high - low).max()) if len(order) else 0
    reach = int(low[-1] + longest + 1) if config.reach is None and len(order) else (config.reach or 0)
    rank = {label: np.cumsum(labels == label) for label in config.labels}
    found: list[_Columns] = []
    for place, head in enumerate(order):
        admitted = config.tails.get(items[head].label)
        if not admitted:
            continue
        first = int(np.searchsorted(low, low[place] - reach - longest))
        last = int(np.searchsorted(low, high[place] + reach, "right"))
        where = np.array([n for n in range(first, last) if n != place and labels[n] in admitted], np.int64)
        distance = _distance(low[place], high[place], low[where], high[where])
        where, distance = where[abs(distance) <= reach + 1], distance[abs(distance) <= reach + 1]
        before, after = np.minimum(where, place), np.maximum(where, place) - 1
        same = rank[items[head].label]
        others = np.array([rank[labels[n]][b] - rank[labels[n]][a] for n, a, b in zip(where, before, after, strict=True)], np.int64)
        found.append((np.full(len(where), head), order[where], distance, same[after] - same[before], others))
    return found


def _concept_pairs(placed: Placed, items: Sequence[Item], config: RelationConfig) -> list[_Columns]:
    found: list[_Columns] = []
    for head, item in enumerate(items):
        admitted = config.tails.get(item.label, frozenset())
        tails = [n for n, other in enumerate(items) if n != head and other.label in admitted]
        distances = []
        for tail in tails:
            members = list(items[tail].members)
            each = [_distance(placed.low[m], placed.high[m], placed.low[members], placed.high[members]) for m in item.members]
            both = np.concatenate(each)
            distances.append(both[np.argmin(abs(both))])
        more = np.array([len(items[n].members) - 1 for n in tails], np.int64)
        own = np.full(len(tails), len(item.members) - 1)
        found.append((np.full(len(tails), head), np.array(tails, np.int64), np.array(distances, np.int64), own, more))
    return found


def _distance(low: int, high: int, other_low: Numbers, other_high: Numbers) -> Numbers:
    """One more than the units between a mention and others, negative for those before it; 0 where they share one."""
    after, before = other_low - high + 1, low - other_high + 1
    return np.where(after > 0, after, np.where(before > 0, -before, 0))


def _bucket(distance: Numbers) -> Numbers:
    """The distance's bucket: from 0 for shared units, then for tails after their heads, then for those before them."""
    number = np.searchsorted(EDGES, abs(distance) - 1, "right")
    return np.where(distance == 0, 0, np.where(distance > 0, number, number + len(EDGES)))


def reach_of(placed: Placed, head: int, tail: int) -> int:
    """The units between two mentions."""
    ends = placed.low[[tail]], placed.high[[tail]]
    return max(0, abs(int(_distance(int(placed.low[head]), int(placed.high[head]), *ends)[0])) - 1)
