"""A LoRA adapter as a GGUF file, for llama.cpp: the tensors under its names, as its ``convert_lora_to_gguf.py`` writes them."""

import json
from pathlib import Path
from typing import Any

FILE = "adapter.gguf"
ARCHITECTURES = ("qwen2", "qwen3")
"""Model types whose weights llama.cpp takes as they are; others (Llama's queries and keys) are put in another order first."""


def write_gguf(folder: Path, config: Any) -> str:
    """Write ``adapter.gguf`` beside an adapter of peft's. Returns what there is to say where it cannot be, else an empty text.

    ``config`` is the base's (transformers). Numbers are float16.
    """
    kind = str(config.get_text_config().model_type)
    if kind not in ARCHITECTURES:
        return f"There is no GGUF form of adapters for {kind} models: the embedded engine cannot take this one."
    try:
        import gguf
    except ImportError:
        return "gguf is not installed: there is no adapter.gguf for the embedded engine."
    from safetensors.torch import load_file

    settings = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == kind)
    names = gguf.get_tensor_name_map(arch, int(config.get_text_config().num_hidden_layers))
    writer = gguf.GGUFWriter(str(folder / f"{FILE}.partial"), kind)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(settings["lora_alpha"]))
    for name, tensor in sorted(load_file(folder / "adapter_model.safetensors").items()):
        module, _, part = name.removeprefix("base_model.model.").rpartition(".lora_")
        known = names.get_name(module)
        if known is None:
            writer.close()
            return f"llama.cpp has no name for {module}: there is no adapter.gguf."
        writer.add_tensor(f"{known}.weight.lora_{part[0].lower()}", tensor.float().numpy().astype("float16"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / f"{FILE}.partial").replace(folder / FILE)
    return ""
