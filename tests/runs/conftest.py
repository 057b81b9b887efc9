"""Notes in a folder, and runs over them with an engine whose answers are known."""

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from medllm.document import Note
from medllm.engines.base import Completion, Request
from medllm.formats.inputs import Unreadable, read_inputs
from medllm.pipeline import Extractor
from medllm.runs.directory import RunDirectory
from medllm.runs.run import RunResult, configuration, run
from medllm.schemas.clinical import schema
from tests.runs.chaos import FILES, content
from tests.runs.driver import cut_long_lines
from tests.scripted import Scripted

Answer = Callable[[Request], str | Completion | Exception]
__all__ = ["FILES", "content", "cut_long_lines", "folder", "go", "lines", "notes"]


def notes(count: int = 8) -> list[Note]:
    """Notes of a few lines, every third one with a line that is cut off."""
    lines = ["Takes aspirin 81 mg.\n", "主诉：头痛。\n", "Has no fever 💊.\n", "A rash.\n"]
    return [Note(id=f"ward/n{i}", text="".join(lines[: 2 + i % 3])) for i in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The notes as files, with an empty one and one that is not text."""
    for note in notes():
        file = tmp_path / "notes" / f"{note.id}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(note.text, encoding="utf-8")
    (tmp_path / "notes" / "empty.txt").write_text(" \n")
    (tmp_path / "notes" / "image.txt").write_bytes(b"\x89PNG\0\0\0")
    return tmp_path / "notes"


def go(
    inputs: Path | Iterable[Note | Unreadable],
    out: Path,
    answer: Answer = cut_long_lines,
    *,
    fresh: bool = False,
    formats: Iterable[str] = (),
    engine: Scripted | None = None,
) -> RunResult:
    """A run from its beginning to its end."""
    items = read_inputs([str(inputs)]) if isinstance(inputs, Path) else inputs
    with Extractor(schema, engine=engine or Scripted(answer)) as extractor:
        directory = RunDirectory(out, schema, configuration(extractor), fresh=fresh)
        try:
            return asyncio.run(run(extractor, items, directory, formats=list(formats)))
        finally:
            directory.close()


def lines(out: Path, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / name).read_text(encoding="utf-8").splitlines()]
