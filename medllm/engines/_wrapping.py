"""What engines around another engine share."""

from medllm.engines.base import Engine, is_remote


class Wrapper:
    """Looks like the engine inside. Subclasses answer requests."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.model = engine.model
        self.fingerprint = engine.fingerprint
        self.context_tokens = engine.context_tokens
        self.constrained = engine.constrained
        self.concurrency = engine.concurrency
        self.remote = is_remote(engine)
        self.about = getattr(engine, "about", None)

    def count_tokens(self, text: str) -> int:
        """The engine's own count."""
        return self._engine.count_tokens(text)

    async def aclose(self) -> None:
        """Close the engine."""
        await self._engine.aclose()
