"""The classical baseline: a BiLSTM with attention over the words around and between two marked mentions (Zhou et al. 2016, P16-2034).

Word and label vectors are learnt from the training notes alone. A pair is read from five words before the first mention to five after the
second, at most 80 words, with typed markers around both; between concepts, the nearest two mentions stand for them.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from medllm.taggers.encoding import Encoded
from medllm.taggers.relations import PairMention
from medllm.taggers.relations.config import RelationConfig
from medllm.taggers.relations.pairs import Placed, candidates, items_of, reach_of
from medllm.taggers.testing import tiny_tokenizer
from medllm.training.relations.data import RelationNote, signatures_of
from medllm.training.relations.examples import gold_of

AROUND, LONGEST, WIDTH, HIDDEN, EPOCHS, BATCH = 5, 80, 64, 64, 6, 64
UNITS = tiny_tokenizer(breaks=False)


class Network(nn.Module):
    def __init__(self, words: int, labels: int, classes: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, WIDTH, padding_idx=0)
        self.labels = nn.Embedding(labels, 16)
        self.lstm = nn.LSTM(WIDTH + 16, HIDDEN, bidirectional=True, batch_first=True)
        self.attention = nn.Linear(2 * HIDDEN, 1, bias=False)
        self.dropout = nn.Dropout(0.3)
        self.out = nn.Linear(2 * HIDDEN, classes)

    def forward(self, words: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.lstm(self.dropout(torch.cat([self.words(words), self.labels(labels)], -1)))
        weights = self.attention(torch.tanh(hidden)).masked_fill((words == 0)[..., None], -1e4).softmax(1)
        return self.out(self.dropout(torch.tanh((weights * hidden).sum(1))))


def train(
    notes: Sequence[RelationNote], *, concepts: bool, seed: int
) -> tuple[Callable[[RelationNote], list[tuple[Any, Any, str]]], dict[str, Any]]:
    """The trained classifier as a function from a note to its (head, tail, label), and what it is."""
    torch.manual_seed(seed)
    config = configuration(notes, concepts=concepts)
    counts = Counter(word for note in notes for word in words_of(UNITS.encode(note.text)))
    marks = [f"<{side}{role}:{label}>" for label in config.labels for role in "ht" for side in ("", "/")]
    vocabulary = {w: n for n, w in enumerate(dict.fromkeys(["", "?", *marks, *(w for w, c in counts.items() if c > 1)]))}
    labels = {label: n for n, label in enumerate(["", *config.labels])}
    examples = []
    for note in notes:
        rows, keys, gold = sequences(note, config, vocabulary, labels)
        examples += [(row, gold.get(key, 0)) for row, key in zip(rows, keys, strict=True)]
    network = Network(len(vocabulary), len(labels), 1 + len(config.relations))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    chooser = random.Random(seed)
    for _ in range(EPOCHS):
        chooser.shuffle(examples)
        pools = [examples[i : i + 32 * BATCH] for i in range(0, len(examples), 32 * BATCH)]
        batches = [p[i : i + BATCH] for p in (sorted(p, key=lambda e: len(e[0][0])) for p in pools) for i in range(0, len(p), BATCH)]
        chooser.shuffle(batches)
        for batch in batches:
            optimizer.zero_grad()
            scores = network(*padded([row for row, _ in batch]))
            nn.functional.cross_entropy(scores, torch.tensor([c for _, c in batch])).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
    network.eval()

    def predict(note: RelationNote) -> list[tuple[Any, Any, str]]:
        rows, keys, _ = sequences(note, config, vocabulary, labels)
        found = []
        items = items_of(note.mentions, concepts=concepts)
        for start in range(0, len(rows), 256):
            with torch.inference_mode():
                best = network(*padded(rows[start : start + 256])).argmax(1).tolist()
            for (head, tail), kind in zip(keys[start : start + 256], best, strict=True):
                if kind:
                    ends = (items[head].code, items[tail].code) if concepts else (items[head].members[0], items[tail].members[0])
                    found.append((*ends, config.relations[kind - 1]))
        return found

    weights = sum(p.numel() for p in network.parameters())
    return predict, {"weights": weights, "pairs": len(examples), "epochs": EPOCHS, "words": len(vocabulary), "reach": config.reach}


def configuration(notes: Sequence[RelationNote], *, concepts: bool) -> RelationConfig:
    """The same candidates as the product's classifier has."""
    distances = [
        reach_of(Placed.among(encoded, note.mentions), head, tail)
        for note in notes
        for encoded in [UNITS.encode(note.text)]
        for head, tail, _ in note.relations
    ]
    relations = sorted({label for note in notes for *_, label in (note.codes if concepts else note.relations)})
    return RelationConfig(
        "bilstm",
        tuple(sorted({m.label for note in notes for m in note.mentions})),
        tuple(relations),
        tuple(sorted(signatures_of(notes, concepts=concepts, least=2))),
        vocabulary=0,
        reach=None if concepts else int(np.quantile(distances, 0.99, method="higher")),
        concepts=concepts,
    )


