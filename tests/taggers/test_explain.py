"""What a mention rests on: attributions that add up, words left out, and the page that shows them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medllm.cli import app
from medllm.document import Extraction, Note, Vote
from medllm.report.reasons import shaded
from medllm.schema import Schema
from medllm.taggers.backends import TorchBackend
from medllm.taggers.explain import explain_mention
from medllm.taggers.reader import TaggerReader
from medllm.taggers.reasons import reasons
from medllm.taggers.sources import model_folder
from medllm.taggers.tagger import Tagger
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


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a token classifier for torch, with random weights."""
    torch = pytest.importorskip("torch", reason="gradients need torch")
    transformers = pytest.importorskip("transformers", reason="gradients need transformers")
    torch.manual_seed(0)
    folder, tokenizer = tmp_path_factory.mktemp("tiny"), tiny_tokenizer()
    names = ["O", "B-drug", "I-drug", "B-problem", "I-problem"]
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 130}
    vocabulary = len(json.loads(tokenizer.to_json())["model"]["vocab"])
    config = transformers.BertConfig(vocab_size=vocabulary, id2label=dict(enumerate(names)), initializer_range=0.3, **sizes)
    transformers.BertForTokenClassification(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_json())
    return folder


def test_integrated_gradients_add_up_to_the_difference_of_the_scores(network: Path) -> None:
    from medllm.taggers.gradients import attention_of, explain_by_gradients, of_classifier

    tagger, text = Tagger.load(network, device="cpu"), "no pain, no fever"
    assert isinstance(tagger.backend, TorchBackend)
    model, span = of_classifier(tagger.backend.model), (text.index("fever"), len(text), "problem")
    found, baseline = explain_by_gradients(model, tagger.config, tagger.tokenizer, text, *span, steps=400)
    assert abs(found.score - baseline) > 0.05
    assert sum(w.value for w in found.words) == pytest.approx(found.score - baseline, abs=0.01)
    assert [text[w.start : w.end] for w in found.words] == ["no", "pain", ",", "no", "fever"]
    attention = attention_of(model, tagger.config, tagger.tokenizer, text, *span)
    assert 0 < sum(w.value for w in attention.words) <= 1.0001


def test_gradients_and_attention_are_shown_for_a_tagger_in_torch(network: Path) -> None:
    reader = TaggerReader(Tagger.load(network, device="cpu"), Schema.load("clinical"))
    note = Note(id="n", text="no pain, no fever")
    vote = Vote(reader="tagger")
    mention = reader.schema.entity("problem").at(note.text, 3, 7, id="T1", votes=(vote,))
    found = reasons(Extraction(note=note, entities=(mention, mention.model_copy(update={"id": "T2", "votes": ()}))), reader)
    assert [e.method.split(" (")[0] for e in found["T1"]] == ["integrated gradients", "attention"]
    assert set(found) == {"T1"}
    shown = shaded(found["T1"][0], note.text)
    assert "".join(piece for piece, *_ in shown["pieces"]) == note.text
    assert max(abs(shade) for *_, shade in shown["pieces"]) == 4


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
