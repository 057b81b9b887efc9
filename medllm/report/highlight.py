"""A note's text as HTML: every character once and in order, its mentions and unread ranges marked where they stand.

Browsers count UTF-16 units and Python counts code points, so all cutting is done here: the page only ever handles elements.
A line is one ``<div dir="auto">`` that keeps its line break, so the text content of the lines together is the note.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise

MAX_DEPTH = 5
"""Underlines are stacked this deep; mentions that overlap more than that share the lowest one."""

_LINE = re.compile(r"(?P<body>[^\r\n]*)(?:\r\n|\r|\n)|[^\r\n]+")
_UNSHOWABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Mark:
    """A mention as it is drawn. ``spans`` are its (start, end) parts in order; ``id`` is the id of its first element.

    ``classes`` carry label, assertion and readers; ``title`` is the tooltip; ``badge`` is the word always set after it, if
    any, and ``label`` the word set after it on demand.
    """

    id: str
    spans: tuple[tuple[int, int], ...]
    classes: str = ""
    title: str = ""
    badge: str = ""
    label: str = ""


@dataclass(frozen=True)
class Unread:
    """A range that some reader did not read, and the tooltip that says so. ``id`` is the id of its first element."""

    id: str
    start: int
    end: int
    title: str = ""


def highlight(text: str, marks: Sequence[Mark], unread: Sequence[Unread] = ()) -> str:
    """The lines of ``text`` as HTML. Offsets outside the text are cut to it; line breaks are never inside a mark.

    >>> print(highlight("no pain", [Mark("m0", ((3, 7),), "l0")]))
    <div class="ln" dir="auto">no <mark id="m0" class="m l0 d0 s e z" data-m="0">pain</mark></div>
    """
    lines = [(m.start(), m.end("body") if m["body"] is not None else m.end(), m.end()) for m in _LINE.finditer(text)]
    html: list[str | _Open] = []
    for (start, body, end), pieces in zip(lines, _by_line(lines, marks, unread), strict=True):
        html.append('<div class="ln" dir="auto">')
        html += _nest(text, _segments(start, body, pieces), 0)
        html.append(characters(text[body:end]) + "</div>")
    elements = [part for part in html if isinstance(part, _Open)]
    first = {(o.piece.kind, o.piece.number): o for o in reversed(elements)}
    last = {(o.piece.kind, o.piece.number): o for o in elements}
    depths = stack(mark.spans for mark in marks)

    def tag(o: _Open) -> str:
        number = o.piece.number
        is_first, is_last = (end[o.piece.kind, number] is o for end in (first, last))
        if o.piece.kind == _UNREAD:
            identity = f'id="{attribute(unread[number].id)}" ' if is_first else ""
            return f'<span {identity}class="un" title="{attribute(unread[number].title)}">'
        mark = marks[number]
        look = f"{mark.classes} d{depths[number]}".strip()
        if o.piece.kind == _GAP:
            return f'<span class="g {look}" data-m="{number}">'
        ends = " s" * (o.start == o.piece.start) + " e" * (o.end == o.piece.end) + " z" * is_last
        identity = f'id="{attribute(mark.id)}" ' if is_first else ""
        named = [("title", mark.title)] + [("data-label", mark.label), ("data-badge", mark.badge)] * is_last
        values = "".join(f' {name}="{attribute(value)}"' for name, value in named if value)
        return f'<mark {identity}class="m {look}{ends}" data-m="{number}"{values}>'

    return "".join(part if isinstance(part, str) else tag(part) for part in html)


def stack(mentions: Iterable[Sequence[tuple[int, int]]]) -> list[int]:
    """The underline that each mention gets: 0 is next to the text; overlapping mentions differ, and inner ones come first.

    The gaps of discontinuous mentions count as theirs, since they are underlined too.

    >>> stack([[(0, 20)], [(5, 9)], [(30, 40)]])
    [1, 0, 0]
    """
    hulls = [(spans[0][0], spans[-1][1]) for spans in mentions]
    depths = [0] * len(hulls)
    cluster: list[int] = []
    reach = -1
    for i in sorted(range(len(hulls)), key=lambda i: hulls[i]):
        if hulls[i][0] >= reach:
            _stack_cluster(cluster, hulls, depths)
            cluster = []
        cluster.append(i)
        reach = max(reach, hulls[i][1])
    _stack_cluster(cluster, hulls, depths)
    return depths


def characters(text: str) -> str:
    """Text content: escaped, and kept from the parser's own repairs (it would turn a bare CR into LF).

    NUL and lone surrogates cannot stand in an HTML file; each is shown as U+FFFD.
    """
    return escape(showable(text), quote=False).replace("\r", "&#13;")


def attribute(text: str) -> str:
    """The value of a double-quoted attribute."""
    return escape(showable(text)).replace("\r", "&#13;").replace("\n", "&#10;")


def showable(text: str) -> str:
    """``text`` with the characters that HTML cannot hold replaced, one for one, by U+FFFD."""
    return _UNSHOWABLE.sub("\ufffd", text)


# The order is the nesting order: unread ranges enclose mentions, so that their hatching is not cut up.
_UNREAD, _GAP, _PART = range(3)


@dataclass(frozen=True)
class _Piece:
    """A continuous stretch with one look: an unread range, the gap between two parts of a mention, or a part."""

    kind: int
    start: int
    end: int
    number: int


@dataclass(frozen=True, eq=False)
class _Open:
    """The opening of an element that shows the characters [start, end) of its piece."""

    piece: _Piece
    start: int
    end: int


@dataclass(frozen=True)
class _Segment:
    """Characters that are covered by the same pieces, outermost first."""

    start: int
    end: int
    cover: tuple[_Piece, ...]


def _by_line(lines: Sequence[tuple[int, int, int]], marks: Sequence[Mark], unread: Sequence[Unread]) -> list[list[_Piece]]:
    """The pieces that touch each line, in nesting order."""
    pieces = [_Piece(_UNREAD, u.start, u.end, i) for i, u in enumerate(unread)]
    for i, mark in enumerate(marks):
        pieces += [_Piece(_PART, start, end, i) for start, end in mark.spans]
        pieces += [_Piece(_GAP, left, right, i) for (_, left), (right, _) in pairwise(mark.spans) if left < right]
    starts = [start for start, _, _ in lines]
    found: list[list[_Piece]] = [[] for _ in lines]
    for piece in sorted(pieces, key=lambda p: (p.kind != _UNREAD, p.start, -p.end, p.kind, p.number)):
        for line in range(max(bisect_right(starts, piece.start) - 1, 0), bisect_left(starts, piece.end)):
            found[line].append(piece)
    return found


def _segments(start: int, end: int, pieces: Sequence[_Piece]) -> list[_Segment]:
    edges = {start, end} | {min(max(edge, start), end) for p in pieces for edge in (p.start, p.end)}
    return [_Segment(a, b, tuple(p for p in pieces if p.start <= a and b <= p.end)) for a, b in pairwise(sorted(edges))]


def _nest(text: str, segments: Sequence[_Segment], level: int) -> list[str | _Open]:
    """Segments as nested elements: neighbours under the same piece share its element, so only crossing mentions are split."""
    html: list[str | _Open] = []
    for piece, group in groupby(segments, key=lambda s: s.cover[level] if level < len(s.cover) else None):
        run = list(group)
        if piece is None:
            html.append(characters(text[run[0].start : run[-1].end]))
        else:
            html.append(_Open(piece, run[0].start, run[-1].end))
            html += _nest(text, run, level + 1)
            html.append("</mark>" if piece.kind == _PART else "</span>")
    return html


def _stack_cluster(cluster: Sequence[int], hulls: Sequence[tuple[int, int]], depths: list[int]) -> None:
    """Number the underlines of mentions that hang together, shortest first."""
    done: list[int] = []
    for i in sorted(cluster, key=lambda i: (hulls[i][1] - hulls[i][0], i)):
        start, end = hulls[i]
        taken = {depths[j] for j in done if hulls[j][0] < end and start < hulls[j][1]}
        depths[i] = min(next(d for d in range(len(taken) + 1) if d not in taken), MAX_DEPTH)
        done.append(i)
