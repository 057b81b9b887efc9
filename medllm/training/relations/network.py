"""The network of a relation classifier: an encoder, embeddings of the markers, and a small network over pairs of mentions."""

from typing import Any

import torch
from torch import nn

from medllm.errors import ModelError
from medllm.taggers.encoding import UnitTokenizer
from medllm.taggers.relations.config import RelationConfig
from medllm.taggers.relations.pairs import FEATURES

WIDTH, FEATURE_WIDTH = 192, 16


class PairNetwork(nn.Module):
    """Scores [pairs, classes] of two vectors [pairs, hidden] and features [pairs, 3]."""

    def __init__(self, hidden: int, classes: int, *, dropout: float) -> None:
        super().__init__()
        self.head = nn.Linear(hidden, WIDTH)
        self.tail = nn.Linear(hidden, WIDTH)
        self.features = nn.ModuleList(nn.Embedding(values, FEATURE_WIDTH) for values in FEATURES)
        self.inner = nn.Linear(3 * WIDTH + len(FEATURES) * FEATURE_WIDTH, WIDTH)
        self.outer = nn.Linear(WIDTH, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, heads: torch.Tensor, tails: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """See the class."""
        head, tail = torch.tanh(self.head(self.dropout(heads))), torch.tanh(self.tail(self.dropout(tails)))
        embedded = [table(features[:, n]) for n, table in enumerate(self.features)]
        inner = nn.functional.gelu(self.inner(torch.cat([head, tail, head * tail, *embedded], -1)))
        scores: torch.Tensor = self.outer(self.dropout(inner))
        return scores


class RelationNetwork(nn.Module):
    """``encoder`` is any bidirectional model of transformers that takes ``inputs_embeds``; tokens from ``vocabulary`` on are markers.

    Its word embeddings stay as they are: the words of relations are not new to it, and half of a small encoder's weights are there.
    """

    def __init__(self, encoder: Any, vocabulary: int, markers: torch.Tensor, classes: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.vocabulary = vocabulary
        self.markers = nn.Parameter(markers.clone())
        encoder.get_input_embeddings().requires_grad_(False)
        self.pairs = PairNetwork(int(encoder.config.hidden_size), classes, dropout=dropout)

    def hidden(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """``input_ids``, ``attention_mask`` [windows, tokens] to [windows, tokens, hidden]."""
        words = self.encoder.get_input_embeddings()(input_ids.clamp(max=self.vocabulary - 1))
        marks = nn.functional.embedding((input_ids - self.vocabulary).clamp(min=0), self.markers)
        embedded = torch.where((input_ids >= self.vocabulary)[..., None], marks, words)
        found: torch.Tensor = self.encoder(inputs_embeds=embedded, attention_mask=attention_mask).last_hidden_state
        return found

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        rows: torch.Tensor,
        columns: torch.Tensor,
        owner: torch.Tensor,
        heads: torch.Tensor,
        tails: torch.Tensor,
        features: torch.Tensor,
    ) -> torch.Tensor:
        """Scores [pairs, classes]. ``rows`` and ``columns`` [members] say where the mentions of items are, ``owner`` whose they are."""
        vectors = self.hidden(input_ids, attention_mask)[rows, columns]
        items = pooled(vectors, owner)
        scores: torch.Tensor = self.pairs(items[heads], items[tails], features)
        return scores


def pooled(vectors: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """The items' vectors [items, hidden] of their mentions' [members, hidden]: the logarithm of the mean exponential."""
    items = int(owner.max()) + 1
    where = owner[:, None].expand_as(vectors)
    top = torch.full((items, vectors.shape[1]), -torch.inf, dtype=vectors.dtype, device=vectors.device)
    top = top.scatter_reduce(0, where, vectors.detach(), "amax")
    summed = torch.zeros_like(top).scatter_add(0, where, torch.exp(vectors - top[owner]))
    counts = torch.zeros(items, dtype=vectors.dtype, device=vectors.device).scatter_add(0, owner, torch.ones_like(vectors[:, 0]))
    return top + torch.log(summed / counts[:, None])


def marker_embeddings(encoder: Any, tokenizer: UnitTokenizer, config: RelationConfig) -> torch.Tensor:
    """A row for each marker: the mean of the words of its label, so that it begins with what the label says, and a little noise."""
    table = encoder.get_input_embeddings().weight.detach()
    found = torch.zeros(2 * len(config.labels), table.shape[1])
    for label, markers in config.markers.items():
        mean = table[tokenizer.encode(label.replace("_", " ").replace("-", " ")).ids].mean(0)
        for marker in markers:
            found[marker - config.vocabulary] = mean + 0.1 * table.std() * torch.randn_like(mean)
    return found


def keep_layers(encoder: Any, layers: int) -> None:
    """Keep only the lowest ``layers`` of the encoder. Raises ModelError where it has fewer, or no such list of layers."""
    blocks = next((m for m in encoder.modules() if isinstance(m, nn.ModuleList)), None)
    if blocks is None or layers > len(blocks):
        raise ModelError(f"the encoder has not {layers} layers", hint=f"it has {len(blocks) if blocks is not None else 0}")
    del blocks[layers:]
    encoder.config.num_hidden_layers = layers
