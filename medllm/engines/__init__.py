"""Language-model engines: one module each. ``create_engine`` makes one by name, importing only what it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medllm.engines.base import Completion, Engine, Message, Request, TokenLogprob, Usage
from medllm.errors import UsageError

ENGINES = ("embedded", "transformers", "replay")


@dataclass(frozen=True)
class EngineOptions:
    """What engines can be told. None leaves the choice to the engine.

    ``context_tokens``: room for one prompt and its answer. ``parallel``: prompts at a time. ``progress`` is told of downloads
    as (stage, bytes done, bytes in all).
    """

    context_tokens: int | None = None
    parallel: int | None = None
    threads: int | None = None
    device: str | None = None
    dtype: str = "auto"
    progress: Callable[[str, int, int], None] | None = None


def create_engine(name: str, model: str | None, options: EngineOptions) -> Engine:
    """The engine of that name, ready to answer. ``auto`` is ``embedded``. Raises UsageError, ModelError or EngineError."""
    if name in ("auto", "embedded"):
        from medllm.engines.embedded import DEFAULT_CONTEXT, DEFAULT_PARALLEL, EmbeddedEngine
        from medllm.weights import DEFAULT_MODEL, MODELS, checksum, pull

        if any(card.kind != "gguf" and str(model).lower() in (card.name, *card.aliases) for card in MODELS):
            raise UsageError(f"{model} is no language model", hint=f"it is a tagger: --readers tagger --tagger {model}")
        path = pull(model or DEFAULT_MODEL, progress=options.progress)
        return EmbeddedEngine(
            path,
            fingerprint=checksum(path),
            context_tokens=options.context_tokens or DEFAULT_CONTEXT,
            parallel=options.parallel or DEFAULT_PARALLEL,
            threads=options.threads,
        )
    if name == "transformers":
        from medllm.engines.transformers import TransformersEngine

        if model is None:
            raise UsageError("--engine transformers needs a model", hint="give --model, a hub name or a folder")
        return TransformersEngine(
            model, device=options.device, dtype=options.dtype, batch_size=options.parallel or 8, context_tokens=options.context_tokens
        )
    if name == "replay":
        from medllm.engines.replay import ReplayEngine

        if model is None:
            raise UsageError("--engine replay needs a recording", hint="give --model RECORDING.jsonl")
        return ReplayEngine(Path(model))
    raise UsageError(f"there is no engine {name!r}", hint=f"engines are {', '.join(ENGINES)}, auto")


def create_later(options: EngineOptions) -> Engine:
    """The embedded engine with its default model, fetched and opened when it is first asked."""
    from medllm.engines.embedded import DEFAULT_CONTEXT, DEFAULT_PARALLEL
    from medllm.engines.lazy import LazyEngine
    from medllm.weights import DEFAULT_MODEL, find

    card = find(DEFAULT_MODEL)
    return LazyEngine(
        lambda: create_engine("embedded", None, options),
        name="embedded",
        model=Path(card.file).stem,
        fingerprint=card.sha256,
        context_tokens=options.context_tokens or DEFAULT_CONTEXT,
        concurrency=options.parallel or DEFAULT_PARALLEL,
    )


__all__ = [
    "ENGINES",
    "Completion",
    "Engine",
    "EngineOptions",
    "Message",
    "Request",
    "TokenLogprob",
    "Usage",
    "create_engine",
    "create_later",
]
