"""What a tagger is told of each unit beside its tokens: how it is written, and whether it stands in a name of a lexicon."""

from collections.abc import Sequence
from functools import lru_cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from medllm.lexicons import Kind, Lexicon, load
from medllm.text.pieces import Piece

CASE = 3
"""Case features of a unit: all capitals, capital first, with a digit. Most small encoders read lower case only."""
KINDS: tuple[str, ...] = get_args(Kind)
LEXICON = 2 * len(KINDS)
"""Lexicon features of a unit: for each kind of concept, whether a name of one begins here, and whether one goes on here."""


def width(*, lexicons: bool) -> int:
    """The number of features of a unit."""
    return CASE + LEXICON * lexicons


def case_features(units: Sequence[Piece]) -> NDArray[np.float32]:
    """[units, CASE]."""
    features = np.zeros((len(units), CASE), np.float32)
    for index, unit in enumerate(units):
        word = unit.text
        features[index] = (len(word) > 1 and word.isupper(), word[:1].isupper(), any(c.isdigit() for c in word))
    return features


def lexicon_features(text: str, units: Sequence[Piece], lexicon: Lexicon) -> NDArray[np.float32]:
    """[units, LEXICON]. A name's concepts may be of several kinds; those of concepts that tell none are ``other``."""
    features = np.zeros((len(units), LEXICON), np.float32)
    starts, ends = np.array([u.start for u in units], np.int64), np.array([u.end for u in units], np.int64)
    for match in lexicon.find(text):
        low, high = int(np.searchsorted(ends, match.start, "right")), int(np.searchsorted(starts, match.end))
        for kind in {kind for code in match.codes for kind in lexicon[code].kinds or ("other",)}:
            at = 2 * KINDS.index(kind)
            features[low : low + 1, at] = 1
            features[low + 1 : high, at + 1] = 1
    return features


@lru_cache(2)
def lexicon_of(names: tuple[str, ...]) -> Lexicon | None:
    """The lexicon of these names (``medllm.lexicons.load``), kept for the next tagger that has the same. None for no names."""
    return load(*names) if names else None
