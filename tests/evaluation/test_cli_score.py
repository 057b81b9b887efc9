import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from medllm.cli.score import score
from medllm.errors import InputError, UsageError

TEXT = "Metformin caused nausea and mild rash.\n"
GOLD = "T1\tDrug 0 9\tMetformin\nT2\tADE 17 23\tnausea\nT3\tADE 28 37\tmild rash\nR1\tADE-Drug Arg1:T2 Arg2:T1\n"
PRED = "T1\tDrug 0 9\tMetformin\nT2\tADE 17 23\tnausea\nT3\tADE 33 37\trash\n"

app = typer.Typer()
app.command()(score)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for side, annotations in (("gold", GOLD), ("pred", PRED), ("other", "T1\tADE 17 23\tnausea\n")):
        (tmp_path / side).mkdir()
        for name in ("n1", "n2"):
            (tmp_path / side / f"{name}.txt").write_text(TEXT)
            (tmp_path / side / f"{name}.ann").write_text(annotations)
    return tmp_path


def run(files: Path, *options: str, pred: str = "brat:pred") -> tuple[str, str]:
    kind, _, folder = pred.rpartition(":")
    result = CliRunner().invoke(app, ["--gold", f"brat:{files}/gold", "--pred", f"{kind}:{files}/{folder}", *options])
    if result.exception:
        raise result.exception
    assert result.exit_code == 0
    return result.stdout, result.stderr


def test_json(files: Path) -> None:
    out, err = run(files, "--json")
    found = json.loads(out)
    assert list(found) == ["micro", "macro", "labels", "gold", "pred"]
    assert (found["micro"]["f1"], found["labels"]["ADE"]["recall"], found["gold"], err) == (pytest.approx(2 / 3), 0.5, 6, "")
    assert json.loads(run(files, "--json", "--metric", "overlap", "--labels", "ADE")[0])["micro"]["f1"] == 1
    assert json.loads(run(files, "--json", "--metric", "overlap", "--bootstrap", "20")[0])["intervals"]["samples"] == 20


def test_table(files: Path) -> None:
    out, _ = run(files)
    assert all(word in out for word in ("exact, 2 notes", "ADE", "Drug", "micro", "macro", "0.6667"))


def test_a_second_system(files: Path) -> None:
    out, _ = run(files, "--json", "--versus", f"brat:{files}/other")
    assert json.loads(out)["versus"]["difference"] == pytest.approx(2 / 3 - 1 / 2)
    assert "p = " in run(files, "--versus", f"brat:{files}/other")[0]


def test_a_second_system_that_never_gives_a_value(files: Path) -> None:
    values = "A1\tnegated T1 no\nA2\tnegated T2 yes\n"
    for side, given in (("gold", values), ("pred", values), ("other", "A1\tnegated T1 no\n")):
        for name in ("n1", "n2"):
            path = files / side / f"{name}.ann"
            path.write_text(path.read_text() + given)
    test = json.loads(run(files, "--json", "-m", "attribute:negated", "--versus", f"brat:{files}/other")[0])["versus"]
    assert test["difference"] == pytest.approx(1 - 0)


def test_divided(files: Path) -> None:
    (files / "gold" / "n1.txt").write_text(woman := "A woman. " + TEXT)
    (files / "pred" / "n1.txt").write_text(woman)
    (files / "gold" / "n1.ann").write_text("T1\tDrug 9 18\tMetformin\nT2\tADE 37 46\tmild rash\n")
    (files / "pred" / "n1.ann").write_text("T1\tDrug 9 18\tMetformin\nT2\tADE 42 46\trash\n")
    out, err = run(files, "--json", "--by", "mention-length, sex", "--bootstrap", "20")
    found = json.loads(out)["by"]
    assert "not divided by sex" in err
    assert list(found) == ["mention-length"]  # one note tells no sex, so that there is one group only
    assert {name: (row["gold"], row["pred"], row["recall"]) for name, row in found["mention-length"].items()} == {
        "1": (3, 5, 1.0),
        "2": (2, 0, 0.0),
    }
    assert set(found["mention-length"]["1"]["intervals"]) == {"precision", "recall", "f1"}
    seen = json.loads(run(files, "--json", "--by", "seen", "--train", f"brat:{files}/other", "--labels", "ADE")[0])["by"]["seen"]
    assert {name: (row["gold"], row["pred"]) for name, row in seen.items()} == {"seen": (1, 1), "unseen": (2, 2)}
    out, _ = run(files, "--by", "note-length,mention-length")
    assert "exact by mention length, words" in out
    for options, said in (
        (["--by", "mood"], "no slice 'mood'"),
        (["--by", "seen"], "seen and unseen in what"),
        (["--by", "section", "-m", "token"], "token cannot be divided by section"),
        (["--by", "sex", "-m", "n2c2-2018"], "cannot be divided"),
    ):
        with pytest.raises(UsageError, match=said):
            run(files, *options)


def test_official(files: Path) -> None:
    found = json.loads(run(files, "--json", "--metric", "n2c2-2018")[0])
    assert found["micro"]["f1"] == 1
    assert found["tables"]["entities strict"]["rows"][5]["recall"] == 0.5
    assert "entities lenient" in run(files, "-m", "n2c2-2018")[0]
    with pytest.raises(UsageError, match="no other options"):
        run(files, "-m", "n2c2-2018", "--bootstrap", "10")
    with pytest.raises(UsageError, match="no result file"):
        run(files, "-m", "n2c2-2018", "--output", str(files / "score.json"))


def test_a_text_without_annotations_is_no_prediction_and_no_gold(files: Path) -> None:
    (files / "pred" / "n2.ann").unlink()
    with pytest.raises(InputError, match="1 gold notes have no prediction: n2"):
        run(files)
    out, err = run(files, "--json", "--allow-missing")
    assert json.loads(out)["micro"]["recall"] == pytest.approx(2 / 6)
    assert re.search(r"note-[0-9a-f]{12}: missing-file", err)  # a name found in a folder is told by its pseudonym
    (files / "gold" / "n2.ann").unlink()
    assert json.loads(run(files, "--json")[0])["gold"] == 3
    (files / "pred" / "n2.ann").write_text(PRED)
    with pytest.raises(InputError, match="1 predicted notes are not in gold: n2"):
        run(files)


def test_output(files: Path) -> None:
    run(files, "--output", str(files / "score.json"))
    assert json.loads((files / "score.json").read_text())["metric"] == "exact"


def test_problems_are_told_and_counted(files: Path) -> None:
    (files / "pred" / "n1.ann").write_text(PRED + "T4\tADE 30 99\tx\n")
    out, err = run(files, "--json")
    assert json.loads(out)["pred"] == 6
    assert re.search(r"note-[0-9a-f]{12}:4: bad-span", err)
    assert "1 problems in the files" in err
    assert "rash" not in err


def test_mistakes(files: Path) -> None:
    with pytest.raises(UsageError, match="which format"):
        run(files, pred=":pred")
    (files / "other" / "n2.txt").unlink()
    (files / "other" / "n2.ann").unlink()
    with pytest.raises(InputError, match="no prediction: n2"):
        run(files, pred="brat:other")
    assert json.loads(run(files, "--json", "--allow-missing", pred="brat:other")[0])["gold"] == 6
