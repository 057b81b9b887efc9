"""What was seen among millions of notes, in a few bytes each: a map from names to 64-bit digests that are sorted arrays.

Two names of a million have the same digest with a probability of 3 in 100 million.
"""

from hashlib import blake2b

import numpy as np

_WAITING = 8192
"""Entries that wait in a dictionary until they are merged into the arrays."""


def digest(text: str) -> int:
    """64 bits of ``text``'s BLAKE2b, never 0."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()) or 1


class DigestMap:
    """Names -> values (64 bits, not 0), 16 bytes an entry.

    >>> seen = DigestMap()
    >>> seen.set("note/1", 5)
    >>> seen.get("note/1"), seen.get("note/2"), len(seen)
    (5, 0, 1)
    """

    def __init__(self) -> None:
        self._keys = np.empty(0, np.uint64)
        self._values = np.empty(0, np.uint64)
        self._waiting: dict[int, int] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def get(self, name: str) -> int:
        """The value of a name, 0 if it has none."""
        return self._get(digest(name))

    def set(self, name: str, value: int) -> None:
        """Give a name a value; 0 takes it away."""
        key = digest(name)
        self._length += bool(value) - bool(self._get(key))
        self._waiting[key] = value
        if len(self._waiting) >= _WAITING:
            self._merge()

    def _get(self, key: int) -> int:
        if (waiting := self._waiting.get(key)) is not None:
            return waiting
        place = int(np.searchsorted(self._keys, np.uint64(key)))
        return int(self._values[place]) if place < len(self._keys) and int(self._keys[place]) == key else 0

    def _merge(self) -> None:
        newer = [np.fromiter(part, np.uint64, len(self._waiting)) for part in (self._waiting.keys(), self._waiting.values())]
        keys, first = np.unique(np.concatenate([newer[0], self._keys]), return_index=True)  # the newer of two entries comes first
        self._values = np.concatenate([newer[1], self._values])[first]
        self._keys = keys
        self._waiting = {}
