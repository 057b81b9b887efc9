"""A pool of examples, ranked by BM25, and which of them are shown."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medllm.document import Entity
from medllm.grammar.links import LinkSlot
from medllm.text.lines import Line
from medllm.text.pieces import Piece

ALIKE, COVERING = 0.5, 0.75
"""Shares of the budget: the most similar examples fill the first, those of missing labels go on to the second; look-alikes that have
nothing, and further similar ones, have the rest."""

FOR_EACH_NEGATIVE = 3
"""Examples that have something, for each that has nothing."""

TOO_ALIKE = 0.8
"""Of two examples that share more of their terms than this (Jaccard), one is enough."""

PATIENCE = 3
"""So many examples that do not fit in what is left of a budget end the search for a shorter one."""


@dataclass(frozen=True)
class Unit:
    """Something to show. ``note`` is the index of its note, ``long_lines`` are those of its lines that are nobody else's."""

    note: int
    terms: tuple[str, ...]
    labels: frozenset[str]
    long_lines: frozenset[str]
    content: Any


class Pool:
    """Units to choose from."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = [unit for unit in units if unit.terms]

    @cached_property
    def _index(self) -> Any:
        import bm25s

        index = bm25s.BM25()
        index.index([list(unit.terms) for unit in self.units], show_progress=False)
        return index

    def scores(self, terms: Sequence[str]) -> NDArray[np.float32]:
        """The BM25 score of every unit."""
        known = [t for t in terms if t in self._index.vocab_dict] if self.units else []
        return np.asarray(self._index.get_scores(known), np.float32) if known else np.zeros(len(self.units), np.float32)

    def choose(
        self,
        queries: Sequence[Sequence[str]],
        notes: frozenset[int],
        lines: frozenset[str],
        budget: int,
        cost: Callable[[Unit], int],
    ) -> list[Unit]:
        """Units for the terms of a question's parts, each part in turn, the most similar last.

        They take at most ``budget`` by ``cost``; none is of ``notes``, and none has one of ``lines``.
        """
        by_query = np.stack([self.scores(terms) for terms in queries]) if queries else np.zeros((1, len(self.units)), np.float32)
        scores = by_query.max(axis=0)
        ranked = np.argsort(-by_query, axis=1, kind="stable")
        order = [int(i) for i in dict.fromkeys(ranked.T.ravel().tolist())]
        able = [i for i in order if self.units[i].note not in notes and not (self.units[i].long_lines & lines)]
        chosen: list[int] = []
        spent = 0

        def take(index: int, limit: float) -> bool:
            nonlocal spent
            if index in chosen or any(_overlap(self.units[index], self.units[c]) > TOO_ALIKE for c in chosen):
                return True
            tokens = cost(self.units[index])
            if spent + tokens > limit:
                return False
            spent += tokens
            chosen.append(index)
            return True

        def take_all(indices: Sequence[int], limit: float) -> None:
            misses = 0
            for index in indices:
                misses += not take(index, limit)
                if misses == PATIENCE:
                    return

        alike = [i for i in able if scores[i] > 0]
        take_all([i for i in alike if self.units[i].labels], ALIKE * budget)
        for label in self._rare_last(able):
            if not any(label in self.units[c].labels for c in chosen):
                next((i for i in able if label in self.units[i].labels and take(i, COVERING * budget)), None)
        negatives = [i for i in alike if not self.units[i].labels]
        take_all(negatives[: 1 + len(chosen) // FOR_EACH_NEGATIVE], budget)
        take_all([i for i in alike if self.units[i].labels], budget)
        return [self.units[i] for i in sorted(chosen, key=lambda i: (scores[i], -i))]

    def _rare_last(self, able: Sequence[int]) -> list[str]:
        count = Counter(label for i in able for label in self.units[i].labels)
        return sorted(count, key=lambda label: (-count[label], label))


def _overlap(one: Unit, other: Unit) -> float:
    a, b = frozenset(one.terms), frozenset(other.terms)
    return len(a & b) / len(a | b)


def squeezed(text: str) -> str:
    """The letters and digits of a text, whatever their case and what stands between them."""
    return "".join(c for c in text if c.isalnum()).casefold()


def terms_of(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """What lines are compared by: their words, and the pairs of those without a gap between them (Chinese, "b.i.d.")."""
    words = [(p.text.casefold(), p.gap) for p in pieces if any(c.isalnum() for c in p.text)]
    return (*(w for w, _ in words), *(one + other for (one, _), (other, gap) in pairwise(words) if not gap))


def pair_terms(mentions: Sequence[tuple[Entity, int]], lines: Sequence[Line], slots: Sequence[LinkSlot]) -> tuple[str, ...]:
    """What lines with mentions are compared by for their relations: the types of the pairs that can be related, the words between
    them, and the words outside all mentions (relation-aware retrieval, after arXiv:2601.09367)."""
    terms: list[str] = []
    spans = [(e.span.start, e.span.end) for e, _ in mentions]
    outside = [[p for p in line.pieces if not any(s < p.end and p.start < e for s, e in spans)] for line in lines]
    words = [(p.text.casefold(), p.start) for pieces in outside for p in pieces if any(c.isalnum() for c in p.text)]
    for slot in slots:
        head = mentions[slot.number - 1][0]
        for target in {link.target for link in slot.links}:
            tail = mentions[target - 1][0]
            pair = f"<{head.label}>{tail.label}>"
            first, last = sorted((head.span, tail.span), key=lambda s: s.start)
            between = [w for w, at in words if first.end <= at < last.start]
            terms += [pair, *(f"{pair}{w}" for w in between)]
    return (*terms, *(w for w, _ in words))
