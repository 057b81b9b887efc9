"""``medllm eval`` from the corpus to the report, with a model of a few words."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import medllm.pipeline
from medllm.cli.eval import evaluate
from medllm.cli.score import score
from medllm.errors import RunError, UsageError
from tests.evaluation.i2b2 import READER, hand_out
from tests.scripted import Scripted

app = typer.Typer()
app.command("eval")(evaluate)
app.command("score")(score)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    made = Scripted(READER)
    monkeypatch.setattr(medllm.pipeline, "create_engine", lambda *_: made)
    return made


def medllm_(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_second_time_the_model_is_not_asked(tmp_path: Path, engine: Scripted) -> None:
    data, out = hand_out(tmp_path / "data"), tmp_path / "out"
    first = medllm_("eval", "i2b2-2010", "--data", data, "-o", out, "--bootstrap", "0")
    asked = len(engine.calls)
    assert asked
    assert medllm_("eval", "i2b2-2010", "--data", data, "-o", out, "--bootstrap", "0") == first
    assert len(engine.calls) == asked
    medllm_("eval", "i2b2-2010", "--data", data, "-o", out, "--bootstrap", "0", "--fresh")
    assert len(engine.calls) == 2 * asked
    with pytest.raises(RunError, match="another layout"):
        medllm_("eval", "i2b2-2010", "--data", data, "-o", out, "--layout", "copy")


def test_a_run_is_scored_again_without_a_model(tmp_path: Path, engine: Scripted) -> None:
    data, out = hand_out(tmp_path / "data"), tmp_path / "out"
    medllm_("eval", "i2b2-2010", "--data", data, "-o", out, "--bootstrap", "0")
    found = json.loads((out / "evaluation.json").read_text())["scores"]["exact"]
    again = medllm_("score", "--gold", f"jsonl:{out}/gold.jsonl", "--pred", f"jsonl:{out}", "--json", "--report", tmp_path / "r.html")
    assert json.loads(again) == found
    assert "Every disagreement" in (tmp_path / "r.html").read_text()


def test_another_system_beside_it(tmp_path: Path, engine: Scripted) -> None:
    data, out = hand_out(tmp_path / "data"), tmp_path / "out"
    medllm_("eval", "i2b2-2010", "--data", data, "-o", out, "--bootstrap", "0")
    medllm_("eval", "i2b2-2010", "--data", data, "-o", tmp_path / "two", "--bootstrap", "0", "--versus", f"jsonl:{out}")
    assert "Micro averages of both systems" in (tmp_path / "two" / "report.md").read_text()


def test_the_suites_are_listed() -> None:
    assert "kiwi-20\t" in medllm_("eval", "--list")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "needs a suite or --gold"),
        (("kiwi-20",), "needs a suite or --gold"),
        (("kiwi-20", "--gold", "brat:x", "-o", "out"), "needs a suite or --gold"),
        (("kiwi-20", "--schema", "clinical", "-o", "out"), "has its schema"),
        (("--gold", "notes", "-o", "out"), "which format"),
    ],
)
def test_mistakes(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        medllm_("eval", *words)
