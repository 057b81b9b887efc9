"""A linear text classifier over hashed words and pairs of words (Weinberger et al. 2009, ICML): numpy and a file of a few hundred KB."""

import json
import zlib
from collections import Counter
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import regex
from numpy.typing import NDArray

from medllm.errors import ModelError

BUCKETS = 1 << 14
_WORD = regex.compile(r"\p{L}+|\p{Nd}+|[^\s\p{L}\p{Nd}]")
_DIGITS = regex.compile(r"\p{Nd}")
FIRST_WORDS = 400
"""Words of a text that are looked at."""


def features(text: str) -> dict[int, float]:
    """Buckets of the words and pairs of words of a text, in lower case with every digit a 0, each once; of unit length.

    >>> len(features("BP 120/80")), features("bp 999/11") == features("BP 120/80")
    (6, True)
    """
    words = [_DIGITS.sub("0", w[:3] if w[0].isdigit() else w) for w in _WORD.findall(text.lower())[:FIRST_WORDS]]
    words = [w.rstrip("0") + "0" if w[0] == "0" else w for w in words]
    grams = {*words, *(f"{a} {b}" for a, b in pairwise(words))}
    found = Counter(zlib.crc32(gram.encode()) % BUCKETS for gram in grams)
    length = float(np.sqrt(sum(v * v for v in found.values()))) or 1.0
    return {bucket: value / length for bucket, value in found.items()}


class LinearClassifier:
    """Multinomial logistic regression. ``weights`` [BUCKETS, classes] and ``bias`` [classes]."""

    def __init__(self, classes: tuple[str, ...], weights: NDArray[np.float32], bias: NDArray[np.float32], threshold: float = 0.0) -> None:
        self.classes, self.weights, self.bias, self.threshold = classes, weights, bias, threshold

    def probabilities(self, text: str) -> NDArray[np.float64]:
        """The probability of each class [classes]."""
        found = features(text)
        scores = self.bias.astype(np.float64) + np.array(list(found.values())) @ self.weights[list(found)] if found else self.bias
        raised = np.exp(scores - scores.max())
        return np.asarray(raised / raised.sum(), np.float64)

    def classify(self, text: str) -> str | None:
        """The likeliest class, None where its probability is below the threshold."""
        found = self.probabilities(text)
        best = int(found.argmax())
        return self.classes[best] if found[best] >= self.threshold else None

    @cached_property
    def size(self) -> int:
        """Weights that are not zero."""
        return int(np.count_nonzero(self.weights))

    def save(self, path: Path) -> None:
        """Write an ``.npz`` with the weights in half precision."""
        about = json.dumps({"classes": self.classes, "threshold": self.threshold})
        np.savez_compressed(path, weights=self.weights.astype(np.float16), bias=self.bias, about=np.array(about))

    @classmethod
    def load(cls, path: Path) -> "LinearClassifier":
        """Read what ``save`` wrote. Raises ModelError."""
        try:
            with np.load(path, allow_pickle=False) as data:
                about = json.loads(str(data["about"]))
                weights, bias = data["weights"].astype(np.float32), data["bias"]
                return cls(tuple(about["classes"]), weights, bias, float(about["threshold"]))
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{path.name} cannot be read ({type(error).__name__})", hint="is the installation whole?") from error
