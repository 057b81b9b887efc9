"""An engine that is opened when it is first asked: a run that never needs its model never fetches it."""

import asyncio
import threading
from collections.abc import Callable

from medllm.engines.base import Completion, Engine, Request


class LazyEngine:
    """What is known of an engine before it is open, and the engine itself once it is. Opening raises what its factory raises."""

    def __init__(
        self, open_engine: Callable[[], Engine], *, name: str, model: str, fingerprint: str, context_tokens: int, concurrency: int
    ) -> None:
        self.name = name
        self.model = model
        self.fingerprint = fingerprint
        self.context_tokens = context_tokens
        self.concurrency = concurrency
        self.constrained = True
        self._open_engine = open_engine
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def opened(self) -> Engine:
        """The engine, opened now if need be."""
        with self._lock:
            if self._engine is None:
                self._engine = self._open_engine()
                self.constrained = self._engine.constrained
            return self._engine

    def count_tokens(self, text: str) -> int:
        """See ``Engine``."""
        return self.opened().count_tokens(text)

    async def complete(self, request: Request) -> Completion:
        """See ``Engine``."""
        return await (await asyncio.to_thread(self.opened)).complete(request)

    async def aclose(self) -> None:
        """Close the engine, if it was opened."""
        if self._engine is not None:
            await self._engine.aclose()
