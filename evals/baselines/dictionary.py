"""The dictionary baseline: every term of the training mentions, longest match first, with the label it had most often.

    python evals/baselines/dictionary.py FOLDS.jsonl OUT.jsonl [--least 0.5]

Terms are compared token by token, without case. ``--least`` keeps only terms that are mentions at least that often where they
stand in the training sentences ("pain" is one nearly always, "normal" seldom); 0 keeps all.
"""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from adapter import Fold, Found, Sentence, main

_TOKEN = re.compile(r"\d+|[^\W\d_]+|[^\w\s]|_")
Term = tuple[str, ...]


def tokens(text: str) -> list[tuple[str, int, int]]:
    """(folded token, start, end): runs of letters, runs of digits, single marks."""
    return [(m[0].casefold(), m.start(), m.end()) for m in _TOKEN.finditer(text)]


@dataclass(frozen=True)
class Dictionary:
    """Terms with their labels, by token. ``written`` holds one spelling of each, for systems that tokenize themselves."""

    terms: dict[Term, str]
    written: dict[Term, str]

    @classmethod
    def learn(cls, train: Sequence[Sentence], least: float = 0.0) -> "Dictionary":
        counted: dict[Term, Counter[str]] = defaultdict(Counter)
        written: dict[Term, str] = {}
        for sentence in train:
            for mention in sentence.mentions:
                text = sentence.text[mention.start : mention.end]
                if term := tuple(t for t, _, _ in tokens(text)):
                    counted[term][mention.label] += 1
                    written.setdefault(term, text)
        found = cls({term: min(labels, key=lambda k: (-labels[k], k)) for term, labels in counted.items()}, written)
        return found.those_right(train, least) if least else found

    def those_right(self, train: Sequence[Sentence], least: float) -> "Dictionary":
        hits: Counter[Term] = Counter()
        right: Counter[Term] = Counter()
        for sentence in train:
            gold = {(m.start, m.end, m.label) for m in sentence.mentions}
            for term, start, end in self._matches(sentence.text):
                hits[term] += 1
                right[term] += (start, end, self.terms[term]) in gold
        kept = {term for term in self.terms if hits[term] and right[term] >= least * hits[term]}
        return Dictionary({t: label for t, label in self.terms.items() if t in kept}, {t: w for t, w in self.written.items() if t in kept})

    def find(self, text: str) -> list[Found]:
        """The mentions of a text: from left to right, the longest term at each place, none inside another."""
        return [Found(start, end, self.terms[term]) for term, start, end in self._matches(text)]

    def _matches(self, text: str) -> Iterator[tuple[Term, int, int]]:
        found = tokens(text)
        longest = self._longest
        i = 0
        while i < len(found):
            for length in range(min(longest.get(found[i][0], 0), len(found) - i), 0, -1):
                term = tuple(t for t, _, _ in found[i : i + length])
                if term in self.terms:
                    yield term, found[i][1], found[i + length - 1][2]
                    i += length
                    break
            else:
                i += 1

    @cached_property
    def _longest(self) -> dict[str, int]:
        """By first token, the length of the longest term."""
        lengths: dict[str, int] = {}
        for term in self.terms:
            lengths[term[0]] = max(lengths.get(term[0], 0), len(term))
        return lengths


def predict(fold: Fold, options: argparse.Namespace) -> Iterator[tuple[str, list[Found]]]:
    dictionary = Dictionary.learn(fold.train, options.least)
    for note_id, text in fold.notes:
        yield note_id, dictionary.find(text)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--least", type=float, default=0.0)


if __name__ == "__main__":
    main("dictionary", predict, [], add_options)
