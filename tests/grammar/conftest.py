"""What decides whether a grammar takes a text: the description itself, and the engines' own matchers on its two forms."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar

BYTES = LLTokenizer("byte")


class Recognizer:
    """A grammar as the engines see it. ``walk`` writes at random whatever llguidance's masks allow."""

    def __init__(self, grammar: Grammar, xgrammar: Any = None) -> None:
        self.grammar = grammar
        self.constraint = Constraint(grammar)
        self._xgrammar = xgrammar

    def verdicts(self, text: str) -> dict[str, bool]:
        found = {"accepts": self.grammar.accepts(text), "llguidance": self.llguidance(text)}
        return found | ({"xgrammar": self.xgrammar(text)} if self._xgrammar else {})

    def agree(self, text: str) -> bool:
        """What all of them say."""
        verdicts = self.verdicts(text)
        assert len(set(verdicts.values())) == 1, (text, verdicts)
        return verdicts["accepts"]

    @cached_property
    def _ll(self) -> LLMatcher:
        matcher = LLMatcher(BYTES, LLMatcher.grammar_from_lark(self.constraint.lark), log_level=0)
        assert not matcher.is_error()  # its message quotes the whole grammar
        return matcher

    def llguidance(self, text: str) -> bool:
        self._ll.reset()
        tokens = BYTES.tokenize_bytes(text.encode())
        return self._ll.try_consume_tokens(tokens) == len(tokens) and self._ll.is_accepting()

    @cached_property
    def _xg(self) -> Any:
        compiler = self._xgrammar.GrammarCompiler(self._xgrammar.TokenizerInfo([]), max_threads=1, cache_enabled=False)
        return self._xgrammar.GrammarMatcher(compiler.compile_grammar(self.constraint.gbnf), terminate_without_stop_token=True)

    def xgrammar(self, text: str) -> bool:
        self._xg.reset()
        return self._xg.accept_string(text) and self._xg.is_terminated()

    def walk(self, chance: random.Random) -> str:
        self._ll.reset()
        written = bytearray()
        while not self._ll.is_stopped():
            mask = self._ll.compute_logit_bias()
            token = chance.choice([t for t, allowed in enumerate(mask) if allowed])
            if token == BYTES.eos_token:
                break
            written += BYTES.decode_bytes([token])
            assert self._ll.consume_token(token)
        assert self._ll.is_accepting()
        return written.decode()


@pytest.fixture(scope="session")
def recognize() -> Callable[[Grammar], Recognizer]:
    """Makes a recognizer, with xgrammar in it where that is installed."""
    try:
        import xgrammar
    except ImportError:
        return Recognizer
    return lambda grammar: Recognizer(grammar, xgrammar)


@pytest.fixture
def small_stack() -> Callable[[Callable[[], Any]], Any]:
    """Runs something in a thread with a stack of 512 KB, as servers give their workers, and returns its result."""

    def run(work: Callable[[], Any]) -> Any:
        previous = threading.stack_size(512 * 1024)
        try:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(work).result()
        finally:
            threading.stack_size(previous)

    return run
