"""Notes as a relation classifier learns them: marked windows, candidate pairs, and the class of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medllm.taggers.encoding import Encoded, UnitTokenizer, Window, windows
from medllm.taggers.relations.config import RelationConfig
from medllm.taggers.relations.marking import cells, mark
from medllm.taggers.relations.pairs import Item, Pairs, Placed, candidates, items_of
from medllm.taggers.tagger import model_inputs
from medllm.training.relations.data import RelationNote

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """A note: its windows, where its mentions are in them, its items, their candidate pairs, and the pairs' classes [pairs]."""

    encoded: Encoded
    windows: tuple[Window, ...]
    rows: Numbers
    columns: Numbers
    items: tuple[Item, ...]
    pairs: Pairs
    classes: Numbers


@dataclass
class Losses:
    """Relations that cannot be learnt as they are: of pairs that are no candidates, or that have another relation as well."""

    relations: int = 0
    no_candidate: int = 0
    second: int = 0
    candidates: int = 0


def example_of(note: RelationNote, config: RelationConfig, tokenizer: UnitTokenizer, *, overlap: int, losses: Losses) -> Example | None:
    """The note as an example, None where it has no candidates. Windows share ``overlap`` tokens."""
    known = [n for n, m in enumerate(note.mentions) if m.label in config.markers]
    encoded = tokenizer.encode(note.text)
    placed = Placed.among(encoded, [note.mentions[n] for n in known])
    items = items_of(placed.mentions, concepts=config.concepts)
    pairs = candidates(placed, items, config)
    gold = gold_of(note, known, items, config, losses)
    losses.no_candidate += len(gold.keys() - set(zip(pairs.heads.tolist(), pairs.tails.tolist(), strict=True)))
    losses.candidates += len(pairs.heads)
    if not len(pairs.heads):
        return None
    classes = np.array([gold.get((h, t), 0) for h, t in zip(pairs.heads.tolist(), pairs.tails.tolist(), strict=True)], np.int64)
    marked, positions = mark(encoded, placed, config)
    cut = windows(marked, config.window - 2, overlap)
    rows, columns = cells(cut, positions, len(marked.ids))
    return Example(marked, tuple(cut), rows, columns, tuple(items), pairs, classes)


def gold_of(
    note: RelationNote, known: Sequence[int], items: Sequence[Item], config: RelationConfig, losses: Losses | None = None
) -> Mapping[tuple[int, int], int]:
    """The class of each pair of items that is related."""
    losses = losses or Losses()
    related: Iterable[tuple[list[int], list[int], str]]
    if config.concepts:
        by_code: dict[str, list[int]] = {}
        for number, item in enumerate(items):
            by_code.setdefault(item.code, []).append(number)
        related = ((by_code.get(head, []), by_code.get(tail, []), label) for head, tail, label in note.codes)
    else:
        own = {n: i for i, n in enumerate(known)}
        related = (([own[h]] if h in own else [], [own[t]] if t in own else [], label) for h, t, label in note.relations)
    found: dict[tuple[int, int], int] = {}
    for heads, tails, label in related:
        if label not in config.relations:
            continue
        pairs = [(h, t) for h in heads for t in tails if (items[h].label, items[t].label) in set(config.signatures)]
        losses.relations += 1
        losses.no_candidate += not pairs
        for pair in pairs:
            losses.second += pair in found
            found.setdefault(pair, 1 + config.relations.index(label))
    return found


def sample(example: Example, ratio: int, chooser: np.random.Generator) -> Numbers:
    """The pairs to learn from this time: all that are related, and at most ``ratio`` others for each of them (0: all others)."""
    others = np.flatnonzero(example.classes == 0)
    most = ratio * max(1, len(example.classes) - len(others))
    if not ratio or len(others) <= most:
        return np.arange(len(example.classes))
    return np.sort(np.concatenate([np.flatnonzero(example.classes), chooser.choice(others, most, replace=False)]))


def collate(batch: Sequence[Example], tokenizer: UnitTokenizer, *, ratio: int, chooser: np.random.Generator) -> dict[str, torch.Tensor]:
    """What ``RelationNetwork`` takes, and the classes."""
    ids, mask, _ = model_inputs(tokenizer, [(e.encoded, w) for e in batch for w in e.windows])
    columns: dict[str, list[Numbers]] = {name: [] for name in ("rows", "columns", "owner", "heads", "tails", "features", "classes")}
    row = item = 0
    for example in batch:
        members = np.array([m for i in example.items for m in i.members], np.int64)
        chosen = sample(example, ratio, chooser)
        columns["rows"].append(example.rows[members] + row)
        columns["columns"].append(example.columns[members])
        columns["owner"].append(np.repeat(np.arange(len(example.items)), [len(i.members) for i in example.items]) + item)
        columns["heads"].append(example.pairs.heads[chosen] + item)
        columns["tails"].append(example.pairs.tails[chosen] + item)
        columns["features"].append(example.pairs.features[chosen])
        columns["classes"].append(example.classes[chosen])
        row, item = row + len(example.windows), item + len(example.items)
    joined = {name: torch.from_numpy(np.concatenate(each)) for name, each in columns.items()}
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)} | joined
