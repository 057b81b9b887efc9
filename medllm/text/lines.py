"""Lines: the numbered units of a prompt. A physical line of the note, or, where that is long, one sentence of it.

Chinese lines that were broken to fit a page are put together first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import regex

from medllm.text.breaks import physical_lines
from medllm.text.broken import broken_lines
from medllm.text.pieces import Piece, join_pieces, split_pieces

WHOLE_PIECES = 40
"""A physical line of at most so many pieces is not split at its sentence ends: splitting it gains nothing and may cut a mention."""

MAX_PIECES = 240
"""A sentence of more pieces is cut, at a gap if it has one near: longer lines make slow grammars and give a model nothing to hold on to."""

_SENTENCE_END = regex.compile(r"(?<=[.!?]['\")\]]?)\s+(?=[\"'(\[]?[\p{Lu}\p{Nd}])|(?<=[。！？；][”’」』）]?)(?![。！？；”’」』）])")
_NOT_AN_END = regex.compile(
    r"""(?: ^\s*[\p{L}\p{Nd}]{1,3}                                  # a list's number or letter
        | \b\p{L}                                                    # an initial: E. coli, J. Smith
        | \b(?:dr|mr|mrs|ms|prof|st|vs|etc|approx|ca|cf|al|fig|figs|no|nos|resp|dept|ref|sp|spp|var|subsp|inc|jr|sr|e\.g|i\.e
               |p\.o|b\.i\.d|t\.i\.d|q\.i\.d|q\.d|p\.r\.n|i\.v|i\.m|a\.m|p\.m|h\.s)
      )\.['")\]]?$""",
    regex.VERBOSE | regex.IGNORECASE | regex.REVERSE,  # from the end, where all of it stands
)


@dataclass(frozen=True)
class Line:
    """A stretch of a note that holds at least one piece. ``start`` and ``end`` are offsets in the note."""

    start: int
    end: int
    pieces: tuple[Piece, ...]

    @cached_property
    def view(self) -> str:
        """What the prompt shows of it."""
        return join_pieces(self.pieces)


def split_lines(text: str, *, sentences: bool = True) -> list[Line]:
    """The lines of a note that hold any piece, in order. ``sentences=False`` keeps physical lines whole.

    >>> [line.view for line in split_lines("CC: cough.\\n\\nHas COPD.   Quit smoking.")]
    ['CC: cough.', 'Has COPD. Quit smoking.']
    """
    lines: list[Line] = []
    for start, end in broken_lines(text) if sentences else physical_lines(text):
        whole = split_pieces(text, start, end)
        long = sentences and len(whole) > WHOLE_PIECES
        for pieces in (split_pieces(text, s, e) for s, e in split_sentences(text, start, end)) if long else (whole,):
            lines.extend(Line(part[0].start, part[-1].end, part) for part in _bounded(pieces))
    return lines


def _bounded(pieces: tuple[Piece, ...]) -> Iterator[tuple[Piece, ...]]:
    """Parts of at most MAX_PIECES pieces; a part ends before a gap if there is one in its second half."""
    first = 0
    while len(pieces) - first > MAX_PIECES:
        end = first + MAX_PIECES
        cut = next((i for i in range(end, first + MAX_PIECES // 2, -1) if pieces[i].gap), end)
        yield pieces[first:cut]
        first = cut
    if pieces:
        yield pieces[first:]


def split_sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentences of ``text[start:end]``, a physical line or more, as half-open offsets."""
    begin = start
    for match in _SENTENCE_END.finditer(text, start, end):
        if match.start() > begin and not _NOT_AN_END.search(text[max(begin, match.start() - 40) : match.start()]):
            yield begin, match.start()
            begin = match.end()
    if begin < end:
        yield begin, end
