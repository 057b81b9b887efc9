"""Sentence encoders, under ONNX Runtime and under torch, and what they do to the order of near names."""

import json
from pathlib import Path

import numpy as np
import pytest

from medllm.errors import ModelError
from medllm.lexicons import Concept, Lexicon
from medllm.linking import Linker
from medllm.linking.candidates import Candidate
from medllm.linking.embedding import SentenceEncoder
from medllm.taggers.testing import tiny_tokenizer

WORDS = ("kidney", "nephro", "renal", "pathy", "disease")


@pytest.fixture(scope="module")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that is a table of vectors: words of the kidney are alike."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path_factory.mktemp("lookup")
    content = json.loads(tiny_tokenizer().to_json())
    vocabulary = content["model"]["vocab"]
    for word in WORDS:
        vocabulary[word] = len(vocabulary)
    table = np.random.default_rng(0).normal(size=(len(vocabulary), 16)).astype(np.float32)
    table[vocabulary["renal"]] = table[vocabulary["kidney"]] + 0.01
    (folder / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", 16])
    node = helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])
    graph = helper.make_graph([node], "lookup", [ids], [states], [numpy_helper.from_array(table, "table")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("network")
    content = tiny_tokenizer().to_json()
    size = len(json.loads(content)["model"]["vocab"])
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}
    BertModel(BertConfig(vocab_size=size, **sizes)).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(content, "utf-8")
    return folder


@pytest.mark.parametrize("kind", ["lookup", "network"])
def test_vectors_have_length_one_and_do_not_depend_on_their_batch(kind: str, request: pytest.FixtureRequest) -> None:
    encoder = SentenceEncoder(request.getfixturevalue(kind), threads=1)
    texts = ["pain", "no fever in the kidney, or hardly any", "", "PAIN"]
    together = encoder.vectors(texts)
    assert np.allclose(np.linalg.norm(together[[0, 1, 3]], axis=1), 1, atol=1e-5)
    assert np.allclose(together[0], together[3])
    for text, vector in zip(texts, together, strict=True):
        assert np.allclose(encoder.vectors([text])[0], vector, atol=1e-5)


def test_of_names_that_are_equally_near_the_one_that_means_the_same_is_first(lookup: Path) -> None:
    found = SentenceEncoder(lookup).reordered(
        "renal disease", [Candidate("X:1", "pathy disease", 0.6), Candidate("X:2", "kidney disease", 0.6)]
    )
    assert [c.code for c in found] == ["X:2", "X:1"]
    assert found[0].score == pytest.approx(0.8, abs=0.01)
    assert SentenceEncoder(lookup).reordered("renal", []) == []


def test_a_linker_with_an_encoder_takes_the_same_names_by_their_meaning(lookup: Path) -> None:
    lexicon = Lexicon([Concept("X", "1", "pathy of disease feverish"), Concept("X", "2", "kidney of disease feverish")])
    plain = Linker(lexicon, near=0)
    found = plain.with_encoder(SentenceEncoder(lookup)).link_mention("renal feverish diseases no", "problem")
    assert found is not None
    assert found.code == "X:2"


@pytest.mark.parametrize("broken", ["tokenizer.json", "model.onnx"])
def test_a_folder_that_holds_no_encoder(lookup: Path, tmp_path: Path, broken: str) -> None:
    for name in ("tokenizer.json", "model.onnx"):
        (tmp_path / name).write_bytes(b"{" if name == broken else (lookup / name).read_bytes())
    with pytest.raises(ModelError) as caught:
        SentenceEncoder(tmp_path)
    assert caught.value.hint
