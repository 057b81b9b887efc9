"""``line:token`` positions, as the i2b2 challenges of 2009 and 2010 had them <-> offsets in code points.

Lines are counted from 1 and end with ``\\n``. Tokens are counted from 0 in each line; they are what stands between white space, which
is blank, tab, carriage return, vertical tab and form feed: a run of them counts once, and no other character (such as a no-break
space) divides tokens. The last token of a span is part of it.
"""

import re
from bisect import bisect_left, bisect_right

from medllm.document import Entity

Position = tuple[int, int]

_TOKEN = re.compile(r"[^ \t\r\v\f]+")


class LineTokens:
    """The tokens of a note.

    >>> note = LineTokens("HPI :\\n He  has dull knee pain .\\n")
    >>> note.offsets((2, 2), (2, 4))
    (15, 29)
    >>> note.positions(15, 29)
    ((2, 2), (2, 4))
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: list[int] = []
        """For each line, the number of tokens before it."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        start = 0
        for line in text.split("\n"):
            self._lines.append(len(self._starts))
            for match in _TOKEN.finditer(line):
                self._starts.append(start + match.start())
                self._ends.append(start + match.end())
            start += len(line) + 1

    def offsets(self, first: Position, last: Position) -> tuple[int, int] | None:
        """From the first token to the last, both included; None where one is not there or the last is before the first."""
        a, b = self._index(first), self._index(last)
        return None if a is None or b is None or b < a else (self._starts[a], self._ends[b])

    def positions(self, start: int, end: int) -> tuple[Position, Position] | None:
        """The first and the last token that the range touches; None where it touches white space only."""
        a, b = self._touched(start, end)
        return (self._position(a), self._position(b)) if a <= b else None

    def text(self, start: int, end: int) -> str:
        """The tokens that the range touches, joined by blanks, in lower case as the challenges' files have them."""
        a, b = self._touched(start, end)
        tokens = (self._text[s:e] for s, e in zip(self._starts[a : b + 1], self._ends[a : b + 1], strict=True))
        return " ".join(tokens).lower()

    def _touched(self, start: int, end: int) -> tuple[int, int]:
        return bisect_right(self._ends, start), bisect_left(self._starts, end) - 1

    def _index(self, position: Position) -> int | None:
        line, token = position
        if not 1 <= line <= len(self._lines):
            return None
        before = self._lines[line - 1]
        after = self._lines[line] if line < len(self._lines) else len(self._starts)
        return before + token if token < after - before else None

    def _position(self, index: int) -> Position:
        line = bisect_right(self._lines, index)
        return line, index - self._lines[line - 1]


def cover(entity: Entity, tokens: LineTokens) -> tuple[Position, Position] | None:
    """The tokens from the first to the last that a mention touches; None where it holds white space only."""
    return tokens.positions(entity.span.start, entity.span.end)


def shown(span: tuple[Position, Position]) -> str:
    """``2:2 2:4``."""
    return " ".join(f"{line}:{token}" for line, token in span)
