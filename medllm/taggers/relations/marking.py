"""A note with a marker before and after each of its mentions, one pair of markers a label (Zhong & Chen 2021, 2021.naacl-main.5).

All mentions are marked at once, so that one pass gives the vectors of all pairs (as in document-level models: Zhou et al. 2021, AAAI
35:14612); a mention's vector is that of the marker before it.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medllm.taggers.encoding import Encoded, Window
from medllm.taggers.relations.config import RelationConfig
from medllm.taggers.relations.pairs import Placed

Numbers = NDArray[np.int64]


def mark(encoded: Encoded, placed: Placed, config: RelationConfig) -> tuple[Encoded, Numbers]:
    """The note with its markers, and for each mention the token index of the marker before it."""
    count = len(placed.mentions)
    if not count or not len(encoded.units):
        return encoded, np.zeros(count, np.int64)
    stop = encoded.first + np.bincount(encoded.unit[encoded.unit >= 0], minlength=len(encoded.units))
    last = len(encoded.units) - 1
    before = encoded.first[np.minimum(placed.low, last)]
    after = np.maximum(stop[np.clip(placed.high - 1, 0, last)], before)
    opening = [(int(before[n]), 1, -int(placed.high[n]), n) for n in range(count)]  # the longer mention opens first, and closes last
    closing = [(int(after[n]), 0, -int(placed.low[n]), n) for n in range(count) if after[n] > before[n]]
    events = sorted(opening + closing)
    at = np.array([place for place, *_ in events], np.int64)
    tokens = np.array([config.markers[placed.mentions[n].label][not opens] for _, opens, _, n in events], np.int64)
    positions = np.zeros(count, np.int64)
    for index, (place, opens, _, n) in enumerate(events):
        if opens:
            positions[n] = place + index
    shift = np.searchsorted(at, encoded.first, "right")
    marked = replace(encoded, ids=np.insert(encoded.ids, at, tokens), unit=np.insert(encoded.unit, at, -1), first=encoded.first + shift)
    return marked, positions


def cells(windows: list[Window], positions: Numbers, total: int) -> tuple[Numbers, Numbers]:
    """For each token the window in which it has the most context on its shorter side, and its column there (the start token's is 0)."""
    starts, ends = np.array([w.start for w in windows]), np.array([w.end for w in windows])
    left = np.where(starts == 0, total, positions[:, None] - starts)
    right = np.where(ends >= total, total, ends - 1 - positions[:, None])
    rows = np.minimum(left, right).argmax(1) if len(positions) else np.zeros(0, np.int64)
    return rows, positions - starts[rows] + 1
