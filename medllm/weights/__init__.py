"""Models and lexicons by name and by content: a pinned SHA-256 and several sources each.

``pull`` gives the path of a checked file and fetches it where needed; ``locate`` never touches the network.
"""

from medllm.weights.cache import checksum, models_folder
from medllm.weights.hub import HubFile
from medllm.weights.parts import RegistryParts
from medllm.weights.registry import DEFAULT_MODEL, LEXICON_FILES, MODELS, ModelCard, find, is_known
from medllm.weights.source import Progress, Source
from medllm.weights.store import Status, locate, pull, status, verify
from medllm.weights.wheels import WheelMember

__all__ = [
    "DEFAULT_MODEL",
    "LEXICON_FILES",
    "MODELS",
    "HubFile",
    "ModelCard",
    "Progress",
    "RegistryParts",
    "Source",
    "Status",
    "WheelMember",
    "checksum",
    "find",
    "is_known",
    "locate",
    "models_folder",
    "pull",
    "status",
    "verify",
]
