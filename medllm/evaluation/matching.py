"""Which predicted mention answers which gold mention of the same note.

Four criteria, all one-to-one and all with as many pairs as possible, so that swapping gold and prediction swaps precision and recall:

============== ============================================================================
exact          the same label, and the same offsets of every part
overlap        the same label, and at least one character in common
span           the same offsets of every part, whatever the label
span-overlap   at least one character in common, whatever the label
============== ============================================================================

* Repeated mentions are not removed: two equal predictions for one gold mention are one match and one spurious mention.
* Nested mentions are mentions like any other; an inner mention is not matched by an outer one under ``exact``.
* A discontinuous mention is the characters of its parts: what stands in the gap does not overlap it; under ``exact`` all parts must agree.
* Among equally large matchings, pairs of the same label come first, then exact pairs, then those with more characters in common,
  then reading order. This order decides which pairs attributes are compared on; it never changes precision or recall.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from medllm.document import Entity, Extraction
from medllm.errors import UsageError
from medllm.evaluation.bipartite import maximum_matching

Criterion = Literal["exact", "overlap", "span", "span-overlap"]
Parts = tuple[tuple[int, int], ...]
MentionKey = tuple[str, Parts]


@dataclass(frozen=True)
class Alignment:
    """The gold and predicted mentions of one note, and the ``pairs`` (gold index, predicted index) that match."""

    gold: tuple[Entity, ...]
    pred: tuple[Entity, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def matches(self) -> tuple[tuple[Entity, Entity], ...]:
        """The matched mentions: (gold, predicted)."""
        return tuple((self.gold[g], self.pred[p]) for g, p in self.pairs)

    @property
    def missed(self) -> tuple[Entity, ...]:
        """Gold mentions without a match."""
        matched = {g for g, _ in self.pairs}
        return tuple(e for i, e in enumerate(self.gold) if i not in matched)

    @property
    def spurious(self) -> tuple[Entity, ...]:
        """Predicted mentions without a match."""
        matched = {p for _, p in self.pairs}
        return tuple(e for i, e in enumerate(self.pred) if i not in matched)


def mention_key(mention: Entity) -> MentionKey:
    """What makes two mentions the same: the label, and the offsets of every part."""
    return mention.label, tuple((s.start, s.end) for s in mention.spans)


def align(gold: Extraction | Sequence[Entity], pred: Extraction | Sequence[Entity], criterion: Criterion = "exact") -> Alignment:
    """Match the mentions of one note under a criterion (see the module). Raises UsageError for an unknown one.

    >>> from medllm.document import any_entity
    >>> problem, text = any_entity("problem"), "no dull knee pain"
    >>> gold, pred = [problem.at(text, 3, 17)], [problem.at(text, 8, 17), problem.at(text, 3, 7)]
    >>> align(gold, pred).pairs, align(gold, pred, "overlap").pairs
    ((), ((0, 0),))
    """
    if criterion not in get_args(Criterion):
        raise UsageError(f"there is no matching criterion {criterion!r}", hint=f"one of {', '.join(get_args(Criterion))}")
    golds = tuple(gold.entities if isinstance(gold, Extraction) else gold)
    preds = tuple(pred.entities if isinstance(pred, Extraction) else pred)
    gold_keys, pred_keys = [mention_key(e) for e in golds], [mention_key(e) for e in preds]
    if criterion == "exact":
        pairs = _equal(gold_keys, pred_keys)
    elif criterion == "span":
        pairs = _equal_spans(gold_keys, pred_keys)
    else:
        pairs = _overlapping(gold_keys, pred_keys, same_label=criterion == "overlap")
    return Alignment(golds, preds, tuple(pairs))


def shared_characters(left: Parts, right: Parts) -> int:
    """How many characters two mentions have in common, part by part."""
    if len(left) == len(right) == 1:
        return max(0, min(left[0][1], right[0][1]) - max(left[0][0], right[0][0]))
    return sum(max(0, min(a[1], b[1]) - max(a[0], b[0])) for a in left for b in right)


def overlapping_pairs(left: Sequence[Parts], right: Sequence[Parts]) -> list[tuple[int, int, int]]:
    """Every (left index, right index, characters in common) with at least one character in common."""
    events = sorted([(p[0][0], 0, i) for i, p in enumerate(left)] + [(p[0][0], 1, i) for i, p in enumerate(right)])
    open_left: list[int] = []
    open_right: list[int] = []
    found = []
    for start, side, index in events:
        if side == 0:
            open_right = [j for j in open_right if right[j][-1][1] > start]
            found += [(index, j, n) for j in open_right if (n := shared_characters(left[index], right[j]))]
            open_left.append(index)
        else:
            open_left = [i for i in open_left if left[i][-1][1] > start]
            found += [(i, index, n) for i in open_left if (n := shared_characters(left[i], right[index]))]
            open_right.append(index)
    return found


def _equal(gold: Sequence[object], pred: Sequence[object]) -> list[tuple[int, int]]:
    free: dict[object, list[int]] = defaultdict(list)
    for g in range(len(gold) - 1, -1, -1):
        free[gold[g]].append(g)
    return sorted((free[key].pop(), p) for p, key in enumerate(pred) if free.get(key))


def _equal_spans(gold: Sequence[MentionKey], pred: Sequence[MentionKey]) -> list[tuple[int, int]]:
    pairs = _equal(gold, pred)
    golds = sorted(set(range(len(gold))) - {g for g, _ in pairs})
    preds = sorted(set(range(len(pred))) - {p for _, p in pairs})
    rest = _equal([gold[g][1] for g in golds], [pred[p][1] for p in preds])
    return sorted(pairs + [(golds[g], preds[p]) for g, p in rest])


def _overlapping(gold: Sequence[MentionKey], pred: Sequence[MentionKey], *, same_label: bool) -> list[tuple[int, int]]:
    edges = []
    for g, p, shared in overlapping_pairs([k[1] for k in gold], [k[1] for k in pred]):
        if (label := gold[g][0] == pred[p][0]) or not same_label:
            edges.append((not label, gold[g][1] != pred[p][1], -shared, g, p))
    return maximum_matching(len(gold), [(g, p) for *_, g, p in sorted(edges)])
