"""Language-model engines: one module each. ``create_engine`` makes one by name, importing only what it needs."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medllm.engines.base import Completion, Engine, Message, Request, TokenLogprob, Usage, is_remote
from medllm.errors import UsageError

ENGINES = ("vllm", "vllm-offline", "embedded", "transformers", "replay")


@dataclass(frozen=True)
class EngineOptions:
    """What engines can be told. None leaves the choice to the engine.

    ``context_tokens``: room for one prompt and its answer. ``parallel``: prompts at a time. ``progress`` is told of downloads
    as (stage, bytes done, bytes in all). ``adapter`` is the folder of a LoRA adapter.
    ``base_url`` to ``reasoning_tokens`` are for servers; see ``VllmEngine``.
    """

    context_tokens: int | None = None
    parallel: int | None = None
    threads: int | None = None
    device: str | None = None
    dtype: str = "auto"
    progress: Callable[[str, int, int], None] | None = None
    base_url: str | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    timeout: float = 600.0
    patience: float = 120.0
    reasoning_tokens: int = 0
    adapter: Path | None = None


def create_engine(name: str, model: str | None, options: EngineOptions) -> Engine:
    """The engine of that name, ready to answer. Raises UsageError, ModelError or EngineError.

    ``auto`` is ``vllm`` where a server is named, by option or in MEDLLM_BASE_URL; ``vllm-offline`` where there are a GPU, vLLM and a
    model for it; else ``embedded``.
    """
    base_url = options.base_url or os.environ.get("MEDLLM_BASE_URL")
    if options.base_url and name not in ("auto", "vllm"):
        raise UsageError(f"--base-url is not for --engine {name}", hint="leave one of them out")
    if name == "auto":
        name = "vllm" if base_url else "vllm-offline" if model and _gpu_and_vllm(model) else "embedded"
    if options.adapter is not None and name not in ("embedded", "transformers"):
        raise UsageError(
            f"--adapter is not for --engine {name}",
            hint="a vLLM server takes it when it is started: medllm models serve MODEL --lora NAME=FOLDER; then --model NAME",
        )
    if name == "vllm":
        from medllm.engines.vllm import DEFAULT_PARALLEL as SERVER_PARALLEL
        from medllm.engines.vllm import VllmEngine

        if not base_url:
            raise UsageError("--engine vllm needs a server", hint="give --base-url http://HOST:PORT/v1, or set MEDLLM_BASE_URL")
        return VllmEngine(
            base_url,
            model,
            ca_file=options.ca_file,
            client_certificate=options.client_certificate,
            timeout=options.timeout,
            patience=options.patience,
            parallel=options.parallel or SERVER_PARALLEL,
            context_tokens=options.context_tokens,
            reasoning_tokens=options.reasoning_tokens,
        )
    if name == "embedded":
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
            adapter=options.adapter,
        )
    if name == "vllm-offline":
        from medllm.engines.vllm_offline import VllmOfflineEngine

        if model is None:
            raise UsageError("--engine vllm-offline needs a model", hint="give --model, a hub name or a folder (`medllm models export`)")
        return VllmOfflineEngine(model, dtype=options.dtype, context_tokens=options.context_tokens, parallel=options.parallel)
    if name == "transformers":
        from medllm.engines.transformers import TransformersEngine

        if model is None:
            raise UsageError("--engine transformers needs a model", hint="give --model, a hub name or a folder")
        return TransformersEngine(
            model,
            device=options.device,
            dtype=options.dtype,
            batch_size=options.parallel or 8,
            context_tokens=options.context_tokens,
            adapter=options.adapter,
        )
    if name == "replay":
        from medllm.engines.replay import ReplayEngine

        if model is None:
            raise UsageError("--engine replay needs a recording", hint="give --model RECORDING.jsonl")
        return ReplayEngine(Path(model))
    raise UsageError(f"there is no engine {name!r}", hint=f"engines are {', '.join(ENGINES)}, auto")


def _gpu_and_vllm(model: str) -> bool:
    """Whether vLLM is installed here and has a GPU, and the model is one that it reads (a GGUF file is not)."""
    from medllm.weights import is_known

    if model.endswith(".gguf") or is_known(model) or importlib.util.find_spec("vllm") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def create_later(options: EngineOptions) -> Engine:
    """The embedded engine with its default model, fetched and opened when it is first asked; the server that MEDLLM_BASE_URL names."""
    if os.environ.get("MEDLLM_BASE_URL"):
        return create_engine("vllm", None, options)
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
    "is_remote",
]
