"""Names that are near to a name: by the words and beginnings of words that they share, then by their letters."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medllm.lexicons import Lexicon, normalise
from medllm.lexicons.lexicon import FUNCTION_WORDS

_BEGINNING = 5
_BEGINNING_WEIGHT = 0.6
_COMPARED = 40
OWN = 0.3
"""How much a word of the mention that the name lacks counts against it; one of the name that the mention lacks counts the rest of 1."""
_COMMON = 0.02
"""A word of more than this share of names is looked up only where a mention has no rarer one."""

_EQUAL: dict[str, str] = {
    word: kept
    for kept, others in {
        "kidney": ("renal", "nephric"),
        "liver": ("hepatic",),
        "heart": ("cardiac", "myocardial"),
        "lung": ("pulmonary",),
        "brain": ("cerebral",),
        "stomach": ("gastric",),
        "breast": ("mammary",),
        "prostate": ("prostatic",),
        "ovary": ("ovarian",),
        "neoplasm": ("cancer", "tumor", "malignancy", "carcinoma"),
        "disease": ("disorder", "disturbance"),
        "injury": ("damage",),
        "insufficiency": ("failure",),
        "bleeding": ("hemorrhage", "hemorrhagic"),
        "deficiency": ("deficit", "deficient"),
        "seizure": ("convulsion", "convulsive"),
    }.items()
    for word in others
}
"""Words of one meaning in names of diseases."""


_ENDING = re.compile(r"(?:t?ic|tis|sis|sive|sion|sy|y|ia|a|ed|al|tive|tion|ism|oid|e)$")
"""Endings by which an adjective differs from its noun: hypertens-ive, epilep-tic, diabet-ic."""


class Candidate(NamedTuple):
    """A concept that a mention may be, the name that speaks for it, and how near that name is, in [0, 1]."""

    code: str
    name: str
    score: float


class Candidates:
    """An index over all names of lexicons."""

    def __init__(self, lexicons: Iterable[Lexicon]) -> None:
        self._codes: list[tuple[str, ...]] = []
        self._keys: list[str] = []
        tokens: dict[str, int] = {}
        pairs: list[int] = []
        for lexicon in lexicons:
            for key, codes in lexicon.normalised_names():
                number = len(self._keys)
                self._keys.append(key)
                self._codes.append(codes)
                for token in set(_tokens(key)):
                    pairs += (tokens.setdefault(token, len(tokens)), number)
        both = np.array(pairs, dtype=np.int32).reshape(-1, 2)
        both = both[np.argsort(both[:, 0], kind="stable")]
        self._tokens = tokens
        self._names = both[:, 1]
        counts = np.bincount(both[:, 0], minlength=len(tokens))
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        size = max(len(self._keys), 1)
        weight = np.log1p(size / np.maximum(counts, 1)).astype(np.float32)
        for token, index in tokens.items():
            if token.startswith("^"):
                weight[index] *= _BEGINNING_WEIGHT
        self._weight = weight
        self._total = np.bincount(both[:, 1], weights=weight[both[:, 0]], minlength=size).astype(np.float32)
        self._common = max(int(size * _COMMON), 2000)

    def near(self, name: str, limit: int = 10) -> list[Candidate]:
        """The concepts whose names are nearest to ``name``, best first, each once."""
        from rapidfuzz import fuzz

        key = normalise(name)
        known = [self._tokens[token] for token in set(_tokens(key)) if token in self._tokens]
        if not known:
            return []
        rare = [token for token in known if self._count(token) <= self._common] or [min(known, key=self._count)]
        unknown = sum(1 for token in set(_tokens(key)) if token not in self._tokens and not token.startswith("^"))
        whole = OWN * (sum(float(self._weight[t]) for t in known) + unknown * math.log1p(len(self._keys)))
        shared = np.zeros(len(self._keys), dtype=np.float32)
        for token in rare:
            shared[self._postings(token)] += self._weight[token]
        touched = np.flatnonzero(shared)
        for token in set(known) - set(rare):
            shared[self._postings(token)] += self._weight[token]
        alike = shared[touched] / (whole + (1 - OWN) * self._total[touched])
        best = touched[np.argsort(-alike, kind="stable")[:_COMPARED]]
        ordered = " ".join(sorted(map(_equal, key.split())))
        scored: dict[str, Candidate] = {}
        for number in best:
            other = self._keys[number]
            words = float(shared[number]) / (whole + (1 - OWN) * float(self._total[number]))
            letters = max(fuzz.ratio(key, other), fuzz.ratio(ordered, " ".join(sorted(map(_equal, other.split()))))) / 100
            score = (words + letters) / 2
            for code in self._codes[number]:
                if code not in scored or scored[code].score < score:
                    scored[code] = Candidate(code, other, score)
        return sorted(scored.values(), key=lambda c: -c.score)[:limit]

    def _count(self, token: int) -> int:
        return int(self._starts[token + 1] - self._starts[token])

    def _postings(self, token: int) -> npt.NDArray[np.int32]:
        return self._names[self._starts[token] : self._starts[token + 1]]


def loose(key: str) -> str:
    """A normalised name without order, function words, and the endings that make adjectives of nouns.

    >>> loose(normalise("failure of the kidneys")) == loose(normalise("renal failure")), loose("hypertensive") == loose("hypertension")
    (True, True)
    """
    return " ".join(sorted({_stem(_equal(word)) for word in key.split() if word not in FUNCTION_WORDS}))


def _stem(word: str) -> str:
    return _ENDING.sub("", word) if len(word) > 6 else word


def _equal(word: str) -> str:
    return _EQUAL.get(word, word)


def _tokens(key: str) -> Sequence[str]:
    """The words of a normalised name, without function words, and the beginnings of long ones."""
    words = [_equal(word) for word in key.split() if word not in FUNCTION_WORDS] or key.split()
    return [*words, *(f"^{word[:_BEGINNING]}" for word in words if len(word) > _BEGINNING)]
