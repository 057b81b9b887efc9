"""Word lists: names of people and places, words that are no names, names that medicine uses for things."""

import unicodedata
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "data"


@cache
def lexicon(name: str) -> frozenset[str]:
    """The entries of ``given_names``, ``surnames``, ``words``, ``eponyms``, ``cities`` or ``countries``, folded."""
    return frozenset(map(fold, (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()))


def fold(word: str) -> str:
    """Without case and accents.

    >>> fold("Fernández")
    'fernandez'
    """
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)).casefold()


def is_word(word: str) -> bool:
    """True for a word of clinical English."""
    return fold(word) in lexicon("words")


def is_eponym(word: str) -> bool:
    """True for a name that a disease, a sign or an instrument carries."""
    return fold(word).removesuffix("'s").removesuffix("’s") in lexicon("eponyms")


def is_given(word: str) -> bool:
    """True for a given name."""
    return fold(word) in lexicon("given_names")


def is_surname(word: str) -> bool:
    """True for a family name; of one with a hyphen either part."""
    return any(part in lexicon("surnames") for part in fold(word).split("-"))


def is_place(word: str) -> bool:
    """True for a word that a city or country is called by, or that names of places are made of."""
    return fold(word) in lexicon("cities") | lexicon("countries") | lexicon("place_words")
