"""No note text leaves a run but in its extractions: not in logs, not on stderr, not in the ledger, whatever fails."""

import json
import logging
from pathlib import Path

import pytest

from medllm.document import Note
from medllm.engines.base import Completion, Request
from medllm.errors import EngineError
from medllm.runs.directory import read_run
from tests.cli.conftest import READER, Command, record
from tests.runs.conftest import go
from tests.scripted import Scripted

SECRET = "Zebediah"
TEXT = f"{SECRET} has a fever.\nA rash, says {SECRET}.\n"


def files_but_extractions(out: Path) -> str:
    return "".join(f.read_text(encoding="utf-8") for f in out.iterdir() if f.is_file() and f.name != "extractions.jsonl")


def test_a_run_with_every_kind_of_failure_tells_no_text(medllm: Command, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    calls = record(tmp_path / "calls.jsonl", [TEXT])
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "good.txt").write_text(TEXT)
    (folder / "unknown.txt").write_text(f"{SECRET} was never recorded.")
    (folder / "binary.txt").write_bytes(f"{SECRET}\0\0".encode())
    (folder / "latin.txt").write_bytes(f"{SECRET} fi\xe8vre".encode("latin-1"))
    (folder / "long.txt").write_text(f"{SECRET} " * 200)
    (folder / "rows.jsonl").write_text(
        json.dumps({"id": "r1", "text": [SECRET]})
        + "\n"
        + f'{{"id": "r2", "text": "{SECRET}\n'
        + f"{SECRET}\n"
        + json.dumps([SECRET])
        + "\n"
    )
    (folder / "table.csv").write_text(f'text,other\n"{SECRET}\n')
    command = ("extract", folder, "--engine", "replay", "--model", calls, "--max-note-chars", 1000)
    run = medllm(*command, "-o", tmp_path / "out")
    printed = medllm(*command, "-o", "-")
    assert (run.code, printed.code) == (3, 3)
    assert SECRET in (tmp_path / "out" / "extractions.jsonl").read_text()
    assert SECRET in printed.out
    reasons = {entry["reason"] for entry in read_run(tmp_path / "out").ledger}
    assert reasons >= {"engine-error", "binary", "encoding", "too-large", "malformed-row", "no-text"}
    for told in (run.out, run.err, printed.err, files_but_extractions(tmp_path / "out"), caplog.text, calls.read_text().splitlines()[0]):
        assert SECRET not in told
    assert not [record_ for record_ in caplog.records if SECRET in str(record_.__dict__)]


@pytest.mark.parametrize(
    "answer",
    [
        EngineError("the model is not there"),
        f"{SECRET} has a fever, I think.",
        f'1: problem "{SECRET}", problem "unheard of"',
        Completion(f'1: problem "{SECRET}", prob', "length"),
        "",
    ],
    ids=["error", "garbage", "unplaced", "cut off", "nothing"],
)
@pytest.mark.parametrize("constrained", [True, False])
def test_whatever_an_engine_answers(
    answer: str | Completion | Exception, constrained: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    engine = Scripted(lambda _: answer, constrained=constrained, strict=False)
    go([Note(id="n", text=TEXT)], tmp_path / "out", engine=engine)
    assert SECRET in (tmp_path / "out" / "extractions.jsonl").read_text()
    assert (tmp_path / "out" / "ledger.jsonl").stat().st_size
    assert SECRET not in files_but_extractions(tmp_path / "out") + caplog.text


@pytest.mark.parametrize(
    "wrong", ["{{ slots[0].line.view.nothing }}", "{{ slots[0].line.view | int // 0 }}", "{% include slots[0].line.view %}"]
)
def test_a_template_that_fails(medllm: Command, tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: str) -> None:
    caplog.set_level(logging.DEBUG)
    calls = record(tmp_path / "calls.jsonl", [TEXT])
    (tmp_path / "prompts/entities/en").mkdir(parents=True)
    (tmp_path / "prompts/entities/en/user.j2").write_text(wrong)
    (tmp_path / "n.txt").write_text(TEXT)
    command = ["extract", tmp_path / "n.txt", "--engine", "replay", "--model", calls, "--prompts", tmp_path / "prompts"]
    for more in (["-o", tmp_path / "out"], ["-o", "-"], ["-o", "-", "--dry-run"]):
        done = medllm(*command, *more)
        assert (done.code, done.err.startswith("error: the template entities/en/user.j2 ")) == (1, True)
        assert SECRET not in done.out + done.err + caplog.text
    assert SECRET not in files_but_extractions(tmp_path / "out")


def test_a_grammar_that_is_refused_is_told_without_its_text(tmp_path: Path) -> None:
    asked: list[Request] = []
    engine = Scripted(lambda request: asked.append(request) or READER(request))  # type: ignore[func-returns-value]
    go([Note(id="n", text=TEXT)], tmp_path / "out", engine=engine)
    assert any(SECRET in request.constraint.lark for request in asked if request.constraint), "grammars hold the text: none may be quoted"
    assert SECRET not in files_but_extractions(tmp_path / "out")
