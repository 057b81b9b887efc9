"""The second reader: an encoder that tags a note's units, whole and at once, and says how sure it is of each mention."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medllm.taggers.backends import ONNX_NAMES, TORCH_NAMES, Backend, OnnxBackend, TorchBackend
from medllm.taggers.config import CONFIG, TaggerConfig, folder_digest
from medllm.taggers.decoding import decode
from medllm.taggers.encoding import Encoded, UnitTokenizer, Window, windows
from medllm.taggers.features import lexicon_of

BATCH_TOKENS = 512
"""Tokens computed at a time, padding included: few enough that a layer's activations stay in a core's cache."""
TEXTS_AHEAD, CHARACTERS_AHEAD = 256, 200_000
"""Texts whose windows are sorted by length together: so many, or fewer that have so many characters."""


@dataclass(frozen=True)
class TaggedMention:
    """A mention as the tagger has it: half-open offsets in the note, probability in [0, 1], and attributes' distributions."""

    start: int
    end: int
    label: str
    probability: float
    attributes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def value(self, attribute: str) -> str | None:
        """The likeliest value of an attribute, None where the tagger has no such head for this label."""
        distribution = self.attributes.get(attribute)
        return max(distribution, key=distribution.__getitem__) if distribution else None


class Tagger:
    """A loaded tagger. Texts of any length are read whole, in overlapping windows.

    Mentions come in reading order. Those of one layer never overlap.
    """

    def __init__(
        self, config: TaggerConfig, tokenizer: UnitTokenizer, backend: Backend, *, fingerprint: str = "", folder: Path | None = None
    ) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.backend = backend
        self.fingerprint = fingerprint
        self.folder = folder

    @classmethod
    def load(cls, folder: Path, *, device: str | None = None, threads: int | None = None) -> "Tagger":
        """From a folder: one that ``medllm train tagger`` wrote, or a token classifier of the model hub. Raises ModelError."""
        config = TaggerConfig.load(folder)
        tokenizer = UnitTokenizer.load(folder, breaks=config.breaks, lexicon=lexicon_of(config.lexicons))
        graph = next((folder / name for name in ONNX_NAMES if (folder / name).is_file()), None)
        backend: Backend
        if graph is not None and not (device or "").startswith("cuda"):
            backend, names = OnnxBackend(graph, threads=threads), (graph.relative_to(folder).as_posix(),)
        else:
            backend, names = TorchBackend(folder, device=device, threads=threads), TORCH_NAMES
        return cls(config, tokenizer, backend, fingerprint=folder_digest(folder, (CONFIG, "tokenizer.json", *names)), folder=folder)

    def tag(self, text: str) -> tuple[TaggedMention, ...]:
        """The mentions of one text."""
        return next(iter(self.tag_many([text])))

    def tag_many(self, texts: Iterable[str]) -> Iterator[tuple[TaggedMention, ...]]:
        """The mentions of each text, in order; windows of several texts are computed together."""
        ahead: list[str] = []
        characters = 0
        for text in texts:
            ahead.append(text)
            characters += len(text)
            if len(ahead) >= TEXTS_AHEAD or characters >= CHARACTERS_AHEAD:
                yield from self._tag(ahead)
                ahead, characters = [], 0
        yield from self._tag(ahead)

    def scores(self, texts: Sequence[str]) -> list[tuple[Encoded, NDArray[np.float32]]]:
        """For each text its units and their raw scores [units, outputs], each from the window where it stands most central."""
        encoded = [self.tokenizer.encode(text) for text in texts]
        jobs = [(i, w) for i, e in enumerate(encoded) for w in windows(e, self.config.window - 2, self.config.overlap)]
        jobs.sort(key=lambda job: job[1].end - job[1].start)
        found = [np.zeros((len(e.units), self.config.outputs), np.float32) for e in encoded]
        depth = [np.full(len(e.units), -1, np.int64) for e in encoded]
        for batch in _batches(jobs):
            scores = self.backend.scores(*model_inputs(self.tokenizer, [(encoded[i], w) for i, w in batch]))
            for row, (i, window) in enumerate(batch):
                units, better = most_central(depth[i], encoded[i], window)
                found[i][units][better] = scores[row, 1:][encoded[i].first[units] - window.start][better]
        return list(zip(encoded, found, strict=True))

    def _tag(self, texts: Sequence[str]) -> Iterator[tuple[TaggedMention, ...]]:
        """All texts at once: their segments go through the lattice together."""
        scored = self.scores(texts)
        if not scored:
            return
        units = [unit for encoded, _ in scored for unit in encoded.units]
        ends = np.cumsum([len(encoded.units) for encoded, _ in scored])
        text_of = np.repeat(np.arange(len(scored)), [len(encoded.units) for encoded, _ in scored])
        segments = np.concatenate([encoded.segment for encoded, _ in scored]) + text_of * (len(units) + 1)
        scores = np.concatenate([found for _, found in scored])
        layers, attributes = self.config.slices()
        distributions = [log_softmax(scores[:, where]) for where in attributes]
        mentions: list[list[TaggedMention]] = [[] for _ in scored]
        for number, (tags, where) in enumerate(zip(self.config.layers, layers, strict=True)):
            weights = np.array(self.config.transitions[number]) if self.config.transitions else None
            emissions = scores[:, where] if weights is not None else log_softmax(scores[:, where])
            for start, end, label, probability in decode(emissions, tags, segments, weights):
                values = {
                    head.name: dict(zip(head.values, _mean(logs[start:end]), strict=True))
                    for head, logs in zip(self.config.attributes, distributions, strict=True)
                    if label in head.labels
                }
                text = int(np.searchsorted(ends, start, "right"))
                mentions[text].append(TaggedMention(units[start].start, units[end - 1].end, label, probability, values))
        for found in mentions:
            yield tuple(sorted(found, key=lambda m: (m.start, m.end, m.label)))


