"""A grammar in the GBNF dialect of EBNF (https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md).

llama.cpp takes it, and so do xgrammar and vLLM's ``guidance`` backend.
"""

from medllm.grammar.description import EMPTY, Choice, Expression, Grammar, Literal, Ref

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def to_gbnf(grammar: Grammar) -> str:
    """The GBNF form.

    >>> from medllm.grammar.description import Grammar, seq, optional
    >>> print(to_gbnf(Grammar({"root": seq("a", optional("b"))})))
    root ::= "a" ("b")?
    <BLANKLINE>
    """
    rules = dict(grammar.rules)
    first = {} if grammar.start == "root" else {"root": rules[grammar.start]}
    return "\n".join([*(f"{name} ::= {_write(e)}" for name, e in (first | rules).items()), ""])


def _write(expression: Expression) -> str:
    kind = type(expression)
    if kind is Ref:
        return expression.name
    if kind is Literal:
        return f'"{expression.text.translate(_ESCAPES)}"'
    if kind is Choice:
        options = [_write(o) for o in expression.options if o != EMPTY]
        return f"({' | '.join(options)})" + ("?" if len(options) < len(expression.options) else "")
    return " ".join([_write(item) for item in expression.items]) or '""'
