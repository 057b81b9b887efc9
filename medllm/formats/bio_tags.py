"""Tags of tokens <-> spans of tokens: IOB1, IOB2 (BIO), IOBES, BILOU, with ``-`` or ``_`` between prefix and label.

IOB: Ramshaw and Marcus 1995 (VLC); IOB2 and IOBES: Tjong Kim Sang and Veenstra 1999 (EACL). A tag is ``O``, or a prefix and a label.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"

_TAG = re.compile(r"([BIESLUM])[-_](.+)", re.DOTALL)
_SAME = {"S": "U", "E": "L", "M": "I"}


class Chunk(NamedTuple):
    """A mention: its label, the index of its first token, and the one after its last."""

    label: str
    start: int
    end: int


class Chunks(NamedTuple):
    """The mentions of a sentence; ``opened`` has the indices where a tag that continues opened one, ``bad`` where a tag is none."""

    found: list[Chunk]
    opened: list[int]
    bad: list[int]


def chunks(tags: Sequence[str]) -> Chunks:
    """The mentions that tags tell, by the rules of conlleval: a tag that continues nothing of its label opens a mention.

    >>> chunks(["B-problem", "I-problem", "O", "I-test"])
    Chunks(found=[Chunk(label='problem', start=0, end=2), Chunk(label='test', start=3, end=4)], opened=[3], bad=[])
    """
    result = Chunks([], [], [])
    label, start = "", 0
    for index, tag in enumerate((*tags, OUTSIDE)):
        match = _TAG.fullmatch(tag)
        if match is None and tag != OUTSIDE:
            result.bad.append(index)
        prefix, own = (_SAME.get(match[1], match[1]), match[2]) if match else ("", "")
        if label and (own != label or prefix in "BU"):
            result.found.append(Chunk(label, start, index))
            label = ""
        if own and not label:
            label, start = own, index
            if prefix in "IL":
                result.opened.append(index)
        if label and prefix in "LU":
            result.found.append(Chunk(label, start, index + 1))
            label = ""
    return result


def is_iob1(sentences: Iterable[Sequence[str]]) -> bool:
    """True if several mentions are opened by ``I`` and none by ``B``, but right after another of its label."""
    opened = 0
    for tags in sentences:
        before = OUTSIDE
        for tag in tags:
            new = before[2:] != tag[2:]
            if tag[:1] == "B" and new:
                return False
            opened += tag[:1] == "I" and new
            before = tag
    return opened > 1


def iob2(found: Iterable[Chunk], length: int, between: str = "-") -> list[str]:
    """Tags for mentions that do not overlap.

    >>> iob2([Chunk("problem", 1, 3)], 4)
    ['O', 'B-problem', 'I-problem', 'O']
    """
    tags = [OUTSIDE] * length
    for chunk in found:
        tags[chunk.start : chunk.end] = [f"I{between}{chunk.label}"] * (chunk.end - chunk.start)
        tags[chunk.start] = f"B{between}{chunk.label}"
    return tags
