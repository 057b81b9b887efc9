"""Pieces: the smallest units a mention can begin or end with, and the view of a line that prompts show.

Half of all mention edges in clinical corpora are not at white space, so a piece is a run of letters, a run of digits, one
character of a script written without blanks, or one punctuation mark (three or more equal marks in a row are one piece: rulers,
dotted leaders). White space, control and format characters are gaps between pieces. The view of a line is its pieces, joined by
one blank where there was a gap (a line break between two characters of a script without blanks is none); mentions are written as
parts of that view, and each piece knows its offsets in the note, so nothing is ever searched for.
"""

from collections.abc import Sequence
from typing import NamedTuple

import regex

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_UNSPACED_CHARACTER = regex.compile(rf"[{_UNSPACED}]")
_PIECE = regex.compile(
    rf"""
      (?P<run> [\u3400-\u9fff]++ ) (?! \p{{M}} )
    | [{_UNSPACED}] \p{{M}}*
    | (?: (?! [{_UNSPACED}] ) \p{{L}} \p{{M}}* )+
    | \p{{Nd}}+
    | (?P<mark> [^\s\p{{L}}\p{{N}}\p{{M}}\p{{Cc}}\p{{Cf}}\p{{Cs}}] ) (?P=mark){{2,}}
    | [^\s\p{{Cc}}\p{{Cf}}\p{{Cs}}] \p{{M}}*
    """,
    regex.VERBOSE,
)


class Piece(NamedTuple):
    """A piece of the note: its text, its half-open offsets, and whether a gap stands before it in its line."""

    text: str
    start: int
    end: int
    gap: bool


def split_pieces(text: str, start: int, end: int) -> tuple[Piece, ...]:
    """The pieces of ``text[start:end]``, in order, with offsets in ``text``.

    >>> [p.text for p in split_pieces("BP 120/80, 头痛 x3d", 0, 17)]
    ['BP', '120', '/', '80', ',', '头', '痛', 'x', '3', 'd']
    """
    pieces: list[Piece] = []
    last = -1
    for match in _PIECE.finditer(text, start, end):
        first, after = match.span()
        gap = -1 < last < first and not _broken(text, last, first)
        if match.lastgroup != "run":
            pieces.append(Piece(match[0], first, after, gap))
        else:
            pieces.append(Piece(text[first], first, first + 1, gap))
            pieces += [Piece(text[at], at, at + 1, False) for at in range(first + 1, after)]
        last = after
    return tuple(pieces)


def _broken(text: str, end: int, start: int) -> bool:
    """True if a line break parts two characters of a script without blanks: there is no gap between them."""
    between = text[end:start]
    return ("\n" in between or "\r" in between) and bool(
        _UNSPACED_CHARACTER.match(text, end - 1) and _UNSPACED_CHARACTER.match(text, start)
    )


def join_pieces(pieces: Sequence[Piece]) -> str:
    """The view of consecutive pieces: joined by one blank where there was a gap.

    >>> join_pieces(split_pieces("chest   pain,  mild", 0, 19))
    'chest pain, mild'
    """
    return "".join((" " if p.gap and i else "") + p.text for i, p in enumerate(pieces))
