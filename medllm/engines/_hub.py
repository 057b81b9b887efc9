"""Loading a causal language model and its tokenizer with transformers: a model of the hub, a folder, or a GGUF file."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medllm.engines.adapters import WEIGHTS, adapter_folder, fingerprint
from medllm.errors import EngineError, MedllmError, ModelError
from medllm.weights.cache import checksum

if TYPE_CHECKING:
    from llguidance import LLTokenizer

DTYPES = ("auto", "float32", "bfloat16", "float16")

# What ends a turn in the chat formats of common models. A model's settings may name only one of its end tokens.
TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|end_of_text|>", "<|endoftext|>", "<end_of_turn>", "<|eot|>")

UNKNOWN_CONTEXT = 4096


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to answer. ``grammar_tokenizer`` is the tokenizer as llguidance sees it; ``end_tokens`` each end a turn.

    ``fingerprint`` is a GGUF file's SHA-256, a hub model's commit, or empty for a folder.
    """

    network: Any
    tokenizer: Any
    grammar_tokenizer: "LLTokenizer"
    end_tokens: frozenset[int]
    context_tokens: int
    fingerprint: str


def load(model: str, *, device: str | None, dtype: str, revision: str | None = None, adapter: str | Path | None = None) -> LoadedModel:
    """Load by hub name, folder or path of a ``.gguf`` file. Only safetensors and GGUF are read, and no code that a model brings.

    ``device`` is a torch device, ``auto`` (spread over all GPUs; needs accelerate) or None for a GPU where there is one. ``dtype``
    ``auto`` is the model's own on a GPU and float32 on a CPU. Raises EngineError and ModelError.
    """
    if dtype not in DTYPES:
        raise EngineError(f"Unknown dtype {dtype}", hint=f"Use one of {', '.join(DTYPES)}.")
    try:
        import torch
        import transformers
    except ImportError as error:
        raise EngineError(
            f"The transformers engine needs {error.name or 'torch'}, which is not installed",
            hint="Install it: pip install 'medllm[transformers]'",
        ) from error

    place = _device(device)
    where, options = _source(model)
    if revision:
        options["revision"] = revision
    numbers = torch.float32 if dtype == "auto" and place == "cpu" else dtype
    with _quiet(), _explained(model):
        config = transformers.AutoConfig.from_pretrained(where, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, config=config, **options)
        network = transformers.AutoModelForCausalLM.from_pretrained(
            where,
            config=config,
            dtype=numbers,
            use_safetensors=True,
            **({"device_map": "auto"} if place == "auto" else {}),
            **({"quantization_config": transformers.GgufConfig(dequantize=True)} if _packs_gguf(options) else {}),
            **options,
        )
        if place != "auto":
            network.to(place)
        if adapter is not None:
            network = _with_adapter(network, adapter)
    network.eval()
    known = _fingerprint(where, options, config)
    return _prepared(network, tokenizer, known if adapter is None else fingerprint(known, adapter))


def _with_adapter(network: Any, adapter: str | Path) -> Any:
    """The network with a LoRA adapter merged into its weights."""
    from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    generation = network.generation_config
    folder = adapter_folder(adapter)
    adapted = get_peft_model(network, PeftConfig.from_pretrained(str(folder)))
    set_peft_model_state_dict(adapted, load_file(folder / WEIGHTS))  # never the pickle that may lie beside it
    merged = adapted.merge_and_unload()
    merged.generation_config = generation
    return merged


def _prepared(network: Any, tokenizer: Any, fingerprint: str) -> LoadedModel:
    from transformers import GenerationConfig

    config = network.config.get_text_config()
    width = int(config.vocab_size)
    ends = frozenset(token for token in _end_tokens(network, tokenizer) if token < width)
    context = _context(config, tokenizer)
    tokenizer.model_max_length = int(1e30)  # the engine checks lengths itself, and raises rather than warns
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends, default=0)
    # In place of the model's own settings: repetition penalties and the like, meant for chat, keep a model from copying a note.
    network.generation_config = GenerationConfig(do_sample=False, pad_token_id=pad)
    return LoadedModel(network, tokenizer, _grammar_tokenizer(tokenizer, width, ends), ends, context, fingerprint)


