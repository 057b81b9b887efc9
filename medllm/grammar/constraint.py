"""Constraint: one grammar in the two forms that engines take."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from medllm.grammar.description import Grammar
from medllm.grammar.gbnf import to_gbnf
from medllm.grammar.lark import to_lark

if TYPE_CHECKING:
    from outlines.types import CFG


@dataclass(frozen=True)
class Constraint:
    """What a completion may be. Both forms accept the same strings; each is written only when asked for."""

    grammar: Grammar

    @cached_property
    def lark(self) -> str:
        """Lark, for llguidance: Outlines on transformers, vLLM's ``guidance`` backend, llama.cpp built with llguidance."""
        return to_lark(self.grammar)

    @cached_property
    def gbnf(self) -> str:
        """EBNF in the GBNF dialect: llama.cpp, xgrammar."""
        return to_gbnf(self.grammar)

    def outlines_type(self) -> "CFG":
        """The Lark form as an Outlines term, for anything that takes Outlines output types."""
        from outlines.types import CFG

        return CFG(self.lark)