def model_inputs(
    tokenizer: UnitTokenizer, batch: Sequence[tuple[Encoded, Window]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Windows as padded ids and mask [batch, tokens] and features [batch, tokens, features], with start and end tokens."""
    width = max(w.end - w.start for _, w in batch) + 2
    ids = np.full((len(batch), width), tokenizer.padding, np.int64)
    mask = np.zeros((len(batch), width), np.int64)
    features = np.zeros((len(batch), width, batch[0][0].features.shape[1]), np.float32)
    for row, (encoded, window) in enumerate(batch):
        length = window.end - window.start
        ids[row, 0], ids[row, 1 : length + 1], ids[row, length + 1] = tokenizer.start, encoded.ids[window.start : window.end], tokenizer.end
        mask[row, : length + 2] = 1
        owner = encoded.unit[window.start : window.end]
        inside = np.flatnonzero(owner >= 0)
        features[row, 1 + inside] = encoded.features[owner[inside]]
    return ids, mask, features


def log_softmax(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-probabilities over the last axis."""
    values = np.asarray(scores, np.float64)
    values = values - values.max(-1, keepdims=True)
    return np.asarray(values - np.log(np.exp(values).sum(-1, keepdims=True)))


def _mean(logs: NDArray[np.float64]) -> list[float]:
    """The distribution of a mention: the geometric mean of its units', normalised."""
    return [float(p) for p in np.exp(log_softmax(logs.mean(0)))]


def _batches(jobs: Sequence[tuple[int, Window]]) -> Iterator[list[tuple[int, Window]]]:
    batch: list[tuple[int, Window]] = []
    for job in jobs:  # shortest first, so that the newest sets the width
        width = job[1].end - job[1].start + 2
        if batch and (len(batch) + 1) * width > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def most_central(depth: NDArray[np.int64], encoded: Encoded, window: Window) -> tuple[slice, NDArray[np.bool_]]:
    """The units of a window, and which of them have more context in it than in those before (``depth``, updated), on the shorter side."""
    low, high = np.searchsorted(encoded.first, [window.start, window.end])
    firsts = encoded.first[low:high]
    total = len(encoded.ids)
    left = np.where(window.start == 0, total, firsts - window.start)
    right = np.where(window.end >= total, total, window.end - 1 - firsts)
    context = np.minimum(left, right)
    better = context > depth[low:high]
    depth[low:high][better] = context[better]
    return slice(int(low), int(high)), better
