r"""The line-pinned layout: every line by its number, with the mentions found in it, in order.

::

    1: problem "chest pain" (assertion: absent), test "ECG"
    2: -
    3: drug "aspirin", problem "pain" #2

Mentions of a line are in order of their first piece, so none can be repeated and no answer is longer than its line allows.
A lone comma, full stop or the like is no mention. Where a text stands more than once in its line it must say which one it means
(``#2``, counted from the line's start), and only then; so each answer has one reading. ``+`` joins the parts of a discontinuous
mention.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from medllm.grammar.description import EMPTY, Expression, Grammar, Ref, choice, optional, seq
from medllm.grammar.layout import (
    MAX_REPEATED,
    MAX_SAME_START,
    Answer,
    Attribute,
    Found,
    Label,
    Part,
    Slot,
    attribute_tail,
    escape,
    find_text,
    is_separator,
    numbered,
    occurrences,
    piece_text,
    repeated_lengths,
    unescape,
)
from medllm.text.pieces import Piece, join_pieces

NOTHING = "-"


class LinePinned:
    """See the module's description."""

    name = "lines"

    def describe(self, slots: Sequence[Slot], *, nested: bool = False, discontinuous: bool = False) -> Grammar:
        """The grammar of every answer to ``slots``, in which each slot is answered once, in order."""
        rules: dict[str, Expression] = {"root": numbered(slots)}
        for index, slot in enumerate(slots):
            s = f"s{index}"
            first = _later_starts(slot.line.pieces)[0]
            if first is None or not slot.labels:
                rules[s] = seq(NOTHING)
                continue
            rules[s] = choice(Ref(f"{s}m{first}"), NOTHING)
            rules.update(_attribute_rules(s, slot))
            rules.update(_nested_rules(s, slot, discontinuous) if nested or discontinuous else _flat_rules(s, slot))
        return Grammar(rules)

    def write(self, slots: Sequence[Slot], found: Sequence[Found]) -> str:
        """The answer as text, mentions in order of their first piece."""
        by_slot: dict[int, list[Found]] = {}
        for item in sorted(found, key=lambda f: (f.parts[0].first, f.parts[-1].end)):
            by_slot.setdefault(item.slot, []).append(item)
        return "\n".join(f"{s.number}: " + (", ".join(self._item(s, f) for f in by_slot.get(s.number, [])) or NOTHING) for s in slots)

    def _item(self, slot: Slot, found: Found) -> str:
        pieces = slot.line.pieces
        parts = []
        for part in found.parts:
            places = occurrences(pieces, part.first, part.end)
            which = f" #{places.index(part.first) + 1}" if len(places) > 1 else ""
            parts.append(f'"{escape(join_pieces(pieces[part.first : part.end]))}"{which}')
        label = next(label for label in slot.labels if label.name == found.label)
        given = [f"{a.name}: {found.attributes[a.name]}" for a in label.attributes if found.attributes.get(a.name, a.default) != a.default]
        return f"{found.label} {' + '.join(parts)}" + (f" ({', '.join(given)})" if given else "")

    def read(self, slots: Sequence[Slot], text: str, *, cut_off: bool = False) -> Answer:
        """The answer in ``text``; reading stops at the first thing that is not understood.

        An item is only kept if it cannot go on: a comma or a line end follows it, or the whole answer ends there.
        """
        by_number = {s.number: s for s in slots}
        found: list[Found] = []
        bounded: list[int] = []
        unplaced = answered = at = 0
        while head := _HEAD.match(text, at):
            slot = by_number.get(int(head[1]))
            items, closed, at = _read_items(slot, text, head.end())
            nothing = _NOTHING.match(text, at)
            at = nothing.end() if nothing else at
            line_end = _LINE_END.match(text, at)
            is_end = at == len(text) and bool(nothing or (items and not closed and not cut_off and slot is slots[-1]))
            if not (closed or line_end or is_end or "\n" in text[at:]):
                items = items[:-1]
            here = [item for item in items if item is not None]
            unplaced += len(items) - len(here)
            if slot and _reached_bound(slot, here):
                bounded.append(slot.number)
            found += here
            if not (line_end or is_end):
                break
            answered += answered < len(slots) and slot is slots[answered]
            at = line_end.end() if line_end else at
        rest = text[at:].strip()
        if rest and answered < len(slots) and not (cut_off and "\n" not in rest):
            unplaced += 1
        return Answer(tuple(found), answered, tuple(bounded), unplaced)


