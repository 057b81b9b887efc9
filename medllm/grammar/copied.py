r"""The copy-with-tags layout: every line again, with tags around its mentions.

::

    1: No <problem assertion="absent">chest pain</problem> or fever.
    2: Plan: rest.

The grammar forces the copy, so the place of a mention is where its tags stand. Tags do not nest, and a lone full stop or the like
has none around it.
"""

import re
from collections.abc import Iterator, Sequence

from medllm.errors import SchemaError
from medllm.grammar.description import EMPTY, Expression, Grammar, Ref, choice, seq
from medllm.grammar.layout import Answer, Found, Part, Slot, attribute_tail, is_separator, numbered
from medllm.text.pieces import Piece


class CopyWithTags:
    """See the module's description."""

    name = "copy"

    def describe(self, slots: Sequence[Slot], *, nested: bool = False, discontinuous: bool = False) -> Grammar:
        """The grammar of every tagged copy of ``slots``."""
        if nested or discontinuous:
            raise SchemaError("copy-with-tags cannot hold overlapping mentions", hint="use --layout lines for this schema")
        rules: dict[str, Expression] = {"root": numbered(slots)}
        for index, slot in enumerate(slots):
            rules[f"s{index}"] = Ref(f"s{index}o0")
            rules.update(_rules(f"s{index}", slot))
        return Grammar(rules)

    def write(self, slots: Sequence[Slot], found: Sequence[Found]) -> str:
        """The tagged copy as text."""
        return "\n".join(f"{s.number}: " + _tagged(s, [f for f in found if f.slot == s.number]) for s in slots)

    def read(self, slots: Sequence[Slot], text: str, *, cut_off: bool = False) -> Answer:
        """The mentions of a copy; a line that is cut off, or is no copy of its slot's line, gives those before the break."""
        found: list[Found | None] = []
        answered = at = 0
        for slot in slots:
            head = f"{slot.number}: "
            if not text.startswith(head, at):
                break
            here, at, whole = _read_line(slot, text, at + len(head))
            found += here
            may_open_a_tag = cut_off and at == len(text) and text.endswith("<")
            if not whole or may_open_a_tag:
                break
            answered += 1
            at += text.startswith("\n", at)
        rest = text[at:].strip()
        understood = answered == len(slots) or not rest or (cut_off and "\n" not in rest)
        kept = tuple(f for f in found if f is not None)
        return Answer(kept, answered, unplaced=len(found) - len(kept) + (not understood))


def _rules(s: str, slot: Slot) -> Iterator[tuple[str, Expression]]:
    """Rules: "o" before a piece outside of any tag, "t" before a piece inside of the nth label's, "b" that label's opening tag."""
    pieces = slot.line.pieces
    marks = _marks(slot)
    for i, piece in enumerate(pieces):
        blank = " " if piece.gap and i else ""
        following = pieces[i + 1] if i + 1 < len(pieces) else None
        more = following and (" " if following.gap else "") + following.text
        if not is_separator(piece):
            opened = [seq(piece.text, Ref(f"{s}t{n}i{i + 1}")) for n in range(len(slot.labels))]
        elif more:
            opened = [seq(piece.text, more, Ref(f"{s}t{n}i{i + 2}")) for n in range(len(slot.labels))]
        else:
            opened = []
        tagged = (seq(blank, Ref(f"{s}b{n}"), inside) for n, inside in enumerate(opened))
        yield f"{s}o{i}", choice(seq(blank, piece.text, Ref(f"{s}o{i + 1}")), *tagged)
        for n, label in enumerate(slot.labels):
            closed = seq(f"</{marks[label.name]}>", Ref(f"{s}o{i + 1}"))
            yield f"{s}t{n}i{i + 1}", choice(closed, seq(more, Ref(f"{s}t{n}i{i + 2}"))) if more else closed
    yield f"{s}o{len(pieces)}", EMPTY
    for n, label in enumerate(slot.labels):
        yield f"{s}b{n}", seq(f"<{marks[label.name]}", attribute_tail(label, " ", '" ', '="', '"'), ">")


def _marks(slot: Slot) -> dict[str, str]:
    """The tag names: the labels, with underscores added until no tag stands in the line itself, and no two are the same."""
    marks: dict[str, str] = {}
    for label in slot.labels:
        mark = label.name
        others = {other.name for other in slot.labels if other is not label} | set(marks.values())
        while f"<{mark}" in slot.line.view or f"</{mark}" in slot.line.view or mark in others:
            mark += "_"
        marks[label.name] = mark
    return marks


def _tagged(slot: Slot, found: Sequence[Found]) -> str:
    marks = _marks(slot)
    labels = {label.name: label for label in slot.labels}
    opening = {f.parts[0].first: f for f in found}
    closing = {f.parts[0].end: f for f in found}
    out = []
    for i, piece in enumerate([*slot.line.pieces, Piece("", 0, 0, False)]):
        if i in closing:
            out.append(f"</{marks[closing[i].label]}>")
        out.append(" " if piece.gap and i else "")
        if i in opening:
            f = opening[i]
            given = [
                f' {a.name}="{f.attributes[a.name]}"'
                for a in labels[f.label].attributes
                if f.attributes.get(a.name, a.default) != a.default
            ]
            out.append(f"<{marks[f.label]}{''.join(given)}>")
        out.append(piece.text)
    return "".join(out)


def _read_line(slot: Slot, text: str, at: int) -> tuple[list[Found | None], int, bool]:
    """The mentions of a line's copy, None for one without an attribute that it must have; where it ends, and whether it is whole."""
    labels = {mark: next(x for x in slot.labels if x.name == name) for name, mark in _marks(slot).items()}
    opening = re.compile(rf'<({"|".join(map(re.escape, labels))})((?: [\w-]+="[^"\n]*")*)>')
    found: list[Found | None] = []
    open_: tuple[str, dict[str, str | None], int, int] | None = None
    for i, piece in enumerate([*slot.line.pieces, None]):
        if open_ and text.startswith(close := f"</{open_[0]}>", at):
            mark, attributes, first, start = open_
            at += len(close)
            given = {name: value for name, value in attributes.items() if value is not None}
            whole = len(given) == len(attributes)
            found.append(Found(slot.number, labels[mark].name, (Part(first, i),), given, (start, at)) if whole else None)
            open_ = None
        if piece is None:
            break
        if piece.gap and i and text.startswith(" ", at):
            at += 1
        if open_ is None and labels and (tag := opening.match(text, at)):
            given = dict(re.findall(r'([\w-]+)="([^"]*)"', tag[2]))
            values = {a.name: given[a.name] if given.get(a.name) in a.values else a.default for a in labels[tag[1]].attributes}
            open_ = (tag[1], values, i, at)
            at = tag.end()
        if not text.startswith(piece.text, at):
            return found, at, False
        at += len(piece.text)
    return found, at, open_ is None and (at == len(text) or text[at] == "\n")
