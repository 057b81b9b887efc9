"""Adapters trained for real, on a tiny causal model: masks, learning, resuming, and that an adapter changes what a model answers."""

import dataclasses
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")
pytest.importorskip("peft", reason="adapters need peft")

import torch
from typer.testing import CliRunner

from medllm.cli import app
from medllm.engines import EngineOptions, create_engine
from medllm.engines._hub import load
from medllm.engines.base import Message, Request
from medllm.engines.embedded import EmbeddedEngine
from medllm.engines.transformers import encode_chat
from medllm.errors import MedllmError, ModelError, RunError, UsageError
from medllm.formats import inline
from medllm.grammar.layout import get_layout
from medllm.pipeline import Extractor
from medllm.prompting.gold import Answered, Losses
from medllm.prompting.questions import Questions
from medllm.prompting.render import Prompts
from medllm.schema import Schema
from medllm.schemas.clinical import schema as CLINICAL
from medllm.text.chunks import split_chunks
from medllm.training.llm.conversations import IGNORED, Plan, TokenSequence, conversations, questions_about
from medllm.training.llm.fit import AdapterOptions, collate, fit
from medllm.training.llm.gguf import write_gguf
from medllm.training.llm.schemas import annotated, plain, varied
from tests.training.made import marked_notes

QUICK = AdapterOptions(epochs=4, rate=2e-2, batch=4, accumulate=1, tokens=700, rank=4, dropout=0.1, warmup=0.0, device="cpu")
PLAN = Plan(relations=True, variation=0.3, worked=0.0)
NOTES = [inline.parse(text, f"n{i}", CLINICAL).extraction for i, text in enumerate(marked_notes(8, 3))]


@pytest.fixture(scope="session")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2 of two layers with random weights, a byte-level tokenizer and Qwen's chat template, in a folder."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    ends = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate([*alphabet, *ends])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(ends)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=ends[2], pad_token=ends[0], model_max_length=8192)
    fast.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    ids: Any = {"eos_token_id": fast.eos_token_id, "pad_token_id": fast.pad_token_id}
    network = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(fast), max_position_embeddings=8192, tie_word_embeddings=False, **sizes, **ids))
    network.lm_head.weight.data *= 15  # or nothing before it would change what it says
    network.generation_config = GenerationConfig(**ids)
    folder = tmp_path_factory.mktemp("tiny-causal")
    network.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@cache
def asked(plan: Plan = PLAN, seed: int = 0) -> list[tuple[str, Answered]]:
    return list(questions_about(NOTES, CLINICAL, len, dataclasses.replace(plan, chunk_tokens=200), Losses(), seed))


def sequences(folder: Path, tokens: int = 6000, plan: Plan = PLAN) -> tuple[Any, list[TokenSequence]]:
    loaded = load(str(folder), device="cpu", dtype="auto")
    return loaded, list(conversations(asked(plan), loaded.tokenizer, loaded.end_tokens, tokens, plan, 0))


def learnt(one: TokenSequence) -> list[list[int]]:
    """The stretches that are learnt."""
    runs: list[list[int]] = [[]]
    for label in one.labels:
        if label == IGNORED:
            runs.append([])
        else:
            runs[-1].append(label)
    return [run for run in runs if run]


@pytest.mark.parametrize("worked", [0.0, 1.0])
def test_only_the_answers_are_learnt_after_the_very_prompts_of_inference(causal: Path, worked: float) -> None:
    plan = dataclasses.replace(PLAN, worked=worked, variation=0.0)
    loaded, made = sequences(causal, 9000, plan)
    tokenizer = loaded.tokenizer
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    answers = {one.answer for _, one in asked(plan)} | {a for q in questions_of() for a in q}
    prompts = {tuple(encode_chat(tokenizer, [one.question.messages[0], one.question.messages[-1]])) for _, one in asked(plan)}
    several = 0
    for one in made:
        assert all(label in (IGNORED, token) for token, label in zip(one.ids, one.labels, strict=True))
        runs = learnt(one)
        assert all(run[-1] == end and tokenizer.decode(run[:-1]) in answers for run in runs)
        first = one.labels.index(runs[0][0])
        assert worked or one.ids[:first] in prompts
        several += len(runs) > 1
    assert several, "a conversation has several questions"
    count = sum(len(learnt(one)) for one in made)
    assert count == len(asked(plan)) if not worked else count > len(asked(plan))


