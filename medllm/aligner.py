"""The aligner: places the answers of engines that cannot be held to a grammar.

All mentions of an answer are placed together, in the order in which they were written: of two equal texts the second goes to a
later place than the first. A mention is only placed where its own words stand, whole and in order, whatever their case and the
punctuation between them; what stands nowhere, or only out of order, is counted as unplaced and never guessed.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from medllm.grammar.layout import Answer, Found, Part, Slot, unescape
from medllm.text.pieces import Piece, split_pieces

_LINE = re.compile(r"^\W{0,3}(?:line )?(\d+)\s*[:.)]", re.IGNORECASE)
_CLAIM = re.compile(r'([\w-]+)"?\s*[:=]?\s*"((?:[^"\\\n]|\\.)+)"(?:\s*#(\d+))?(?:\s*\(([^()\n]*)\))?')


class Claim(NamedTuple):
    """A mention as it was written: the line it was written under (None if unknown), label, text, which occurrence, attributes."""

    line: int | None
    label: str
    text: str
    which: int | None
    attributes: dict[str, str]


class _Place(NamedTuple):
    slot: int
    part: Part
    score: int


def align(slots: Sequence[Slot], text: str) -> Answer:
    """Place everything that a free completion says, if it keeps roughly to the line-pinned notation.

    A completion without any mention or number of a line answers nothing; else all slots are taken to be answered.

    >>> from medllm.grammar.layout import Label
    >>> from medllm.text.lines import split_lines
    >>> lines = split_lines("Chest pain at rest.\\nLater no chest pain.")
    >>> slots = [Slot(n, line, (Label("problem"),)) for n, line in enumerate(lines, 1)]
    >>> answer = align(slots, '1: problem "chest pain", problem "chest pain", problem "cancer"')
    >>> [(f.slot, f.parts[0].first) for f in answer.found], answer.unplaced
    ([(1, 0), (2, 2)], 1)
    """
    labels = {label.name for slot in slots for label in slot.labels}
    claims = [c for c in _claims(text) if c.label in labels]
    unknown = sum(1 for _ in _claims(text)) - len(claims)
    places = _in_order([_candidates(slots, claim) for claim in claims])
    found = tuple(
        Found(slots[p.slot].number, c.label, (p.part,), _attributes(slots[p.slot], c))
        for c, p in zip(claims, places, strict=True)
        if p is not None
    )
    answered = bool(claims or unknown or text.strip() == "-" or any(map(_LINE.match, text.splitlines())))
    return Answer(found, len(slots) if answered else 0, unplaced=unknown + len(claims) - len(found))


def _claims(text: str) -> Iterator[Claim]:
    line: int | None = None
    for row in text.splitlines():
        if head := _LINE.match(row):
            line = int(head[1])
        for match in _CLAIM.finditer(row, head.end() if head else 0):
            given = dict(pair.split(": ", 1) for pair in (match[4] or "").split(", ") if ": " in pair)
            yield Claim(line, match[1], unescape(match[2]), int(match[3]) if match[3] else None, given)


def _candidates(slots: Sequence[Slot], claim: Claim) -> list[_Place]:
    """Where the claim's words stand, in the order of the note. A place in its own line, and one with its very text, scores more."""
    wanted = [p.text.casefold() for p in split_pieces(claim.text, 0, len(claim.text)) if _is_word(p)]
    places: list[_Place] = []
    if not wanted:
        return places
    for index, slot in enumerate(slots):
        pieces = slot.line.pieces
        words = [(i, p.text.casefold()) for i, p in enumerate(pieces) if _is_word(p)]
        here = [at for at in range(len(words) - len(wanted) + 1) if [w for _, w in words[at : at + len(wanted)]] == wanted]
        for nth, at in enumerate(here, 1):
            part = Part(words[at][0], words[at + len(wanted) - 1][0] + 1)
            score = 8 + 4 * (nth == claim.which) if slot.number == claim.line else 2
            places.append(_Place(index, part, score + (pieces[part.first].text == claim.text.split()[0])))
    return places


class _Way(NamedTuple):
    """A choice of places so far: where it ends in the note, what it scores, its last step and the way to it."""

    end: tuple[int, int]
    score: int
    claim: int = -1
    place: _Place | None = None
    before: "_Way | None" = None


def _in_order(candidates: Sequence[Sequence[_Place]]) -> list[_Place | None]:
    """The best choice of one place a claim, or none, such that places follow each other as the claims do."""
    ways = [_Way((-1, 0), 0)]  # by where they end, each better than those that end earlier
    for claim, places in enumerate(candidates):
        steps = []
        for place in places:
            start = (place.slot, place.part.first)
            before = ways[bisect_right(ways, start, key=lambda way: way.end) - 1]
            steps.append(_Way((place.slot, place.part.end), before.score + place.score, claim, place, before))
        for step in steps:
            _keep(ways, step)
    chosen: list[_Place | None] = [None] * len(candidates)
    way: _Way | None = ways[-1]
    while way is not None and way.place is not None:
        chosen[way.claim] = way.place
        way = way.before
    return chosen


def _keep(ways: list[_Way], new: _Way) -> None:
    """Add a way unless one that ends no later scores as much, and drop those that end no earlier and score no more."""
    at = bisect_right(ways, new.end, key=lambda way: way.end)
    if ways[at - 1].score >= new.score:
        return
    first = at - 1 if ways[at - 1].end == new.end else at
    stop = at
    while stop < len(ways) and ways[stop].score <= new.score:
        stop += 1
    ways[first:stop] = [new]


def _attributes(slot: Slot, claim: Claim) -> dict[str, str]:
    label = next((label for label in slot.labels if label.name == claim.label), None)
    values = {a.name: claim.attributes.get(a.name, a.default) for a in (label.attributes if label else ())}
    allowed = {a.name: a.values for a in (label.attributes if label else ())}
    return {name: value for name, value in values.items() if value is not None and value in allowed[name]}


def _is_word(piece: Piece) -> bool:
    return piece.text[0].isalnum()