Row = tuple[list[int], list[int]]


def sequences(
    note: RelationNote, config: RelationConfig, vocabulary: dict[str, int], labels: dict[str, int]
) -> tuple[list[Row], list[tuple[int, int]], dict[tuple[int, int], int]]:
    """Words and labels of each candidate pair, which items it joins, and the classes of those that are related."""
    encoded = UNITS.encode(note.text)
    placed = Placed.among(encoded, note.mentions)
    items = items_of(note.mentions, concepts=config.concepts)
    pairs = candidates(placed, items, config)
    words = [vocabulary.get(w, 1) for w in words_of(encoded)]
    inside = [0] * len(words)
    for number, mention in enumerate(note.mentions):
        inside[placed.low[number] : placed.high[number]] = [labels.get(mention.label, 0)] * int(placed.high[number] - placed.low[number])
    gold = dict(gold_of(note, range(len(note.mentions)), items, config))
    keys = list(zip(pairs.heads.tolist(), pairs.tails.tolist(), strict=True))
    rows = []
    for head, tail in keys:
        ends = min(((h, t) for h in items[head].members for t in items[tail].members), key=lambda e: (reach_of(placed, *e), e))
        rows.append(marked(words, inside, note.mentions, placed, ends, vocabulary))
    return rows, keys, gold


def marked(
    words: list[int], inside: list[int], mentions: Sequence[PairMention], placed: Placed, ends: tuple[int, int], vocabulary: dict[str, int]
) -> Row:
    low = max(0, min(int(placed.low[n]) for n in ends) - AROUND)
    high = min(len(words), max(int(placed.high[n]) for n in ends) + AROUND)
    found, types = [], []
    for unit in range(low, high):
        for role, n in zip("ht", ends, strict=True):
            if placed.low[n] == unit:
                found.append(vocabulary.get(f"<{role}:{mentions[n].label}>", 1))
                types.append(0)
        found.append(words[unit])
        types.append(inside[unit])
        for role, n in zip("ht", ends, strict=True):
            if placed.high[n] == unit + 1:
                found.append(vocabulary.get(f"</{role}:{mentions[n].label}>", 1))
                types.append(0)
    if len(found) > LONGEST:  # what is far from both is left out
        half = LONGEST // 2
        found, types = found[:half] + found[-half:], types[:half] + types[-half:]
    return found, types


def words_of(encoded: Encoded) -> list[str]:
    return ["0" if unit.text.isdigit() else unit.text.casefold() for unit in encoded.units]


def padded(rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(words) for words, _ in rows)
    words, labels = torch.zeros((len(rows), width), dtype=torch.int64), torch.zeros((len(rows), width), dtype=torch.int64)
    for n, (row, types) in enumerate(rows):
        words[n, : len(row)], labels[n, : len(types)] = torch.tensor(row), torch.tensor(types)
    return words, labels
