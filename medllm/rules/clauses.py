"""Sentences and clauses, as far as scopes need them."""

import itertools
import re
from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter

from medllm.text.breaks import is_han
from medllm.text.broken import broken_lines
from medllm.text.lines import split_sentences

Range = tuple[int, int]

JOINED_FROM = 50
"""A Western line at least so long, without an end mark and followed by a small letter, goes on in the next one."""

_SEMICOLON = re.compile(r"[;；]")
_SEPARATOR = re.compile(r"，|,|[\s。；;：:，,]\(?\d{1,2}(?:[.)、．）](?!\d)|\)、)")
_LIST_END = re.compile(r"[^，,]{0,12}?(?:病史|接触史|史|等[^，,]{0,8})$")


def sentences(text: str, whole: Sequence[Range] = ()) -> list[Range]:
    """The sentences of a text, as half-open offsets in order. A line ends a sentence unless it was broken to fit a page.

    ``whole`` are stretches, in order, that no sentence may end in: cues of which a line break parts the characters.
    """
    found: list[Range] = []
    for start, end in _paragraphs(text):
        for first, last in split_sentences(text, start, end):
            cuts = [first, *(m.end() for m in _SEMICOLON.finditer(text, first, last)), last]
            found += [(a, b) for a, b in itertools.pairwise(cuts) if a < b]
    return _unbroken(found, whole)


def _unbroken(ranges: Sequence[Range], whole: Sequence[Range]) -> list[Range]:
    kept: list[Range] = []
    starts = [start for start, _ in whole]
    for start, end in ranges:
        before = bisect_right(starts, start - 1) - 1
        if kept and before >= 0 and whole[before][1] > start:
            kept[-1] = (kept[-1][0], end)
        else:
            kept.append((start, end))
    return kept


def _paragraphs(text: str) -> list[Range]:
    joined: list[Range] = []
    for start, end in broken_lines(text):
        if joined and _goes_on(text, joined[-1], start):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _goes_on(text: str, before: Range, start: int) -> bool:
    last = before[1] - 1 if text[before[1] - 1 : before[1]] == "\n" else before[1]
    line = text[max(before[0], text.rfind("\n", before[0], last) + 1) : last].strip()
    following = text[start : start + 40].lstrip(" \t")[:1]
    return len(line) >= JOINED_FROM and (line[-1] == "," or (line[-1] not in ".:;!?" and following.islower()))


def around(ranges: Sequence[Range], start: int, end: int) -> Range:
    """From the start of the sentence that holds ``start`` to the end of the one that holds ``end``: a mention is never cut."""
    first = ranges[max(0, bisect_right(ranges, start, key=itemgetter(0)) - 1)] if ranges else (start, end)
    last = ranges[max(0, bisect_right(ranges, end - 1, key=itemgetter(0)) - 1)] if ranges else (start, end)
    return min(first[0], start), max(last[1], end)


def separators(text: str, start: int, end: int) -> list[int]:
    """Where clauses end in ``text[start:end]``: commas of Chinese text, and before the numbers of a list."""
    return [m.start() for m in _SEPARATOR.finditer(text, start, end) if m[0] != "," or _chinese_comma(text, m.start())]


def _chinese_comma(text: str, at: int) -> bool:
    around = text[max(0, at - 2) : at].rstrip()[-1:] + text[at + 1 : at + 4].lstrip()[:1]
    return any(map(is_han, around))


def clause_end(text: str, end: int, cuts: Sequence[int], stops: Sequence[int]) -> int:
    """Where a clause ends, at the latest at ``end``. ``cuts`` are the separators after its cue, ``stops`` where other cues begin.

    "否认肝炎，结核，疟疾等传染病史": a list of short items that ends with 史 or 等 is one clause.
    """
    if not cuts:
        return end
    for cut, after in zip(cuts, [*cuts[1:], end], strict=True):
        item = text[cut + 1 : after].rstrip("。.;； \n")
        if any(cut < stop < after for stop in stops) or len(item) > 20:
            break
        if _LIST_END.fullmatch(item):
            return after
    return cuts[0]
