"""The transformers engine, on a tiny random Qwen2 whose words mean nothing: what is tested is the machinery around it."""

import asyncio
import hashlib
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from medllm.cli.models import app as models_app
from medllm.engines._rows import Row
from medllm.engines._rows import answer as text_of
from medllm.engines.base import Message, Request
from medllm.engines.export import export
from medllm.engines.transformers import TransformersEngine, encode_chat
from medllm.errors import EngineError, ModelError, UsageError
from medllm.grammar.constraint import Constraint

torch = pytest.importorskip("torch", reason="the transformers engine needs torch: pip install 'medllm[transformers]'")
transformers = pytest.importorskip("transformers", reason="the transformers engine needs transformers: pip install 'medllm[transformers]'")

SENTENCES = [
    "The patient was given aspirin 81 mg daily for chest pain.",
    "No fever, no cough; the chest film was clear.",
    "He has had diabetes for ten years and takes metformin 500 mg twice daily.",
    "患者胸痛三天，无发热，予阿司匹林。",
    "既往有糖尿病，服用二甲双胍。",
]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
END = "<|im_end|>"
SECRET = "Zebediah"  # stands for note text: may be in no error and no log


@dataclass(frozen=True)
class Lark:
    """As much of a Constraint as the engine uses."""

    lark: str


def request(text: str = "chest pain", lark: str | None = None, **options: Any) -> Request:
    messages = (Message("system", "Find the drugs."), Message("user", text))
    return Request(messages, None if lark is None else cast(Constraint, Lark(lark)), **{"max_tokens": 40, **options})


def tokenizer(template: str | None = TEMPLATE) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<|endoftext|>", "<|im_start|>", END]
    trainer = trainers.BpeTrainer(vocab_size=340, initial_alphabet=alphabet, special_tokens=specials, show_progress=False)
    bpe.train_from_iterator(SENTENCES, trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    fast.chat_template = template
    fast.model_max_length = 100_000
    return fast


def network(vocabulary: int) -> Any:
    torch.manual_seed(7)
    config = transformers.Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,  # far apart, so that no two tokens are all but equal
        tie_word_embeddings=False,
        eos_token_id=0,
    )
    return transformers.Qwen2ForCausalLM(config)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    words = tokenizer()
    model = network(len(words) + 12)  # more rows than tokens, as many models have
    model.generation_config = transformers.GenerationConfig(eos_token_id=[0], repetition_penalty=1.3, do_sample=True, temperature=0.7)
    model.save_pretrained(path)
    words.save_pretrained(path)
    return path


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[TransformersEngine]:
    engine = TransformersEngine(str(folder), device="cpu", batch_size=8)
    yield engine
    await engine.aclose()