# --- rules: per slot s, "m" a mention from piece i on, "f" the same after label and quote, "x" inside the quotes, "n" after it;
#     "a" the attributes of the labels of group g ---


def _attribute_rules(s: str, slot: Slot) -> Iterator[tuple[str, Expression]]:
    for g, labels in enumerate(_groups(slot)):
        if labels[0].attributes:
            yield f"{s}a{g}", attribute_tail(labels[0], " (", ", ", ": ", ")")


def _flat_rules(s: str, slot: Slot) -> Iterator[tuple[str, Expression]]:
    """Mentions that do not overlap. Everything stands at a rule's end, so the rules are an automaton."""
    pieces = slot.line.pieces
    repeated = repeated_lengths(pieces)
    groups = _groups(slot)
    later = _later_starts(pieces)
    for i in range(len(pieces)):
        if later[i] == i:
            yield f"{s}m{i}", choice(*(seq(_names(labels), ' "', Ref(f"{s}f{g}i{i}")) for g, labels in enumerate(groups)))
        yield f"{s}n{i + 1}", _one_more(s, later[i + 1])
    for g, labels in enumerate(groups):
        attributes = _attributes(s, g, labels)

        def unique(i: int, g: int = g) -> Expression:
            return Ref(f"{s}x{g}i{i}")

        def close(end: int, which: str, attributes: Expression = attributes) -> Expression:
            return seq(f'"{which}', attributes, Ref(f"{s}n{end}"))

        for i in range(len(pieces)):
            if later[i] == i:
                span = _span(slot, repeated, i, unique, close)
                yield f"{s}f{g}i{i}", span if later[i + 1] is None else choice(span, Ref(f"{s}f{g}i{later[i + 1]}"))
            yield f"{s}x{g}i{i + 1}", _go_on(slot, i + 1, unique, close)


def _nested_rules(s: str, slot: Slot, discontinuous: bool) -> Iterator[tuple[str, Expression]]:
    """Mentions that may overlap: "p" is one mention's text from piece i, "g" a further part, k counts mentions begun at i."""
    pieces = slot.line.pieces
    repeated = repeated_lengths(pieces)
    groups = _groups(slot)
    later = _later_starts(pieces)

    def unique(i: int) -> Expression:
        return Ref(f"{s}x{i}")

    def close(end: int, which: str) -> Expression:
        return seq(f'"{which}', optional(' + "', Ref(f"{s}g{later[end]}")) if discontinuous and later[end] is not None else EMPTY)

    for i in range(len(pieces)):
        yield f"{s}x{i + 1}", _go_on(slot, i + 1, unique, close)
        if later[i] != i:
            continue
        after = later[i + 1]
        yield f"{s}p{i}", _span(slot, repeated, i, unique, close)
        if discontinuous:
            yield f"{s}g{i}", Ref(f"{s}p{i}") if after is None else choice(Ref(f"{s}p{i}"), Ref(f"{s}g{after}"))
        for k in range(1, MAX_SAME_START + 1):
            label = (seq(_names(labels), ' "', Ref(f"{s}f{g}i{i}k{k}")) for g, labels in enumerate(groups))
            yield f"{s}m{i}" + (f"k{k}" if k > 1 else ""), choice(*label)
            for g, labels in enumerate(groups):
                here = seq(Ref(f"{s}p{i}"), _attributes(s, g, labels), Ref(f"{s}n{i}k{k}"))
                yield f"{s}f{g}i{i}k{k}", here if after is None else choice(here, Ref(f"{s}f{g}i{after}k1"))
            yield f"{s}n{i}k{k}", optional(", ", Ref(f"{s}m{i}k{k + 1}")) if k < MAX_SAME_START else _one_more(s, after)


def _later_starts(pieces: Sequence[Piece]) -> list[int | None]:
    """For each position, the first piece from there on that a mention can begin with; None after the last."""
    later: list[int | None] = [None]
    for i in range(len(pieces) - 1, -1, -1):
        alone = is_separator(pieces[i]) and i + 1 == len(pieces)
        later.append(later[-1] if alone else i)
    return later[::-1]


def _one_more(s: str, start: int | None) -> Expression:
    return EMPTY if start is None else optional(", ", Ref(f"{s}m{start}"))


_Unique = Callable[[int], Expression]
_Close = Callable[[int, str], Expression]


