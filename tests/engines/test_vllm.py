"""The vllm engine against a server that does everything wrong that a server can."""

import asyncio
import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from medllm.document import Note
from medllm.engines import EngineOptions, create_engine
from medllm.engines._in_flight import InFlight
from medllm.engines._transport import ATTEMPTS
from medllm.engines.base import Message, Request
from medllm.engines.vllm import VllmEngine
from medllm.errors import EngineError, ServerLostError, UsageError
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar, choice
from medllm.pipeline import Extractor
from medllm.runs.directory import RunDirectory
from medllm.runs.doctor import examine
from medllm.runs.run import RunResult, configuration, run
from medllm.schema import Schema
from tests.engines.faulty import FaultyServer, mixed
from tests.scripted import Reader

SCHEMA = Schema.load("clinical")
READER = Reader(SCHEMA, {"fever": "problem", "aspirin": "drug"}, near={"81 mg": "strength"})
NOTES = [Note(id=f"n{i}", text=f"Patient {i} has fever 发热.\nTakes aspirin 81 mg.\n") for i in range(8)]
CHAT = (Message("user", "Fruit?"),)
FRUIT = Request(CHAT, Constraint(Grammar({"root": choice("apple", "pear")})), 8, logprobs=True)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medllm.engines._transport._pause", lambda *_: 0.01)
    monkeypatch.delenv("MEDLLM_API_KEY", raising=False)
    monkeypatch.delenv("MEDLLM_BASE_URL", raising=False)


def options(**more: Any) -> dict[str, Any]:
    return {"patience": 0.2, "timeout": 10, "parallel": 4, **more}


def do_run(server: FaultyServer, out: Path, notes: list[Note] = NOTES, **more: Any) -> RunResult:
    with Extractor(SCHEMA, engine=VllmEngine(server.url, **options(**more))) as extractor:
        directory = RunDirectory(out, SCHEMA, configuration(extractor))
        try:
            return asyncio.run(run(extractor, notes, directory))
        finally:
            directory.close()


def mentions(out: Path) -> dict[str, list[str]]:
    rows = [json.loads(line) for line in (out / "extractions.jsonl").read_text().splitlines()]
    assert len({row["note_id"] for row in rows}) == len(rows), "a note was written twice"
    return {row["note_id"]: [e["text"] for e in row["entities"]] for row in rows}


def ledger(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]


EXPECTED = {note.id: ["fever", "aspirin", "81 mg"] for note in NOTES}


# --- failures in the middle of a run ---


@pytest.mark.parametrize("fault", ["refused", "reset", "slow", "busy", "broken", "garbage", "abort", "503"])
def test_what_fails_once_is_asked_again(tmp_path: Path, fault: str) -> None:
    with FaultyServer(READER, fault=lambda n: fault if n in (1, 2, 9) else None) as server:
        result = do_run(server, tmp_path / "out", timeout=1 if fault == "slow" else 10)
        asked = len(server.asked)
    assert (result.exit_code, result.accounted_for) == (0, True)
    assert mentions(tmp_path / "out") == EXPECTED
    assert asked == 2 * len(NOTES) + 3


@pytest.mark.parametrize("fault", ["reset", "broken", "garbage", "slow", "disobeys", "400", "busy"])
def test_what_fails_always_is_in_the_ledger_and_a_later_run_finishes_it(tmp_path: Path, fault: str) -> None:
    def of(server: FaultyServer, n: int) -> str | None:
        return fault if "Patient 3" in str(server.asked[n]["messages"][-1]) else None

    with FaultyServer(READER) as server:
        server.fault = lambda n: of(server, n)
        result = do_run(server, tmp_path / "out", timeout=1 if fault == "slow" else 10)
        assert (result.exit_code, result.accounted_for) == (3, True)
        assert mentions(tmp_path / "out") == EXPECTED | {"n3": []}
        (entry,) = ledger(tmp_path / "out")
        assert (entry["note_id"], entry["reason"], entry["start"], entry["end"]) == ("n3", "engine-error", 0, len(NOTES[3].text))
        assert "Patient" not in json.dumps(entry)
        server.fault = lambda n: None
        again = do_run(server, tmp_path / "out")
    assert (again.exit_code, again.progress.notes, again.progress.skipped) == (0, 1, 7)
    assert mentions(tmp_path / "out") == EXPECTED
    assert not ledger(tmp_path / "out")


