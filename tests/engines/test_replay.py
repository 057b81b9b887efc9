"""Recordings: what is replayed equals what was recorded, and a file that is not whole is never taken for one."""

import asyncio
import gzip
import json
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.engines._recording import Header, completion_line
from medllm.engines.base import Completion, Engine, Message, Request, TokenLogprob, Usage
from medllm.engines.replay import Recorder, ReplayEngine, request_key
from medllm.errors import EngineError
from medllm.grammar.constraint import Constraint

SECRET = "Zebediah has a rash"


@dataclass(frozen=True)
class Lark:
    """As much of a Constraint as the engine uses."""

    lark: str


class Echo:
    """An engine that answers with what it was told, spelt backwards."""

    name = "echo"
    model = "echo-1"
    fingerprint = "0e"
    context_tokens = 900
    constrained = True
    concurrency = 3

    def __init__(self) -> None:
        self.calls = self.closed = 0

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def complete(self, request: Request) -> Completion:
        self.calls += 1
        text = request.messages[-1].content[::-1]
        logprobs = tuple(TokenLogprob(c, -0.125 * i) for i, c in enumerate(text)) if request.logprobs else ()
        return Completion(text, "stop" if text else "length", Usage(len(text), 2, 3, 0.1), logprobs)

    async def aclose(self) -> None:
        self.closed += 1


def request(text: str, lark: str | None = None, **options: Any) -> Request:
    constraint = None if lark is None else cast(Constraint, Lark(lark))
    return Request((Message("system", "Find."), Message("user", text)), constraint, **{"max_tokens": 9, **options})


REQUESTS = [
    request("no fever"),
    request("no fever", 'start: "no"'),
    request("胸痛 💊", 'start: "胸痛"', logprobs=True),
    request("no fever", temperature=0.5),
    request("no fever", seed=1),
    request("no fever", max_tokens=10),
    request(""),
    request('line\n"quoted"\u2028\x00 \ud800'),
]


async def record(path: Path, requests: list[Request] = REQUESTS) -> list[Completion]:
    recorder = Recorder(Echo(), path)
    answers = [await recorder.complete(r) for r in requests]
    for r in requests:
        recorder.count_tokens(r.messages[-1].content)
    await recorder.aclose()
    return answers


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.jsonl.gz"])
async def test_what_was_recorded_is_replayed(tmp_path: Path, name: str) -> None:
    answers = await record(tmp_path / name)
    replay = ReplayEngine(str(tmp_path / name))
    assert not replay.torn
    engine: Engine = replay
    assert [await engine.complete(r) for r in REQUESTS] == answers
    assert [engine.count_tokens(r.messages[-1].content) for r in REQUESTS] == [2, 2, 2, 2, 2, 2, 0, 4]
    assert (engine.name, engine.model, engine.fingerprint) == ("replay", "echo-1", "0e")
    assert (engine.context_tokens, engine.constrained) == (900, True)
    await engine.aclose()
    await engine.aclose()
    with pytest.raises(EngineError, match="closed"):
        await engine.complete(REQUESTS[0])


async def test_overlapping_calls(tmp_path: Path) -> None:
    requests = [request(f"note {i}") for i in range(200)]
    recorder = Recorder(Echo(), tmp_path / "calls.jsonl")
    answers = await asyncio.gather(*map(recorder.complete, requests))
    await recorder.aclose()
    engine = ReplayEngine(tmp_path / "calls.jsonl")
    assert await asyncio.gather(*map(engine.complete, reversed(requests))) == answers[::-1]
    await engine.aclose()


async def test_the_recorder_stands_in_for_its_engine(tmp_path: Path) -> None:
    echo = Echo()
    recorder: Engine = Recorder(echo, tmp_path / "calls.jsonl")
    assert (recorder.name, recorder.model, recorder.context_tokens, recorder.concurrency) == ("echo", "echo-1", 900, 3)
    assert recorder.constrained
    for _ in range(2):
        await recorder.complete(REQUESTS[0])
    assert echo.calls == 2
    await recorder.aclose()
    assert echo.closed == 1
    assert len((tmp_path / "calls.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.jsonl.gz"])
async def test_what_was_not_recorded_is_an_error(tmp_path: Path, name: str) -> None:
    await record(tmp_path / name)
    engine = ReplayEngine(tmp_path / name)
    for other in (request(SECRET), request("no fever", 'start: "other"'), request("no fever", seed=2)):
        with pytest.raises(EngineError, match="does not hold") as caught:
            await engine.complete(other)
        assert "Recorder" in caught.value.hint
        assert SECRET not in str(caught.value)
    with pytest.raises(EngineError, match="token count") as caught:
        engine.count_tokens(SECRET)
    assert "Recorder" in caught.value.hint
    assert SECRET not in str(caught.value)
    await engine.aclose()


