"""A GGUF file as a folder of the Hugging Face form, for servers that read no GGUF of every kind (vLLM)."""

import json
import shutil
from pathlib import Path

from medllm.errors import ModelError
from medllm.weights.cache import checksum

DTYPES = ("bfloat16", "float16", "float32")
ORIGIN = "medllm.json"
"""What a folder was made of: the file's name and SHA-256, and the numbers' type."""


def export(source: Path, folder: Path, *, dtype: str = "bfloat16") -> Path:
    """Unpack a GGUF file into ``folder``: weights as safetensors, tokenizer, chat template, configuration.

    A folder that was made of the same file is left as it is, one with anything else in it is refused. Nothing is there until all is.
    Quantised weights are unpacked, not made better: a 4-bit file of 0.5 GB becomes 1.3 GB. Raises ModelError and EngineError.
    """
    if not source.is_file() or source.suffix != ".gguf":
        raise ModelError(f"{source} is no GGUF file", hint="give a model's name (`medllm models list`) or the path of a .gguf file")
    if dtype not in DTYPES:
        raise ModelError(f"there is no dtype {dtype!r} for export", hint=f"use one of {', '.join(DTYPES)}")
    origin = {"file": source.name, "sha256": checksum(source), "dtype": dtype}
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if _origin(folder) == origin:
            return folder
        raise ModelError(f"{folder} is there already, and was not made of {source.name} in {dtype}", hint="give another folder")
    from transformers import GenerationConfig

    from medllm.engines._hub import load

    loaded = load(str(source), device="cpu", dtype=dtype)
    network, tokenizer = loaded.network, loaded.tokenizer
    network.hf_quantizer = None  # the weights are unpacked; transformers would try to pack them again
    tokenizer.model_max_length = loaded.context_tokens
    # A server stops at these tokens; one of them alone is what a GGUF file names.
    network.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=sorted(loaded.end_tokens), pad_token_id=network.generation_config.pad_token_id
    )
    made = folder.with_name(f"{folder.name}.partial")
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        network.save_pretrained(made)
        tokenizer.save_pretrained(made)
        (made / ORIGIN).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        made.rename(folder)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        raise ModelError(f"{folder} cannot be written: {error.strerror}", hint="is there room, and may you write there?") from error
    return folder


def _origin(folder: Path) -> object:
    try:
        return json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