def questions_of() -> list[list[str]]:
    """The answers of the pack's own examples, by task."""
    questions = Questions(CLINICAL, get_layout("lines"), Prompts())
    (chunk, *_) = split_chunks("No fever.", len, 100)
    problem = CLINICAL.entity("problem").at("No fever.", 3, 8)
    both = [questions.entities(chunk), questions.modifiers([(problem, chunk.lines[0])])]
    return [[m.content for m in q.messages if m.role == "assistant"] for q in both]


def test_no_conversation_is_longer_than_asked(causal: Path) -> None:
    _, made = sequences(causal, 2600)
    assert made
    assert max(map(len, made)) <= 2600
    batch = collate([{"input_ids": list(one.ids), "labels": list(one.labels)} for one in made[:3]], 0)
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORED).all()


def short(made: list[TokenSequence], tokens: int = 150) -> list[TokenSequence]:
    """The ends of conversations: a tiny model learns them in seconds."""
    return [TokenSequence(one.ids[-tokens:], one.labels[-tokens:]) for one in made][:16]


def test_the_loss_falls_and_a_broken_training_goes_on_as_if_nothing_had_been(causal: Path, tmp_path: Path) -> None:
    loaded, made = sequences(causal)
    data = short(made)
    whole, history = fit(loaded.network, data, tmp_path / "whole", QUICK, held_out=data[:4])
    losses = [row["loss"] for row in history if "loss" in row]
    assert losses[-1] < 0.8 * losses[0]
    assert [row for row in history if "eval_loss" in row]
    assert not any(p.requires_grad for name, p in whole.named_parameters() if "lora_" not in name)

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(load(str(causal), device="cpu", dtype="auto").network, data, tmp_path / "broken", QUICK, held_out=data[:4], report=stop)
    resumed, _ = fit(load(str(causal), device="cpu", dtype="auto").network, data, tmp_path / "broken", QUICK, held_out=data[:4])
    weights = dict(resumed.named_parameters())
    for name, value in whole.named_parameters():
        if "lora_" in name:
            assert torch.allclose(value, weights[name], atol=1e-4), name
    with pytest.raises(RunError, match="other settings"):
        fit(loaded.network, data[:2], tmp_path / "broken", QUICK)


