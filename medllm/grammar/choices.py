r"""Closed questions: for each number one of the answers that it offers.

::

    1: A
    2: neither
    3: yes
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from medllm.grammar.description import Expression, Grammar, choice, seq

_ROW = re.compile(r"(\d{1,9}): ?(\S*)")


@dataclass(frozen=True)
class ChoiceSlot:
    """A numbered question, and its answers: words without white space."""

    number: int
    options: tuple[str, ...]


class Chosen(NamedTuple):
    """The answer to a slot. ``where`` is its place in the completion, in characters."""

    slot: int
    option: str
    where: tuple[int, int]


def describe_choices(slots: Sequence[ChoiceSlot]) -> Grammar:
    """The grammar of every answer to ``slots``."""
    parts: list[Expression | str] = []
    for index, slot in enumerate(slots):
        parts += ["\n" if index else "", f"{slot.number}: ", choice(*slot.options)]
    return Grammar({"root": seq(*parts)})


def write_choices(slots: Sequence[ChoiceSlot], given: Mapping[int, str]) -> str:
    """The answer as text; ``given`` holds for each slot's number one of its options."""
    return "\n".join(f"{slot.number}: {given[slot.number]}" for slot in slots)


def read_choices(slots: Sequence[ChoiceSlot], text: str, *, cut_off: bool = False) -> tuple[list[Chosen], int]:
    """The choices in a completion, the first for each slot, and how many lines were not understood.

    ``cut_off``: the completion was stopped at a limit, and the line it ends with may have gone on.
    """
    offered = {slot.number: slot.options for slot in slots}
    found: dict[int, Chosen] = {}
    unplaced = at = 0
    lines = text.split("\n")
    for line in lines[: -1 if cut_off else None]:
        row = _ROW.fullmatch(line.rstrip())
        if row and row[2] in offered.get(int(row[1]), ()):
            found.setdefault(int(row[1]), Chosen(int(row[1]), row[2], (at + row.start(2), at + row.end(2))))
        else:
            unplaced += bool(line.strip())
        at += len(line) + 1
    return list(found.values()), unplaced
