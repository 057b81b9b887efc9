"""The classifier at work: marked windows through the encoder once, then every candidate pair through a small network."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from medllm.errors import ModelError
from medllm.taggers.backends import ONNX_NAMES, Backend, OnnxBackend, onnx_session
from medllm.taggers.config import folder_digest
from medllm.taggers.encoding import Encoded, UnitTokenizer, windows
from medllm.taggers.relations.config import CONFIG, RelationConfig
from medllm.taggers.relations.marking import cells, mark
from medllm.taggers.relations.pairs import Item, PairMention, Pairs, Placed, candidates, items_of
from medllm.taggers.tagger import log_softmax, model_inputs

PAIRS_GRAPH = "pairs.onnx"
WINDOWS_AT_ONCE, PAIRS_AT_ONCE = 4, 4096

Vectors = NDArray[np.float32]


class PairBackend(Protocol):
    """Scores of pairs."""

    def pairs(self, heads: Vectors, tails: Vectors, features: NDArray[np.int64]) -> Vectors:
        """Vectors [pairs, hidden] of both ends and features [pairs, 3] to raw scores [pairs, 1 + relations]."""
        ...


class OnnxPairs:
    """The network over pairs, under ONNX Runtime."""

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        self._session = onnx_session(path, threads=threads)

    def pairs(self, heads: Vectors, tails: Vectors, features: NDArray[np.int64]) -> Vectors:
        """See ``PairBackend``."""
        (found,) = self._session.run(None, {"heads": heads, "tails": tails, "features": features})
        return np.asarray(found, np.float32)


class Linked(NamedTuple):
    """A relation: the items that it joins, its label, and its probability in [0, 1]."""

    head: Item
    tail: Item
    label: str
    probability: float


class RelationClassifier:
    """A loaded relation classifier, for notes of any length."""

    def __init__(
        self, config: RelationConfig, tokenizer: UnitTokenizer, encoder: Backend, network: PairBackend, *, fingerprint: str = ""
    ) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.encoder = encoder
        self.network = network
        self.fingerprint = fingerprint

    @classmethod
    def load(cls, folder: Path, *, threads: int | None = None) -> "RelationClassifier":
        """From a folder that ``medllm train relations`` wrote. Raises ModelError."""
        config = RelationConfig.load(folder)
        tokenizer = UnitTokenizer.load(folder, breaks=config.breaks)
        graph = next((folder / name for name in ONNX_NAMES if (folder / name).is_file()), None)
        if graph is None:
            raise ModelError("the relation classifier has no ONNX file", hint=f"it should have one of {', '.join(ONNX_NAMES[:2])}")
        network = OnnxPairs(folder / PAIRS_GRAPH, threads=threads)
        digest = folder_digest(folder, (CONFIG, "tokenizer.json", graph.name, PAIRS_GRAPH))
        return cls(config, tokenizer, OnnxBackend(graph, threads=threads), network, fingerprint=digest)

    def classify(self, text: str, mentions: Sequence[PairMention]) -> list[Linked]:
        """The relations among the mentions of a text: of each candidate pair the likeliest class, where that is not none.

        Mentions of labels that the classifier does not know are left out. An item's members are numbers in ``mentions``.
        """
        items, pairs, logs = self.distributions(text, mentions)
        best = logs.argmax(1)
        return [
            Linked(items[pairs.heads[n]], items[pairs.tails[n]], self.config.relations[best[n] - 1], float(np.exp(logs[n, best[n]])))
            for n in np.flatnonzero(best)
        ]

    def distributions(
        self, text: str, mentions: Sequence[PairMention], *, encoded: Encoded | None = None
    ) -> tuple[list[Item], Pairs, NDArray[np.float64]]:
        """All items, all candidate pairs and their log-probabilities [pairs, 1 + relations], none first.

        ``encoded`` stands for the text where it is given, with other tokens for some of its units.
        """
        known = [n for n, m in enumerate(mentions) if m.label in self.config.markers]
        encoded = self.tokenizer.encode(text) if encoded is None else encoded
        placed = Placed.among(encoded, [mentions[n] for n in known])
        items = items_of(placed.mentions, concepts=self.config.concepts)
        pairs = candidates(placed, items, self.config)
        scores = np.zeros((len(pairs.heads), 1 + len(self.config.relations)), np.float32)
        if len(scores):
            vectors = np.stack([pooled(each) for each in self._of_items(items, self._vectors(encoded, placed))])
            for start in range(0, len(scores), PAIRS_AT_ONCE):
                part = slice(start, start + PAIRS_AT_ONCE)
                scores[part] = self.network.pairs(vectors[pairs.heads[part]], vectors[pairs.tails[part]], pairs.features[part])
        named = [item._replace(members=tuple(known[m] for m in item.members)) for item in items]
        return named, pairs, log_softmax(scores)

    @staticmethod
    def _of_items(items: Sequence[Item], vectors: Vectors) -> list[Vectors]:
        return [vectors[list(item.members)] for item in items]

    def _vectors(self, encoded: Encoded, placed: Placed) -> Vectors:
        """The vector of each mention [mentions, hidden]."""
        marked, positions = mark(encoded, placed, self.config)
        cut = windows(marked, self.config.window - 2, self.config.overlap)
        rows, columns = cells(cut, positions, len(marked.ids))
        found: Vectors | None = None
        for start in range(0, len(cut), WINDOWS_AT_ONCE):
            batch = [(marked, window) for window in cut[start : start + WINDOWS_AT_ONCE]]
            hidden = self.encoder.scores(*model_inputs(self.tokenizer, batch))
            found = np.zeros((len(positions), hidden.shape[2]), np.float32) if found is None else found
            here = (rows >= start) & (rows < start + len(batch))
            found[here] = hidden[rows[here] - start, columns[here]]
        assert found is not None  # there are mentions, so there are tokens
        return found


def pooled(vectors: Vectors) -> Vectors:
    """One vector [hidden] of an item's mentions [mentions, hidden]: the logarithm of the mean exponential, by dimension."""
    top = vectors.max(0)
    return np.asarray(top + np.log(np.exp(vectors - top).mean(0)), np.float32)
