"""The accounting of a whole run directory: what is in its files adds up, or the run says so."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from medllm.document import Note
from medllm.pipeline import Extractor
from medllm.reading import Reading
from medllm.runs.directory import RunDirectory, read_run
from medllm.runs.run import configuration, run
from medllm.schemas.clinical import schema
from tests.runs.conftest import content, cut_long_lines, go, lines, notes
from tests.scripted import Scripted


def change(file: Path, number: int, how: Callable[[dict[str, Any]], object]) -> None:
    """Change one line of a file."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    how(rows[number])
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def test_characters_of_all_runs_in_a_folder_add_up(folder: Path, tmp_path: Path) -> None:
    go(notes(3), tmp_path / "out")
    assert go(folder, tmp_path / "out").accounted_for
    found = read_run(tmp_path / "out").manifest["accounting"]
    total = sum(len(note.text) for note in notes())
    rash = sum(len("A rash.\n") for note in notes() if "rash" in note.text)
    assert found == {
        "notes": 8,
        "characters": total,
        "ledger": 4,
        "unaccounted": 0,
        "read": {"llm": total - rash},
        "unread": {"llm": rash},
    }


@pytest.mark.parametrize(
    "how",
    [
        lambda row: row["read"].update(llm=row["read"]["llm"] - 1),
        lambda row: row["read"].update(tagger=3),
        lambda row: row["read"].clear(),
    ],
    ids=["too few", "another reader", "nobody"],
)
def test_a_note_of_an_earlier_run_that_does_not_add_up_is_exit_code_4(tmp_path: Path, how: Callable[[dict[str, Any]], object]) -> None:
    go(notes(), tmp_path / "out")
    change(tmp_path / "out" / "extractions.jsonl", 2, how)
    result = go(notes(), tmp_path / "out")
    assert (result.exit_code, result.unaccounted, result.progress.notes) == (4, 1, 0)
    assert read_run(tmp_path / "out").manifest["accounting"]["unaccounted"] == 1


def test_a_note_that_is_lost_on_its_way_is_exit_code_4(tmp_path: Path) -> None:
    class Losing(Extractor):
        async def stream(self, notes: Iterable[Note], *, in_flight: int | None = None) -> AsyncGenerator[Reading, None]:
            async for reading in super().stream(notes, in_flight=in_flight):
                if reading.extraction.note.id != "ward/n3":
                    yield reading

    with Losing(schema, engine=Scripted(cut_long_lines)) as extractor:
        directory = RunDirectory(tmp_path / "out", schema, configuration(extractor))
        result = asyncio.run(run(extractor, notes(), directory))
        directory.close()
    assert (result.exit_code, result.unaccounted) == (4, 1)


@pytest.mark.parametrize("name", ["ledger.jsonl", "usage.jsonl"])
def test_a_file_that_has_lost_a_line_is_made_whole(tmp_path: Path, name: str) -> None:
    go(notes(), tmp_path / "out")
    before = content(tmp_path / "out")
    file = tmp_path / "out" / name
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    assert go(notes(), tmp_path / "out").progress.notes == 1
    assert content(tmp_path / "out") == before
    assert len(lines(tmp_path / "out", "extractions.jsonl")) == 8
