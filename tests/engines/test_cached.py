"""The completion cache: what it answers, what it never keeps, and that it is nobody's but its owner's."""

import asyncio
import json
import multiprocessing
import sqlite3
import stat
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medllm.document import Note
from medllm.engines.base import Completion, Message, Request, Usage
from medllm.engines.cached import CachedEngine
from medllm.engines.completion_cache import DAY, CompletionCache, place, purge
from medllm.errors import CacheError, EngineError
from medllm.formats import jsonl
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar, choice
from medllm.pipeline import Extractor
from medllm.runs.directory import RunDirectory
from medllm.runs.run import configuration, run
from medllm.schema import Schema
from tests.scripted import Reader, Scripted, task_of

SCHEMA = Schema.load("clinical")
READER = Reader(SCHEMA, {"fever": "problem", "aspirin": "drug"}, near={"81 mg": "strength"})
NOTES = [Note(id=f"n{i}", text=f"Patient {i} has fever 💊.\nTakes aspirin 81 mg.\n") for i in range(3)]
ASKED = Request((Message("user", "Fruit?"),), Constraint(Grammar({"root": choice("apple", "pear")})), 8)


def answers(engine: CachedEngine, *requests: Request) -> list[Completion]:
    async def ask() -> list[Completion]:
        return [await engine.complete(request) for request in requests]

    return asyncio.run(ask())


def read(folder: Path, notes: Iterable[Note], schema: Schema = SCHEMA, **options: Any) -> tuple[list[str], Scripted, list[str]]:
    """The lines of the extractions, the engine with its calls, and the warnings."""
    engine, warnings = Scripted(Reader(schema, READER.lexicon, READER.near), strict=False), []
    cached = CachedEngine(engine, CompletionCache(folder), warn=lambda error: warnings.append(str(error)))
    with Extractor(schema, engine=cached, **options) as extractor:
        return [jsonl.dump(extractor.extract(note)) for note in notes], engine, warnings


# --- what it answers ---


def test_a_second_run_asks_the_model_nothing_and_comes_to_the_same(tmp_path: Path) -> None:
    first, engine, _ = read(tmp_path, NOTES)
    assert len(engine.calls) == 2 * len(NOTES)
    again, engine, _ = read(tmp_path, NOTES)
    assert again == first
    assert not engine.calls


def test_changing_one_part_of_a_schema_asks_only_about_that(tmp_path: Path) -> None:
    pack = "from medllm import Entity, Modifier, Relation, Schema\n\n\n"
    pack += 'class Drug(Entity):\n    """A drug."""\n\n\nclass Strength(Modifier):\n    """GUIDE"""\n\n\n'
    pack += (
        'class Of(Relation[Drug, Strength]):\n    """Of it."""\n\n\nschema = Schema("mine", entities=[Drug, Strength], relations=[Of])\n'
    )
    asked = []
    for guide in ("How much.", "How much, with its unit."):
        (tmp_path / "mine.py").write_text(pack.replace("GUIDE", guide))
        _, engine, _ = read(tmp_path / "cache", NOTES, Schema.load(tmp_path / "mine.py"))
        asked.append([task_of(request) for request in engine.calls])
    line = "modifiers"  # all notes have the same line about a drug, which is asked about once
    assert asked == [["entities", line, "entities", "entities"], [line]]


def test_changing_a_note_asks_only_about_what_has_changed(tmp_path: Path) -> None:
    text = "".join(f"Line {i} of a note that is long enough for a chunk of its own.\n" for i in range(6))
    read(tmp_path, [Note(id="n", text=text)], chunk_tokens=16)
    _, engine, _ = read(tmp_path, [Note(id="n", text=text.replace("Line 5", "Row 5"))], chunk_tokens=16)
    assert 0 < len(engine.calls) < 6


@pytest.mark.parametrize(
    "other",
    [
        {"messages": (Message("user", "Fruit!"),)},
        {"constraint": Constraint(Grammar({"root": choice("apple", "plum")}))},
        {"constraint": None},
        {"max_tokens": 9},
        {"temperature": 0.5},
        {"seed": 1},
        {"logprobs": True},
        {"json_schema": {"type": "object"}},
    ],
)
def test_another_request_is_another_answer(tmp_path: Path, other: dict[str, Any]) -> None:
    engine = Scripted(lambda request: "apple")
    answers(CachedEngine(engine, CompletionCache(tmp_path)), ASKED, replace(ASKED, **other), ASKED)
    assert len(engine.calls) == 2