def test_whatever_a_server_does_every_note_is_read_or_told(tmp_path: Path) -> None:
    notes = [Note(id=f"n{i}", text=f"Patient {i} has fever.\nPatient {i} takes aspirin.\n") for i in range(100)]
    with FaultyServer(READER, fault=mixed(0.2, seed=5)) as server:
        result = do_run(server, tmp_path / "out", notes, patience=5, timeout=1)
        asked = Counter(re.findall(r"Patient (\d+) has", str(server.asked)))
    assert result.accounted_for
    told = {entry["note_id"] for entry in ledger(tmp_path / "out")}
    found = mentions(tmp_path / "out")
    assert found.keys() == {note.id for note in notes}
    assert {note_id for note_id, texts in found.items() if texts != ["fever", "aspirin"]} <= told  # what a cut answer said is kept
    assert len(told) < 10
    assert max(asked.values()) <= 3 * ATTEMPTS  # for the whole, and for each half where an answer was cut


def test_a_trickle_is_no_answer(tmp_path: Path) -> None:
    with FaultyServer(READER, fault=lambda n: "trickle" if n < 2 else None) as server:
        assert do_run(server, tmp_path / "out", NOTES[:2], timeout=1).exit_code == 0
        server.fault = lambda n: "trickle"
        do_run(server, tmp_path / "out2", NOTES[:1], timeout=0.5)
    (entry,) = ledger(tmp_path / "out2")
    assert "no answer within 0.5 s (--timeout)" in entry["detail"]


def test_an_answer_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medllm.engines._transport.MAX_ANSWER", 20_000)
    with FaultyServer(READER, fault=lambda n: "flood") as server:
        do_run(server, tmp_path / "out", NOTES[:1])
    (entry,) = ledger(tmp_path / "out")
    assert "an answer of more than 20000 bytes" in entry["detail"]


def test_an_answer_cut_at_its_length_is_asked_again_in_parts(tmp_path: Path) -> None:
    with FaultyServer(READER, fault=lambda n: "cut" if n == 0 else None) as server:
        result = do_run(server, tmp_path / "out", NOTES[:1])
    assert result.exit_code == 0
    assert mentions(tmp_path / "out") == {"n0": EXPECTED["n0"]}


def test_a_server_that_dies_stops_the_run_and_the_next_one_finishes_it(tmp_path: Path) -> None:
    notes = [Note(id=f"d{i}", text=f"Note {i}: fever.\n") for i in range(30)]
    with FaultyServer(READER) as server:

        def die(n: int) -> str | None:
            if n == 20:
                threading.Thread(target=server.stop).start()
            return "slow" if n >= 20 else None

        server.fault = die
        with pytest.raises(ServerLostError) as caught:
            do_run(server, tmp_path / "out", notes)
        assert "again" in caught.value.hint
        done = mentions(tmp_path / "out")
        assert 0 < len(done) < 30
        assert all(found == ["fever"] for found in done.values())
        assert not ledger(tmp_path / "out")
        manifest = json.loads((tmp_path / "out" / "run.json").read_text())
        assert (manifest["state"], manifest["notes"]) == ("stopped: ServerLostError", len(done))
        server.fault = lambda n: None
        server.start()
        result = do_run(server, tmp_path / "out", notes)
    assert (result.exit_code, result.progress.skipped) == (0, len(done))
    assert mentions(tmp_path / "out") == {note.id: ["fever"] for note in notes}


def test_a_server_that_comes_back_in_time_is_waited_for(tmp_path: Path) -> None:
    with FaultyServer(READER) as server:

        def away(n: int) -> str | None:
            if n == 3:
                threading.Thread(target=lambda: (server.stop(), time.sleep(0.3), server.start())).start()
            return "slow" if n == 3 else None

        server.fault = away
        result = do_run(server, tmp_path / "out", patience=20, timeout=20)
    assert result.exit_code == 0
    assert mentions(tmp_path / "out") == EXPECTED


def test_usage_is_kept_for_every_request_and_summed(tmp_path: Path) -> None:
    with FaultyServer(READER) as server:
        do_run(server, tmp_path / "out", NOTES[:2])
    usage = [json.loads(line) for line in (tmp_path / "out" / "usage.jsonl").read_text().splitlines()]
    assert [(u["prompt_tokens"], u["cached_tokens"]) for u in usage] == [(100, 64)] * 4
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert manifest["usage"]["cached_tokens"] == 256
    assert manifest["server"] == {"server": "vllm 0.32.0", "held_to": "lark", "exact_token_counts": False}


