"""LoRA adapters: the folder that ``medllm train llm`` writes, or any of peft's."""

import hashlib
from pathlib import Path

from medllm.errors import ModelError

CONFIG, WEIGHTS, GGUF = "adapter_config.json", "adapter_model.safetensors", "adapter.gguf"


def adapter_folder(folder: str | Path) -> Path:
    """The folder, if it holds an adapter. Raises ModelError."""
    path = Path(folder).expanduser()
    if not (path / CONFIG).is_file() or not (path / WEIGHTS).is_file():
        raise ModelError(f"{folder} is no adapter's folder: {CONFIG} or {WEIGHTS} is missing", hint="give what `medllm train llm` wrote")
    return path


def adapter_gguf(folder: str | Path) -> Path:
    """The adapter as llama.cpp reads it. Raises ModelError where there is none."""
    path = Path(folder).expanduser() / GGUF
    if not path.is_file():
        raise ModelError(
            f"{folder} has no {GGUF}, which the embedded engine needs",
            hint="its README.md tells why; --engine transformers reads the adapter as it is",
        )
    return path


def fingerprint(base: str, folder: str | Path) -> str:
    """What identifies a model with an adapter: SHA-256 of the base's fingerprint and the adapter's weights."""
    return hashlib.sha256(base.encode() + (Path(folder).expanduser() / WEIGHTS).read_bytes()).hexdigest()
