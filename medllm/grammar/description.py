"""The internal description of a grammar, from which every engine's form is written.

A description is a finite set of named rules over literals, sequences and choices in which no rule leads back to itself, so
the language is finite and every completion is bounded. ``accepts`` decides membership without any engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Literal:
    """Exactly this text."""

    text: str


@dataclass(frozen=True)
class Ref:
    """What the rule of this name describes. Names are lower-case ASCII letters and digits, a letter first."""

    name: str


@dataclass(frozen=True)
class Sequence:
    """One after the other. The empty sequence is the empty text."""

    items: tuple["Expression", ...]


@dataclass(frozen=True)
class Choice:
    """Any one of these."""

    options: tuple["Expression", ...]


Expression = Union[Literal, Ref, Sequence, Choice]  # noqa: UP007  "Sequence" is not defined yet where its own field names this

EMPTY = Sequence(())


@dataclass(frozen=True)
class Grammar:
    """Rules by name; a completion is a text of the rule ``start``."""

    rules: Mapping[str, Expression]
    start: str = "root"

    def accepts(self, text: str) -> bool:
        """True if ``text`` is a completion of this grammar. Meant for tests and checks: engines do it much faster."""
        pending: dict[int, list[_Rest]] = {0: [(Ref(self.start), None)]}
        seen: dict[tuple[int, int, int], _Rest] = {}  # both dictionaries also keep alive what their ids stand for
        pushed: dict[tuple[int, int], _Rest] = {}
        while pending:
            at = min(pending)
            todo = pending.pop(at)
            while todo:
                rest = todo.pop()
                if rest is None:
                    if at == len(text):
                        return True
                    continue
                expression, after = rest
                if (key := (at, id(expression), id(after))) in seen:
                    continue
                seen[key] = rest
                if isinstance(expression, Literal):
                    if text.startswith(expression.text, at):
                        (todo if not expression.text else pending.setdefault(at + len(expression.text), [])).append(after)
                elif isinstance(expression, Ref):
                    todo.append((self.rules[expression.name], after))
                elif isinstance(expression, Choice):
                    todo.extend((option, after) for option in expression.options)
                else:
                    for item in reversed(expression.items):
                        after = pushed.setdefault((id(item), id(after)), (item, after))
                    todo.append(after)
        return False


_Rest = tuple[Expression, "_Rest"] | None  # what is still to be read: an expression, and what comes after it


def seq(*items: "Expression | str") -> Expression:
    """A sequence; strings stand for literals. Nested sequences are flattened and neighbouring literals joined."""
    flat: list[Expression | str] = []
    for item in items:
        for part in item.items if type(item) is Sequence else (item,):
            text = part if type(part) is str else part.text if type(part) is Literal else None
            if text is None:
                flat.append(part)
            elif flat and type(flat[-1]) is str:
                flat[-1] += text
            elif text:
                flat.append(text)
    made = tuple([Literal(part) if type(part) is str else part for part in flat])
    return made[0] if len(made) == 1 else Sequence(made) if made else EMPTY


def choice(*options: "Expression | str") -> Expression:
    """A choice; strings stand for literals, equal options are kept once."""
    unique: list[Expression] = []
    for option in options:
        made = Literal(option) if isinstance(option, str) else option
        if made not in unique:  # few as they are, this is faster than their hashes
            unique.append(made)
    return unique[0] if len(unique) == 1 else Choice(tuple(unique))


def optional(*items: "Expression | str") -> Expression:
    """The sequence of ``items``, or nothing."""
    return choice(seq(*items), EMPTY)
