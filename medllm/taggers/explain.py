"""What a mention or a relation rests on: each word near it is taken away, and the score is computed again (leave one word out).

This works for any tagger, ONNX files included (Zeiler & Fergus 2014; Li et al. 2016, arXiv:1612.08220). A word is taken away by giving its
tokens as unknown ones. Words that stand for each other hide one another's worth, so the values do not add up to the score;
``medllm.taggers.gradients`` gives those that do, for networks of torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medllm.taggers.config import TaggerConfig
from medllm.taggers.encoding import Encoded, UnitTokenizer, Window
from medllm.taggers.relations import PairMention, RelationClassifier
from medllm.taggers.tagger import Tagger, log_softmax, model_inputs

OCCLUSION = "leave one word out"
NEAR = 14
"""Words before and after a mention that are looked at."""
CONTEXT = 64
"""Tokens before and after it that the encoder sees."""
AROUND = 240
"""Characters before and after a relation's mentions that the encoder sees."""


class Word(NamedTuple):
    """A word with half-open offsets in the note, and what it adds to the score (natural logarithms; negative: it speaks against)."""

    start: int
    end: int
    value: float


@dataclass(frozen=True)
class Explanation:
    """The worth of the words near ``what`` was found, told by ``method``; ``score`` is its log-probability."""

    what: str
    method: str
    score: float
    words: tuple[Word, ...]


class Target(NamedTuple):
    """A mention among the units that the encoder sees: token window, the units' rows there, and the outputs that they should have."""

    encoded: Encoded
    window: Window
    low: int
    high: int
    layer: slice
    outputs: NDArray[np.int64]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The columns of its units' first tokens in the window, the start token's being 0."""
        return self.encoded.first[self.low : self.high] - self.window.start + 1

    @property
    def near(self) -> range:
        """The units that are looked at, all of them in the window."""
        first, last = np.searchsorted(self.encoded.first, [self.window.start, self.window.end])
        return range(max(int(first), self.low - NEAR), min(int(last), self.high + NEAR))


def target(config: TaggerConfig, tokenizer: UnitTokenizer, text: str, start: int, end: int, label: str) -> Target:
    """Where a mention of one of the tagger's labels is. Raises ValueError for a label that it does not have, or a span without words."""
    layers, _ = config.slices()
    number = next((n for n, tags in enumerate(config.layers) if label in tags.labels), None)
    encoded = tokenizer.encode(text)
    low = int(np.searchsorted([u.end for u in encoded.units], start, "right"))
    high = int(np.searchsorted([u.start for u in encoded.units], end))
    if number is None or high <= low:
        raise ValueError(f"there is nothing to explain: {label!r}, {high - low} words")
    total = len(encoded.ids)
    stop = int(encoded.first[high]) if high < len(encoded.units) else total
    room = config.window - 2
    begin = max(0, int(encoded.first[low]) - min(CONTEXT, max(0, (room - (stop - int(encoded.first[low]))) // 2)))
    window = Window(begin, min(total, begin + min(room, 2 * CONTEXT + stop - int(encoded.first[low]))))
    outputs = np.array(config.layers[number].mention(label, high - low), np.int64)
    kept = int(np.searchsorted(encoded.first[low:high], window.end))
    return Target(encoded, window, low, low + kept, layers[number], outputs[:kept])


def explain_mention(tagger: Tagger, text: str, start: int, end: int, label: str) -> Explanation:
    """The worth of the words around a mention, for the mean log-probability of its units' tags. Raises ValueError as ``target``."""
    found = target(tagger.config, tagger.tokenizer, text, start, end, label)
    variants = [found.encoded, *(_without(found.encoded, unit, tagger.tokenizer.unknown) for unit in found.near)]
    scores = np.concatenate(
        [
            _mention_scores(tagger.backend.scores(*model_inputs(tagger.tokenizer, [(v, found.window) for v in part])), found)
            for part in _parts(variants)
        ]
    )
    return Explanation(label, OCCLUSION, float(scores[0]), _words(found.encoded, found.near, scores[0] - scores[1:]))


def explain_relation(
    classifier: RelationClassifier, text: str, mentions: Sequence[PairMention], head: int, tail: int, label: str
) -> Explanation | None:
    """The worth of the words around two mentions (numbers in ``mentions``), for the log-probability of their relation.

    None where the two are no candidates.
    """
    low = max(0, min(mentions[head].start, mentions[tail].start) - AROUND)
    high = max(mentions[head].end, mentions[tail].end) + AROUND
    near = [n for n, m in enumerate(mentions) if low <= m.start and m.end <= high]
    moved = [mentions[n]._replace(start=mentions[n].start - low, end=mentions[n].end - low) for n in near]
    ends = near.index(head), near.index(tail)
    encoded = classifier.tokenizer.encode(text[low:high])

    def score(variant: Encoded) -> float | None:
        items, pairs, logs = classifier.distributions(text[low:high], moved, encoded=variant)
        rows = [n for n in range(len(logs)) if ends[0] in items[pairs.heads[n]].members and ends[1] in items[pairs.tails[n]].members]
        return float(logs[rows[0], 1 + classifier.config.relations.index(label)]) if rows else None

    whole = score(encoded)
    if whole is None:
        return None
    values = np.array([whole - (score(_without(encoded, n, classifier.tokenizer.unknown)) or 0.0) for n in range(len(encoded.units))])
    words = _words(encoded, range(len(encoded.units)), values)
    return Explanation(label, OCCLUSION, whole, tuple(w._replace(start=w.start + low, end=w.end + low) for w in words))


def _mention_scores(scores: NDArray[np.float32], found: Target) -> NDArray[np.float64]:
    logs = log_softmax(scores[:, found.rows, found.layer])
    return np.asarray(logs[:, np.arange(len(found.outputs)), found.outputs].mean(1), np.float64)


def _without(encoded: Encoded, unit: int, unknown: int) -> Encoded:
    return replace(encoded, ids=np.where(encoded.unit == unit, unknown, encoded.ids))


def _words(encoded: Encoded, units: range, values: NDArray[np.float64]) -> tuple[Word, ...]:
    return tuple(Word(encoded.units[n].start, encoded.units[n].end, float(v)) for n, v in zip(units, values, strict=True))


def _parts(variants: Sequence[Encoded], size: int = 8) -> list[Sequence[Encoded]]:
    return [variants[start : start + size] for start in range(0, len(variants), size)]