@pytest.fixture(scope="session")
def trained(causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an adapter made by the command line."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    for number, text in enumerate(marked_notes(6, 1)):
        (data / f"{number:02}.txt").write_text("\n".join(text.splitlines()[:3]))
    line = ["train", "llm", "--data", f"inline:{data}", "--schema", "clinical", "--base", str(causal), "-o", str(out), "--epochs", "1"]
    line += [
        "--tokens",
        "3000",
        "--batch",
        "4",
        "--accumulate",
        "1",
        "--rate",
        "1e-1",
        "--no-relations",
        "--device",
        "cpu",
        "--name",
        "made",
    ]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0, result.output
    return out


async def answer(folder: Path, adapter: Path | None) -> tuple[str, str, str]:
    engine = create_engine("transformers", str(folder), EngineOptions(device="cpu", adapter=adapter))
    (chunk, *_) = split_chunks("He takes aspirin for pain.", len, 100)
    question = Questions(CLINICAL, get_layout("lines"), Prompts()).entities(chunk)
    completion = await engine.complete(Request(question.messages, None, 12))
    await engine.aclose()
    return completion.text, engine.model, engine.fingerprint


async def test_an_adapter_changes_what_the_model_says_and_its_name(causal: Path, trained: Path) -> None:
    without, with_it = await answer(causal, None), await answer(causal, trained)
    assert without[0] != with_it[0]
    assert with_it[1].endswith(f"+{trained.name}")
    assert without[2] != with_it[2]
    with Extractor("clinical", engine="transformers", model=str(causal), options=EngineOptions(device="cpu", adapter=trained)) as extractor:
        assert extractor.readers == "llm"


def test_the_folder_tells_what_it_is(causal: Path, trained: Path) -> None:
    card = (trained / "README.md").read_text()
    assert "answers and were learnt" in card
    assert "Cross-entropy of the answers about 1 held-out notes" in card
    assert str(causal.parent) not in card.replace(f"--base {causal}", "")
    about = json.loads((trained / "medllm.json").read_text())
    assert (about["layout"], about["name"]) == ("lines", "made")
    assert (trained / "history.jsonl").read_text().count("\n") >= 2


def test_llama_cpp_has_a_name_for_every_tensor(trained: Path) -> None:
    gguf = pytest.importorskip("gguf")
    from safetensors.torch import load_file

    tensors = {t.name: t for t in gguf.GGUFReader(trained / "adapter.gguf").tensors}
    peft = load_file(trained / "adapter_model.safetensors")
    assert len(tensors) == len(peft)
    one = peft["base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"]
    assert (torch.from_numpy(tensors["blk.1.attn_q.weight.lora_a"].data.copy()).float() - one.float()).abs().max() < 1e-2


@pytest.mark.model
async def test_the_embedded_engine_takes_the_adapter(model_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    from peft import LoraConfig
    from safetensors.torch import save_file
    from transformers import Qwen2Config

    torch.manual_seed(0)
    names = [f"base_model.model.model.layers.{n}.self_attn.q_proj.lora" for n in range(24)]
    weights = {f"{name}_A.weight": torch.randn(4, 896) for name in names} | {f"{name}_B.weight": torch.randn(896, 4) for name in names}
    save_file(weights, tmp_path / "adapter_model.safetensors")
    LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"]).save_pretrained(tmp_path)
    assert write_gguf(tmp_path, Qwen2Config(num_hidden_layers=24)) == ""
    said = []
    for adapter in (None, tmp_path):
        engine = EmbeddedEngine(model_path, context_tokens=512, adapter=adapter)
        said.append((await engine.complete(Request((Message("user", "Count to five."),), None, 12))).text)
        await engine.aclose()
    assert said[0] != said[1]


def test_what_is_no_adapter_or_takes_none(causal: Path, tmp_path: Path) -> None:
    for error, engine, adapter in [(ModelError, "transformers", tmp_path), (UsageError, "vllm-offline", tmp_path)]:
        with pytest.raises(error) as caught:
            create_engine(engine, str(causal), EngineOptions(adapter=adapter))
        assert isinstance(caught.value, MedllmError)
        assert caught.value.hint


# --- the schemas that are taught ---


def test_what_a_corpus_does_not_annotate_is_not_asked_for() -> None:
    taught = annotated(CLINICAL, NOTES, "made")
    assert set(taught.labels) == {"problem", "drug", "negation"}
    assert {r.label for r in taught.relations} == {"hasAttr"}
    never = [inline.parse("He takes <drug>aspirin</drug> for <problem>pain</problem>.", "n", CLINICAL).extraction]
    assert all(not e["attributes"] for e in annotated(CLINICAL, never, "made").to_json()["entities"])
    assert annotated(None, NOTES, "made").labels == ("drug", "negation", "problem")


def test_a_varied_schema_asks_for_a_part_under_its_own_names() -> None:
    for seed in range(6):
        variant = varied(CLINICAL, random.Random(seed))
        assert set(variant.names) < set(CLINICAL.labels) or set(variant.names) == set(CLINICAL.labels)
        for extraction in NOTES:
            here = variant.of(extraction)
            assert {e.label for e in here.entities} <= set(variant.schema.labels)
            wanted = [(variant.names[e.label], e.span) for e in extraction.entities if e.label in variant.names]
            assert [(e.label, e.span) for e in here.entities] == wanted
    assert Schema.from_json(plain(CLINICAL).schema.to_json()).digest == CLINICAL.digest
