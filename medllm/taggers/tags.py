"""Tags of a token classifier: BIO and its relatives, read from a model's labels, with the transitions each admits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medllm.errors import ModelError

OUTSIDE = "O"
NEVER = -1e4
"""The score of a forbidden transition: finite, so that sums of it stay numbers."""
_TAG = re.compile(r"([BIESLUM])[-_](.+)", re.DOTALL)
_KINDS = {"M": "I", "L": "E", "U": "S"}
"""BILOU and BMES in the letters of IOBES."""


@dataclass(frozen=True)
class TagSet:
    """The tags of one layer, in the order of the classifier's outputs; each is (kind, label), kind being one of ``BIESO``.

    >>> tags = TagSet.parse(["O", "B-problem", "I-problem"])
    >>> tags.scheme, tags.labels, [tags.mention("problem", 3), tags.mention("problem", 1)]
    ('BIO', ('problem',), [[1, 2, 2], [1]])
    """

    tags: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, labels: Sequence[str]) -> "TagSet":
        """BIO over ``labels``: O, then B and I of each."""
        return cls((("O", ""), *((kind, label) for label in labels for kind in "BI")))

    @classmethod
    def parse(cls, names: Sequence[str]) -> "TagSet":
        """From the names that models give (``B-LABEL``, ``I_LABEL``, ``S-LABEL``; plain labels are IO). Raises ModelError."""
        tags: list[tuple[str, str]] = []
        plain = not any(_TAG.fullmatch(name) for name in names)
        for name in names:
            if name in (OUTSIDE, "o", "0", "NEGATIVE"):
                tags.append(("O", ""))
            elif plain:
                tags.append(("I", name))
            elif match := _TAG.fullmatch(name):
                tags.append((_KINDS.get(match[1], match[1]), match[2]))
            else:
                tags.append(("O", ""))  # [CLS], X and other tags that mark no mention
        if not any(kind == "O" for kind, _ in tags) or all(kind == "O" for kind, _ in tags):
            raise ModelError("the model's labels are no tags of mentions", hint="a token classifier has labels such as O, B-DRUG, I-DRUG")
        return cls(tuple(tags))

    def __len__(self) -> int:
        return len(self.tags)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of their first tags."""
        return tuple(dict.fromkeys(label for kind, label in self.tags if kind != "O"))

    @cached_property
    def scheme(self) -> str:
        """``IO``, ``BIO`` or ``BIOES``."""
        kinds = {kind for kind, _ in self.tags}
        return "BIOES" if kinds & {"E", "S"} else "BIO" if "B" in kinds else "IO"

    @cached_property
    def _index(self) -> dict[tuple[str, str], int]:
        return {tag: index for index, tag in reversed(list(enumerate(self.tags)))}

    @cached_property
    def outside(self) -> int:
        """The index of O."""
        return self._index["O", ""]

    def mention(self, label: str, length: int) -> list[int]:
        """The tags of a mention of so many units. Raises KeyError for a label that is not there."""
        if self.scheme == "IO":
            kinds = "I" * length
        elif self.scheme == "BIO":
            kinds = "B" + "I" * (length - 1)
        else:
            kinds = "S" if length == 1 and ("S", label) in self._index else "B" + "I" * (length - 2) + "E" * (length > 1)
        return [self._index.get((kind, label), self._index.get(("I", label), -1)) for kind in kinds]

    @cached_property
    def transitions(self) -> NDArray[np.float32]:
        """[tags + 1, tags + 1] scores: 0 where a tag (row) may be followed by another (column), NEVER where not; last is the edge."""
        size = len(self.tags)
        scores = np.zeros((size + 1, size + 1), np.float32)
        edge = ("O", "")
        for i, before in enumerate([*self.tags, edge]):
            for j, after in enumerate([*self.tags, edge]):
                if not self._admits(before, after):
                    scores[i, j] = NEVER
        return scores

    def _admits(self, before: tuple[str, str], after: tuple[str, str]) -> bool:
        (kind, label), (next_kind, next_label) = before, after
        if self.scheme == "IO":
            return True
        inside = next_kind in ("I", "E")
        if self.scheme == "BIO":
            return not inside or (kind in ("B", "I") and label == next_label)
        opened = kind in ("B", "I")
        return inside and label == next_label if opened else not inside

    @cached_property
    def continues(self) -> NDArray[np.bool_]:
        """[tags, tags] True where the second tag goes on with the first one's mention."""
        size = len(self.tags)
        found = np.zeros((size, size), bool)
        for i, (kind, label) in enumerate(self.tags):
            for j, (next_kind, next_label) in enumerate(self.tags):
                if kind == "O" or label != next_label:
                    continue
                found[i, j] = next_kind in ("I", "E") and (self.scheme == "IO" or kind in ("B", "I"))
        return found