async def test_no_prompt_is_kept_and_the_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    await record(path, [request(SECRET, f'start: "{SECRET}"')])
    assert SECRET not in path.read_text()
    assert SECRET[::-1] in path.read_text()  # the answer
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_log_probabilities_come_where_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    plain, asked = request("rash"), request("rash", logprobs=True)
    assert request_key(plain) == request_key(asked)
    await record(path, [plain, asked, plain])
    engine = ReplayEngine(path)
    assert (await engine.complete(plain)).logprobs == ()
    assert "".join(token for token, _ in (await engine.complete(asked)).logprobs) == "hsar"
    await engine.aclose()


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.jsonl.gz"])
async def test_a_recording_is_gone_on_with(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    first = await record(path, REQUESTS[:3])
    second = await record(path, REQUESTS[2:])
    engine = ReplayEngine(path)
    assert [await engine.complete(r) for r in REQUESTS] == first + second[1:]
    await engine.aclose()
    other = Echo()
    other.model = "echo-2"
    with pytest.raises(EngineError, match="another engine"):
        Recorder(other, path)


@pytest.mark.parametrize("lost", [1, 2, 30, 90])
async def test_a_torn_end_is_left_out_and_then_mended(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "calls.jsonl"
    answers = await record(path, REQUESTS[:1])
    with path.open("ab") as file:
        file.write(completion_line(request_key(REQUESTS[1]), answers[0])[:-lost])
    engine = ReplayEngine(path)
    assert engine.torn
    assert await engine.complete(REQUESTS[0]) == answers[0]
    with pytest.raises(EngineError, match="does not hold"):
        await engine.complete(REQUESTS[1])
    await engine.aclose()
    again = await record(path)
    mended = ReplayEngine(path)
    assert not mended.torn
    assert [await mended.complete(r) for r in REQUESTS] == again
    await mended.aclose()
    assert [file.name for file in tmp_path.iterdir()] == ["calls.jsonl"]


async def test_a_torn_gzip_keeps_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl.gz"
    recorder = Recorder(Echo(), path)
    answers = [await recorder.complete(r) for r in REQUESTS]
    written = path.read_bytes()  # as after a crash: flushed, and never closed
    await recorder.aclose()
    path.write_bytes(written)
    engine = ReplayEngine(path)
    assert engine.torn
    assert [await engine.complete(r) for r in REQUESTS] == answers
    await engine.aclose()
    path.write_bytes(written[:-9])
    engine = ReplayEngine(path)
    assert engine.torn
    assert [await engine.complete(r) for r in REQUESTS[:-1]] == answers[:-1]
    await engine.aclose()
    assert await record(path) == answers
    mended = ReplayEngine(path)
    assert not mended.torn
    assert [await mended.complete(r) for r in REQUESTS] == answers
    await mended.aclose()


HEADER = Header("echo", "echo-1", "0e", 900, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a recording"),
        (b"[]\n", "not a recording"),
        (b'{"key": "0"}\n', "not a recording"),
        (b"\xff\xfe\n", "not a recording"),
        (gzip.compress(b"hello\n"), "not a recording"),
        (HEADER.line().replace(b'recording": 1', b'recording": 2'), "another version"),
        (replace(HEADER, counting="by/moon").line(), "another version"),
        (HEADER.line() + b"{}\n", "damaged at byte"),
        (HEADER.line() + b'{"key": "12"}\n', "damaged at byte"),
        (HEADER.line() + b'{"count": "%s", "tokens": "many"}\n' % (b"0" * 32), "damaged at byte"),
    ],
)
def test_files_that_are_no_recording(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=message) as caught:
        ReplayEngine(path)
    assert caught.value.hint


async def test_a_damaged_answer(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    await record(path, REQUESTS[:2])
    path.write_bytes(path.read_bytes().replace(b'"text"', b'"tixt"'))
    engine = ReplayEngine(path)
    with pytest.raises(EngineError, match="damaged at byte"):
        await engine.complete(REQUESTS[0])
    await engine.aclose()


def test_paths_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        ReplayEngine(tmp_path / "nowhere.jsonl")
    with pytest.raises(EngineError, match="cannot be written"):
        Recorder(Echo(), tmp_path / "no folder" / "calls.jsonl")


async def test_counting_by_a_rule(tmp_path: Path) -> None:
    echo = Echo()
    echo.counting = "characters/4"  # type: ignore[attr-defined]
    recorder = Recorder(echo, tmp_path / "calls.jsonl")
    recorder.count_tokens("never written")
    await recorder.aclose()
    assert len((tmp_path / "calls.jsonl").read_bytes().splitlines()) == 1
    engine = ReplayEngine(tmp_path / "calls.jsonl")
    assert [engine.count_tokens(text) for text in ("", "abcd", "胸痛胸痛胸")] == [0, 1, 2]
    await engine.aclose()


async def test_of_two_answers_the_later_counts(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    key = request_key(REQUESTS[0])
    path.write_bytes(HEADER.line() + b"".join(completion_line(key, Completion(text, "stop")) for text in ("first", "second")))
    engine = ReplayEngine(path)
    assert (await engine.complete(REQUESTS[0])).text == "second"
    await engine.aclose()


def test_a_key_is_the_requests_own() -> None:
    assert len({request_key(r) for r in REQUESTS}) == len(REQUESTS)
    assert request_key(request("a", temperature=0)) == request_key(request("a"))
    moved = Request((Message("system", "Find.Find."), Message("user", "")), None, 9)
    assert request_key(moved) != request_key(Request((Message("system", "Find."), Message("user", "Find.")), None, 9))
    # Fixed, since recordings outlive versions.
    assert request_key(request("a", 'start: "a"')) == "24bed0b84c9cb136cd977e82407b66d15436e0a23d41bf99e4507fc7b3de6432"


@given(st.lists(st.tuples(st.text(), st.text()), max_size=8, unique_by=lambda pair: pair[0]))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("any") / "calls.jsonl"
    lines = [completion_line(request_key(request(asked)), Completion(answer, "length")) for asked, answer in pairs]
    path.write_bytes(HEADER.line() + b"".join(lines))

    async def replayed() -> list[str]:
        engine = ReplayEngine(path)
        texts = [(await engine.complete(request(asked))).text for asked, _ in pairs]
        await engine.aclose()
        return texts

    assert asyncio.run(replayed()) == [answer for _, answer in pairs]
    assert all(json.loads(line)["text"] == answer for line, (_, answer) in zip(lines, pairs, strict=True))
