"""The command line as a user meets it: exit codes, messages, files. The engine is a recording."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from medllm.document import Note
from medllm.engines.replay import Recorder
from medllm.pipeline import Extractor
from medllm.schema import Schema
from tests.scripted import Reader, Scripted

SCHEMA = Schema.load("clinical")
MARKER = "zanzibar"  # stands in the notes, and must stand nowhere else
TEXTS = {"a": f"Patient {MARKER} has fever.\nTakes aspirin 81 mg.\n", "b": f"No {MARKER}. No fever.\n"}


def medllm(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", "from medllm.cli import main; main()", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "recording.jsonl"
    reader = Reader(SCHEMA, {"fever": "problem", "aspirin": "drug"}, near={"81 mg": "strength"})
    with Extractor(SCHEMA, engine=Recorder(Scripted(reader), path)) as extractor:
        for name, text in TEXTS.items():
            asyncio.run(extractor.read(Note(id=name, text=text)))
    return str(path)


def extract(notes: Path, recording: str, *options: str) -> subprocess.CompletedProcess[str]:
    return medllm("extract", str(notes), "--engine", "replay", "--model", recording, *options)


@pytest.mark.parametrize("verb", ["", "extract", "score", "convert", "view", "doctor", "models"])
def test_help(verb: str) -> None:
    done = medllm(*filter(None, [verb]), "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_a_folder_becomes_a_run_and_a_page(notes: Path, recording: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = extract(notes, recording, "-o", str(out), "--format", "brat,csv")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in (out / "extractions.jsonl").read_text().splitlines()]
    assert {x["note_id"]: x["text"] for x in found} == TEXTS
    assert all(x["text"][s:e] == m["text"] for x in found for m in x["entities"] for s, e in m["spans"])
    assert {m["label"] for x in found for m in x["entities"]} == {"problem", "drug", "strength"}
    assert (out / "brat" / "a.ann").read_text().startswith("T1\t")
    assert (out / "csv" / "mentions.csv").exists()
    assert medllm("view", str(out)).returncode == 0
    assert MARKER in (out / "view.html").read_text()
    again = extract(notes, recording, "-o", str(out))
    assert "2 done before" in again.stderr


def test_json_lines_on_stdout(notes: Path, recording: str) -> None:
    done = extract(notes, recording, "-o", "-")
    assert done.returncode == 0, done.stderr
    assert {json.loads(line)["note_id"] for line in done.stdout.splitlines()} == set(TEXTS)


def test_standard_input(recording: str, tmp_path: Path) -> None:
    done = medllm("extract", "-", "-o", "-", "--engine", "replay", "--model", recording, stdin=TEXTS["b"])
    assert json.loads(done.stdout)["entities"][0]["text"] == "fever"


def test_dry_run_shows_prompt_and_grammar(notes: Path, recording: str, tmp_path: Path) -> None:
    done = extract(notes, recording, "-o", str(tmp_path / "out"), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Lines:" in done.stdout
    assert "start:" in done.stdout
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_read_is_in_the_ledger(notes: Path, recording: str, tmp_path: Path) -> None:
    (notes / "empty.txt").write_text("")
    (notes / "binary.txt").write_bytes(b"\0\1\2" + MARKER.encode())
    (notes / "latin.txt").write_bytes("Fi\xe8vre".encode("latin-1"))
    done = extract(notes, recording, "-o", str(tmp_path / "out"))
    assert done.returncode == 3
    ledger = [json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text().splitlines()]
    assert {(e["note_id"], e["reason"]) for e in ledger} == {("empty", "empty"), ("binary", "binary"), ("latin", "encoding")}


def test_no_note_text_outside_the_extractions(notes: Path, recording: str, tmp_path: Path) -> None:
    (notes / "c.txt").write_text(f"Unrecorded {MARKER}, so that the engine fails.\n")
    (notes / "d.txt").write_bytes(b"\xff\xfe\xfa" + MARKER.encode())
    out = tmp_path / "out"
    done = extract(notes, recording, "-o", str(out))
    assert done.returncode == 1 or done.returncode == 3
    assert MARKER not in done.stderr + done.stdout
    for name in ("ledger.jsonl", "usage.jsonl", "run.json", "schema.json"):
        assert MARKER not in (out / name).read_text(), name


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["extract", "nowhere", "-o", "out"], 1, "nowhere"),
        (["extract", "NOTES", "-o", "out", "--schema", "nonesuch"], 1, "nonesuch"),
        (["extract", "NOTES", "-o", "out", "--schema", "nonesuch.py"], 1, "nonesuch.py"),
        (["extract", "NOTES", "-o", "out", "--engine", "nonesuch"], 2, "nonesuch"),
        (["extract", "NOTES", "-o", "out", "--engine", "replay"], 2, "recording"),
        (["extract", "NOTES", "-o", "out", "--engine", "replay", "--model", "nonesuch.jsonl"], 1, "nonesuch.jsonl"),
        (["extract", "NOTES", "-o", "out", "--model", "nonesuch"], 1, "nonesuch"),
        (["extract", "NOTES", "-o", "out", "--format", "nonesuch"], 1, "nonesuch"),
        (["extract", "NOTES", "-o", "out", "--layout", "nonesuch"], 2, "nonesuch"),
        (["extract", "NOTES", "-o", "out", "--labels", "nonesuch", "--engine", "replay", "--model", "RECORDING"], 1, "nonesuch"),
        (["extract", "NOTES", "-o", "out", "--prompts", "nonesuch", "--engine", "replay", "--model", "RECORDING"], 1, "nonesuch"),
        (["extract", "NOTES"], 2, "--out"),
        (["view", "NOTES"], 1, "run directory"),
        (["models", "verify", "nonesuch"], 1, "nonesuch"),
        (["score", "--gold", "nonesuch:x", "--pred", "brat:y"], 1, "nonesuch"),
        (["doctor", "--schema", "nonesuch"], 1, "nonesuch"),
        (["convert", "nonesuch:x", "brat:y"], 1, "nonesuch"),
        (["convert", "brat:nowhere", "csv:y"], 1, "nowhere"),
        (["convert", "brat", "csv:y"], 2, "FORMAT:PATH"),
    ],
)
def test_bad_input_is_one_clear_sentence(
    arguments: list[str], code: int, said: str, notes: Path, recording: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = medllm(*(str(notes) if a == "NOTES" else recording if a == "RECORDING" else a for a in arguments))
    assert done.returncode == code, done.stderr
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    if arguments[0] == "extract" and said != "--out":
        assert "hint: " in done.stderr


def test_a_users_own_schema(notes: Path, tmp_path: Path) -> None:
    pack = tmp_path / "mine.py"
    pack.write_text(
        "from medllm import Entity, Schema\n\n\nclass Place(Entity):\n    '''A place.'''\n\n\nschema = Schema('mine', entities=[Place])\n"
    )
    recording = tmp_path / "mine.jsonl"
    schema = Schema.load(pack)
    with Extractor(schema, engine=Recorder(Scripted(Reader(schema, {MARKER: "place"})), recording)) as extractor:
        for name, text in TEXTS.items():
            asyncio.run(extractor.read(Note(id=name, text=text)))
    done = extract(notes, str(recording), "-o", str(tmp_path / "out"), "--schema", str(pack))
    assert done.returncode == 0, done.stderr
    pack.unlink()  # whatever reads the run later needs no code
    assert medllm("view", str(tmp_path / "out")).returncode == 0
