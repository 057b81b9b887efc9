"""Predictions come without the texts of the notes: they are scored all the same, and in the folders that the challenge hands out."""

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from medllm.cli.score import score
from medllm.errors import InputError
from tests.evaluation.i2b2 import AST, CON, REL, hand_out

app = typer.Typer()
app.command()(score)


def run(*words: object) -> tuple[dict[str, object], str]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    if result.exception:
        raise result.exception
    return json.loads(result.stdout), result.stderr


@pytest.fixture
def data(tmp_path: Path) -> Path:
    hand_out(tmp_path / "data")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "0001.con").write_text(CON.replace('c="his pain" 3:3 3:4', 'c="pain" 3:4 3:4') + 'c="x" 9:0 9:0||t="test"\n')
    (mine / "0001.ast").write_text(AST.replace("absent", "present").replace('c="his pain" 3:3 3:4', 'c="pain" 3:4 3:4'))
    (mine / "0001.rel").write_text(REL)
    return tmp_path


def test_i2b2_without_texts(data: Path) -> None:
    gold = f"i2b2-2010:{data}/data/reference_standard_for_test_data"
    found, told = run("--gold", gold, "--pred", f"i2b2-2010:{data}/mine", "--texts", data / "data" / "test_data")
    assert (found["gold"], found["pred"], found["micro"]) == (4, 4, {"precision": 0.75, "recall": 0.75, "f1": 0.75})
    assert re.search(r"note-[0-9a-f]{12}:5: bad-span", told)
    assert re.search(r"note-[0-9a-f]{12}:1: ", told)  # its "his pain" is not predicted
    with pytest.raises(InputError, match=r"0001\.ast: 0 texts 0001\.txt below") as error:
        run("--gold", gold, "--pred", f"i2b2-2010:{data}/mine", "--texts", data / "mine")
    assert "--texts DIR" in error.value.hint


def test_predictions_take_golds_texts(data: Path) -> None:
    gold = data / "gold"
    for kind, ending, content in (("concept", "con", CON), ("ast", "ast", AST), ("rel", "rel", REL)):
        (gold / kind).mkdir(parents=True)
        (gold / kind / f"0001.{ending}").write_text(content)
    (gold / "txt").mkdir()
    (gold / "txt" / "0001.txt").write_text((data / "data" / "test_data" / "0001.txt").read_text())
    words = ("--gold", f"i2b2-2010:{gold}", "--pred", f"i2b2-2010:{data}/mine")
    assert run(*words)[0]["pred"] == 4
    found, _ = run(*words, "-m", "attribute-matched:assertion", "--versus", f"i2b2-2010:{gold}")
    assert found["labels"]["absent"]["recall"] == 0  # type: ignore[index]
    assert found["versus"]["difference"] < 0  # type: ignore[index]


def test_the_official_scorer_in_the_folders_as_handed_out(data: Path) -> None:
    found, _ = run("--gold", data / "data" / "reference_standard_for_test_data", "--pred", data / "mine", "-m", "i2b2-2010")
    tables = found["tables"]
    assert (tables["1.1"]["rows"][1]["tp"], tables["2.1"]["rows"][1]["tp"], tables["3.1"]["rows"][1]["tp"]) == (3, 1, 1)  # type: ignore[index]


def test_brat_annotations_without_texts(tmp_path: Path) -> None:
    for side in ("gold", "pred"):
        (tmp_path / side / "ward").mkdir(parents=True)
        (tmp_path / side / "ward" / "n1.ann").write_text("T1\tproblem 3 8\tfever\n")
    (tmp_path / "gold" / "ward" / "n1.txt").write_text("No fever.")
    assert run("--gold", f"brat:{tmp_path}/gold", "--pred", f"brat:{tmp_path}/pred")[0]["micro"] == {"precision": 1, "recall": 1, "f1": 1}
    (tmp_path / "gold" / "n1.txt").write_text("No rash.")
    (tmp_path / "gold" / "n1.ann").write_text("")
    words = ("--gold", f"brat:{tmp_path}/gold", "--pred", f"brat:{tmp_path}/pred")
    (tmp_path / "pred" / "n1.ann").write_text("")
    assert run(*words)[0]["micro"] == {"precision": 1, "recall": 1, "f1": 1}
    (tmp_path / "pred" / "other").mkdir()
    (tmp_path / "pred" / "n1.ann").rename(tmp_path / "pred" / "other" / "n1.ann")
    with pytest.raises(InputError, match=r"n1\.ann: 2 texts n1\.txt below"):
        run(*words)
