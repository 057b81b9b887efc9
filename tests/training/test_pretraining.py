"""An encoder of random weights reads raw notes, and fills gaps better for it."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")

from typer.testing import CliRunner

from medllm.cli import app
from medllm.errors import InputError
from medllm.taggers.encoding import UnitTokenizer
from medllm.training.pretraining import PretrainingOptions, pretrain
from tests.training.made import QUICK, marked_notes

RAW = ["He has fever and pain.\nNo cough today.\nThe fever was high."] * 60


def test_gaps_are_filled_better_afterwards(base: Path, tmp_path: Path) -> None:
    options = PretrainingOptions(epochs=6, rate=3e-3, batch=8, window=64)
    gained = pretrain(RAW, base, tmp_path / "adapted", options)
    assert gained["perplexity_after"] < gained["perplexity_before"] / 4
    about = json.loads((tmp_path / "adapted" / "pretraining.json").read_text())
    assert about["notes"] == 60
    assert UnitTokenizer.load(tmp_path / "adapted", breaks=True).mask
    again = pretrain(RAW, base, tmp_path / "adapted", options)
    assert again["perplexity_after"] == pytest.approx(gained["perplexity_after"])


def test_too_little_text_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 notes are too little text"):
        pretrain(RAW[:2], base, tmp_path, PretrainingOptions())


def test_the_command_adapts_then_trains_and_says_so(base: Path, tmp_path: Path) -> None:
    raw, data, out = tmp_path / "raw", tmp_path / "data", tmp_path / "out"
    for folder, texts in ((raw, RAW), (data, marked_notes(30, 1))):
        folder.mkdir()
        for number, text in enumerate(texts):
            (folder / f"{number:02}.txt").write_text(text)
    rates = ["--rate", f"{QUICK.rate}", "--head-rate", f"{QUICK.head_rate}", "--window", "64", "--epochs", "2", "--pretrain-epochs", "1"]
    more = ["--pretrain", str(raw), "--augment", "mentions,swap", "--schema", "clinical"]
    result = CliRunner().invoke(app, ["train", "tagger", "--data", f"inline:{data}", "--base", str(base), "-o", str(out), *rates, *more])
    assert result.exit_code == 0, result.output
    assert "perplexity_after" in result.output
    card = (out / "README.md").read_text()
    assert "changed copies of training notes were learnt from too: mentions, swap." in card
    assert "adapted to raw notes" in card
