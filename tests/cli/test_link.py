"""``medllm extract --link``: codes in what is written, and in the run's record what they came from."""

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

TEXT = "Has pyrexias."


def extract(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", "from medllm.cli import main; main()", "extract"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def test_codes_are_written_and_their_source_recorded(tmp_path: Path) -> None:
    recording, table, note, out = (str(tmp_path / name) for name in ("recording.jsonl", "own.csv", "a.txt", "out"))
    schema = Schema.load("clinical")
    with Extractor(schema, engine=Recorder(Scripted(Reader(schema, {"pyrexias": "problem"})), Path(recording))) as extractor:
        asyncio.run(extractor.read(Note(id="a", text=TEXT)))
    Path(note).write_text(TEXT, "utf-8")
    Path(table).write_text("system,id,name,synonyms\nX,1,Fever,pyrexia\n", "utf-8")
    done = extract(note, "-o", out, "--engine", "replay", "--model", recording, "--link", f"table:{table}", "--format", "brat")
    assert done.returncode == 0, done.stderr
    (found,) = map(json.loads, (Path(out) / "extractions.jsonl").read_text("utf-8").splitlines())
    (mention,) = found["entities"]
    assert mention["codes"] == ["X:1"]
    assert mention["votes"][-1] == {"reader": "linker", "model": "exact", "placed": "", "score": 1.0, "about": "code=X:1"}
    assert "Reference T1 X:1" in (Path(out) / "brat" / "a.ann").read_text("utf-8")
    record = json.loads((Path(out) / "run.json").read_text("utf-8"))
    assert list(record["configuration"]["link"]) == [f"table:{table}"]


def test_an_unknown_terminology_is_said_before_any_note_is_read(tmp_path: Path) -> None:
    done = extract("-", "-o", str(tmp_path / "out"), "--link", "icd9")
    assert (done.returncode, (tmp_path / "out").exists()) == (2, False)
    assert "there is no lexicon named 'icd9'" in done.stderr


@pytest.mark.parametrize("option", ["--link-encoder", "--link-choice"])
def test_steps_of_linking_need_a_terminology(tmp_path: Path, option: str) -> None:
    done = extract("-", "-o", str(tmp_path / "out"), "--readers", "llm", option, "llm")
    assert (done.returncode, (tmp_path / "out").exists()) == (2, False)
    assert "terminology" in done.stderr
    assert "--link NAME" in done.stderr
