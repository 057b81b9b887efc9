"""What a relation classifier's folder says of itself: ``relations.json``."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from medllm.errors import ModelError

CONFIG = "relations.json"
FORMAT_VERSION = 1
WINDOW, OVERLAP = 384, 128
CONCEPTS_WINDOW = 512
"""Relations between concepts are a document's: an abstract fits into one window."""


@dataclass(frozen=True)
class RelationConfig:
    """What a relation classifier was trained for.

    ``labels`` are those whose mentions stand between markers; their markers are the tokens from ``vocabulary`` on, two a label.
    ``relations`` are the classes after the first, which is none. ``signatures`` (head's label, tail's label) say which pairs are looked
    at. ``reach`` is the largest number of units between two mentions that are; None where ``concepts`` are joined instead: all mentions
    of one code, anywhere in the note. ``window`` and ``overlap`` are in tokens.
    """

    name: str
    labels: tuple[str, ...]
    relations: tuple[str, ...]
    signatures: tuple[tuple[str, str], ...]
    vocabulary: int
    reach: int | None = None
    concepts: bool = False
    window: int = WINDOW
    overlap: int = OVERLAP
    breaks: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def markers(self) -> dict[str, tuple[int, int]]:
        """The tokens before and after the mentions of each label."""
        return {label: (self.vocabulary + 2 * n, self.vocabulary + 2 * n + 1) for n, label in enumerate(self.labels)}

    @cached_property
    def tails(self) -> dict[str, frozenset[str]]:
        """For each label of a head the labels that its tails may have."""
        found: dict[str, set[str]] = {}
        for head, tail in self.signatures:
            found.setdefault(head, set()).add(tail)
        return {head: frozenset(tails) for head, tails in found.items()}

    def save(self, folder: Path) -> None:
        """Write ``relations.json``."""
        data = {"format": "medllm-relations", "version": FORMAT_VERSION} | asdict(self)
        (folder / CONFIG).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> "RelationConfig":
        """Read ``relations.json``. Raises ModelError."""
        try:
            data = json.loads((folder / CONFIG).read_text("utf-8"))
        except OSError:
            raise ModelError("the folder holds no relation classifier", hint=f"it should have a {CONFIG}: medllm train relations") from None
        except ValueError:
            raise ModelError(f"{CONFIG} is damaged") from None
        try:
            if data["format"] != "medllm-relations" or data["version"] != FORMAT_VERSION:
                raise ModelError(f"{CONFIG} has version {data['version']!r}", hint="it was written by another version of medllm")
            return cls(
                name=str(data["name"]),
                labels=tuple(map(str, data["labels"])),
                relations=tuple(map(str, data["relations"])),
                signatures=tuple((str(head), str(tail)) for head, tail in data["signatures"]),
                vocabulary=int(data["vocabulary"]),
                reach=None if data["reach"] is None else int(data["reach"]),
                concepts=bool(data["concepts"]),
                window=int(data["window"]),
                overlap=int(data["overlap"]),
                breaks=bool(data["breaks"]),
                about=dict(data["about"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{CONFIG} is damaged ({type(error).__name__})") from error
