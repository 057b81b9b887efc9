"""Runs: stopped and taken up again without losing or doubling anything, and everything accounted for."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import get_args

import pytest

from medllm.document import Note
from medllm.engines.base import Request
from medllm.errors import EngineError, RunError
from medllm.formats.decoding import Reason
from medllm.formats.inputs import Unreadable
from medllm.pipeline import Extractor
from medllm.reading import UNREAD
from medllm.runs.directory import RunDirectory, read_run
from medllm.runs.ledger import REASONS, WORTH_ANOTHER_TRY
from medllm.runs.run import configuration, first_notes, run
from medllm.schemas.clinical import schema
from tests.runs import driver
from tests.runs.chaos import ERRORS, Disturber
from tests.runs.conftest import FILES, content, cut_long_lines, go, lines, notes
from tests.runs.driver import READER
from tests.scripted import Scripted

DRIVER = str(Path(driver.__file__))


# --- a run from beginning to end ---


def test_a_run_keeps_everything(folder: Path, tmp_path: Path) -> None:
    result = go(folder, tmp_path / "out")
    out = read_run(tmp_path / "out")
    assert {x.note.id: x.note.text for x in out.extractions} == {n.id: n.text for n in notes()}
    assert out.schema.digest == schema.digest
    assert (result.progress.notes, result.progress.skipped, result.exit_code) == (8, 0, 3)
    assert result.progress.mentions == sum(len(x.entities) for x in out.extractions) > 8
    reasons = Counter((e["reader"], e["reason"]) for e in out.ledger)
    assert reasons == {("llm", "output-limit"): 2, ("input", "empty"): 1, ("input", "binary"): 1}
    assert result.ledger == len(out.ledger)
    for extraction in out.extractions:
        mine = [e for e in out.ledger if e["note_id"] == extraction.note.id]
        assert [(e["start"], e["end"]) for e in mine] == [(e.start, e.end) for e in extraction.ledger]


def test_everything_read_is_exit_code_0(tmp_path: Path) -> None:
    assert go(notes(), tmp_path / "out", READER).exit_code == 0
    assert (tmp_path / "out" / "ledger.jsonl").read_bytes() == b""


def test_the_manifest_says_how_and_what(folder: Path, tmp_path: Path) -> None:
    result = go(folder, tmp_path / "out")
    manifest = read_run(tmp_path / "out").manifest
    assert manifest["configuration"] == {
        **manifest["configuration"],
        "schema": {"name": "clinical", "digest": schema.digest},
        "engine": "scripted",
        "model": "scripted-1",
        "model_sha256": "0" * 64,
        "layout": "lines",
        "language": "auto",
        "relations": True,
        "chunk_tokens": 64,
        "context_tokens": 4096,
    }
    assert manifest["state"] == "finished"
    assert manifest["notes"] == 8
    assert manifest["this_run"] == {"notes": 8, "already_done": 0, "mentions": result.progress.mentions, "ledger": 4}
    usage = lines(tmp_path / "out", "usage.jsonl")
    for name in ("prompt_tokens", "completion_tokens"):
        assert manifest["usage"][name] == sum(u[name] for u in usage) > 0  # type: ignore[misc]
    assert set(manifest["versions"]) >= {"pydantic", "outlines", "xllamacpp"}
    assert not {"key", "token", "secret", "password"} & set(json.dumps(manifest).lower().replace("_", " ").replace('"', " ").split())


def test_every_request_is_told_once(tmp_path: Path) -> None:
    engine = Scripted(cut_long_lines)
    go(notes(), tmp_path / "out", engine=engine)
    usage = lines(tmp_path / "out", "usage.jsonl")
    assert len(usage) == len(engine.calls)
    assert set(usage[0]) == {
        *("note_id", "sha256", "task", "start", "end", "finish_reason"),
        *("prompt_tokens", "cached_tokens", "completion_tokens", "seconds"),
    }


def test_all_files_are_their_owner_s_alone(folder: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        go(folder, tmp_path / "new" / "out", formats=["brat", "csv"])
    finally:
        os.umask(before)
    made = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert {stat.S_IMODE(p.stat().st_mode) for p in made if p.is_dir()} == {0o700}
    assert {stat.S_IMODE(p.stat().st_mode) for p in made if p.is_file()} == {0o600}
    assert len([p for p in made if p.is_file()]) > 8 + len(FILES)


def test_other_formats_hold_the_notes_of_earlier_runs_too(tmp_path: Path) -> None:
    go(notes(3), tmp_path / "out")
    go(notes(6), tmp_path / "out", formats=["brat", "jsonl", "csv"])
    assert len(list((tmp_path / "out" / "brat").rglob("*.ann"))) == 6
    assert (tmp_path / "out" / "csv" / "mentions.csv").read_text(encoding="utf-8").count("aspirin") == 6


def test_a_limit_counts_notes_and_not_what_is_none() -> None:
    items = [Unreadable("a", "a.txt", "empty", ""), *notes(2), Unreadable("b", "b.txt", "empty", ""), *notes(4)[2:]]
    assert list(first_notes(items, 3)) == items[:5]
    assert list(first_notes(items, 99)) == items


# --- taken up again ---


def test_a_run_that_is_repeated_changes_nothing(folder: Path, tmp_path: Path) -> None:
    go(folder, tmp_path / "out")
    before = content(tmp_path / "out")
    engine = Scripted(cut_long_lines)
    result = go(folder, tmp_path / "out", engine=engine)
    assert content(tmp_path / "out") == before
    assert (result.progress.notes, result.progress.skipped, len(engine.calls)) == (0, 8, 0)
    assert result.exit_code == 3, "the ledger of before counts"


def test_runs_over_parts_come_to_the_same_as_one(tmp_path: Path) -> None:
    go(notes(), tmp_path / "whole")
    for part in (notes()[:3], notes()[2:5], notes()):
        go(part, tmp_path / "parts")
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("bytes_left", [1, 40, -2, -9])
def test_a_torn_last_line_is_dropped_and_its_note_read_again(tmp_path: Path, what: str, bytes_left: int) -> None:
    go(notes(), tmp_path / "whole")
    go(notes(), tmp_path / "torn")
    order = [str(x["note_id"]) for x in lines(tmp_path / "torn", "extractions.jsonl")]
    last = next(name for name in reversed(order) if name in {e["note_id"] for e in lines(tmp_path / "torn", "ledger.jsonl")})
    for name in FILES:  # as a kill leaves them: usage first, then the ledger, then the extraction
        mine, others = [], []
        for line in (tmp_path / "torn" / name).read_bytes().splitlines(keepends=True):
            (mine if json.loads(line)["note_id"] == last else others).append(line)
        if FILES.index(name) >= FILES.index(what):
            mine[-1:] = [mine[-1][:bytes_left]] if name == what else mine[-1:]
            others += mine
        (tmp_path / "torn" / name).write_bytes(b"".join(others))
    result = go(notes(), tmp_path / "torn")
    assert content(tmp_path / "torn") == content(tmp_path / "whole")
    assert result.progress.notes == 1


def test_a_line_that_is_torn_within_a_character_is_dropped(tmp_path: Path) -> None:
    go(notes(), tmp_path / "whole")
    go(notes(), tmp_path / "torn")
    file = tmp_path / "torn" / "extractions.jsonl"
    data = file.read_bytes()
    file.write_bytes(data[: data.rindex("痛".encode()) + 1])
    with pytest.raises(UnicodeDecodeError):
        file.read_text(encoding="utf-8")
    assert len(read_run(tmp_path / "torn").extractions) == 7, "it can be looked at as it is"
    go(notes(), tmp_path / "torn")
    assert content(tmp_path / "torn") == content(tmp_path / "whole")


def start(folder: Path, out: Path, *more: object) -> "subprocess.Popen[str]":
    command = [sys.executable, DRIVER, str(folder), str(out), *map(str, more)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_a_run_that_is_killed_again_and_again_comes_to_the_same(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = out / "extractions.jsonl"
    go(folder, tmp_path / "whole")
    for wanted in (1, 3, 6):
        process = start(folder, out, 0.02)
        end = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end and (not done.exists() or done.read_bytes().count(b"\n") < wanted):
            time.sleep(0.005)
        assert process.poll() is None, "it was to be killed in the middle"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert wanted <= len(read_run(out).extractions) < 8
        assert read_run(out).manifest["state"] == "running"
    process = start(folder, out)
    assert process.communicate()[1] == ""
    assert process.returncode == 3
    assert content(out) == content(tmp_path / "whole")
    assert [e["reason"] for e in lines(out, "ledger.jsonl")].count("empty") == 1


def test_a_full_disk_is_one_sentence_and_what_was_done_is_kept(folder: Path, tmp_path: Path) -> None:
    process = start(folder, tmp_path / "out", 0, 9000)
    said = process.communicate()[1]
    assert process.returncode == 1
    assert said.startswith(f"RunError: cannot write to {tmp_path / 'out'}: ")
    assert said.count("\n") == 1
    assert 0 < len(read_run(tmp_path / "out").extractions) < 8
    go(folder, tmp_path / "out")
    go(folder, tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_runs_disturbed_at_random_come_to_the_same(folder: Path, tmp_path: Path) -> None:
    disturber = Disturber(folder, tmp_path / "whole", Random(11), delay=0.01)
    number = 0
    while disturber.counts.total() < 12:
        disturber.chain(tmp_path / f"{(number := number + 1)}")
    assert "Traceback" not in (tmp_path / ERRORS).read_text()


def test_a_run_that_fails_says_so_and_keeps_what_was_done(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def source() -> object:
        yield from notes()[:5]
        raise Stop

    with pytest.raises(Stop):
        go(source(), tmp_path / "out")  # type: ignore[arg-type]
    assert read_run(tmp_path / "out").manifest["state"] == "stopped: Stop"
    go(notes(), tmp_path / "out")
    go(notes(), tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


async def test_a_run_that_is_cancelled_is_interrupted(tmp_path: Path) -> None:
    engine = Scripted(READER, delay=0.01)
    extractor = Extractor(schema, engine=engine)
    directory = RunDirectory(tmp_path / "out", schema, configuration(extractor))
    task = asyncio.create_task(run(extractor, notes(), directory))
    while directory.notes_done < 2:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    directory.close()
    extractor.close()
    assert engine.running == 0
    manifest = read_run(tmp_path / "out").manifest
    assert (manifest["state"], manifest["notes"]) == ("interrupted", directory.notes_done)


# --- what is read again ---


def test_a_text_that_has_changed_is_read_again(folder: Path, tmp_path: Path) -> None:
    go(folder, tmp_path / "out")
    changed = folder / "ward" / "n2.txt"  # it has an entry in the ledger
    changed.write_text("Now a fever.\n", encoding="utf-8")
    (folder / "late.txt").write_text("", encoding="utf-8")
    result = go(folder, tmp_path / "out")
    assert (result.progress.notes, result.progress.skipped) == (1, 7)
    go(folder, tmp_path / "anew")
    assert content(tmp_path / "out") == content(tmp_path / "anew")
    assert {e["note_id"] for e in lines(tmp_path / "out", "ledger.jsonl")} == {"ward/n5", "empty", "image", "late"}


def test_a_text_that_has_changed_is_kept_until_it_is_read_again(tmp_path: Path) -> None:
    go(notes(), tmp_path / "out")
    changed = [Note(id=n.id, text=n.text.upper()) for n in notes()]

    def stop(request: Request) -> str:
        raise KeyError

    with pytest.raises(KeyError):
        go(changed, tmp_path / "out", stop)
    assert {x.note.text for x in read_run(tmp_path / "out").extractions} == {n.text for n in notes()}


def test_a_run_killed_while_reading_changed_texts_leaves_each_note_once(folder: Path, tmp_path: Path) -> None:
    go(folder, tmp_path / "out", READER)
    with Extractor(schema, engine=Scripted(READER)) as extractor:
        directory = RunDirectory(tmp_path / "out", schema, configuration(extractor))
        directory.write(asyncio.run(extractor.read(Note(id="ward/n1", text="Now a fever."))))
        directory.close()  # without finish: as if killed here
    texts = [x.note.text for x in read_run(tmp_path / "out").extractions if x.note.id == "ward/n1"]
    assert texts == ["Now a fever."]
    (folder / "ward" / "n1.txt").write_text("Now a fever.", encoding="utf-8")
    assert go(folder, tmp_path / "out", READER).progress.notes == 0
    go(folder, tmp_path / "anew", READER)
    assert content(tmp_path / "out") == content(tmp_path / "anew")


def test_what_the_engine_failed_at_is_read_again(tmp_path: Path) -> None:
    def fails(request: Request) -> object:
        return EngineError("out of memory") if "头痛" in request.messages[-1].content else cut_long_lines(request)

    result = go(notes(), tmp_path / "out", fails)  # type: ignore[arg-type]
    assert result.exit_code == 3
    assert "engine-error" in {e["reason"] for e in lines(tmp_path / "out", "ledger.jsonl")}
    engine = Scripted(cut_long_lines)
    again = go(notes(), tmp_path / "out", engine=engine)
    assert again.progress.notes == 8
    go(notes(), tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_what_would_come_to_the_same_is_not_read_again(tmp_path: Path) -> None:
    go(notes(), tmp_path / "out")
    engine = Scripted(READER)
    assert go(notes(), tmp_path / "out", engine=engine).exit_code == 3
    assert not engine.calls


def test_inputs_that_have_been_put_right_leave_the_ledger(folder: Path, tmp_path: Path) -> None:
    go(folder, tmp_path / "out", READER)
    (folder / "empty.txt").write_text("A fever.")
    (folder / "image.txt").unlink()
    assert go(folder, tmp_path / "out", READER).exit_code == 0
    assert lines(tmp_path / "out", "ledger.jsonl") == []


def test_an_id_that_comes_twice_is_told_once_however_often_it_is_run(tmp_path: Path) -> None:
    twice = [*notes(2), Unreadable("ward/n0", "b.jsonl", "duplicate-id", "an earlier note has the same id")]
    for _ in range(3):
        assert go(twice, tmp_path / "out", READER).exit_code == 3
        assert [e["reason"] for e in lines(tmp_path / "out", "ledger.jsonl")] == ["duplicate-id"]


# --- folders that cannot be used ---


def test_another_configuration_is_refused_with_a_hint(tmp_path: Path) -> None:
    go(notes(2), tmp_path / "out")
    before = content(tmp_path / "out")
    other = Scripted(READER, context_tokens=2048)
    other.model = "scripted-2"
    with pytest.raises(RunError, match=r"was written with another context_tokens, model$") as caught:
        go(notes(2), tmp_path / "out", engine=other)
    assert "--fresh" in caught.value.hint
    assert content(tmp_path / "out") == before
    assert read_run(tmp_path / "out").manifest["configuration"]["model"] == "scripted-1"


def test_fresh_begins_anew(tmp_path: Path) -> None:
    go(notes(4), tmp_path / "out")
    other = Scripted(READER)
    other.model = "scripted-2"
    assert go(notes(2), tmp_path / "out", engine=other, fresh=True).progress.notes == 2
    run_ = read_run(tmp_path / "out")
    assert sorted(x.note.id for x in run_.extractions) == ["ward/n0", "ward/n1"]  # notes are done in any order
    assert run_.manifest["configuration"]["model"] == "scripted-2"


def test_two_runs_into_one_folder_are_refused(tmp_path: Path) -> None:
    with Extractor(schema, engine=Scripted(READER)) as extractor:
        first = RunDirectory(tmp_path / "out", schema, configuration(extractor))
        with pytest.raises(RunError, match="another run is writing") as caught:
            go(notes(2), tmp_path / "out", fresh=True)
        assert caught.value.hint
        first.close()
    assert go(notes(2), tmp_path / "out").progress.notes == 2


@pytest.mark.parametrize("manifest", ["", "{", "[]", '{"configuration": 3}', '{"configuration": null}'])
def test_a_manifest_that_is_broken_is_refused(tmp_path: Path, manifest: str) -> None:
    go(notes(2), tmp_path / "out")
    (tmp_path / "out" / "run.json").write_text(manifest)
    with pytest.raises(RunError, match=r"run\.json is not readable") as caught:
        go(notes(2), tmp_path / "out")
    assert "--fresh" in caught.value.hint


def test_extractions_of_an_unknown_run_are_refused(tmp_path: Path) -> None:
    go(notes(2), tmp_path / "out")
    (tmp_path / "out" / "run.json").unlink()
    with pytest.raises(RunError, match="unknown run"):
        go(notes(2), tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for out in (file, file / "out", Path("/proc/medllm-out")):
        with pytest.raises(RunError, match="cannot write to") as caught:
            go(notes(2), out)
        assert caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_one_clear_error(tmp_path: Path) -> None:
    go(notes(2), tmp_path / "out")
    (tmp_path / "out").chmod(0o500)
    try:
        with pytest.raises(RunError, match="cannot write to"):
            go(notes(3), tmp_path / "out")
    finally:
        (tmp_path / "out").chmod(0o700)


def test_what_is_no_run_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run directory") as caught:
        read_run(tmp_path)
    assert caught.value.hint


def test_every_reason_is_explained() -> None:
    assert set(get_args(Reason)) | UNREAD | WORTH_ANOTHER_TRY | {"layout-bound", "unplaced"} == set(REASONS)
    assert all(REASONS.values())