@pytest.fixture
def batches(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that were run."""
    sizes: list[int] = []
    generate = engine._generate

    def counted(rows: Sequence[Any]) -> None:
        sizes.append(len(rows))
        generate(rows)

    monkeypatch.setattr(engine, "_generate", counted)
    return sizes


LINES = "\n".join(f'l{i}: "{i}: " ("pain" | "no pain" | "胸痛") "\\n"' for i in range(12))
GRAMMARS = {
    "word": ('start: "aspirin"', lambda text: text == "aspirin"),
    "choice": ('start: "yes" | "no"', lambda text: text in {"yes", "no"}),
    "chinese": ('start: ("胸痛" | "发热") "。"', lambda text: text in {"胸痛。", "发热。"}),
    "emoji": ('start: "💊" "é"', lambda text: text == "💊é"),
    "json": ('start: "{\\"dose\\": " /[1-9][0-9]{0,2}/ "}"', lambda text: 1 <= json.loads(text)["dose"] <= 999),
    "lines": (
        "start: " + " ".join(f"l{i}" for i in range(12)) + "\n" + LINES,
        lambda text: [line.split(": ")[0] for line in text.splitlines()] == [str(i) for i in range(12)],
    ),
}


async def test_a_grammar_for_each_row(engine: TransformersEngine, batches: list[int]) -> None:
    requests = [request(lark=lark, text="pain " * i, max_tokens=400) for i, (lark, _) in enumerate(GRAMMARS.values())]
    answers = await asyncio.gather(*map(engine.complete, [*requests, request(max_tokens=9)]))
    assert batches == [7]
    for (_, valid), answer in zip(GRAMMARS.values(), answers, strict=False):
        assert valid(answer.text), answer.text
        assert answer.finish_reason == "stop"
    assert answers[-1].usage.completion_tokens <= 9


async def test_a_row_answers_in_a_batch_as_it_does_alone(engine: TransformersEngine) -> None:
    requests = [request(lark=lark, text=text) for (lark, _), text in zip(GRAMMARS.values(), SENTENCES, strict=False)]
    requests += [request("免疫", max_tokens=12), request("film", temperature=0.9, seed=3, max_tokens=12)]
    together = await asyncio.gather(*map(engine.complete, requests))
    alone = [await engine.complete(r) for r in requests]
    assert [(a.text, a.finish_reason) for a in together] == [(a.text, a.finish_reason) for a in alone]


async def test_the_row_stops_where_the_grammar_ends_or_the_budget_does(engine: TransformersEngine) -> None:
    whole = await engine.complete(request(lark='start: "aspirin 81 mg"'))
    tokens = engine.count_tokens("aspirin 81 mg")
    assert (whole.text, whole.finish_reason) == ("aspirin 81 mg", "stop")
    exact = await engine.complete(request(lark='start: "aspirin 81 mg"', max_tokens=whole.usage.completion_tokens))
    assert exact.finish_reason == "stop"
    cut = await engine.complete(request(lark='start: "aspirin 81 mg"', max_tokens=1))
    assert cut.finish_reason == "length"
    assert "aspirin 81 mg".startswith(cut.text)
    assert whole.usage.completion_tokens >= tokens
    assert (whole.usage.cached_tokens, cut.usage.completion_tokens) == (0, 1)
    assert whole.usage.prompt_tokens == len(encode_chat(engine._open.tokenizer, request().messages))
    assert whole.usage.seconds > 0


async def test_an_optional_end_is_the_models_choice(engine: TransformersEngine) -> None:
    answers = [await engine.complete(request(lark='start: "a" ("b")?', text=t, temperature=5.0, seed=i)) for i, t in enumerate("pqrstu")]
    assert {a.text for a in answers} <= {"a", "ab"}
    assert all(a.finish_reason == "stop" for a in answers)
    assert all(a.usage.completion_tokens >= 1 for a in answers)


async def test_every_end_token_ends_a_free_row(engine: TransformersEngine) -> None:
    loaded = engine._open
    assert loaded.end_tokens == {0, loaded.tokenizer.convert_tokens_to_ids(END)}
    head = loaded.network.lm_head.weight
    with torch.no_grad():
        kept = head.clone()
        head.zero_()  # all tokens score alike but this one, where greedy takes the first of equals: the end of text
    answer = await engine.complete(request())
    with torch.no_grad():
        head.copy_(kept)
    assert (answer.text, answer.finish_reason, answer.usage.completion_tokens) == ("", "stop", 1)


async def test_a_cut_character_is_dropped(engine: TransformersEngine) -> None:
    for budget in range(1, 6):
        answer = await engine.complete(request(lark='start: "💊💊💊💊"', max_tokens=budget, logprobs=True))
        assert "💊💊💊💊".startswith(answer.text)
        assert answer.finish_reason == "length"


async def test_logprobs_are_the_models_own(engine: TransformersEngine) -> None:
    answer = await engine.complete(request(lark='start: "胸痛" | "发热"', logprobs=True))
    assert "".join(token for token, _ in answer.logprobs) == answer.text
    prompt = encode_chat(engine._open.tokenizer, request().messages)
    ids = engine._open.tokenizer.encode(answer.text)
    if len(ids) == len(answer.logprobs):  # the grammar may have spelt the word in other tokens
        with torch.no_grad():
            scores = engine._open.network(torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
        expected = [float(scores[len(prompt) + i - 1, token]) for i, token in enumerate(ids)]
        assert [p for _, p in answer.logprobs] == pytest.approx(expected, abs=1e-4)
    assert (await engine.complete(request())).logprobs == ()


async def test_the_models_own_sampling_settings_are_not_used(engine: TransformersEngine) -> None:
    prompt = encode_chat(engine._open.tokenizer, request().messages)
    ids = torch.tensor([prompt])
    for _ in range(6):
        with torch.no_grad():
            ids = torch.cat([ids, engine._open.network(ids).logits[:, -1].argmax(-1, keepdim=True)], dim=-1)
    row = Row([], 6, tokens=ids[0, len(prompt) :].tolist())
    assert (await engine.complete(request(max_tokens=6))).text == text_of(row, engine._open.grammar_tokenizer, frozenset())[0]


async def test_a_seed_gives_the_same_answer_again(engine: TransformersEngine) -> None:
    def sampled(seed: int) -> Request:
        return request(temperature=1.5, seed=seed, max_tokens=12)

    first = await asyncio.gather(*(engine.complete(sampled(seed)) for seed in range(6)))
    again = [await engine.complete(sampled(seed)) for seed in range(6)]
    assert [a.text for a in first] == [a.text for a in again]
    assert len({a.text for a in first}) > 1


async def test_like_lengths_share_a_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TransformersEngine(str(folder), device="cpu", batch_size=2)
    lengths: list[list[int]] = []
    generate = engine._generate

    def noted(rows: Sequence[Any]) -> None:
        lengths.append([len(row.prompt) for row in rows])
        generate(rows)

    monkeypatch.setattr(engine, "_generate", noted)
    words = [1, 90, 2, 91, 1, 92, 2, 93]
    await asyncio.gather(*(engine.complete(request("pain " * n, lark='start: "no"')) for n in words))
    assert engine.concurrency == 8
    assert [len(pair) for pair in lengths] == [2, 2, 2, 2]
    assert all(max(pair) - min(pair) < 30 for pair in lengths)
    await engine.aclose()


async def test_one_cancelled_caller_does_not_harm_the_others(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    running = asyncio.Event()
    loop = asyncio.get_running_loop()
    generate = engine._generate
    batch: list[Any] = []

    def started(rows: Sequence[Any]) -> None:
        batch.extend(rows)
        loop.call_soon_threadsafe(running.set)
        generate(rows)

    monkeypatch.setattr(engine, "_generate", started)
    endless = asyncio.create_task(engine.complete(request(lark="start: /[a-z]{400}/", max_tokens=400)))
    others = [asyncio.create_task(engine.complete(request(lark=lark, max_tokens=300))) for lark, _ in GRAMMARS.values()]
    await running.wait()
    endless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await endless
    for answer, (_, valid) in zip(await asyncio.gather(*others), GRAMMARS.values(), strict=True):
        assert valid(answer.text)
    abandoned = [row for row in batch if row.abandoned]
    assert len(abandoned) == 1
    assert len(abandoned[0].tokens) < 400


async def test_a_call_cancelled_while_it_waits_is_never_run(engine: TransformersEngine, batches: list[int]) -> None:
    tasks = [asyncio.create_task(engine.complete(request(lark='start: "no"'))) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert sum(batches) == 2


def test_calls_from_several_event_loops(folder: Path) -> None:
    engine = TransformersEngine(str(folder), device="cpu")
    for _ in range(2):
        assert asyncio.run(engine.complete(request(lark='start: "no"'))).text == "no"
    asyncio.run(engine.aclose())
    asyncio.run(engine.aclose())
    with pytest.raises(EngineError, match="closed"):
        asyncio.run(engine.complete(request()))
    with pytest.raises(EngineError, match="closed"):
        engine.count_tokens("no")


async def test_closing_stops_what_runs(folder: Path) -> None:
    engine = TransformersEngine(str(folder), device="cpu", batch_size=1)
    tasks = [asyncio.create_task(engine.complete(request(lark="start: /[a-z]{400}/", max_tokens=400))) for _ in range(3)]
    while not engine._running:
        await asyncio.sleep(0.001)
    await engine.aclose()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, EngineError)


async def test_a_full_memory_halves_the_batch(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    generate = engine._generate

    def small(rows: Sequence[Any]) -> None:
        if len(rows) > 2:
            rows[0].tokens.append(engine._open.tokenizer.encode("n")[0])
            assert rows[0].matcher.consume_tokens(rows[0].tokens)
            raise torch.OutOfMemoryError
        generate(rows)

    monkeypatch.setattr(engine, "_generate", small)
    answers = await asyncio.gather(*(engine.complete(request(lark=f'start: "no {i}"')) for i in range(7)))
    assert [a.text for a in answers] == [f"no {i}" for i in range(7)]

    def full(rows: Sequence[Any]) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(engine, "_generate", full)
    with pytest.raises(EngineError, match="memory"):
        await engine.complete(request())


async def test_scores_that_are_not_numbers(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    head = engine._open.network.lm_head.weight
    with torch.no_grad():
        head.fill_(float("nan"))
    with pytest.raises(EngineError, match="not numbers") as caught:
        await engine.complete(request(lark='start: "no"'))
    assert "float32" in caught.value.hint


async def test_a_prompt_beyond_the_context(engine: TransformersEngine, batches: list[int]) -> None:
    assert engine.context_tokens == 512
    with pytest.raises(EngineError, match="do not fit") as caught:
        await engine.complete(request(f"{SECRET} " * 200))
    assert "chunks" in caught.value.hint
    assert SECRET not in str(caught.value)
    with pytest.raises(EngineError, match="do not fit"):
        await engine.complete(request(max_tokens=600))
    with pytest.raises(EngineError, match="max_tokens"):
        await engine.complete(request(max_tokens=0))
    assert batches == []


async def test_a_bad_grammar_is_refused_without_its_text(
    engine: TransformersEngine, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    good = engine.complete(request(lark='start: "no"'))
    for bad in (f'start: "{SECRET}" unknown_rule', f"start: /{SECRET}(/", ""):
        with pytest.raises(EngineError, match="refused") as caught:
            await engine.complete(request(lark=bad))
        assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert (await good).text == "no"
    assert SECRET not in caplog.text + "".join(capfd.readouterr())


async def test_a_deeply_nested_grammar_does_not_end_the_process(engine: TransformersEngine) -> None:
    depth = 6000
    rules = [f'T{i}: "{i % 10}" (T{i + 1})?' for i in range(depth)]
    lark = "\n".join(["start: T0", *rules, f'T{depth}: "."'])
    answer = await engine.complete(request(lark=lark, max_tokens=20))
    assert "0123456789012345678901234567890123456789".startswith(answer.text)


async def test_a_grammar_that_gives_up_fails_its_row_alone(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    import medllm.engines.transformers as module

    class Breaks:
        """Gives up at the second token."""

        def __init__(self, matcher: Any) -> None:
            self.matcher, self.steps = matcher, 0

        def consume_token(self, token: int) -> bool:
            self.steps += 1
            return bool(self.matcher.consume_token(token if self.steps < 2 else 1))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.matcher, name)

    compiled = module.compile_grammar
    monkeypatch.setattr(
        module, "compile_grammar", lambda words, lark: Breaks(compiled(words, lark)) if SECRET in lark else compiled(words, lark)
    )
    monkeypatch.setattr("llguidance.numpy.fill_next_token_bitmask_par", _one_by_one)
    bad = engine.complete(request(lark=f'start: "{SECRET}" " {SECRET}"'))
    good = engine.complete(request(lark='start: "no pain, no fever"'))
    outcome, answer = await asyncio.gather(bad, good, return_exceptions=True)
    assert isinstance(outcome, EngineError)
    assert SECRET not in str(outcome)
    assert getattr(answer, "text", None) == "no pain, no fever"


def _one_by_one(executor: object, matchers: list[tuple[Any, int]], masks: Any) -> None:
    import llguidance.numpy

    for matcher, i in matchers:
        llguidance.numpy.fill_next_token_bitmask(getattr(matcher, "matcher", matcher), masks, i)


async def test_tokens_are_counted_without_special_ones(engine: TransformersEngine) -> None:
    assert engine.count_tokens("") == 0
    assert engine.count_tokens("胸痛") == len(engine._open.tokenizer.tokenize("胸痛"))
    assert engine.count_tokens(f"a{END}") == engine.count_tokens("a") + 1
    assert (engine.name, engine.constrained) == ("transformers", True)


def test_a_template_without_a_system_turn() -> None:
    words = tokenizer("{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + TEMPLATE)
    prompt = words.decode(encode_chat(words, request("胸痛").messages))
    assert prompt == "<|im_start|>user\nFind the drugs.\n\n胸痛<|im_end|>\n<|im_start|>assistant\n"
    with pytest.raises(EngineError, match="template") as caught:
        encode_chat(words, [Message("system", SECRET)])
    assert SECRET not in str(caught.value)
    refuses = tokenizer("{{ raise_exception('never') }}")
    with pytest.raises(EngineError, match="template"):
        encode_chat(refuses, request().messages)


def test_a_model_without_a_template_gets_plain_text() -> None:
    words = tokenizer(None)
    assert words.decode(encode_chat(words, request("胸痛").messages)) == "Find the drugs.\n\n胸痛\n\n"


def test_loading_is_silent_and_puts_settings_back(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging as notices

    notices.set_verbosity_warning()
    engine = TransformersEngine(str(folder), device="cpu", dtype="bfloat16", context_tokens=300)
    assert asyncio.run(engine.complete(request(lark='start: "no"'))).text == "no"
    assert "".join(capfd.readouterr()) == ""
    assert notices.get_verbosity() == logging.WARNING
    assert notices.is_progress_bar_enabled()
    assert engine.context_tokens == 300
    assert engine._open.network.dtype == torch.bfloat16
    asyncio.run(engine.aclose())


def test_models_that_cannot_be_loaded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for missing in (tmp_path / "nowhere", tmp_path / "nothing.gguf", tmp_path):
        with pytest.raises(ModelError) as caught:
            TransformersEngine(str(missing), device="cpu")
        assert caught.value.hint
    with pytest.raises(ModelError) as caught:
        TransformersEngine("medllm-tests/not-on-this-machine", device="cpu")
    assert "HF_HUB_OFFLINE" in caught.value.hint
    (tmp_path / "config.json").write_text('{"model_type": "never-heard-of"}')
    with pytest.raises(EngineError, match="cannot be loaded") as refused:
        TransformersEngine(str(tmp_path), device="cpu")
    assert refused.value.hint
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    with pytest.raises((EngineError, ModelError)):
        TransformersEngine(str(broken), device="cpu")


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        TransformersEngine(str(tmp_path), device="cpu")


def test_options_that_make_no_sense(folder: Path) -> None:
    with pytest.raises(EngineError, match="dtype"):
        TransformersEngine(str(folder), dtype="int3")
    with pytest.raises(EngineError, match="device"):
        TransformersEngine(str(folder), device="abacus")
    with pytest.raises(UsageError, match="batch_size"):
        TransformersEngine(str(folder), batch_size=0)


def test_without_torch_the_hint_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineError, match="torch") as caught:
        TransformersEngine(str(folder))
    assert "medllm[transformers]" in caught.value.hint


def test_a_slow_tokenizer_is_refused() -> None:
    from medllm.engines._hub import _grammar_tokenizer

    with pytest.raises(EngineError, match="tokenizer"):
        _grammar_tokenizer("none of the fast ones", 3, frozenset({0}))


async def test_a_gguf_file_answers_as_the_folder_does(
    engine: TransformersEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDLLM_CACHE", str(tmp_path))
    for package in ("accelerate", "gguf"):
        pytest.importorskip(package, reason=f"transformers reads GGUF files with {package}")
    path = tmp_path / "tiny.gguf"
    write_gguf(path, engine._open.network, engine._open.tokenizer)
    capfd.readouterr()
    unpacked = TransformersEngine(str(path), device="cpu")
    assert "".join(capfd.readouterr()) == ""
    assert unpacked.context_tokens == 512
    assert unpacked.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()
    assert unpacked.count_tokens(SENTENCES[3]) == engine.count_tokens(SENTENCES[3])
    for asked in (request(lark="start: /[a-z ]{20}/"), request(lark=GRAMMARS["json"][0]), request("发热", lark=GRAMMARS["chinese"][0])):
        assert (await unpacked.complete(asked)).text == (await engine.complete(asked)).text
    await unpacked.aclose()


async def test_an_exported_gguf_file_answers_as_the_file_does(
    engine: TransformersEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("accelerate", "gguf"):
        pytest.importorskip(package, reason=f"transformers reads GGUF files with {package}")
    monkeypatch.setenv("MEDLLM_CACHE", str(tmp_path / "cache"))
    path, folder = tmp_path / "tiny.gguf", tmp_path / "out"
    write_gguf(path, engine._open.network, engine._open.tokenizer)
    done = CliRunner().invoke(models_app, ["export", str(path), "-o", str(folder), "--dtype", "float32"], catch_exceptions=False)
    assert done.stdout == f"{folder}\n"
    ends = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    assert set(ends) == engine._open.end_tokens
    assert json.loads((folder / "medllm.json").read_text())["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    exported = TransformersEngine(str(folder))
    asked = request(lark="start: /[a-z ]{20}/")
    assert (await exported.complete(asked)).text == (await engine.complete(asked)).text
    await exported.aclose()
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert export(path, folder, dtype="float32") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before, "made once"
    with pytest.raises(ModelError) as caught:
        export(path, folder, dtype="bfloat16")
    assert caught.value.hint


def write_gguf(path: Path, model: Any, words: Any) -> None:
    """The tiny model as a GGUF file of 32-bit floats."""
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    state = json.loads(words.backend_tokenizer.to_str())
    tokens = sorted(words.get_vocab(), key=words.get_vocab().__getitem__)
    tokens += [f"[PAD{i}]" for i in range(len(tokens), config.vocab_size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    special = {added["content"] for added in state["added_tokens"]}
    writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([" ".join(pair) for pair in state["model"]["merges"]])
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
