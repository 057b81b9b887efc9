"""UIE, a tagger that needs no training: it is asked for something by its name and points at where mentions of it begin and end.

Universal Information Extraction (Lu et al. 2022, ACL) as PaddleNLP trained it on ERNIE 3.0: ``[CLS] prompt [SEP] text [SEP]`` in, and for
every token two independent probabilities out, that a mention begins and that it ends there. Each prompt is a reading of its own, so
mentions of different prompts may overlap; those of one prompt do not.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medllm.errors import ModelError
from medllm.taggers.backends import onnx_session
from medllm.taggers.config import TaggerConfig
from medllm.taggers.encoding import Encoded, UnitTokenizer, Window, windows
from medllm.taggers.tagger import BATCH_TOKENS, most_central
from medllm.weights.cache import checksum

VOCABULARY, GRAPHS = "vocab.txt", ("model.onnx", "inference.onnx")
WINDOW, OVERLAP = 160, 32
"""Tokens of a note that are read at once, besides the prompt."""
THRESHOLD = 0.5
"""A mention begins or ends where the probability is higher; PaddleNLP's own."""
LONGEST = 40
"""Units of a mention, at most: a start and an end that are farther apart do not belong together."""


class Pointed(NamedTuple):
    """A mention: half-open offsets in the text and a score in [0, 1].

    The score is the product of the probabilities of its start and its end, which the model gives independently of each other. It is no
    probability that the mention is right, and is not calibrated.
    """

    start: int
    end: int
    score: float


class PointerTagger:
    """A loaded UIE. ``graph`` is its ONNX file, ``vocabulary`` the tokens of its word pieces, in their order. Raises ModelError."""

    def __init__(self, name: str, graph: Path, vocabulary: Path, *, threads: int | None = None) -> None:
        self.config = TaggerConfig(name, (), window=WINDOW, overlap=OVERLAP, about={"languages": ["zh"]})
        try:
            tokens = vocabulary.read_text("utf-8").splitlines()
        except (OSError, UnicodeError):
            raise ModelError(f"{vocabulary.name} cannot be read", hint="it stands beside the graph, one token a line") from None
        self.tokenizer = UnitTokenizer.of_vocabulary(tokens)
        self._session = onnx_session(graph, threads=threads)
        self._inputs = {each.name for each in self._session.get_inputs()}
        if len(self._session.get_outputs()) != 2:
            raise ModelError(f"{graph.name} is no UIE", hint="its outputs must be the probabilities of starts and of ends")
        self.fingerprint = checksum(graph)

    def point(self, text: str, prompts: Sequence[str], *, threshold: float = THRESHOLD) -> list[list[Pointed]]:
        """The mentions of each prompt in a text of any length, in order.

        They begin and end at units (``medllm.text.pieces``), cross no blank line, and those of one prompt do not overlap.
        """
        encoded = self.tokenizer.encode(text)
        scores = self._scores(encoded, prompts)
        return [_spans(encoded, scores[:, number], threshold) for number in range(len(prompts))]

    def _scores(self, encoded: Encoded, prompts: Sequence[str]) -> NDArray[np.float32]:
        """[units, prompts, 2]: that a mention begins with a unit, and that it ends with it."""
        asked = [self.tokenizer.encode(prompt).ids for prompt in prompts]
        found = np.zeros((len(encoded.units), len(prompts), 2), np.float32)
        depth = np.full(len(encoded.units), -1, np.int64)
        last = np.append(encoded.first[1:], len(encoded.ids)) - 1
        for window in windows(encoded, self.config.window, self.config.overlap):
            units, better = most_central(depth, encoded, window)
            firsts, lasts = encoded.first[units] - window.start, last[units] - window.start
            for group in _groups(asked, window):
                starts, ends = self._run([asked[g] for g in group], encoded.ids[window.start : window.end])
                pair = np.stack([starts[:, firsts], ends[:, lasts]], -1).transpose(1, 0, 2)
                found[np.ix_(np.arange(units.start, units.stop)[better], group)] = pair[better]
        return found

    def _run(self, prompts: Sequence[NDArray[np.int64]], ids: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities [prompts, tokens] of starts and of ends."""
        width = max(map(len, prompts)) + len(ids) + 3
        rows, mask, types = (np.zeros((len(prompts), width), np.int64) for _ in range(3))
        rows[:] = self.tokenizer.padding
        for row, prompt in enumerate(prompts):
            whole = [self.tokenizer.start, *prompt, self.tokenizer.end, *ids, self.tokenizer.end]
            rows[row, : len(whole)], mask[row, : len(whole)], types[row, len(prompt) + 2 : len(whole)] = whole, 1, 1
        positions = np.tile(np.arange(width, dtype=np.int64), (len(prompts), 1))
        given = {
            **dict.fromkeys(("input_ids",), rows),
            **dict.fromkeys(("token_type_ids",), types),
            **dict.fromkeys(("att_mask", "attention_mask"), mask),
            **dict.fromkeys(("pos_ids", "position_ids"), positions),
        }
        both = self._session.run(None, {name: value for name, value in given.items() if name in self._inputs})
        starts, ends = (np.asarray(each, np.float32).reshape(rows.shape) for each in both)
        at = [slice(len(prompt) + 2, len(prompt) + 2 + len(ids)) for prompt in prompts]
        return tuple(np.stack([side[row, where] for row, where in enumerate(at)]) for side in (starts, ends))  # type: ignore[return-value]


def find_files(folder: Path) -> tuple[Path, Path] | None:
    """The graph and the vocabulary of a UIE that was exported to a folder, None where it holds none."""
    graph = next((folder / name for name in GRAPHS if (folder / name).is_file()), None)
    others = any((folder / name).is_file() for name in ("tagger.json", "tokenizer.json"))
    return None if graph is None or others or not (folder / VOCABULARY).is_file() else (graph, folder / VOCABULARY)


def _groups(prompts: Sequence[NDArray[np.int64]], window: Window) -> Iterator[list[int]]:
    """Numbers of prompts that are computed together, those of one length beside each other."""
    order = sorted(range(len(prompts)), key=lambda n: len(prompts[n]))
    size = max(1, BATCH_TOKENS // (window.end - window.start + 8))
    return (order[i : i + size] for i in range(0, len(order), size))


def _spans(encoded: Encoded, scores: NDArray[np.float32], threshold: float) -> list[Pointed]:
    """Every end with the nearest start at or before it, unless that start has a nearer end: PaddleNLP's own pairing."""
    found: list[Pointed] = []
    start = None
    for unit in np.flatnonzero((scores > threshold).any(1)).tolist():
        if scores[unit, 0] > threshold:
            start = unit
        if scores[unit, 1] > threshold and start is not None:
            if unit - start < LONGEST and encoded.segment[start] == encoded.segment[unit]:
                score = float(scores[start, 0] * scores[unit, 1])
                found.append(Pointed(encoded.units[start].start, encoded.units[unit].end, score))
            start = None
    return found
