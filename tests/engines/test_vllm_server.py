"""A real vLLM server, with a model that says nothing sensible: whatever comes of it must obey."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from medllm.document import Note
from medllm.engines.base import Message, Request
from medllm.engines.vllm import VllmEngine
from medllm.errors import EngineError
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar, choice
from medllm.pipeline import Extractor
from medllm.reading import Reading

pytestmark = pytest.mark.vllm

ROOT = Path(__file__).parents[2]
TEXT = "CC: chest pain, no fever.\nHe takes aspirin 81 mg daily."
CHINESE = "主诉：头痛三天，无发热。\n给予阿司匹林 100mg 口服。"
CHAT = (Message("system", "You are brief."), Message("user", "Name a fruit."))


@pytest.fixture(scope="module")
def engine(vllm_url: str) -> Iterator[VllmEngine]:
    engine = VllmEngine(vllm_url)
    yield engine
    asyncio.run(engine.aclose())


def one_of(*texts: str, tokens: int = 32) -> Request:
    return Request(CHAT, Constraint(Grammar({"root": choice(*texts)})), tokens, logprobs=True)


def check(reading: Reading, text: str) -> None:
    assert reading.accounted_for
    assert {entry.reason for entry in reading.extraction.ledger} <= {"output-limit", "layout-bound"}
    assert reading.extraction.entities
    for entity in reading.extraction.entities:
        assert entity.text == " ".join(span.of(text) for span in entity.spans)
        assert {vote.placed for vote in entity.votes if vote.reader == "llm" and not vote.about} == {"grammar"}


def test_the_check_finds_what_there_is(engine: VllmEngine) -> None:
    assert engine.server.form == "lark"
    assert engine.server.software.startswith("vllm 0.")
    assert engine.constrained


@pytest.mark.parametrize("form", ["lark", "gbnf"])
async def test_the_grammar_is_obeyed(engine: VllmEngine, form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "server", replace(engine.server, form=form))
    answer = await engine.complete(one_of("zebra-1", "zebra-12", '"头痛"\n'))
    assert answer.text in ("zebra-1", "zebra-12", '"头痛"\n')
    assert answer.finish_reason == "stop"
    assert "".join(token.token for token in answer.logprobs) == answer.text
    assert all(token.logprob <= 0 for token in answer.logprobs)


@pytest.mark.parametrize("layout", ["lines", "copy"])
@pytest.mark.parametrize("text", [TEXT, CHINESE], ids=["english", "chinese"])
async def test_a_note_in_both_layouts(engine: VllmEngine, layout: str, text: str) -> None:
    reading = await Extractor("clinical", engine=engine, layout=layout).read(Note(id="n", text=text))
    check(reading, text)


async def test_relations_are_typed(engine: VllmEngine) -> None:
    reading = await Extractor("i2b2-2010", engine=engine).read(Note(id="n", text="chest pain, fever, aspirin, an ECG, a rash"))
    check(reading, reading.extraction.note.text)
    assert "relations" in {request.task for request in reading.requests}
    assert all(type(r).heads() and isinstance(r.head, tuple(type(r).heads())) for r in reading.extraction.relations)


async def test_each_of_many_at_a_time_has_its_own_grammar(engine: VllmEngine) -> None:
    answers = await asyncio.gather(*(engine.complete(one_of(f"number {n}")) for n in range(40)))
    assert [answer.text for answer in answers] == [f"number {n}" for n in range(40)]


async def test_the_static_part_of_a_prompt_comes_from_the_cache(engine: VllmEngine) -> None:
    extractor = Extractor("clinical", engine=engine, relations=False)
    await extractor.read(Note(id="a", text="No fever."))
    reading = await extractor.read(Note(id="b", text="An ECG was done in the ward."))
    usage = reading.requests[0].usage
    assert usage.cached_tokens > 0.8 * usage.prompt_tokens


async def test_an_answer_that_is_cut_off_says_so(engine: VllmEngine) -> None:
    answer = await engine.complete(one_of("long " * 50, tokens=5))
    assert (answer.finish_reason, answer.usage.completion_tokens) == ("length", 5)


async def test_cancelling_stops_the_decoding(engine: VllmEngine, vllm_url: str) -> None:
    task = asyncio.create_task(engine.complete(Request(CHAT, Constraint(Grammar({"root": choice("word " * 2000)})), 2500)))
    while running(vllm_url) < 1:
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    until = time.monotonic() + 20
    while running(vllm_url) and time.monotonic() < until:
        await asyncio.sleep(0.05)
    assert running(vllm_url) == 0


async def test_a_prompt_above_the_context_is_refused_without_its_text(engine: VllmEngine) -> None:
    with pytest.raises(EngineError) as caught:
        await engine.complete(Request((Message("user", "secretword " * 5000),), None, 8))
    assert "--max-model-len" in caught.value.hint
    assert "secretword" not in str(caught.value)


def test_another_model_is_refused(vllm_url: str) -> None:
    with pytest.raises(EngineError) as caught:
        VllmEngine(vllm_url, "no-such-model")
    assert "it serves" in caught.value.hint


def test_in_the_process_it_answers_as_on_the_server(vllm_python: str, tiny_model: Path, engine: VllmEngine) -> None:
    texts = [["apple", "pear", "plum"], ["头痛", "发热 38.5"], ["one\ntwo", "three"]]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    line = [vllm_python, str(Path(__file__).with_name("offline.py")), str(tiny_model), json.dumps(texts)]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=tiny_model.parent)
    assert done.returncode == 0, done.stderr[-2000:]

    async def served() -> list[list[object]]:
        answers = await asyncio.gather(*(engine.complete(one_of(*each)) for each in texts))
        return [[a.text, a.finish_reason, a.usage.prompt_tokens, "".join(t.token for t in a.logprobs)] for a in answers]

    assert json.loads(done.stdout.strip().splitlines()[-1]) == asyncio.run(served())


def running(url: str) -> float:
    """Requests that the server decodes, by its own metrics."""
    rows = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    return sum(float(row.rpartition(" ")[2]) for row in rows if row.startswith("vllm:num_requests_running{"))
