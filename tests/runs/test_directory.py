"""A run directory survives whatever stops it."""

import asyncio
import json
import stat
from pathlib import Path

import pytest

from medllm.document import Note
from medllm.errors import EngineError, RunError
from medllm.formats.inputs import Unreadable
from medllm.pipeline import Extractor
from medllm.runs.directory import RunDirectory, read_run
from medllm.runs.ledger import REASONS
from medllm.runs.run import RunResult, configuration, run
from medllm.schema import Schema
from tests.scripted import Reader, Scripted

SCHEMA = Schema.load("clinical")
READER = Reader(SCHEMA, {"fever": "problem", "aspirin": "drug"}, near={"81 mg": "strength"})
NOTES = [Note(id=f"n{i}", text=f"Patient {i} has fever.\nTakes aspirin 81 mg.\n") for i in range(6)]
FILES = ("extractions.jsonl", "ledger.jsonl", "usage.jsonl")


def do_run(out: Path, items, *, answer=READER, fresh: bool = False) -> RunResult:
    extractor = Extractor(SCHEMA, engine=Scripted(answer))
    directory = RunDirectory(out, extractor.schema, configuration(extractor), fresh=fresh)
    try:
        return asyncio.run(run(extractor, items, directory))
    finally:
        directory.close()
        extractor.close()


def lines(path: Path) -> list[str]:
    return sorted(path.read_text().splitlines())


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    do_run(tmp_path / "whole", NOTES)
    return tmp_path / "whole"


def test_a_whole_run(whole: Path) -> None:
    found = read_run(whole)
    assert sorted(x.note.id for x in found.extractions) == [n.id for n in NOTES]
    assert all({e.label for e in x.entities} == {"problem", "drug", "strength"} for x in found.extractions)
    assert found.manifest["state"] == "finished"
    assert found.manifest["notes"] == len(NOTES)
    assert found.ledger == []


def test_only_the_owner_may_read(whole: Path) -> None:
    assert stat.S_IMODE(whole.stat().st_mode) == 0o700
    for name in (*FILES, "run.json", "schema.json"):
        assert stat.S_IMODE((whole / name).stat().st_mode) == 0o600, name


@pytest.mark.parametrize("stopped_after", [0, 1, 3, 5])
@pytest.mark.parametrize("torn", FILES)
def test_a_stopped_run_goes_on(tmp_path: Path, whole: Path, stopped_after: int, torn: str) -> None:
    out = tmp_path / "out"
    do_run(out, NOTES[:stopped_after])
    with (out / torn).open("a") as file:
        file.write('{"note_id": "n5", "sha256": "')
    result = do_run(out, NOTES)
    assert result.progress.skipped == stopped_after
    assert result.progress.notes == len(NOTES) - stopped_after
    for name in FILES:
        assert lines(out / name) == lines(whole / name), name


def test_a_usage_line_without_its_note_is_dropped(tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "out"
    do_run(out, NOTES[:2])
    with (out / "usage.jsonl").open("a") as file:
        file.write(json.dumps({"note_id": "n4", "task": "entities"}) + "\n")
    do_run(out, NOTES)
    assert lines(out / "usage.jsonl") == lines(whole / "usage.jsonl")


def test_a_changed_note_is_read_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    do_run(out, NOTES)
    changed = [Note(id="n0", text="No more fever.\n"), *NOTES[1:]]
    assert do_run(out, changed).progress.notes == 1
    found = {x.note.id: x for x in read_run(out).extractions}
    assert len(found) == len(NOTES)
    assert [e.text for e in found["n0"].entities] == ["fever"]


def test_what_failed_is_read_again_next_time(tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "out"
    down = do_run(out, NOTES, answer=lambda request: EngineError("down"))
    assert down.exit_code == 3
    assert {entry["reason"] for entry in read_run(out).ledger} == {"engine-error"}
    again = do_run(out, NOTES)
    assert again.exit_code == 0
    assert lines(out / "extractions.jsonl") == lines(whole / "extractions.jsonl")


def test_unreadable_inputs_stand_in_the_ledger_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    bad = Unreadable("bad", "bad.txt", "encoding", "byte 3 is not UTF-8")
    for _ in range(2):
        assert do_run(out, [bad, *NOTES]).exit_code == 3
    assert [(e["note_id"], e["reason"]) for e in read_run(out).ledger] == [("bad", "encoding")]
    assert "encoding" in REASONS


def test_another_configuration_is_refused(tmp_path: Path, whole: Path) -> None:
    extractor = Extractor(SCHEMA, engine=Scripted(READER), chunk_tokens=7)
    with pytest.raises(RunError, match="chunk_tokens") as caught:
        RunDirectory(whole, extractor.schema, configuration(extractor))
    assert "--fresh" in caught.value.hint
    RunDirectory(whole, extractor.schema, configuration(extractor), fresh=True).close()
    assert (whole / "extractions.jsonl").read_text() == ""


def test_two_runs_into_one_folder(tmp_path: Path) -> None:
    extractor = Extractor(SCHEMA, engine=Scripted(READER))
    first = RunDirectory(tmp_path / "out", extractor.schema, configuration(extractor))
    with pytest.raises(RunError, match="another run"):
        RunDirectory(tmp_path / "out", extractor.schema, configuration(extractor))
    first.close()
    RunDirectory(tmp_path / "out", extractor.schema, configuration(extractor)).close()


def test_what_is_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        read_run(tmp_path)
    assert caught.value.hint
