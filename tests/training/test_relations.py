"""A relation classifier trained for real, on a tiny encoder: it learns, exports, reads, and says what is wrong with the data."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")

from typer.testing import CliRunner

from medllm.cli import app
from medllm.document import AnyEntity, Extraction, Note, any_entity, any_relation
from medllm.errors import InputError, MedllmError, ModelError
from medllm.formats import inline
from medllm.pipeline import Extractor
from medllm.schema import Schema
from medllm.taggers.linking import link
from medllm.taggers.relations import PairMention, RelationClassifier, RelationConfig
from medllm.taggers.testing import tiny_tokenizer
from medllm.training.relations import RelationOptions, fit
from medllm.training.relations.data import RelationCorpus, in_parts, of_extractions
from medllm.training.relations.score import found_in

DRUGS = ["aspirin", "insulin", "heparin", "warfarin"]
PROBLEMS = ["fever", "cough", "pain", "rash"]
QUICK = {"--epochs": "12", "--rate": "3e-3", "--head-rate": "3e-3", "--batch": "8"}


def marked_notes(number: int, seed: int) -> list[str]:
    """Notes in which the denied problem is the one after the cue, and the other one, nearer to it, is not."""
    chooser = random.Random(seed)
    notes = []
    for _ in range(number):
        lines = []
        for i in range(1, 4):
            before, after = chooser.sample(PROBLEMS, 2)
            cue = f'<negation of="{i}">no</negation>'
            denied = f'<problem id="{i}" a="absent">{after}</problem>'
            lines.append(f"<problem>{before}</problem> {cue} {'more ' * chooser.randrange(3)}{denied}.")
        notes.append("\n".join(lines))
    return notes


def corpus(number: int, seed: int = 0) -> RelationCorpus:
    parsed = [inline.parse(text, f"n{seed}-{i}", Schema.load("clinical")) for i, text in enumerate(marked_notes(number, seed))]
    assert not any(p.problems for p in parsed)
    return of_extractions([p.extraction for p in parsed], name="made")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny-bert")
    tokenizer = tiny_tokenizer()
    size = len(json.loads(tokenizer.to_json())["model"]["vocab"])
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 130}
    BertModel(BertConfig(vocab_size=size, **sizes)).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_json())
    return folder


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier made by the command line."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    for number, text in enumerate(marked_notes(60, 1)):
        (data / f"{number:02}.txt").write_text(text)
    command = ["train", "relations", "--data", f"inline:{data}", "--schema", "clinical", "--base", str(base), "-o", str(out)]
    result = CliRunner().invoke(app, [*command, *(word for option in QUICK.items() for word in option)])
    assert result.exit_code == 0, result.output
    return out


def test_the_command_makes_a_classifier_that_joins_mentions_of_new_notes(trained: Path) -> None:
    classifier = RelationClassifier.load(trained)
    assert classifier.encoder.name == "onnx:model.int8.onnx"
    notes = corpus(20, 7).notes
    found, gold = [found_in(classifier, n) for n in notes], [set(n.relations) for n in notes]
    assert sum(len(f & g) for f, g in zip(found, gold, strict=True)) > 0.95 * sum(map(len, gold))
    assert sum(map(len, found)) < 1.05 * sum(map(len, gold))
    card = (trained / "README.md").read_text()
    assert "held-out notes, given their mentions: F1" in card
    assert classifier.fingerprint in card