def _span(slot: Slot, repeated: Sequence[int], first: int, unique: _Unique, close: _Close) -> Expression:
    """The text of a part that begins at ``first``: a chain while it is repeated in the line, then the shared ``unique``."""
    pieces = slot.line.pieces
    bound = min(repeated[first], MAX_REPEATED)
    shortest = 2 if is_separator(pieces[first]) else 1
    if first + bound < len(pieces) and bound == repeated[first]:
        texts = [piece_text(pieces[i], first=i == first) for i in range(first + bound, first + max(bound + 1, shortest))]
        rest = seq(*texts, unique(first + bound + len(texts)))
    else:
        rest = None
    for length, places in reversed(list(zip(range(1, bound + 1), _places(pieces, first), strict=False))):
        end = close(first + length, f" #{places.index(first) + 1}")
        text = piece_text(pieces[first + length - 1], first=length == 1)
        options = [option for option in (end if length >= shortest else None, rest) if option is not None]
        rest = seq(text, choice(*options))
    assert rest is not None  # what can start a mention is repeated, or goes on uniquely
    return rest


def _places(pieces: Sequence[Piece], first: int) -> Iterator[list[int]]:
    """For 1, 2, 3 ... pieces from ``first`` on: where in the line the same text begins."""
    places = [at for at, p in enumerate(pieces) if p.text == pieces[first].text]
    for length in range(1, len(pieces) - first + 1):
        yield places
        if first + length < len(pieces):
            text, gap = pieces[first + length].text, pieces[first + length].gap
            places = [p for p in places if p + length < len(pieces) and pieces[p + length].text == text and pieces[p + length].gap == gap]


def _go_on(slot: Slot, at: int, unique: _Unique, close: _Close) -> Expression:
    """Inside the quotes: the piece ``at``, or the end."""
    pieces = slot.line.pieces
    if at == len(pieces):
        return close(at, "")
    return choice(close(at, ""), seq(piece_text(pieces[at], first=False), unique(at + 1)))


def _groups(slot: Slot) -> list[list[Label]]:
    groups: dict[tuple[Attribute, ...], list[Label]] = {}
    for label in slot.labels:
        groups.setdefault(label.attributes, []).append(label)
    return list(groups.values())


def _names(labels: Sequence[Label]) -> Expression:
    return choice(*(label.name for label in labels))


def _attributes(s: str, group: int, labels: Sequence[Label]) -> Expression:
    return Ref(f"{s}a{group}") if labels[0].attributes else EMPTY


# --- reading -----------------------------------------------------------------------------------------------------------

_HEAD = re.compile(r"(\d{1,9}): ?")
_ITEM = re.compile(r'([\w-]+)((?: (?:\+ )?"(?:[^"\\\n]|\\.)*"(?: #\d{1,9})?)+)(?: \(([^()\n]*)\))?')
_PART = re.compile(r'"((?:[^"\\\n]|\\.)*)"(?: #(\d{1,9}))?')
_COMMA = re.compile(r", ?")
_NOTHING = re.compile(re.escape(NOTHING))
_LINE_END = re.compile(r"\n+")


def _read_items(slot: Slot | None, text: str, at: int) -> tuple[list[Found | None], bool, int]:
    """The items from ``at`` on, None for one that has no place in the slot; whether a comma follows the last; and where that is."""
    items: list[Found | None] = []
    while item := _ITEM.match(text, at):
        items.append(_place(slot, item) if slot else None)
        at = item.end()
        if not (comma := _COMMA.match(text, at)):
            return items, False, at
        at = comma.end()
    return items, bool(items), at


def _place(slot: Slot, item: "re.Match[str]") -> Found | None:
    label = next((label for label in slot.labels if label.name == item[1]), None)
    if label is None:
        return None
    parts: list[Part] = []
    for text, which in _PART.findall(item[2]):
        places = find_text(slot.line.pieces, unescape(text))
        index = int(which) - 1 if which else 0
        if not 0 <= index < len(places) or (parts and places[index].first < parts[-1].end):
            return None
        parts.append(places[index])
    given = dict(pair.split(": ", 1) for pair in (item[3] or "").split(", ") if ": " in pair)
    values = {a.name: given[a.name] if given.get(a.name) in a.values else a.default for a in label.attributes}
    if None in values.values():
        return None
    return Found(slot.number, label.name, tuple(parts), {k: v for k, v in values.items() if v is not None}, item.span())


def _reached_bound(slot: Slot, found: Sequence[Found]) -> bool:
    starts = [f.parts[0].first for f in found]
    if any(starts.count(s) >= MAX_SAME_START for s in set(starts)):
        return True
    longest = [p for f in found for p in f.parts if p.end - p.first == MAX_REPEATED]
    return bool(longest) and any(repeated_lengths(slot.line.pieces)[p.first] > MAX_REPEATED for p in longest)
