"""The real 0.5B model in this process."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from medllm.document import Note
from medllm.engines.base import Message, Request
from medllm.engines.embedded import EmbeddedEngine
from medllm.errors import EngineError
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar, choice
from medllm.pipeline import Extractor

pytestmark = pytest.mark.model

CHAT = (Message("system", "You are brief."), Message("user", "Name a fruit."))


@pytest.fixture(scope="module")
def engine(model_path: Path):
    engine = EmbeddedEngine(model_path, context_tokens=2048)
    yield engine
    asyncio.run(engine.aclose())


@pytest.mark.parametrize("form", ["lark", "gbnf"])
async def test_the_grammar_is_obeyed_in_both_forms(model_path: Path, form: str) -> None:
    engine = EmbeddedEngine(model_path, context_tokens=512, grammar_form=form)
    try:
        constraint = Constraint(Grammar({"root": choice("zebra-1", "zebra-2")}))
        answer = await engine.complete(Request(CHAT, constraint, 32, logprobs=True))
    finally:
        await engine.aclose()
    assert answer.text in ("zebra-1", "zebra-2")
    assert answer.finish_reason == "stop"
    assert "".join(t.token for t in answer.logprobs).startswith(answer.text)
    assert all(t.logprob <= 0 for t in answer.logprobs)


async def test_tokens_are_counted_as_the_model_counts_them(engine: EmbeddedEngine) -> None:
    one = await engine.complete(Request((Message("user", "pain"),), None, 1))
    many = await engine.complete(Request((Message("user", "pain " + "chest pain, 头痛 38.5℃ " * 20),), None, 1))
    counted = engine.count_tokens("pain " + "chest pain, 头痛 38.5℃ " * 20) - engine.count_tokens("pain")
    assert many.usage.prompt_tokens - one.usage.prompt_tokens == counted


async def test_an_answer_that_is_cut_off_says_so(engine: EmbeddedEngine) -> None:
    answer = await engine.complete(Request((Message("user", "Count from 1 to 100."),), None, 5))
    assert answer.finish_reason == "length"
    assert answer.usage.completion_tokens == 5


async def test_cancelling_frees_the_slot(engine: EmbeddedEngine) -> None:
    long = asyncio.create_task(engine.complete(Request((Message("user", "Count from 1 to 10000."),), None, 1500)))
    await asyncio.sleep(0.5)
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    answer = await engine.complete(Request(CHAT, None, 3))
    assert answer.usage.completion_tokens <= 3


async def test_a_prompt_above_the_context_is_refused(engine: EmbeddedEngine) -> None:
    with pytest.raises(EngineError) as caught:
        await engine.complete(Request((Message("user", "secretword " * 4000),), None, 8))
    assert caught.value.hint
    assert "secretword" not in str(caught.value)


def test_no_port_is_opened(engine: EmbeddedEngine) -> None:
    inodes = set()
    for link in Path("/proc/self/fd").iterdir():
        if match := re.match(r"socket:\[(\d+)\]", os.readlink(link) if link.is_symlink() else ""):
            inodes.add(match[1])
    listening = [
        row
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
        if row.split()[3] == "0A" and row.split()[9] in inodes
    ]
    assert listening == []


@pytest.mark.parametrize("content", [b"not a model", b""])
def test_a_file_that_is_no_model_is_one_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        EmbeddedEngine(path)
    assert caught.value.hint


def test_a_note_end_to_end(engine: EmbeddedEngine) -> None:
    text = "CC: chest pain.\nHe takes aspirin 81 mg daily. No fever. 患者头痛。"
    reading = asyncio.run(Extractor("clinical", engine=engine).read(Note(id="n", text=text)))
    assert reading.accounted_for
    assert not reading.extraction.ledger
    assert reading.extraction.entities, "an empty reader is no reader"
    for entity in reading.extraction.entities:
        assert entity.text == " ".join(s.of(text) for s in entity.spans)


def test_memory_stays_small(model_path: Path) -> None:
    code = (
        "import resource, sys; from medllm import Extractor; from medllm.engines.embedded import EmbeddedEngine\n"
        "with Extractor(engine=EmbeddedEngine(sys.argv[1])) as x: x.extract('No fever. Chest pain for two days.')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(model_path)], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 2.5e6  # kilobytes
