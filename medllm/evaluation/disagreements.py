"""Every disagreement between gold and prediction, by its kind: the table of errors, and what an error browser shows."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from medllm.document import Entity, Extraction
from medllm.evaluation.matching import Criterion, align, mention_key

_PASSES: tuple[Criterion, ...] = ("span", "overlap", "span-overlap")


class Kind(StrEnum):
    """How a prediction differs from gold. ``parts``: the outer edges agree, but not the parts of a discontinuous mention."""

    MISSED = "missed"
    SPURIOUS = "spurious"
    LABEL = "label"
    LEFT_EDGE = "left edge"
    RIGHT_EDGE = "right edge"
    BOTH_EDGES = "both edges"
    PARTS = "parts"
    LABEL_AND_EDGE = "label and edge"


@dataclass(frozen=True)
class Disagreement:
    """One disagreement in a note. ``gold`` is None for a spurious mention, ``pred`` for a missed one."""

    note_id: str
    kind: Kind
    gold: Entity | None = None
    pred: Entity | None = None

    @property
    def mention(self) -> Entity:
        """The gold mention where there is one, else the predicted one."""
        found = self.gold or self.pred
        assert found is not None
        return found

    def sort_key(self) -> tuple[int, int, str]:
        """Reading order, by ``mention``."""
        return self.mention.sort_key()


def disagreements(gold: Extraction, pred: Extraction) -> tuple[Disagreement, ...]:
    """Every mention that is not matched exactly, each in exactly one disagreement, in reading order.

    The rest after exact matching is paired in three passes, each a maximum matching: equal spans (``label``), same label with
    characters in common (the edges), any characters in common (``label and edge``). What is left is missed or spurious.
    """
    first = align(gold, pred, "exact")
    left, right, found = first.missed, first.spurious, list[Disagreement]()
    for criterion in _PASSES:
        step = align(left, right, criterion)
        found += [Disagreement(gold.note.id, _kind(g, p), g, p) for g, p in step.matches]
        left, right = step.missed, step.spurious
    found += [Disagreement(gold.note.id, Kind.MISSED, gold=g) for g in left]
    found += [Disagreement(gold.note.id, Kind.SPURIOUS, pred=p) for p in right]
    return tuple(sorted(found, key=Disagreement.sort_key))


def kinds(found: Iterable[Disagreement]) -> dict[str, int]:
    """How many disagreements there are of each kind, every kind named."""
    counted = Counter(d.kind for d in found)
    return {kind.value: counted[kind] for kind in Kind}


def confusion(found: Iterable[Disagreement]) -> dict[tuple[str, str], int]:
    """How often a gold label was given another label: (gold label, predicted label) -> times; "" stands for no mention."""
    pairs = ((d.gold.label if d.gold else "", d.pred.label if d.pred else "") for d in found)
    return dict(sorted(Counter(p for p in pairs if p[0] != p[1]).items()))


def _kind(gold: Entity, pred: Entity) -> Kind:
    if gold.label != pred.label:
        return Kind.LABEL if mention_key(gold)[1] == mention_key(pred)[1] else Kind.LABEL_AND_EDGE
    left, right = gold.span.start != pred.span.start, gold.span.end != pred.span.end
    if left and right:
        return Kind.BOTH_EDGES
    return Kind.LEFT_EDGE if left else Kind.RIGHT_EDGE if right else Kind.PARTS
