r"""Relations over numbered mentions: for each mention, the relations that begin there.

::

    1: TrAP 4, PIP 2
    2: -

Only the links that a slot offers can be written, so an ill-typed relation cannot be decoded; they stand in the order in which
they are offered, each at most once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from medllm.grammar.description import EMPTY, Expression, Grammar, Ref, choice, optional, seq

NOTHING = "-"
_HEAD = re.compile(r"(\d{1,9}): ?")


class Link(NamedTuple):
    """A relation from a slot's mention to the mention ``target``."""

    label: str
    target: int


@dataclass(frozen=True)
class LinkSlot:
    """A numbered mention, and the links that may begin there."""

    number: int
    links: tuple[Link, ...]


def describe_links(slots: Sequence[LinkSlot]) -> Grammar:
    """The grammar of every answer to ``slots``."""
    parts: list[Expression | str] = []
    rules: dict[str, Expression] = {"root": EMPTY}
    for index, slot in enumerate(slots):
        s = f"s{index}"
        parts += ["\n" if index else "", f"{slot.number}: ", Ref(s)]
        rules[s] = choice(Ref(f"{s}m0"), NOTHING) if slot.links else seq(NOTHING)
        for i, link in enumerate(slot.links):
            last = i + 1 == len(slot.links)
            here = seq(f"{link.label} {link.target}", EMPTY if last else optional(", ", Ref(f"{s}m{i + 1}")))
            rules[f"{s}m{i}"] = here if last else choice(here, Ref(f"{s}m{i + 1}"))
    rules["root"] = seq(*parts)
    return Grammar(rules)


def write_links(slots: Sequence[LinkSlot], found: Sequence[tuple[int, Link]]) -> str:
    """The answer as text; ``found`` holds a slot's number and a link that the slot offers."""
    given = set(found)
    lines = []
    for slot in slots:
        here = [f"{link.label} {link.target}" for link in slot.links if (slot.number, link) in given]
        lines.append(f"{slot.number}: {', '.join(here) or NOTHING}")
    return "\n".join(lines)


def read_links(slots: Sequence[LinkSlot], text: str, *, cut_off: bool = False) -> tuple[list[tuple[int, Link]], int, int]:
    """The links in a completion, the number of slots from the first on answered to their end, and how many items were not understood.

    ``cut_off``: the completion was stopped at a limit, and the item it ends with may have gone on.
    """
    by_number = {s.number: s for s in slots}
    found: list[tuple[int, Link]] = []
    answered = unplaced = 0
    lines = text.split("\n")
    for position, line in enumerate(lines):
        head = _HEAD.match(line)
        slot = by_number.get(int(head[1])) if head else None
        last = position + 1 == len(lines)
        if slot is None or head is None:
            unplaced += bool(line.strip()) and not (last and cut_off)
            continue
        offered = {f"{link.label} {link.target}": link for link in slot.links}
        items = [item.strip() for item in line[head.end() :].split(",")]
        goes_on = last and (cut_off or slot is not slots[-1]) and items[-1] != NOTHING
        for item in items[: -1 if goes_on else None]:
            if item in offered:
                found.append((slot.number, offered[item]))
            elif item != NOTHING:
                unplaced += 1
        answered += not goes_on and answered < len(slots) and slot is slots[answered]
    return list(dict.fromkeys(found)), answered, unplaced
