"""``medllm eval`` from the corpus to the report, with a model of a few words."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import medllm.pipeline
from medllm.cli.eval import evaluate
from medllm.cli.score import score
from medllm.errors import MedllmError, RunError, UsageError
from medllm.evaluation.result import Result
from medllm.schema import Schema
from tests.evaluation.i2b2 import READER, hand_out
from tests.scripted import Reader, Scripted

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


def counts(out: Path, metric: str) -> tuple[int, int, int]:
    """Hits, spurious and missed items of a saved result."""
    total = Result.load(out / "scores" / f"{metric}.json").micro
    return total.tp, total.fp, total.fn


def test_i2b2_2010_on_the_folders_as_they_are_handed_out(tmp_path: Path, engine: Scripted) -> None:
    data, out = hand_out(tmp_path / "data"), tmp_path / "out"
    printed = medllm_("eval", "i2b2-2010", "--data", data, "-o", out, "--bootstrap", "20")
    assert "exact, 1 notes" in printed
    summary = json.loads((out / "evaluation.json").read_text())
    assert summary["suite"]["name"] == "i2b2-2010"
    assert (summary["scores"]["exact"]["micro"]["f1"], summary["scores"]["overlap"]["micro"]["f1"]) == (0.75, 1)
    assert summary["scores"]["attribute-matched:assertion"]["micro"]["recall"] == 1
    # Aspirin is related to both problems near it: to the fever of the line before, and to "pain", which is not gold's "his pain".
    assert counts(out, "relations") == (0, 2, 1)
    assert counts(out, "relations-given") == (0, 1, 0)
    assert summary["official"]["micro"]["f1"] == pytest.approx(0.75)
    last = {name: t["rows"][-1] for name, t in summary["official"]["tables"].items()}
    official = {name: (last[name]["tp"], last[name]["fp"], last[name]["fn"]) for name in ("1.1", "2.1", "3.1")}
    assert official == {"1.1": (3, 1, 1), "2.1": (2, 1, 1), "3.1": (0, 2, 1)}  # concepts, assertions, relations
    assert {p.name for p in out.iterdir()} >= {"extractions.jsonl", "run.json", "gold.jsonl", "scores", "report.html", "report.md"}
    for said in ("the part 'test': 1 notes with 4 mentions", "Uzuner et al. 2011", "with scripted-1", "i2b2compare", "3.1 relations"):
        assert said in (out / "report.md").read_text()
    assert "his pain" in (out / "report.html").read_text()
    assert "his pain" not in (out / "report.md").read_text()
    for name in ("report.html", "gold.jsonl", "evaluation.json"):
        assert (out / name).stat().st_mode & 0o077 == 0, name


def test_n2c2_2018_on_the_folders_as_they_are_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = tmp_path / "data" / "test", tmp_path / "out"
    folder.mkdir(parents=True)
    (folder / "100001.txt").write_text("Given aspirin 81 mg daily for angina.\nRash after penicillin.\n")
    (folder / "100001.ann").write_text(
        "T1\tDrug 6 13\taspirin\nT2\tStrength 14 19\t81 mg\nT3\tFrequency 20 25\tdaily\nT4\tReason 30 36\tangina\n"
        "T5\tADE 38 42\tRash\nT6\tDrug 49 59\tpenicillin\n"
        "R1\tStrength-Drug Arg1:T2 Arg2:T1\nR2\tReason-Drug Arg1:T4 Arg2:T1\nR3\tADE-Drug Arg1:T5 Arg2:T6\n"
    )
    lexicon = {"aspirin": "Drug", "81 mg": "Strength", "angina": "Reason", "Rash": "ADE", "penicillin": "Drug"}
    reader = Reader(Schema.load("n2c2-2018"), lexicon, links={("Strength", "Drug"): "Strength-Drug", ("ADE", "Drug"): "ADE-Drug"})
    monkeypatch.setattr(medllm.pipeline, "create_engine", lambda *_: Scripted(reader))
    medllm_("eval", "n2c2-2018", "--data", tmp_path / "data", "-o", out, "--bootstrap", "0")
    assert counts(out, "exact") == (5, 0, 1)
    summary = json.loads((out / "evaluation.json").read_text())
    assert summary["official"]["micro"]["f1"] == pytest.approx(10 / 11, abs=1e-4)
    assert "Strength-Drug" in (out / "report.md").read_text()


@pytest.mark.parametrize("readers", ["tagger", "auto"])
def test_the_tagger_is_evaluated_and_named(readers: str, tmp_path: Path) -> None:
    (tmp_path / "gold").mkdir()
    (tmp_path / "gold" / "n.txt").write_text("Given aspirin 81 mg daily.")
    (tmp_path / "gold" / "n.ann").write_text("T1\tdrug 6 13\taspirin\n")
    settings = ["--schema", "clinical", "--labels", "drug", "--bootstrap", "0", "--readers", readers]
    medllm_("eval", "--gold", f"brat:{tmp_path / 'gold'}", "-o", tmp_path / "out", *settings)
    assert counts(tmp_path / "out", "exact") == (1, 0, 0)
    report = (tmp_path / "out" / "report.md").read_text()
    assert "the tagger clinical-en (SHA-256 " in report
    assert ("elsewhere" in report) == (readers == "auto")


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


def test_a_gold_standard_without_a_suite(tmp_path: Path, engine: Scripted) -> None:
    data, out = hand_out(tmp_path / "data"), tmp_path / "out"
    gold = f"i2b2-2010:{data}"
    medllm_("eval", "--gold", gold, "--schema", "i2b2-2010", "--labels", "problem", "--bootstrap", "0", "-o", out, "--no-relations")
    assert json.loads((out / "evaluation.json").read_text())["notes"] == 2
    assert list(json.loads((out / "evaluation.json").read_text())["scores"]["exact"]["labels"]) == ["problem"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "asks for test, and gold has no mention of it"),
        (("--labels", "problem,tests"), "no labels tests"),
        (("--labels", "problem", "--metric", "exakt"), "no metric 'exakt'"),
        (("--labels", "problem", "--bootstrap", "1"), "no interval from 1 sample"),
        (
            ("--labels", "problem", "--versus", "i2b2-2010:{data}/concept_assertion_relation_training_data"),
            "1 predicted notes are not in gold",
        ),
    ],
)
def test_what_is_wrong_from_the_start_is_told_before_a_note_is_read(
    tmp_path: Path, engine: Scripted, more: tuple[str, ...], said: str
) -> None:
    data = hand_out(tmp_path / "data")
    with pytest.raises(MedllmError, match=said) as error:
        medllm_(
            "eval", "--gold", f"i2b2-2010:{data}", "--schema", "i2b2-2010", "-o", tmp_path / "out", *(w.format(data=data) for w in more)
        )
    assert error.value.hint
    assert not engine.calls


def test_a_report_that_could_not_be_drawn_is_told_before_a_note_is_read(
    tmp_path: Path, engine: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medllm.evaluation.before.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="matplotlib is not installed") as error:
        medllm_("eval", "i2b2-2010", "--data", hand_out(tmp_path / "data"), "-o", tmp_path / "out")
    assert "medllm[eval]" in error.value.hint
    assert not engine.calls


def test_a_suites_label_that_no_note_has_is_no_error(tmp_path: Path, engine: Scripted) -> None:
    data, out = hand_out(tmp_path / "data"), tmp_path / "out"
    (data / "reference_standard_for_test_data" / "concepts" / "0001.con").write_text('c="chest pain" 1:2 1:3||t="problem"\n')
    medllm_("eval", "i2b2-2010", "--data", data, "-o", out, "--bootstrap", "20")
    rows = Result.load(out / "scores" / "exact.json").counts
    assert {label: (c.tp, c.fp, c.fn) for label, c in rows.items()} == {"problem": (1, 2, 0), "treatment": (0, 1, 0)}


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