def test_no_note_and_no_key_in_logs_and_errors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FaultyServer(READER, fault=lambda n: "400", key="secret-key-1") as server:
        do_run(server, tmp_path / "out", api_key="secret-key-1")
    written = caplog.text + "".join((tmp_path / "out" / name).read_text() for name in ("ledger.jsonl", "run.json", "usage.jsonl"))
    for secret in ("secret-key-1", "fever", "发热", "aspirin"):
        assert secret not in written


# --- the check of a server ---


def refusal(server: FaultyServer | None = None, url: str = "", **more: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        VllmEngine(server.url if server else url, **options(**more))
    return caught.value


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = refusal(url=f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert "no server answers" in str(error)
    assert "medllm models serve" in error.hint


@pytest.mark.parametrize(
    ("changes", "asked", "words", "hint"),
    [
        ({"version": "0.11.2"}, {}, "vLLM 0.11.2", "vllm>=0.12"),
        ({"forms": ()}, {}, "does not obey", "--structured-outputs-config.backend guidance"),
        ({"forms": (), "version": ""}, {}, "neither", "vLLM"),
        ({"healthy": False}, {}, "not ready", "wait"),
        ({}, {"model": "other"}, "does not serve other", "it serves m;"),
        ({"models": [{"id": "a"}, {"id": "b"}]}, {}, "several", "a, b"),
        ({"models": []}, {}, "no model", "--model"),
        ({"key": "k"}, {}, "API key", "MEDLLM_API_KEY"),
    ],
)
def test_a_server_that_will_not_do_is_refused_with_what_mends_it(
    changes: dict[str, Any], asked: dict[str, Any], words: str, hint: str
) -> None:
    with FaultyServer(READER, **changes) as server:
        error = refusal(server, **asked)
    assert words in str(error)
    assert hint in error.hint


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDLLM_API_KEY", "k")
    with FaultyServer(READER, key="k") as server:
        engine = VllmEngine(server.url, **options())
        assert (engine.model, engine.context_tokens, engine.constrained) == ("m", 4096, True)
        asyncio.run(engine.aclose())


def test_an_adapter_is_asked_by_its_name_and_is_not_the_only_model() -> None:
    models = [{"id": "base", "max_model_len": 2048}, {"id": "adapter", "parent": "base", "max_model_len": 2048}]
    with FaultyServer(lambda _: "apple", models=models) as server:
        for asked, model in ((None, "base"), ("adapter", "adapter")):
            engine = VllmEngine(server.url, asked, **options())
            asyncio.run(engine.complete(FRUIT))
            asyncio.run(engine.aclose())
            assert server.asked[-1]["model"] == engine.model == model


@pytest.mark.parametrize("form", ["lark", "gbnf"])
def test_the_grammar_goes_in_the_form_that_the_server_obeys(form: str) -> None:
    with FaultyServer(lambda _: "pear", forms=(form,)) as server:
        engine = VllmEngine(server.url, **options())
        answer = asyncio.run(engine.complete(FRUIT))
        asyncio.run(engine.aclose())
        sent = server.asked[-1]["structured_outputs"]["grammar"]
    assert answer.text == "pear"
    assert [t.token for t in answer.logprobs] == ["pea", "r"]
    assert sent.startswith("%llguidance {}\nstart:" if form == "lark" else "root ::=")


def test_a_server_without_grammars_answers_in_json_and_is_marked(tmp_path: Path) -> None:
    with FaultyServer(READER, forms=("json",), version="") as server:
        result = do_run(server, tmp_path / "out", NOTES[:2])
        bodies = server.asked
    assert result.exit_code == 0
    assert mentions(tmp_path / "out") == {note.id: EXPECTED[note.id] for note in NOTES[:2]}
    first = json.loads((tmp_path / "out" / "extractions.jsonl").read_text().splitlines()[0])
    assert {v["placed"] for e in first["entities"] for v in e["votes"]} == {"aligned"}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["configuration"]["constrained"] is False
    schema = bodies[0]["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["1", "2"]
    assert all(json.loads(m["content"]) for m in bodies[0]["messages"] if m["role"] == "assistant")
    assert not {"structured_outputs", "chat_template_kwargs", "logprobs"} & set(bodies[0])


def test_the_scores_of_a_reasoning_model_are_those_of_its_answer() -> None:
    with FaultyServer(lambda _: "pear", reasoning="It is round, so pear is wrong. ") as server:
        engine = VllmEngine(server.url, **options(reasoning_tokens=50))
        answer = asyncio.run(engine.complete(FRUIT))
        asyncio.run(engine.aclose())
        body = server.asked[-1]
    assert [t.token for t in answer.logprobs] == ["pea", "r"]
    assert (body["max_tokens"], body["chat_template_kwargs"]) == (58, {"enable_thinking": True})


# --- how many at a time ---


async def peak_of(bound: InFlight, count: int) -> int:
    """The most at a time of ``count`` pieces of work that all want to run at once."""
    running = most = 0

    async def work() -> None:
        nonlocal running, most
        async with bound.turn():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
        await bound.went_well()

    await asyncio.gather(*(work() for _ in range(count)))
    return most


@pytest.mark.parametrize(("waiting", "parallel", "peak"), [(False, 32, 32), (True, 32, 8), (False, 5, 5)])
async def test_requests_in_flight_grow_while_nobody_waits_in_the_server(waiting: bool, parallel: int, peak: int) -> None:
    async def full() -> bool:
        return waiting

    assert await peak_of(InFlight(parallel, full), 300) == peak


async def test_requests_in_flight_become_fewer_when_the_server_asks_for_it_and_never_none() -> None:
    async def full() -> bool:
        return True

    bound = InFlight(32, full)
    for expected in (4, 2, 1, 1):
        bound.overloaded()
        assert await peak_of(bound, 10) == expected


async def test_a_place_that_a_cancelled_call_waited_for_goes_to_the_next() -> None:
    async def full() -> bool:
        return True

    bound = InFlight(1, full)
    async with bound.turn():
        waiting = [asyncio.create_task(peak_of(bound, 1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    waiting[1].cancel()  # its place was given to it in this very moment
    assert await waiting[2] == 1


async def test_the_server_s_queue_is_read_from_its_metrics() -> None:
    with FaultyServer(lambda _: "apple") as server:
        engine = VllmEngine(server.url, **options())
        for waiting in (0, 2):
            server.waiting = waiting
            assert await engine._server_is_full() == bool(waiting)
        await engine.aclose()


async def test_cancelling_closes_the_connection_and_frees_the_place() -> None:
    with FaultyServer(lambda _: "apple", fault=lambda n: "slow" if n == 0 else None) as server:
        engine = VllmEngine(server.url, **options(parallel=1, timeout=60))
        task = asyncio.create_task(engine.complete(FRUIT))
        while not server.asked:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await engine.complete(FRUIT)).text == "apple"
        await engine.aclose()
        await engine.aclose()
        with pytest.raises(EngineError):
            await engine.complete(FRUIT)


# --- choosing it ---


def test_auto_is_the_server_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer(READER) as server:
        monkeypatch.setenv("MEDLLM_BASE_URL", server.url)
        engine = create_engine("auto", None, EngineOptions())
        assert engine.name == "vllm"
        asyncio.run(engine.aclose())


@pytest.mark.parametrize("url", ["", "ftp://x", "http://"])
def test_an_address_that_is_none_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        create_engine("vllm", None, EngineOptions(base_url=url))
    assert caught.value.hint


@pytest.mark.parametrize(("forms", "state", "words"), [(("lark",), "ok", "grammars are obeyed"), ((), "bad", "does not obey")])
def test_the_doctor_looks_at_the_server_that_is_named(
    monkeypatch: pytest.MonkeyPatch, forms: tuple[str, ...], state: str, words: str
) -> None:
    with FaultyServer(READER, forms=forms) as server:
        monkeypatch.setenv("MEDLLM_BASE_URL", server.url)
        finding = next(f for f in examine() if f.what.startswith("engine vllm:"))
    assert (finding.state, words in finding.what) == (state, True)


def extract(*arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-c", "from medllm.cli import main; main()", "extract", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=Path(__file__).parents[2])


def test_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text(NOTES[0].text)
    with FaultyServer(READER) as server:
        done = extract(str(tmp_path / "note.txt"), "-o", str(tmp_path / "out"), "--base-url", server.url, "--parallel", "2")
    assert (done.returncode, mentions(tmp_path / "out")) == (0, {"note": EXPECTED["n0"]})
    refused = extract(str(tmp_path / "note.txt"), "-o", str(tmp_path / "out"), "--base-url", server.url)
    assert refused.returncode == 1
    assert "medllm models serve" in refused.stderr
    assert "Traceback" not in refused.stderr
