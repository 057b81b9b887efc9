"""Where physical lines end, and which characters are Chinese."""

from collections.abc import Iterator

import regex

BREAKS = r"\r\n\v\f\x1c-\x1e\x85\u2028\u2029"
"""What ends a physical line, as a part of a regular expression's character class."""

_PHYSICAL = regex.compile(rf"[^{BREAKS}]*(?:\r\n|[{BREAKS}]|$)")


def physical_lines(text: str) -> Iterator[tuple[int, int]]:
    """The lines of a text, their breaks included, as half-open offsets."""
    return (match.span() for match in _PHYSICAL.finditer(text))


def is_han(character: str) -> bool:
    """True for a Chinese character of the common planes.

    >>> is_han("痛"), is_han("a"), is_han("，"), is_han("")
    (True, False, False, False)
    """
    return "\u3400" <= character <= "\u9fff"
