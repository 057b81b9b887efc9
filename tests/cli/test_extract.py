"""``medllm extract`` as it is typed: what it prints, what it leaves behind, and its exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medllm.formats import jsonl
from medllm.runs.directory import read_run
from medllm.runs.ledger import REASONS
from medllm.schemas.clinical import schema
from tests.cli.conftest import TEXTS, Command, Done, record

COMMAND = [sys.executable, "-c", "from medllm.cli import main; main()"]

PACK = """
from medllm import Entity, Schema

class Fever(Entity):
    '''A fever.'''

schema = Schema("mine", [Fever])
"""


def failed(done: Done, code: int, said: str) -> None:
    """It ended with this code, one sentence and a hint on stderr, and nothing on stdout."""
    assert done.code == code, done.err
    assert said in done.err
    assert done.err.startswith("error: ")
    assert done.err.splitlines()[1].startswith("hint: ")
    assert "Traceback" not in done.err
    assert done.out == ""


def ledger(out: Path) -> dict[str, str]:
    entries = [json.loads(line) for line in (out / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {e["reason"] for e in entries} <= set(REASONS)
    return {e["note_id"]: e["reason"] for e in entries}


# --- what a run leaves behind ---


def test_a_folder_of_notes_becomes_a_run(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    done = medllm("extract", folder, "-o", tmp_path / "out", *replay)
    assert (done.code, done.out) == (0, "")
    assert "3 notes, 7 mentions" in done.err
    assert f"medllm view {tmp_path / 'out'}" in done.err
    run = read_run(tmp_path / "out")
    assert {x.note.id: x.note.text for x in run.extractions} == TEXTS
    assert run.manifest["state"] == "finished"
    assert run.ledger == []


def test_the_same_command_again_reads_nothing_and_fresh_reads_all(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    command = ("extract", folder, "-o", tmp_path / "out", *replay)
    medllm(*command)
    again = medllm(*command)
    assert (again.code, "0 notes, 3 done before" in again.err) == (0, True)
    fresh = medllm(*command, "--fresh")
    assert (fresh.code, "3 notes, 7 mentions" in fresh.err) == (0, True)


def test_another_configuration_is_refused(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    medllm("extract", folder, "-o", tmp_path / "out", *replay)
    failed(medllm("extract", folder, "-o", tmp_path / "out", *replay, "--no-relations"), 1, "another relations")


def test_formats_beside_json_lines(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    assert medllm("extract", folder, "-o", tmp_path / "out", *replay, "--format", "brat, csv").code == 0
    assert (tmp_path / "out" / "brat" / "ward-a" / "n1.txt").read_text() == TEXTS["ward-a/n1"]
    assert "strength" in (tmp_path / "out" / "brat" / "ward-a" / "n1.ann").read_text()
    assert (tmp_path / "out" / "csv" / "mentions.csv").read_text(encoding="utf-8").count("\n") == 8


def test_a_limit_reads_the_first_notes(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    (folder / "a-empty.txt").write_text("")
    for _ in range(2):
        assert medllm("extract", folder, "-o", tmp_path / "out", *replay, "--limit", 2).code == 3
        assert [x.note.id for x in read_run(tmp_path / "out").extractions] == ["ward-a/n1", "ward-a/n2"]
    assert ledger(tmp_path / "out") == {"a-empty": "empty"}


def test_labels_may_have_blanks_between_them(medllm: Command, tmp_path: Path, recording: Path) -> None:
    (tmp_path / "n.txt").write_text("fever\n")
    done = medllm(
        "extract", tmp_path / "n.txt", "--dry-run", "-o", "x", "--labels", "drug, strength", "--engine", "replay", "--model", recording
    )
    assert "strength" not in done.err
    assert "there is no" not in done.err
    assert "does not hold" in done.err, "the prompt is another one, which was not recorded"


def test_standard_input_is_a_note(medllm: Command, replay: list[str], tmp_path: Path) -> None:
    done = medllm("extract", "-", "-o", tmp_path / "out", *replay, stdin=TEXTS["ward-a/n2"].encode())
    assert done.code == 0
    (extraction,) = read_run(tmp_path / "out").extractions
    assert (extraction.note.id, [e.text for e in extraction.entities]) == ("stdin", ["头痛"])


def test_a_schema_of_one_s_own(medllm: Command, tmp_path: Path, recording: Path) -> None:
    (tmp_path / "mine.py").write_text(PACK)
    (tmp_path / "n.txt").write_text("fever\n")
    done = medllm("doctor", "--schema", tmp_path / "mine.py")
    assert "ok    schema mine: fever; 0 relations" in done.out
    done = medllm(
        "extract", tmp_path / "n.txt", "-o", tmp_path / "out", "--schema", tmp_path / "mine.py", "--engine", "replay", "--model", recording
    )
    assert done.code == 3, "its prompts were not recorded"
    assert ledger(tmp_path / "out") == {"n": "engine-error"}
    assert json.loads((tmp_path / "out" / "schema.json").read_text())["name"] == "mine"


def test_a_run_can_be_recorded_and_replayed(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    first = medllm("extract", folder, "-o", tmp_path / "first", *replay, "--record", copy)
    again = medllm("extract", folder, "-o", tmp_path / "again", "--engine", "replay", "--model", copy)
    assert (first.code, again.code) == (0, 0)
    assert sorted((tmp_path / "first" / "extractions.jsonl").read_bytes().splitlines()) == sorted(
        (tmp_path / "again" / "extractions.jsonl").read_bytes().splitlines()
    )


# --- standard output ---


def test_json_lines_on_standard_output(medllm: Command, folder: Path, replay: list[str]) -> None:
    done = medllm("extract", folder, "-o", "-", *replay)
    assert (done.code, done.err) == (0, "")
    extractions = [jsonl.load(line, schema) for line in done.out.splitlines()]
    assert {x.note.id: x.note.text for x in extractions} == TEXTS


def test_what_cannot_be_read_is_told_on_stderr(medllm: Command, folder: Path, replay: list[str]) -> None:
    (folder / "empty.txt").write_text(" \n")
    (folder / "new.txt").write_text("Something that was not recorded.")
    done = medllm("extract", folder, "-o", "-", *replay)
    assert done.code == 3
    assert len(done.out.splitlines()) == 4
    assert f"not read: {folder / 'empty.txt'}: empty: " in done.err
    assert '"reason":"engine-error"' in done.err


def test_standard_output_is_written_while_standard_input_is_read(tmp_path: Path) -> None:
    calls = record(tmp_path / "calls.jsonl", ["fever"], relations=False)
    command = [*COMMAND, "extract", "jsonl:-", "-o", "-", "--no-relations", "--engine", "replay", "--model", str(calls)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    first, rest = (["".join(json.dumps({"id": str(i), "text": "fever"}) + "\n" for i in part)] for part in (range(100), range(100, 130)))
    process.stdin.writelines(first)
    process.stdin.flush()
    seen = [process.stdout.readline()]
    out, _ = process.communicate("".join(rest))
    ids = [json.loads(line)["note_id"] for line in (seen[0] + out).splitlines()]
    assert sorted(ids, key=int) == [str(i) for i in range(130)]
    assert process.returncode == 0


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    calls = record(tmp_path / "calls.jsonl", ["fever"], relations=False)
    (tmp_path / "many.jsonl").write_text("".join(json.dumps({"id": str(i), "text": "fever"}) + "\n" for i in range(300)))
    command = [*COMMAND, "extract", str(tmp_path / "many.jsonl"), "-o", "-", "--no-relations", "--engine", "replay", "--model", str(calls)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
    process.stderr.close()


def test_a_dry_run_shows_the_prompt_and_decodes_nothing(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    done = medllm("extract", folder, "-o", tmp_path / "out", *replay, "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "--- system: " in done.out
    assert "He denies fever." in done.out
    assert "\nstart: " in done.out
    assert done.out.splitlines()[-1] == "--- 1 chunks of 14 tokens; model scripted-1, context 4096 tokens"
    assert not (tmp_path / "out").exists()


# --- what goes wrong ---


def test_inputs_of_every_bad_kind_go_to_the_ledger(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    (folder / "binary.txt").write_bytes(b"GIF89a\0\0\1")
    (folder / "blank.txt").write_text("\n \n")
    (folder / "latin.md").write_bytes("fièvre".encode("latin-1"))
    (folder / "long.txt").write_text("fever\n" * 200)
    (folder / "gone.txt").symlink_to("nowhere")
    (folder / "rows.jsonl").write_text('{"id": "r1", "text": "fever\\n"}\n{"id": "r2"\n{"id": "r3", "text": ""}\n{"id": "r4", "text": 3}\n')
    (folder / "table.csv").write_text('text,age\n"fever\n",40\n,50\n')
    done = medllm("extract", folder, "-o", tmp_path / "out", *replay, "--max-note-chars", 1000)
    assert done.code == 3
    assert "8 ledger entries" in done.err
    assert (
        ledger(tmp_path / "out")
        == {
            "binary": "binary",
            "blank": "empty",
            "latin": "encoding",
            "long": "too-large",
            "gone": "unreadable",
            "rows/row-2": "malformed-row",
            "r3": "empty",
            "r4": "no-text",
            "table/2": "no-text",
        }
        or len(ledger(tmp_path / "out")) == 9
    )
    assert {x.note.id for x in read_run(tmp_path / "out").extractions} == {*TEXTS, "r1", "table/1"}


def test_the_encoding_can_be_told(medllm: Command, replay: list[str], tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_bytes(TEXTS["ward-a/n2"].encode("gb18030"))
    assert medllm("extract", tmp_path / "n.txt", "-o", tmp_path / "out", *replay, "--encoding", "gb18030").code == 0
    assert read_run(tmp_path / "out").extractions[0].note.text == TEXTS["ward-a/n2"]


WRONG_USAGE = [
    ["--engine", "abacus"],
    ["--engine", "replay"],
    ["--layout", "columns"],
    ["--chunk-tokens", "0"],
    ["--limit", "0"],
    ["--nonsense"],
    ["-o", "-", "--format", "brat"],
]


@pytest.mark.parametrize("options", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_is_exit_code_2(medllm: Command, folder: Path, recording: Path, tmp_path: Path, options: list[str]) -> None:
    defaults = {"-o": str(tmp_path / "out"), "--engine": "replay", "--model": str(recording)}
    given = [x for name, value in defaults.items() if name not in options and "--engine" not in options for x in (name, value)]
    done = medllm("extract", folder, *(given or ["-o", tmp_path / "out"]), *options)
    assert done.code == 2
    assert done.out == ""
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_a_command_without_its_arguments_is_exit_code_2(medllm: Command, folder: Path) -> None:
    for arguments in (["extract"], ["extract", str(folder)], ["views"], ["view"], ["score"]):
        done = medllm(*arguments)
        assert done.code == 2
        assert done.err


ERRORS = [
    (["nowhere"], [], "there is no file or folder 'nowhere'"),
    (["no*where"], [], "nothing matches"),
    (["NOTES"], ["--schema", "clinicle"], "there is no schema 'clinicle'"),
    (["NOTES"], ["--schema", "broken.py"], "SyntaxError"),
    (["NOTES"], ["--schema", "missing.py"], "there is no schema file"),
    (["NOTES"], ["--labels", "drug,droog"], "no entity label 'droog'"),
    (["NOTES"], ["--format", "papyrus"], "there is no format 'papyrus'"),
    (["NOTES"], ["--encoding", "klingon"], "there is no text encoding 'klingon'"),
    (["NOTES"], ["--prompts", "nowhere"], "no template of any task"),
    (["NOTES"], ["--language", "tlh"], "no prompts in the language 'tlh'"),
    (["NOTES"], ["--engine", "embedded", "--model", "gpt-17"], "gpt-17"),
    (["NOTES"], ["--engine", "embedded", "--model", "missing.gguf"], "missing.gguf"),
    (["NOTES"], ["--engine", "embedded", "--model", "fake.gguf"], "is not a GGUF file"),
    (["NOTES"], ["--engine", "replay", "--model", "missing.jsonl"], "cannot be read"),
    (["NOTES"], ["--engine", "replay", "--model", "fake.gguf"], "is not a recording"),
    (["NOTES"], ["--record", "nowhere/calls.jsonl"], "cannot be written"),
    (["NOTES"], ["-o", "fake.gguf"], "cannot write to fake.gguf"),
    (["table.csv"], [], "no column"),
    (["NOTES/ward-a", "NOTES/ward-b"], [], "would share the note id 'n1'"),
]


@pytest.mark.parametrize(("inputs", "options", "said"), ERRORS, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_errors_are_one_sentence_with_a_hint(
    medllm: Command,
    folder: Path,
    replay: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    inputs: list[str],
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text("class (:")
    Path("fake.gguf").write_text("version https://git-lfs.github.com/spec/v1\n")
    Path("table.csv").write_text("age\n40\n")
    inputs = [name.replace("NOTES", str(folder)) for name in inputs]
    engine = [] if "--engine" in options else replay
    out = [] if "-o" in options else ["-o", "out"]
    failed(medllm("extract", *inputs, *out, *engine, *options), 1, said)
    assert not Path("out", "extractions.jsonl").exists()


def test_a_template_that_fails_stops_the_run_and_keeps_what_was_done(
    medllm: Command, folder: Path, replay: list[str], tmp_path: Path
) -> None:
    (tmp_path / "prompts/entities/en").mkdir(parents=True)
    (tmp_path / "prompts/entities/en/user.j2").write_text("\n{{ slots[0].line.view.secret }}")
    done = medllm("extract", folder, "-o", tmp_path / "out", *replay, "--prompts", tmp_path / "prompts")
    failed(done, 1, "the template entities/en/user.j2 line 2 fails: UndefinedError")
    assert read_run(tmp_path / "out").manifest["state"] == "stopped: PromptError"


def test_two_runs_into_one_folder(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"):
        failed(medllm("extract", folder, "-o", tmp_path / "out", *replay), 1, "another run is writing to")


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name != "posix", reason="no SIGINT here")
def test_an_interrupt_stops_at_once_and_the_same_command_goes_on(tmp_path: Path) -> None:
    calls = record(tmp_path / "calls.jsonl", ["fever"], relations=False)
    (tmp_path / "many.jsonl").write_text("".join(json.dumps({"id": str(i), "text": "fever"}) + "\n" for i in range(400)))
    out = tmp_path / "out"
    command = [*COMMAND, "extract", str(tmp_path / "many.jsonl"), "-o", str(out), "--no-relations"]
    command += ["--engine", "replay", "--model", str(calls)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    done = out / "extractions.jsonl"
    while process.poll() is None and time.monotonic() < end and (not done.exists() or not done.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted; the same command goes on where it stopped"
    assert "Traceback" not in said
    run = read_run(out)
    assert run.manifest["state"] == "interrupted"
    assert 0 < len(run.extractions) < 400
    again = subprocess.run([*command, "--limit", "100"], capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert f"{len(run.extractions)} done before" in again.stderr or len(run.extractions) > 100
