"""A grammar in the Lark dialect of llguidance (https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md).

The start is a rule, every other rule a terminal, so that what the start refers to is one regular expression each: as rules,
their literals would be lexemes, and a lexer that takes the longest match refuses texts in which one literal begins another.
The start's own literals must therefore not be able to go on what stands before them (a layout's line breaks cannot).

llguidance compiles a terminal by descending into those it names, and a line of a hundred pieces is a chain of hundreds: enough
to overrun its stack, which kills the process. So the first terminal also names all the others, the deepest first, in
alternatives that can never match: each is then compiled when those it names already are, and the alternatives vanish.
"""

import json
from collections.abc import Iterator

from medllm.grammar.description import EMPTY, Choice, Expression, Grammar, Literal, Ref

_NEVER = r"NEVER: /[^\s\S]/"


def to_lark(grammar: Grammar) -> str:
    """The Lark form.

    >>> from medllm.grammar.description import Grammar, Ref, seq, optional
    >>> print(to_lark(Grammar({"root": seq("a", Ref("b")), "b": seq("b", Ref("c")), "c": optional("c")})))
    start: "a" B
    NEVER: /[^\\s\\S]/
    C: ("c")?
    B: C NEVER | "b" C
    <BLANKLINE>
    """
    order = _deepest_first(grammar)
    first = next(_refs(grammar.rules[grammar.start]), None)
    lines = [f"start: {_write(grammar.rules[grammar.start])}", _NEVER]
    for name in order:
        unmatched = [f"{other.upper()} NEVER" for other in order if other != first] if name == first else []
        lines.append(f"{name.upper()}: {' | '.join([*unmatched, _write(grammar.rules[name])])}")
    return "\n".join([*lines, ""])


def _write(expression: Expression) -> str:
    if isinstance(expression, Literal):
        return json.dumps(expression.text, ensure_ascii=False)
    if isinstance(expression, Ref):
        return expression.name.upper()
    if isinstance(expression, Choice):
        options = [_write(o) for o in expression.options if o != EMPTY]
        return f"({' | '.join(options)})" + ("?" if EMPTY in expression.options else "")
    return " ".join(map(_write, expression.items)) or '""'


def _deepest_first(grammar: Grammar) -> list[str]:
    """The rules that the start leads to, without itself, each after all that it names."""
    done: dict[str, None] = {}
    todo = [(grammar.start, _refs(grammar.rules[grammar.start]))]
    open_ = {grammar.start}
    while todo:
        name, refs = todo[-1]
        if (ref := next((r for r in refs if r not in open_), None)) is not None:
            open_.add(ref)
            todo.append((ref, _refs(grammar.rules[ref])))
        else:
            done[name] = None
            todo.pop()
    return list(done)[:-1]


def _refs(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Ref):
        yield expression.name
    elif isinstance(expression, Choice):
        for option in expression.options:
            yield from _refs(option)
    elif not isinstance(expression, Literal):
        for item in expression.items:
            yield from _refs(item)
