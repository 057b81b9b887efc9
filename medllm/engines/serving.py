"""The command that starts a vLLM server for extraction."""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medllm.errors import ModelError, UsageError
from medllm.telemetry import OFF

PYTHON = "MEDLLM_VLLM"
"""The Python of the environment in which vLLM is installed, where it is not medllm's own."""

SERVER = "vllm.entrypoints.openai.api_server"
"""Started as a module: the ``vllm`` command of the CPU build looks up a package that it does not have."""

DEFAULT_CONTEXT = 4096
DEFAULT_RANK = 16


@dataclass(frozen=True)
class Serving:
    """What is to be served, and how. ``model`` is a folder or a hub name; ``adapters`` are LoRA folders by the name to ask for.

    ``speculate``: tokens to guess at a time from the prompt's own n-grams; 0 for none.
    """

    model: str
    name: str
    host: str = "127.0.0.1"
    port: int = 8000
    context_tokens: int = DEFAULT_CONTEXT
    quantization: str | None = None
    dtype: str = "auto"
    tensor_parallel: int = 1
    adapters: Mapping[str, Path] | None = None
    reasoning_parser: str | None = None
    speculate: int = 0
    python: str | None = None
    more: Sequence[str] = ()


def command(serving: Serving) -> list[str]:
    """The command. A key is never in it: vLLM reads VLLM_API_KEY. Raises UsageError and ModelError."""
    line = [serving.python or os.environ.get(PYTHON) or sys.executable, "-m", SERVER]
    line += ["--model", serving.model, "--served-model-name", serving.name, "--host", serving.host, "--port", str(serving.port)]
    line += ["--max-model-len", str(serving.context_tokens), "--dtype", serving.dtype]
    line += ["--structured-outputs-config.backend", "guidance"]
    line += ["--enable-prefix-caching", "--enable-prompt-tokens-details", "--no-enable-log-requests"]
    if serving.quantization:
        line += ["--quantization", serving.quantization]
    if serving.tensor_parallel > 1:
        line += ["--tensor-parallel-size", str(serving.tensor_parallel)]
    if serving.adapters:
        ranks = [_rank(folder) for folder in serving.adapters.values()]
        line += ["--enable-lora", "--max-lora-rank", str(max(ranks)), "--lora-modules"]
        line += [f"{name}={folder}" for name, folder in serving.adapters.items()]
    if serving.reasoning_parser:
        line += ["--reasoning-parser", serving.reasoning_parser]
    if serving.speculate:
        guess = {"method": "ngram", "num_speculative_tokens": serving.speculate, "prompt_lookup_max": 4, "prompt_lookup_min": 2}
        line += ["--speculative-config", json.dumps(guess)]
    return [*line, *serving.more]


def environment(serving: Serving) -> dict[str, str]:
    """What is added to the environment. A model in a folder needs no hub."""
    return OFF | ({"HF_HUB_OFFLINE": "1"} if Path(serving.model).is_dir() else {})


def shown(serving: Serving) -> str:
    """The command as one would type it."""
    return " ".join([*(f"{name}={value}" for name, value in environment(serving).items()), shlex.join(command(serving))])


def start(serving: Serving) -> None:
    """Become the server: this process ends where the server does. Raises UsageError if it cannot be started."""
    line = command(serving)
    try:
        os.execvpe(line[0], line, os.environ | environment(serving))
    except OSError as error:
        raise UsageError(
            f"{line[0]} cannot be run: {error.strerror}", hint=f"name the Python that has vLLM: --python, or {PYTHON}"
        ) from None


def adapters_of(given: Sequence[str]) -> dict[str, Path]:
    """``NAME=FOLDER`` each. Raises UsageError and ModelError."""
    found = {}
    for each in given:
        name, _, folder = each.partition("=")
        if not name or not folder:
            raise UsageError("--lora is not understood", hint="write NAME=FOLDER")
        if not (Path(folder) / "adapter_config.json").is_file():
            raise ModelError(f"{folder} is no adapter's folder: it has no adapter_config.json", hint="give what `medllm train llm` wrote")
        found[name] = Path(folder)
    return found


def _rank(folder: Path) -> int:
    """The least that vLLM must hold room for; it takes powers of two from 8 on."""
    try:
        rank = int(json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")).get("r", DEFAULT_RANK))
    except (OSError, ValueError, AttributeError):
        rank = DEFAULT_RANK
    return max(8, 1 << (rank - 1).bit_length())
