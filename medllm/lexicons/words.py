"""Words of names and of notes in one form: case, plural, spelling and the marks within a name do not count."""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from medllm.text.pieces import split_pieces

_INSIDE = frozenset("-‐‑‒–—/'’`´,")
"""Marks that may stand within a name. A comma only where no white space follows: ``2,4-dinitrophenol``."""
_GAP = re.compile(r"[^\S\n]*\n?[^\S\n]*")
_APOSTROPHES = frozenset("'’`´")
_ASCII_WORDS = re.compile(r"[a-z]+|[0-9]+")
_POSSESSIVE = re.compile(r"['’`´]s\b")


class Word(NamedTuple):
    """A word of a text: its form, its half-open offsets, and whether a name that goes through the word before it may go on with it."""

    form: str
    start: int
    end: int
    joined: bool


@lru_cache(maxsize=1 << 16)
def word_form(word: str) -> str:
    """The form of one word.

    >>> [word_form(w) for w in ("Diseases", "biopsies", "abscesses", "TUMOUR", "haemorrhage", "pus", "sepsis")]
    ['disease', 'biopsy', 'abscess', 'tumor', 'hemorrhage', 'pus', 'sepsis']
    """
    form = unicodedata.normalize("NFKD", word).casefold()
    if not form.isascii():
        form = "".join(c for c in form if not unicodedata.combining(c))
    if len(form) > 4:
        form = form.replace("ae", "e").replace("oe", "e")
        if form.endswith("ies"):
            form = form[:-3] + "y"
        elif form.endswith(("ches", "shes", "sses", "xes")):
            form = form[:-2]
        if form.endswith(("our", "ours")):
            form = form.replace("our", "or")
    if len(form) > 3 and form.endswith("s") and form[-2] not in "sui":
        form = form[:-1]
    return form


def normalise(name: str) -> str:
    """The forms of the words of a name, joined by blanks: the key under which it is kept and looked up.

    >>> normalise("Parkinson's diseases"), normalise("beta-blocker"), normalise("2 型糖尿病")
    ('parkinson disease', 'beta blocker', '2 型 糖 尿 病')
    """
    if name.isascii():
        return " ".join(map(word_form, _ASCII_WORDS.findall(_POSSESSIVE.sub("", name.lower()))))
    return " ".join(word.form for word in words(name))


def words(text: str) -> list[Word]:
    """The words of a text, in order: runs of letters, runs of digits, single characters of scripts without blanks."""
    found: list[Word] = []
    end, joined, possessive = 0, True, False
    for piece in split_pieces(text, 0, len(text)):
        if piece.gap and not _GAP.fullmatch(text, end, piece.start):
            joined = False
        first = piece.text[0]
        if first.isalnum():
            touching = piece.start == end
            if possessive and touching and piece.text in ("s", "S"):
                found[-1] = found[-1]._replace(end=piece.end)
            else:
                found.append(Word(word_form(piece.text), piece.start, piece.end, joined))
            joined, possessive = True, False
        else:
            apart = first == "," and (piece.start > end or text[piece.end : piece.end + 1].isspace())
            joined = joined and first in _INSIDE and len(piece.text) == 1 and not apart
            possessive = first in _APOSTROPHES and bool(found) and found[-1].end == piece.start
        end = piece.end
    return found
