"""What is found in a note: identifying text with its i2b2-2014 type."""

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from medllm.formats.i2b2_2014 import TYPES

if TYPE_CHECKING:
    import regex

CATEGORIES = {kind: category for category, kinds in TYPES.items() for kind in kinds}
"""The category of each type: ``PATIENT`` is a ``NAME``."""


_BLANK = " \t\r\n,;:"


class Finding(NamedTuple):
    """Identifying text. ``start`` and ``end`` are half-open code points; ``score`` in [0, 1] says how sure the finder is."""

    start: int
    end: int
    type: str
    score: float


def matched(match: "regex.Match[str]", group: str, kind: str, score: float) -> Finding:
    """The finding of a group of a match."""
    start, end = match.span(group)
    return Finding(start, end, kind, score)


def resolve(text: str, found: Iterable[Finding]) -> list[Finding]:
    """Findings in reading order that do not overlap: the surer one is kept, of two alike the longer one.

    What a dropped name, date or number has beyond the one that is kept is found still, as a part of its own type, unless it says nothing.

    >>> resolve("Ann Smith 4711", [Finding(0, 9, "PATIENT", 0.5), Finding(4, 14, "IDNUM", 0.4)])
    [Finding(start=0, end=9, type='PATIENT', score=0.5), Finding(start=10, end=14, type='IDNUM', score=0.4)]
    """
    kept: list[Finding] = []
    for finding in sorted(set(found), key=lambda f: (-f.score, f.start - f.end, f.start, f.type)):
        parts = [(finding.start, finding.end)]
        for other in kept:
            cut = ((start, min(end, other.start)) for start, end in parts), ((max(start, other.end), end) for start, end in parts)
            parts = [(start, end) for start, end in chain(*cut) if start < end]
        whole = parts == [(finding.start, finding.end)]
        kept += [part for start, end in parts if (part := _trimmed(text, start, end, finding)) and (whole or _says_something(text, part))]
    return sorted(kept)


def _trimmed(text: str, start: int, end: int, finding: Finding) -> Finding | None:
    """Without blanks and commas at its ends; None if nothing is left."""
    while start < end and text[start] in _BLANK:
        start += 1
    while start < end and text[end - 1] in _BLANK:
        end -= 1
    return Finding(start, end, finding.type, finding.score) if start < end else None


def _says_something(text: str, part: Finding) -> bool:
    content = text[part.start : part.end]
    if CATEGORIES.get(part.type) == "NAME":
        return sum(c.isalpha() for c in content) > 1
    return CATEGORIES.get(part.type) in ("DATE", "ID", "CONTACT") and any(c.isdigit() for c in content)
