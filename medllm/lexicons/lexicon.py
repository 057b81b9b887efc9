"""A lexicon: concepts by code and by name, and where their names stand in a text."""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from medllm.lexicons.concept import Concept, Kind
from medllm.lexicons.words import normalise, words
from medllm.text.breaks import is_han

_ACRONYM = 5
"""Names of at most so many characters that are written in capitals are found only in capitals: ``ALL`` is not ``all``."""
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a all also am an and any are as at be but by can could did do for from had has have he her his how i if in is it its may me more
        most my no nor not of off on or our out own she so some such than that the their them then there these they this to too up us very
        was we were what when which who will with would you your""",
    )
)


class Match(NamedTuple):
    """A name in a text: half-open offsets, and the codes of all concepts that have it, in the lexicon's order."""

    start: int
    end: int
    codes: tuple[str, ...]


class Lexicon:
    """Concepts, found by code, by name, and in texts.

    Names are compared by ``normalise``: case, plural, British spelling, hyphens and possessives do not count. The order of concepts
    is kept: where several have a name, those whose preferred name it is come first. Of concepts with one code the first counts.
    """

    def __init__(self, concepts: Iterable[Concept]) -> None:
        self._concepts: dict[str, Concept] = {}
        for concept in concepts:
            self._concepts.setdefault(concept.code, concept)

    def __len__(self) -> int:
        return len(self._concepts)

    def __iter__(self) -> Iterator[Concept]:
        return iter(self._concepts.values())

    def __contains__(self, code: object) -> bool:
        return code in self._concepts

    def __getitem__(self, code: str) -> Concept:
        """The concept of ``SYSTEM:ID``. Raises KeyError."""
        return self._concepts[code]

    def only(self, *kinds: Kind) -> "Lexicon":
        """The lexicon of the concepts of these kinds; those that tell no kind stay."""
        return Lexicon(c for c in self if not c.kinds or not set(kinds).isdisjoint(c.kinds))

    def named(self, name: str) -> tuple[Concept, ...]:
        """The concepts that have ``name``, compared by ``normalise``; those whose preferred name it is first."""
        return tuple(self._concepts[code] for code in self._names.get(normalise(name), ()))

    def normalised_names(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        """All names as ``normalise`` writes them, each with the codes of the concepts that have it."""
        return self._names.items()

    def find(self, text: str, *, overlapping: bool = False) -> Iterator[Match]:
        """The names in ``text``, in order: of those that begin at a word the longest, then on behind it.

        ``overlapping``: the longest at every word, so that matches may overlap and lie in each other. Names never end or begin in a
        word, go over a paragraph, or over a mark that ends a phrase. A name is not found that is a function word or one letter
        long; one of at most five characters in capitals is found in capitals only. Linear in the length of the text.

        >>> heart = Lexicon([Concept("X", "1", "Heart failure"), Concept("X", "2", "Failure")])
        >>> [tuple(m) for m in heart.find("No heart-failures.", overlapping=True)]
        [(3, 17, ('X:1',)), (9, 17, ('X:2',))]
        """
        found = words(text)
        position = 0
        while position < len(found):
            length = self._longest.get(found[position].form, 0)
            step = 1
            if length:
                last = position + 1
                while last < len(found) and last - position < length and found[last].joined:
                    last += 1
                for end in range(last, position, -1):
                    key = " ".join(word.form for word in found[position:end])
                    codes = self._names.get(key)
                    if codes and self._written_so(key, text[found[position].start : found[end - 1].end]):
                        yield Match(found[position].start, found[end - 1].end, codes)
                        step = 1 if overlapping else end - position
                        break
            position += step

    def _written_so(self, key: str, surface: str) -> bool:
        if key in FUNCTION_WORDS or (len(key) == 1 and not is_han(key)):
            return surface.isupper() and len(key) > 1 and key in self._capitals
        return key not in self._capitals or not surface.islower()

    @cached_property
    def _names(self) -> dict[str, tuple[str, ...]]:
        preferred: dict[str, list[str]] = {}
        others: dict[str, list[str]] = {}
        for code, concept in self._concepts.items():
            preferred.setdefault(normalise(concept.name), []).append(code)
            for name in concept.synonyms:
                others.setdefault(normalise(name), []).append(code)
        merged = {key: tuple(dict.fromkeys([*preferred.get(key, ()), *codes])) for key, codes in others.items()}
        merged |= {key: tuple(codes) for key, codes in preferred.items() if key not in merged}
        merged.pop("", None)
        return merged

    @cached_property
    def _longest(self) -> dict[str, int]:
        """For the first word of each name, the number of words of the longest name that it begins."""
        longest: dict[str, int] = {}
        for key in self._names:
            first, _, rest = key.partition(" ")
            length = 1 + rest.count(" ") + bool(rest)
            if length > longest.get(first, 0):
                longest[first] = length
        return longest

    @cached_property
    def _capitals(self) -> frozenset[str]:
        """The keys of names that are acronyms, and in no concept a word."""
        short = [name for concept in self for name in concept.names if len(name) <= _ACRONYM]
        words_too = {normalise(name) for name in short if not name.isupper()}
        return frozenset(normalise(name) for name in short if name.isupper()) - words_too
