"""A concept of a terminology."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["disorder", "drug", "procedure", "test", "anatomy", "other"]
"""What a concept is, coarsely, in one vocabulary for all terminologies. Signs, symptoms and findings are disorders, chemicals drugs."""


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept: its system (``MESH``), its id there (``D003920``), its preferred name, its other names, what it is.

    ``kinds`` is empty where the terminology does not tell. ``same_as`` are codes of other systems that the terminology gives for it.
    """

    system: str
    id: str
    name: str
    synonyms: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    same_as: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """``SYSTEM:ID``, as ``Entity.codes`` has it."""
        return f"{self.system}:{self.id}"

    @property
    def names(self) -> tuple[str, ...]:
        """The preferred name, then the others."""
        return (self.name, *self.synonyms)
