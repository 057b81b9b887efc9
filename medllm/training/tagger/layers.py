"""Labels into layers, and notes into windows whose every unit says which tags it may have."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medllm.taggers.config import AttributeHead, TaggerConfig
from medllm.taggers.encoding import Encoded, UnitTokenizer, Window, windows
from medllm.taggers.tags import TagSet
from medllm.training.tagger.data import TrainingNote


def assign_layers(notes: Iterable[TrainingNote], order: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Labels whose mentions overlap go to different layers, all others share one: a greedy colouring, commonest label first.

    Overlaps of fewer than one in 200 of the rarer label's mentions do not count: one of the two is left out instead.
    """
    count: Counter[str] = Counter()
    clash: Counter[frozenset[str]] = Counter()
    for note in notes:
        mentions = sorted(note.mentions, key=lambda m: (m.start, -m.end))
        count.update(m.label for m in mentions)
        for i, one in enumerate(mentions):
            for other in mentions[i + 1 :]:
                if other.start >= one.end:
                    break
                if other.label != one.label:
                    clash[frozenset((one.label, other.label))] += 1
    layers: list[list[str]] = []
    for label in sorted((label for label in order if count[label]), key=lambda label: -count[label]):
        for layer in layers:
            if all(clash[frozenset((label, other))] * 200 < min(count[label], count[other]) for other in layer):
                layer.append(label)
                break
        else:
            layers.append([label])
    rank = {label: i for i, label in enumerate(order)}
    return tuple(tuple(sorted(layer, key=rank.__getitem__)) for layer in layers)


@dataclass(frozen=True)
class Example:
    """A window to learn from. ``allowed`` [units, outputs]: the tags that each unit may have; all of them where nothing is known.

    ``rows`` are the tokens (with the start token counted) at which the units' scores stand; ``segment`` numbers the stretches that no
    mention crosses.
    """

    encoded: Encoded
    window: Window
    rows: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    segment: NDArray[np.int64]


def chains_of(examples: Sequence[Example]) -> NDArray[np.int64]:
    """[chains, longest] indexes of the examples' units, one stretch without an edge a row, -1 behind its end."""
    at, found = 0, []
    for example in examples:
        cuts = np.flatnonzero(np.diff(example.segment)) + 1
        found += np.split(np.arange(at, at + len(example.rows)), cuts)
        at += len(example.rows)
    chains = np.full((len(found), max(map(len, found))), -1, np.int64)
    for row, chain in enumerate(found):
        chains[row, : len(chain)] = chain
    return chains


@dataclass
class Losses:
    """Mentions that a tagger cannot learn as they are: nested in their own layer, or with an edge inside a unit."""

    mentions: int = 0
    nested: int = 0
    inside_unit: int = 0


def examples_of(
    note: TrainingNote, config: TaggerConfig, tokenizer: UnitTokenizer, *, size: int, losses: Losses | None = None
) -> list[Example]:
    """The windows of a note, of at most ``size`` tokens, without overlap."""
    encoded = tokenizer.encode(note.text)
    allowed = allowed_outputs(note, encoded, config, losses)
    found = []
    for window in windows(encoded, size, 0):
        low, high = np.searchsorted(encoded.first, [window.start, window.end])
        if high > low:
            found.append(Example(encoded, window, encoded.first[low:high] - window.start + 1, allowed[low:high], encoded.segment[low:high]))
    return found


def allowed_outputs(note: TrainingNote, encoded: Encoded, config: TaggerConfig, losses: Losses | None = None) -> NDArray[np.bool_]:
    """[units, outputs]: True where the annotation admits the tag or the value.

    A layer of which the note annotates nothing is free; of one that it annotates in part, a unit outside of all mentions may be
    outside or in a mention of the labels that nobody looked for.
    """
    losses = losses or Losses()
    starts, ends = np.array([u.start for u in encoded.units]), np.array([u.end for u in encoded.units])
    allowed = np.ones((len(encoded.units), config.outputs), bool)
    layers, heads = config.slices()
    for tags, where in zip(config.layers, layers, strict=True):
        if note.labels.isdisjoint(tags.labels):
            continue
        allowed[:, where] = _outside(tags, note.labels)
        taken = np.zeros(len(encoded.units), bool)
        for mention in sorted((m for m in note.mentions if m.label in tags.labels), key=lambda m: (m.start - m.end, m.start)):
            losses.mentions += 1
            low, high = int(np.searchsorted(ends, mention.start, "right")), int(np.searchsorted(starts, mention.end))
            if high <= low or taken[low:high].any():
                losses.nested += 1
                continue
            if starts[low] != mention.start or ends[high - 1] != mention.end:
                losses.inside_unit += 1
            taken[low:high] = True
            allowed[low:high, where] = False
            allowed[np.arange(low, high), np.array(tags.mention(mention.label, high - low)) + where.start] = True
    for start, end in note.unsure:
        allowed[(starts < end) & (ends > start), : layers[-1].stop] = True
    for head, where in zip(config.attributes, heads, strict=True):
        if head.name not in note.attributes:
            continue
        for mention in note.mentions:
            value = dict(mention.attributes).get(head.name)
            if mention.label in head.labels and value in head.values:
                low, high = int(np.searchsorted(ends, mention.start, "right")), int(np.searchsorted(starts, mention.end))
                allowed[low:high, where] = False
                allowed[low:high, where.start + head.values.index(value)] = True
    return allowed


def _outside(tags: TagSet, annotated: frozenset[str]) -> NDArray[np.bool_]:
    return np.array([kind == "O" or label not in annotated for kind, label in tags.tags])


def attribute_heads(notes: Iterable[TrainingNote], values: dict[str, tuple[str, ...]]) -> tuple[AttributeHead, ...]:
    """A head for each attribute that the notes annotate; ``values`` gives the schema's order of its values."""
    labels: dict[str, set[str]] = {}
    for note in notes:
        for mention in note.mentions:
            for name, _ in mention.attributes:
                labels.setdefault(name, set()).add(mention.label)
    return tuple(AttributeHead(name, tuple(sorted(labels[name])), values[name]) for name in sorted(labels) if name in values)