@pytest.mark.parametrize("what", ["name", "model", "fingerprint", "address", "about", "versions"])
def test_another_engine_model_server_or_version_is_another_answer(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(CachedEngine(Scripted(lambda request: "apple"), CompletionCache(tmp_path)), ASKED)
    other: Any = Scripted(lambda request: "pear")
    if what == "versions":
        monkeypatch.setattr("medllm.engines.cached.versions", lambda packages: {"llguidance": "99"})
    else:
        setattr(other, what, {"server": "vllm 9"} if what == "about" else "other")
    assert answers(CachedEngine(other, CompletionCache(tmp_path)), ASKED)[0].text == "pear"


def test_a_kept_answer_is_whole_and_marked_and_costs_nothing(tmp_path: Path) -> None:
    engine = Scripted(READER)
    cached = CachedEngine(engine, CompletionCache(tmp_path / "cache"))
    with Extractor(SCHEMA, engine=cached) as extractor:
        for number in range(2):
            directory = RunDirectory(tmp_path / f"out{number}", SCHEMA, configuration(extractor))
            result = asyncio.run(run(extractor, NOTES, directory))
            directory.close()
            assert result.exit_code == 0
    first, second = ([json.loads(x) for x in (tmp_path / f"out{n}" / "usage.jsonl").read_text().splitlines()] for n in (0, 1))
    assert all("from_cache" not in line and line["completion_tokens"] for line in first)
    assert all(line["from_cache"] and not line["completion_tokens"] and not line["prompt_tokens"] for line in second)
    kept = [sorted((tmp_path / f"out{n}" / "extractions.jsonl").read_text().splitlines()) for n in (0, 1)]
    assert kept[0] == kept[1]
    manifest = json.loads((tmp_path / "out1" / "run.json").read_text())
    assert manifest["this_run"]["from_cache"] == len(second)
    assert manifest["usage"]["completion_tokens"] == 0


# --- what it never keeps ---


@pytest.mark.parametrize("failure", [EngineError("down"), Completion("app", "length", Usage(9, 0, 2, 0.1))])
def test_failures_and_cut_answers_are_not_kept(tmp_path: Path, failure: Any) -> None:
    engine = Scripted(lambda request: failure)
    cached = CachedEngine(engine, CompletionCache(tmp_path))
    for _ in range(2):
        if isinstance(failure, EngineError):
            with pytest.raises(EngineError):
                answers(cached, ASKED)
        else:
            assert answers(cached, ASKED) == [failure]
    assert len(engine.calls) == 2
    assert CompletionCache(tmp_path).info().answers == 0


def test_prompts_are_not_kept(tmp_path: Path) -> None:
    read(tmp_path, [Note(id="n", text="Mr. Zanzibar has fever.")])
    assert b"Zanzibar" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


# --- whose it is, and its end ---


def test_only_the_owner_may_read_it_while_it_is_open_too(tmp_path: Path) -> None:
    cache = CompletionCache(tmp_path / "a" / "b")
    cache.put(b"k" * 32, b"v")
    made = list((tmp_path / "a").rglob("*"))
    assert len([p for p in made if p.is_file()]) == 3
    assert {stat.S_IMODE(p.stat().st_mode) for p in made if p.is_file()} == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "a", tmp_path / "a" / "b")} == {0o700}
    cache.close()


def test_the_usual_place_is_the_user_s_own_and_not_the_team_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **options: tmp_path / name)
    monkeypatch.setenv("MEDLLM_CACHE", str(tmp_path / "team"))
    assert place().parent == tmp_path / "medllm" / "completions"


def test_what_is_purged_is_gone_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [bytes(range(i, i + 32)) for i in range(50)]  # keys are not packed, so they can be looked for
    cache = CompletionCache(tmp_path)
    for key in secrets[:25]:
        cache.put(key, b"an answer")
    now = time.time()
    monkeypatch.setattr("medllm.engines.completion_cache.time.time", lambda: now + 3 * DAY)
    for key in secrets[25:]:
        cache.put(key, b"an answer")
    cache.close()
    assert purge(tmp_path, older_than_days=2) == 25
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert [key in left for key in secrets] == [False] * 25 + [True] * 25
    assert purge(tmp_path) == 25
    assert not any(key in file.read_bytes() for key in secrets for file in tmp_path.iterdir())
    assert purge(tmp_path / "nothing") == 0


# --- when it fails ---


def test_a_damaged_file_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    whole, _, _ = read(tmp_path, NOTES)
    file = place(tmp_path)
    cache = CompletionCache(tmp_path)
    warnings: list[str] = []
    engine = CachedEngine(Scripted(READER), cache, warn=lambda error: warnings.append(str(error)))
    data = bytearray(file.read_bytes())
    data[100:] = b"\xa5" * (len(data) - 100)
    file.write_bytes(bytes(data))
    with Extractor(SCHEMA, engine=engine) as extractor:
        assert [jsonl.dump(x) for x in extractor.extract_batch(NOTES)] == whole
    assert len(warnings) == 1
    assert "fever" not in warnings[0]


def test_a_file_that_is_no_cache_is_refused_and_removed_by_purge(tmp_path: Path) -> None:
    place(tmp_path).write_bytes(b"not a database, " * 99)
    with pytest.raises(CacheError, match="NOTADB") as caught:
        CompletionCache(tmp_path)
    assert "medllm cache purge" in caught.value.hint
    assert purge(tmp_path) is None
    assert CompletionCache(tmp_path).info().answers == 0


def test_a_row_that_is_not_what_was_written_is_asked_again(tmp_path: Path) -> None:
    cache = CompletionCache(tmp_path)
    engine = Scripted(lambda request: "apple")
    answers(CachedEngine(engine, cache), ASKED)
    database = sqlite3.connect(place(tmp_path), isolation_level=None)
    for change in ("packed = substr(packed, 2)", "packed = NULL", "crc = 7", "packed = 'text'"):
        database.execute(f"UPDATE completions SET {change}")
        assert answers(CachedEngine(engine, cache), ASKED)[0].text == "apple"
    database.close()
    assert len(engine.calls) == 5


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CacheError, match="cannot be used: "):
        CompletionCache(tmp_path / "file" / "cache")


def _put_many(folder: str, first: int, count: int) -> None:
    cache = CompletionCache(folder)
    for n in range(first, first + count):
        cache.put(n.to_bytes(32, "big"), b"answer %d" % n)
    cache.close()


def test_processes_share_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_put_many, args=(str(tmp_path), 100 * n, 150)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    cache = CompletionCache(tmp_path)
    assert [cache.get(n.to_bytes(32, "big")) for n in range(350)] == [b"answer %d" % n for n in range(350)]
