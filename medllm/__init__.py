"""medllm: clinical notes in; typed, grounded entities and relations out.

>>> from medllm import Extractor                                      # doctest: +SKIP
>>> Extractor().extract("He denies chest pain.").entities[0].text     # doctest: +SKIP
'chest pain'
"""

import os
from typing import TYPE_CHECKING, Any

from medllm.telemetry import switch_off

if TYPE_CHECKING:
    from medllm.document import Assertion, Entity, Extraction, LedgerEntry, Modifier, Note, Relation, Span, Vote
    from medllm.errors import MedllmError
    from medllm.pipeline import Extractor
    from medllm.schema import Schema

__version__ = "0.1.0"

switch_off(os.environ)  # before any dependency is imported

_EXPORTS = {
    **dict.fromkeys(
        ("Assertion", "Entity", "Extraction", "LedgerEntry", "Modifier", "Note", "Relation", "Span", "Vote"), "medllm.document"
    ),
    "Extractor": "medllm.pipeline",
    "MedllmError": "medllm.errors",
    "Schema": "medllm.schema",
}

__all__ = [
    "Assertion",
    "Entity",
    "Extraction",
    "Extractor",
    "LedgerEntry",
    "MedllmError",
    "Modifier",
    "Note",
    "Relation",
    "Schema",
    "Span",
    "Vote",
]


def __getattr__(name: str) -> Any:
    """Names are imported when first used, so that ``import medllm`` costs nothing."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'medllm' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_EXPORTS[name]), name)
