"""What a mention rests on: attributions that add up, words left out, and the page that shows them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medllm.cli import app
from medllm.taggers.config import TaggerConfig
from medllm.taggers.explain import explain_mention
from medllm.taggers.sources import model_folder
from medllm.taggers.tagger import Tagger
from medllm.taggers.tags import TagSet
from medllm.taggers.testing import tiny_tokenizer

TEXT = "ALLERGIES: none.\nHe takes aspirin 81 mg daily for his chest pain.\nHe denied any fever, and has no cough."


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.load(model_folder("clinical-en"))


def test_every_word_near_a_mention_has_a_worth_and_its_own_word_the_most(tagger: Tagger) -> None:
    start = TEXT.index("aspirin")
    found = explain_mention(tagger, TEXT, start, start + len("aspirin"), "drug")
    words = {TEXT[w.start : w.end]: w.value for w in found.words}
    assert {"takes", "aspirin", "81", "fever"} <= words.keys()
    assert max(words, key=words.__getitem__) == "aspirin"
    assert found.score <= 0


def test_a_long_mention_and_the_edges_of_a_text_are_explained(tagger: Tagger) -> None:
    text = "pain " * 400
    found = explain_mention(tagger, text, 0, len(text) - 1, "problem")
    assert found.words[0].start == 0
    assert all(text[w.start : w.end] == "pain" for w in found.words)
    last = explain_mention(tagger, TEXT, TEXT.index("cough"), TEXT.index("cough") + 5, "problem")
    assert TEXT[last.words[-1].start : last.words[-1].end] == "."
    with pytest.raises(ValueError, match="nothing to explain"):
        explain_mention(tagger, TEXT, 0, 5, "no such label")


def test_integrated_gradients_add_up_to_the_difference_of_the_scores() -> None:
    torch = pytest.importorskip("torch", reason="gradients need torch")
    transformers = pytest.importorskip("transformers", reason="gradients need transformers")
    from medllm.taggers.gradients import attention_of, explain_by_gradients, of_classifier

    tokenizer = tiny_tokenizer()
    config = TaggerConfig("tiny", (TagSet.of(["drug", "problem"]),), window=100, overlap=8)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 130}
    vocabulary = len(json.loads(tokenizer.to_json())["model"]["vocab"])
    network = transformers.BertForTokenClassification(
        transformers.BertConfig(vocab_size=vocabulary, num_labels=config.outputs, initializer_range=0.3, **sizes)
    ).eval()
    model, text = of_classifier(network), "no pain, no fever"
    span = (text.index("fever"), len(text), "problem")
    found, baseline = explain_by_gradients(model, config, tokenizer, text, *span, steps=400)
    assert abs(found.score - baseline) > 0.05
    assert sum(w.value for w in found.words) == pytest.approx(found.score - baseline, abs=0.01)
    assert [text[w.start : w.end] for w in found.words] == ["no", "pain", ",", "no", "fever"]
    attention = attention_of(model, config, tokenizer, text, *span)
    assert "attention" in attention.method
    assert 0 < sum(w.value for w in attention.words) <= 1.0001


def test_the_page_shows_reasons_on_demand(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text(TEXT)
    run = tmp_path / "run"
    runner = CliRunner()
    read = runner.invoke(app, ["extract", str(tmp_path / "notes"), "-o", str(run), "--readers", "tagger"])
    assert read.exit_code == 0, read.output
    assert runner.invoke(app, ["view", str(run)]).exit_code == 0
    plain = (run / "view.html").read_text()
    shown = runner.invoke(app, ["view", str(run), "--explain"])
    assert shown.exit_code == 0, shown.output
    page = (run / "view.html").read_text()
    assert "leave one word out" in page
    assert "leave one word out" not in plain


def test_a_run_of_another_reader_is_not_explained(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    run = tmp_path / "run"
    runner = CliRunner()
    assert runner.invoke(app, ["extract", str(tmp_path / "a.txt"), "-o", str(run), "--readers", "tagger"]).exit_code == 0
    manifest = json.loads((run / "run.json").read_text())
    manifest["configuration"]["tagger_sha256"] = "0" * 64
    (run / "run.json").write_text(json.dumps(manifest))
    refused = runner.invoke(app, ["view", str(run), "--explain"])
    assert refused.exit_code != 0
    assert "which is not this one" in str(refused.output) + str(refused.exception)
