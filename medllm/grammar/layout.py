"""Layouts: how a reader is to write down what it finds, as a grammar, as a text, and back.

A question is a list of slots. A slot is one numbered line of the prompt together with the labels that may be found in it; an
answer is a list of ``Found``. A layout makes the grammar of all answers (``describe``), writes one (``write``, for examples
in prompts) and reads one (``read``). The three agree: what ``describe`` admits ``read`` understands without any choice, and
what ``write`` writes is admitted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from medllm.grammar.description import EMPTY, Expression, Grammar, Ref, choice, optional, seq
from medllm.text.lines import Line
from medllm.text.pieces import Piece, split_pieces

MAX_REPEATED = 12
"""Of a text that stands more than once in its line, at most so many pieces can be one mention's beginning."""

MAX_SAME_START = 5
"""Where mentions may overlap, at most so many of them begin at one piece."""


@dataclass(frozen=True)
class Attribute:
    """A closed set that belongs to a label. ``default`` None: it must be written."""

    name: str
    values: tuple[str, ...]
    default: str | None = None


@dataclass(frozen=True)
class Label:
    """A label that a slot admits, with its attributes."""

    name: str
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True)
class Slot:
    """A numbered question: the line, and what may be found in it."""

    number: int
    line: Line
    labels: tuple[Label, ...]


class Part(NamedTuple):
    """Consecutive pieces of a line: the first, and the one after the last."""

    first: int
    end: int


@dataclass(frozen=True)
class Found:
    """An answer: a label for the parts of a slot's line. ``where`` is its place in the completion, in characters."""

    slot: int
    label: str
    parts: tuple[Part, ...]
    attributes: dict[str, str] = field(default_factory=dict)
    where: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Answer:
    """What was read from a completion.

    ``read_to``: number of slots, from the first on, that were answered to their end. ``bounded``: numbers of the slots in
    which a bound of the layout was reached. ``unplaced``: how many items could not be understood or found in their line
    (always 0 under the grammar).
    """

    found: tuple[Found, ...]
    read_to: int
    bounded: tuple[int, ...] = ()
    unplaced: int = 0


class Layout(Protocol):
    """See the module's description."""

    name: str

    def describe(self, slots: Sequence[Slot], *, nested: bool = False, discontinuous: bool = False) -> Grammar:
        """The grammar of every answer to these slots. Raises SchemaError where the layout cannot express them."""
        ...

    def write(self, slots: Sequence[Slot], found: Sequence[Found]) -> str:
        """The answer as the model is to write it."""
        ...

    def read(self, slots: Sequence[Slot], text: str, *, cut_off: bool = False) -> Answer:
        """The answer in a completion. ``cut_off``: it was stopped at a limit, and an item it ends with may have gone on."""
        ...


def get_layout(name: str) -> Layout:
    """``lines`` (line-pinned) or ``copy`` (copy-with-tags)."""
    from medllm.grammar.copied import CopyWithTags
    from medllm.grammar.pinned import LinePinned

    layouts: dict[str, Layout] = {layout.name: layout for layout in (LinePinned(), CopyWithTags())}
    return layouts[name]


# --- what both layouts share -------------------------------------------------------------------------------------------


def numbered(slots: Sequence[Slot]) -> Expression:
    """The root of a layout's grammar: each slot's number and its answer, which is the rule ``s`` and the slot's index."""
    parts: list[Expression | str] = []
    for index, slot in enumerate(slots):
        parts += ["\n" if index else "", f"{slot.number}: ", Ref(f"s{index}")]
    return seq(*parts)


def attribute_tail(label: Label, opening: str, between: str, equals: str, closing: str) -> Expression:
    """``(name: value, ...)`` for the attributes of a label, in order; those with a default may be left out."""

    written: Expression = seq(closing)  # what may follow where one attribute or more stand already
    tail: Expression = EMPTY
    for a in reversed(label.attributes):
        values = [v for v in a.values if v != a.default]
        if values:
            this = seq(a.name, equals, choice(*values))
            first = seq(opening, this, written)
            tail = first if a.default is None else choice(first, tail)
            further = seq(between, this)
            written = seq(further if a.default is None else optional(further), written)
    return tail


def piece_text(piece: Piece, *, first: bool) -> str:
    """A piece inside quotes: with the blank before it unless it is the first, quote and backslash escaped."""
    return (" " if piece.gap and not first else "") + escape(piece.text)


def is_separator(piece: Piece) -> bool:
    """True for a piece that is never a mention by itself: a full stop, a comma, a colon, ..."""
    return not set(piece.text) - set(".,;:!?。，；：！？、")


def escape(text: str) -> str:
    r"""Quote and backslash, escaped: ``"`` becomes ``\"``."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def unescape(text: str) -> str:
    """The reverse of ``escape``."""
    return re.sub(r"\\(.)", r"\1", text)


def occurrences(pieces: Sequence[Piece], first: int, end: int) -> list[int]:
    """Where the text of ``pieces[first:end]`` begins in the line, in order; ``first`` is one of them."""
    wanted = [(p.text, p.gap) for p in pieces[first + 1 : end]]
    length = end - first
    return [
        at
        for at in range(len(pieces) - length + 1)
        if pieces[at].text == pieces[first].text and [(p.text, p.gap) for p in pieces[at + 1 : at + length]] == wanted
    ]


def find_text(pieces: Sequence[Piece], text: str) -> list[Part]:
    """Every place where ``text`` stands in the line, piece by piece; white space counts as one blank."""
    wanted = split_pieces(text, 0, len(text))
    if not wanted:
        return []
    rest = [(p.text, p.gap) for p in wanted[1:]]
    return [
        Part(at, at + len(wanted))
        for at in range(len(pieces) - len(wanted) + 1)
        if pieces[at].text == wanted[0].text and [(p.text, p.gap) for p in pieces[at + 1 : at + len(wanted)]] == rest
    ]


def _same(left: Piece, right: Piece) -> bool:
    return left.text == right.text and left.gap == right.gap


def repeated_lengths(pieces: Sequence[Piece]) -> list[int]:
    """For each piece, how many pieces from it on stand somewhere else in the line too; counted up to MAX_REPEATED + 1."""
    lengths = [0] * len(pieces)
    starts: dict[str, list[int]] = {}
    for at, piece in enumerate(pieces):
        starts.setdefault(piece.text, []).append(at)
    for places in starts.values():
        for i, a in enumerate(places):
            for b in places[i + 1 :]:
                common = 1
                while (
                    common <= MAX_REPEATED and b + common < len(pieces) and pieces[a + common][0::3] == pieces[b + common][0::3]
                ):  # text and gap
                    common += 1
                lengths[a] = max(lengths[a], common)
                lengths[b] = max(lengths[b], common)
    return lengths
