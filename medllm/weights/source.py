"""What a source of model files offers."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

Progress = Callable[[str, int, int], None]
"""Called with what is going on (``model hub``, ``checking`` …), the bytes done and the bytes in all."""

Report = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


class Source(Protocol):
    """A place that a model file can be fetched from."""

    @property
    def label(self) -> str:
        """Its name in messages."""
        ...

    @property
    def slug(self) -> str:
        """Its name in file names."""
        ...

    def fetch(self, part: Path, size: int, report: Report) -> None:
        """Write the whole file of ``size`` bytes to ``part``, going on from what an earlier call left there.

        Other files that it needs begin with the name of ``part``. The caller holds the lock of the model, checks the hash
        and cleans up. Raises ModelError where this source does not give the file, and OSError where the disk does not take it.
        """
        ...


def length(path: Path) -> int:
    """Size of a file in bytes, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