def _grammar_tokenizer(tokenizer: Any, width: int, ends: frozenset[int]) -> "LLTokenizer":
    import llguidance.hf

    try:
        return llguidance.hf.from_tokenizer(tokenizer, n_vocab=max(width, len(tokenizer)), eos_token=sorted(ends) or None)
    except ValueError as error:
        raise EngineError(
            f"llguidance cannot work with this model's tokenizer ({type(tokenizer).__name__})",
            hint="Use a model that has a tokenizer.json, or another engine.",
        ) from error


def _end_tokens(network: Any, tokenizer: Any) -> Iterator[int]:
    """Every token that ends a turn: by the generation settings, the configuration, the tokenizer, and by name."""
    for named in (network.generation_config, network.config.get_text_config(), tokenizer):
        ids = getattr(named, "eos_token_id", None)
        yield from ids if isinstance(ids, Iterable) else () if ids is None else (ids,)
    for token, added in tokenizer.added_tokens_decoder.items():
        if added.special and added.content in TURN_ENDS:
            yield token


def _context(config: Any, tokenizer: Any) -> int:
    """Tokens that fit: the smaller of what the network and the tokenizer name, where they name any."""
    named = (getattr(config, "max_position_embeddings", None), tokenizer.model_max_length)
    return min((int(n) for n in named if n and 0 < n < 1e9), default=UNKNOWN_CONTEXT)


def _device(device: str | None) -> str:
    import torch

    if device is None:
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if device == "auto":
        return device
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch built without CUDA raises AssertionError
        raise EngineError(f"The device {device} cannot be used here", hint="Use cpu, or leave the device out.") from error
    return device


def _source(model: str) -> tuple[str, dict[str, Any]]:
    """What ``from_pretrained`` takes: a hub name or a folder, and options."""
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": _offline()}
    path = Path(model).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelError(f"There is no file {model}", hint="Give the path of a GGUF file, a folder, or a name of the model hub.")
        return str(path.parent), {**options, "gguf_file": path.name}
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{model} is not a model's folder: it has no config.json", hint="Name the folder that holds config.json.")
        return str(path), options
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise ModelError(f"There is no folder {model}", hint="Give a model's folder, a GGUF file, or a name of the model hub.")
    return model, options


def _fingerprint(where: str, options: dict[str, Any], config: Any) -> str:
    if file := options.get("gguf_file"):
        return checksum(Path(where) / file)
    return getattr(config, "_commit_hash", None) or ""


def _offline() -> bool:
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def _packs_gguf(options: dict[str, Any]) -> bool:
    """Whether this transformers would keep GGUF weights packed, with kernels that it fetches from the hub."""
    import transformers

    return "gguf_file" in options and hasattr(transformers, "GgufConfig")


@contextmanager
def _explained(model: str) -> Iterator[None]:
    """What goes wrong in loading, as a ModelError or EngineError that says what to do."""
    try:
        yield
    except MedllmError:
        raise
    except ImportError as error:  # accelerate for GGUF, peft for an adapter, bitsandbytes for its weights
        raise EngineError(
            f"The model {model} needs a package that is not installed: {error}",
            hint="pip install 'medllm[transformers]' has the usual ones.",
        ) from error
    except OSError as error:
        offline = " HF_HUB_OFFLINE is set: only models on this machine are found." if _offline() else ""
        raise ModelError(
            f"The model {model} cannot be found or read as safetensors: {_first_line(error)}",
            hint=f"Check the name; for a gated model, log in first: hf auth login.{offline}",
        ) from error
    except Exception as error:  # of any library that reads the files
        package = next((name for name in ("accelerate", "peft", "gguf") if name in str(error).lower()), None)
        hint = (
            f"pip install {package}" if package else "Use a causal language model that transformers itself knows and that fits in memory."
        )
        raise EngineError(f"The model {model} cannot be loaded: {_first_line(error)}", hint=hint) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200].rstrip(".")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' and the hub's progress bars and notices; errors are raised as ever. Settings are put back."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers import modeling_gguf_pytorch_utils as gguf_loader
    from transformers.utils import logging

    level, bars, hub_bars = logging.get_verbosity(), logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    gguf_bar = getattr(gguf_loader, "tqdm", None)
    gguf_loader.tqdm = logging.tqdm  # its own bar does not heed the setting; this one does
    try:
        yield
    finally:
        gguf_loader.tqdm = gguf_bar
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()
