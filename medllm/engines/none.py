"""No language model: for readers that need none."""

from medllm.engines.base import Completion, Request
from medllm.errors import EngineError


class NoEngine:
    """Stands where an engine would, and answers nothing."""

    name = "none"
    model = ""
    fingerprint = ""
    context_tokens = 0
    constrained = True
    concurrency = 2

    def count_tokens(self, text: str) -> int:
        """Words, for want of tokens."""
        return len(text.split())

    async def complete(self, request: Request) -> Completion:
        """Raises EngineError."""
        raise EngineError("this run reads without a language model", hint="read with --readers llm")

    async def aclose(self) -> None:
        """Nothing to give back."""
