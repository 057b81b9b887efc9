"""Text as encodings and other programs have it: what UTF-8 and XML cannot hold, and offsets in UTF-16 code units."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def utf8(text: str) -> str:
    """``text`` with U+FFFD for lone surrogates, which UTF-8 cannot have; offsets hold."""
    return _SURROGATE.sub("\ufffd", text)


def utf8_row(cells: Iterable[Any]) -> list[Any]:
    """The cells of a table's row, strings among them as ``utf8`` makes them."""
    return [utf8(cell) if isinstance(cell, str) else cell for cell in cells]


def xml(text: str) -> str:
    """``text`` with U+FFFD for what XML 1.0 cannot have (control characters, lone surrogates, two non-characters); offsets hold."""
    return _NOT_IN_XML.sub("\ufffd", text)


class CodeUnits:
    """Offsets in code points <-> offsets in UTF-16 code units, which JavaScript counts.

    >>> units = CodeUnits("\U0001f912 fever")
    >>> units.of(2), units.points(3)
    (3, 2)
    """

    def __init__(self, text: str) -> None:
        self._wide = [n for n, c in enumerate(text) if c > "\uffff"]
        self._units = [n + count for count, n in enumerate(self._wide)]

    def of(self, offset: int) -> int:
        """The offset in code units."""
        return offset + bisect_left(self._wide, offset)

    def points(self, units: int) -> int:
        """The offset in code points; within a pair, that of the character after it."""
        return units - bisect_left(self._units, units)
