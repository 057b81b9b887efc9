"""The way of a note, with an engine whose answers are known: what is found, what is asked again, and what goes to the ledger."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.document import Assertion, Entity, Extraction, Note, Relation
from medllm.engines.base import Completion, Request, Usage
from medllm.errors import EngineError, PromptError, UsageError
from medllm.pipeline import Extractor
from medllm.prompting.reader import MENTIONS_A_PROMPT
from medllm.reading import UNREAD, Reading
from medllm.runs.ledger import REASONS
from medllm.schema import Schema
from medllm.schemas.clinical import Drug, DrugModifier, Negation, Problem, ProblemModifier, Severity, Strength
from medllm.schemas.clinical import schema as CLINICAL
from medllm.schemas.i2b2_2010 import TeRP, TrAP
from medllm.schemas.i2b2_2010 import schema as I2B2
from tests.scripted import Reader, Scripted, task_of

LEXICON = {"fever": "problem", "chills": "problem", "Fever": "problem", "rash": "problem", "aspirin": "drug", "ECG": "test"}
NEAR = {"denies": "negation", "severe": "severity", "81 mg": "strength"}
READER = Reader(CLINICAL, LEXICON, NEAR, absent=frozenset({"chills"}))
TEXT = "HISTORY:\nHe denies fever or chills.\nPLAN: aspirin 81 mg, then an ECG.\nNo more fever."


def cut(text: str) -> Completion:
    return Completion(text, "length", Usage(10, 0, len(text) // 4, 0.1))


def lines_asked(request: Request) -> list[str]:
    return [slot.line.view for slot in READER.slots(request)]


async def read(text: str, answer: Callable[[Request], object] = READER, schema: Schema = CLINICAL, **options: object) -> Reading:
    """Read one note with a scripted engine, and check what must hold whatever it answered."""
    engine_options = {k: options.pop(k) for k in ("context_tokens", "constrained", "concurrency", "strict") if k in options}
    engine = Scripted(answer, **engine_options)  # type: ignore[arg-type]
    extractor = Extractor(schema, engine=engine, **({"boundary": "off"} | options))  # type: ignore[arg-type]
    reading = await extractor.read(Note(id="n", text=text))
    check(reading)
    answered = [r for r in reading.requests]
    assert len(answered) <= len(engine.calls)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    extractor.close()
    assert engine.closed == 1
    return reading


def check(reading: Reading) -> None:
    """Offsets give back the text, ids and order are as promised, relations point at the mentions, and all is accounted for."""
    extraction = reading.extraction
    for entity in extraction.entities:
        assert entity.text == " ".join(span.of(extraction.note.text) for span in entity.spans)
    assert [e.id for e in extraction.entities] == [f"T{n}" for n in range(1, len(extraction.entities) + 1)]
    assert list(extraction.entities) == sorted(extraction.entities, key=Entity.sort_key)
    assert [r.id for r in extraction.relations] == [f"R{n}" for n in range(1, len(extraction.relations) + 1)]
    assert all(any(end is e for e in extraction.entities) for r in extraction.relations for end in (r.head, r.tail))
    for entry in extraction.ledger:
        assert entry.reason in REASONS
        assert entry.start is not None
        assert entry.end is not None
        assert 0 <= entry.start <= entry.end <= len(extraction.note.text)
    assert reading.accounted_for
    unread = sum((e.end or 0) - (e.start or 0) for e in extraction.ledger if e.reader == "llm" and e.reason in UNREAD)
    assert reading.read["llm"] + unread == len(extraction.note.text)


def found(extraction: Extraction) -> list[tuple[str, str]]:
    return [(e.label, e.text) for e in extraction.entities]


def ledger(reading: Reading) -> list[tuple[str, str]]:
    return [(e.reader, e.reason) for e in reading.extraction.ledger]


# --- what is found ---


async def test_a_note_becomes_typed_grounded_mentions_and_relations() -> None:
    reading = await read(TEXT)
    extraction = reading.extraction
    assert found(extraction) == [
        ("negation", "denies"),
        ("problem", "fever"),
        ("problem", "chills"),
        ("drug", "aspirin"),
        ("strength", "81 mg"),
        ("test", "ECG"),
        ("problem", "fever"),
    ]
    assert [p.assertion for p in extraction.of(Problem)] == [Assertion.ABSENT] * 3
    assert not extraction.ledger
    assert reading.read == {"llm": len(TEXT)}
    assert {r.task for r in reading.requests} == {"entities", "modifiers"}
    assert all(r.usage.prompt_tokens > 0 and r.finish_reason == "stop" for r in reading.requests)


async def test_a_modifier_of_several_mentions_is_there_once_and_linked_to_each() -> None:
    extraction = (await read(TEXT)).extraction
    (denies,) = extraction.of(Negation)
    links = [r for r in extraction.relations if r.tail is denies]
    assert [(type(r), r.head.text) for r in links] == [(ProblemModifier, "fever"), (ProblemModifier, "chills")]
    (dose,) = extraction.relations_of(DrugModifier)
    assert (dose.head, dose.tail) == (extraction.of(Drug)[0], extraction.of(Strength)[0])


async def test_pairs_are_related_as_the_signatures_admit() -> None:
    lexicon = {"aspirin": "treatment", "ECG": "test", "fever": "problem", "angina": "problem"}
    links = {("treatment", "problem"): "TrAP", ("test", "problem"): "TeRP"}
    reading = await read(
        "An ECG showed angina.\nGave aspirin.\n\nLater:\nfever.", Reader(I2B2, lexicon, links=links), I2B2, chunk_tokens=500
    )
    relations = reading.extraction.relations
    assert [(type(r), r.head.text, r.tail.text) for r in relations] == [(TeRP, "ECG", "angina"), (TrAP, "aspirin", "angina")]
    assert "relations" in {r.task for r in reading.requests}


async def test_no_pairs_are_asked_where_no_signature_fits() -> None:
    reading = await read("An ECG, then aspirin.", Reader(I2B2, {"aspirin": "treatment", "ECG": "test"}), I2B2)
    assert [r.task for r in reading.requests] == ["entities"]


async def test_without_relations_only_mentions_are_asked() -> None:
    reading = await read(TEXT, relations=False)
    assert {r.task for r in reading.requests} == {"entities"}
    assert len(reading.extraction.of(Problem)) == 3


async def test_repeated_mentions_are_told_apart() -> None:
    text = "Fever and rash, more fever, fever again; rash, fever"
    extraction = (await read(text, relations=False)).extraction
    places = [(e.text, e.span.start) for e in extraction.entities]
    assert places == [(m[0], m.start()) for m in re.finditer("Fever|fever|rash", text)]


@pytest.mark.parametrize("layout", ["lines", "copy"])
async def test_both_layouts_find_the_same(layout: str) -> None:
    here = Reader(CLINICAL, LEXICON, NEAR, absent=frozenset({"chills"}), layout=layout)
    assert found((await read(TEXT, here, layout=layout)).extraction) == found((await read(TEXT)).extraction)


async def test_a_chinese_note() -> None:
    text = "主诉：头痛、发热3天。\n处理：布洛芬 0.3 g 口服。头痛💊无。\n"
    lexicon = {"头痛": "problem", "发热": "problem", "布洛芬": "drug"}
    reading = await read(text, Reader(CLINICAL, lexicon, {"0.3 g": "strength"}), chunk_tokens=8)
    assert found(reading.extraction) == [
        ("problem", "头痛"),
        ("problem", "发热"),
        ("drug", "布洛芬"),
        ("strength", "0.3 g"),
        ("problem", "头痛"),
    ]


@pytest.mark.parametrize("text", ["", " \n\t\r\n ", "\u200b\u200b", "\x0c"])
async def test_a_note_without_words_is_read_without_a_question(text: str) -> None:
    reading = await read(text)
    assert (reading.requests, reading.extraction.entities, reading.extraction.ledger) == ((), (), ())
    assert reading.read == {"llm": len(text)}


async def test_votes_say_who_found_it_and_how_it_was_placed() -> None:
    (fever, *_) = (await read("fever")).extraction.entities
    (vote,) = fever.votes
    assert (vote.reader, vote.model, vote.placed) == ("llm", "scripted-1", "grammar")
    assert vote.score is not None
    assert 0 < vote.score < 1


class Finding(Entity):
    """A finding."""

    side: Literal["left", "right"]
    certain: bool = True


class Explains(Relation[Finding, Finding]):
    """One explains the other."""


FINDINGS = Schema("findings", [Finding], [Explains], discontinuous=True)


async def test_attributes_are_values_of_their_own_type() -> None:
    answers = {
        "entities": '1: finding "knee" (side: left), finding "pain" (side: right, certain: no)',
        "relations": "1: Explains 2\n2: -",
    }
    extraction = (await read("knee pain", lambda r: answers[task_of(r)], FINDINGS)).extraction
    assert [(f.side, f.certain) for f in extraction.of(Finding)] == [("left", True), ("right", False)]
    assert [(r.head.text, r.tail.text) for r in extraction.relations_of(Explains)] == [("knee", "pain")]


async def test_mentions_of_one_extent_and_other_parts_are_two() -> None:
    text = "left and right knee pain"
    answer = '1: finding "left and right knee pain" (side: right), finding "left" + "knee pain" (side: left)'
    extraction = (await read(text, lambda _: answer, FINDINGS, relations=False)).extraction
    assert sorted(f.text for f in extraction.of(Finding)) == ["left and right knee pain", "left knee pain"]


async def test_a_bound_of_the_layout_that_is_reached_is_in_the_ledger() -> None:
    text = "Seen.\nleft knee pain now again"
    starts = ["left", "left knee", "left knee pain", "left knee pain now", "left knee pain now again"]
    answer = "1: -\n2: " + ", ".join(f'finding "{words}" (side: left)' for words in starts)
    reading = await read(text, lambda _: answer, FINDINGS, relations=False)
    (entry,) = reading.extraction.ledger
    assert (entry.reader, entry.reason, entry.start, entry.end) == ("llm", "layout-bound", text.index("left"), len(text))
    assert len(reading.extraction.entities) == 5


# --- answers that are cut off ---


async def test_an_answer_that_is_cut_off_is_asked_again_in_halves() -> None:
    asked: list[int] = []

    def answer(request: Request) -> str | Completion:
        whole = READER(request)
        if task_of(request) == "modifiers":
            return whole
        asked.append(len(lines_asked(request)))
        return cut(whole[: len(whole) // 2]) if asked[-1] > 1 else whole

    reading = await read(TEXT, answer, chunk_tokens=500)
    assert asked[0] == 4
    assert asked.count(1) == 4
    assert found(reading.extraction) == found((await read(TEXT)).extraction)
    assert not reading.extraction.ledger
    usage = [(r.finish_reason, r.start) for r in reading.requests if r.task == "entities"]
    assert len(usage) == len(asked) == 7, "each request is told once"
    assert [reason for reason, _ in usage].count("length") == 3


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ('1: problem "fever", problem "chi', ["fever"]),
        ('1: problem "fever", ', ["fever"]),
        ('1: problem "fever"', []),  # "(assertion: absent)" may have followed
        ('1: problem "fever" (assertion: abs', []),
        ('1: problem "fever" (assertion: absent), problem', ["fever"]),
        ("1: prob", []),
        ("1", []),
        ("", []),
    ],
)
async def test_of_a_single_line_that_is_cut_off_the_whole_mentions_are_kept(answer: str, kept: list[str]) -> None:
    reading = await read("He denies fever or chills.", lambda _: cut(answer), relations=False)
    assert [e.text for e in reading.extraction.entities] == kept
    (entry,) = reading.extraction.ledger
    assert (entry.reader, entry.reason, entry.start, entry.end) == ("llm", "output-limit", 0, 26)
    assert reading.read == {"llm": 0}


async def test_only_the_line_that_was_cut_off_is_unread() -> None:
    def answer(request: Request) -> str | Completion:
        long = any("aspirin" in line for line in lines_asked(request))
        return cut(READER(request)[:-6]) if long and task_of(request) == "entities" else READER(request)

    reading = await read(TEXT, answer, chunk_tokens=500)
    (entry,) = reading.extraction.ledger
    assert TEXT[entry.start : entry.end] == "PLAN: aspirin 81 mg, then an ECG.\n"
    assert ("drug", "aspirin") in found(reading.extraction)
    assert ("test", "ECG") not in found(reading.extraction)
    assert found(reading.extraction)[-1] == ("problem", "fever")


async def test_modifiers_that_are_cut_off_are_asked_again_in_halves() -> None:
    asked: list[int] = []

    def answer(request: Request) -> str | Completion:
        whole = READER(request)
        if task_of(request) == "entities":
            return whole
        asked.append(len(READER.slots(request)))
        return cut(whole[:-3]) if asked[-1] > 1 else whole

    reading = await read("He denies fever or chills.", answer)
    assert asked == [2, 1, 1]
    assert found(reading.extraction) == found((await read("He denies fever or chills.")).extraction)
    assert len(reading.requests) == 4
    assert not reading.extraction.ledger


async def test_relations_that_are_cut_off_keep_the_whole_ones_and_go_to_the_ledger() -> None:
    lexicon = {"fever": "problem", "aspirin": "treatment", "ice": "treatment"}
    reader = Reader(I2B2, lexicon, links={("treatment", "problem"): "TrAP"})
    answers = {"entities": reader, "relations": lambda _: cut("1: TrAP 3\n2: TrAP 3")}
    reading = await read("aspirin and ice for fever", lambda r: answers[task_of(r)](r), I2B2)
    assert [(r.head.text, r.tail.text) for r in reading.extraction.relations] == [("aspirin", "fever")]
    assert ledger(reading) == [("llm-relations", "output-limit")]


async def test_many_mentions_are_asked_in_several_prompts() -> None:
    text = "severe " + " fever," * (MENTIONS_A_PROMPT + 5)
    asked: list[int] = []

    def answer(request: Request) -> str:
        if task_of(request) == "modifiers":
            asked.append(len(READER.slots(request)))
        return READER(request)

    reading = await read(text, answer, chunk_tokens=1000, context_tokens=100_000)
    assert asked == [MENTIONS_A_PROMPT, 5]
    assert len(reading.extraction.of(Severity)) == 1
    assert len(reading.extraction.relations) == MENTIONS_A_PROMPT + 5


# --- failures ---


async def test_an_engine_error_goes_to_the_ledger_with_the_range_of_the_chunk() -> None:
    asked: list[list[str]] = []

    def answer(request: Request) -> str | Exception:
        asked.append(lines_asked(request))
        return EngineError("it is on fire", hint="x") if "PLAN" in str(asked[-1]) else READER(request)

    reading = await read(TEXT, answer, chunk_tokens=1, relations=False)
    (entry,) = reading.extraction.ledger
    assert (entry.reader, entry.reason, entry.detail) == ("llm", "engine-error", "it is on fire")
    assert TEXT[entry.start : entry.end] == "PLAN: aspirin 81 mg, then an ECG.\n"
    assert [e.text for e in reading.extraction.entities] == ["fever", "chills", "fever"]
    assert len(asked) == 4, "a failed call is not repeated in smaller parts"


@pytest.mark.parametrize(("schema", "task"), [(CLINICAL, "modifiers"), (I2B2, "relations")], ids=["modifiers", "relations"])
async def test_an_error_after_the_mentions_keeps_them(schema: Schema, task: str) -> None:
    lexicon = {"fever": "problem", "chills": "problem"}
    reading = await read("fever or chills", lambda r: EngineError("no") if task_of(r) == task else Reader(schema, lexicon)(r), schema)
    assert [e.text for e in reading.extraction.entities] == ["fever", "chills"]
    assert ledger(reading) == [(f"llm-{task}", "engine-error")]
    assert reading.read == {"llm": 15}


async def test_an_engine_that_cannot_count_leaves_the_whole_note_unread() -> None:
    class Mute(Scripted):
        def count_tokens(self, text: str) -> int:
            raise EngineError("not recorded")

    extractor = Extractor(CLINICAL, engine=Mute(READER))
    reading = await extractor.read(Note(id="n", text=TEXT))
    check(reading)
    (entry,) = reading.extraction.ledger
    assert (entry.reason, entry.start, entry.end) == ("engine-error", 0, len(TEXT))
    extractor.close()


async def test_what_does_not_fit_the_context_is_asked_in_halves_and_a_line_that_does_not_goes_to_the_ledger() -> None:
    longest = "aspirin " * 220  # it does not fit before the line after it either, which is then asked about without it
    prompt = await read("fever", relations=False)
    room = prompt.requests[0].usage.prompt_tokens + 200
    reading = await read(f"fever\n{longest}\nrash", chunk_tokens=5000, context_tokens=room, relations=False)
    assert [e.text for e in reading.extraction.entities] == ["fever", "rash"]
    (entry,) = reading.extraction.ledger
    assert (entry.reason, entry.start, entry.end) == ("context", 6, 6 + len(longest) + 1)


async def test_modifiers_that_do_not_fit_the_context_are_asked_in_halves() -> None:
    text = "severe fever, rash, chills " + "and so on " * 20
    alone = await read("fever")
    room = max(r.usage.prompt_tokens for r in alone.requests) + 320
    reading = await read(text, context_tokens=room)
    assert [r.task for r in reading.requests].count("modifiers") > 1
    assert [r.head.text for r in reading.extraction.relations] == ["fever", "rash", "chills"]
    assert not reading.extraction.ledger


# --- engines without grammars ---


async def test_free_answers_are_aligned_and_what_cannot_be_placed_is_in_the_ledger() -> None:
    answer = '1: problem "FEVER", problem "cancer"\n2: drug "aspirin"'
    reading = await read("He denies fever.\nTakes aspirin.", lambda _: answer, constrained=False, relations=False)
    assert [(e.text, e.votes[0].placed) for e in reading.extraction.entities] == [("fever", "aligned"), ("aspirin", "aligned")]
    assert ledger(reading) == [("llm", "unplaced")]
    assert reading.extraction.ledger[0].detail == "1 mentions"


@pytest.mark.parametrize("layout", ["lines", "copy"])
async def test_garbage_answers_nothing_and_leaves_every_line_unread(layout: str) -> None:
    asked: list[int] = []

    def answer(request: Request) -> str:
        assert request.constraint is None
        asked.append(len(lines_asked(request)))
        return "I am sorry, but I cannot help with that."

    reading = await read("He denies fever.\nTakes aspirin.", answer, constrained=False, layout=layout)
    assert asked == [2, 1, 1]
    assert not reading.extraction.entities
    unread = [e for e in reading.extraction.ledger if e.reason == "unanswered"]
    assert [(e.start, e.end) for e in unread] == [(0, 17), (17, 31)]
    assert reading.read == {"llm": 0}


async def test_a_free_answer_that_runs_on_is_never_taken_for_whole() -> None:
    reading = await read("fever", lambda _: cut('1: problem "fever"\n2: and so on'), constrained=False, relations=False)
    assert [e.text for e in reading.extraction.entities] == ["fever"]
    assert ledger(reading) == [("llm", "output-limit")]


# --- whatever an engine does ---

WORDS = st.sampled_from(
    ["fever", "aspirin", "chills", "the", "denies", "81 mg", ".", ",", "\n", "\n\n", "PLAN:", "头痛", "💊", "\u200b", "\r\n"]
)
MOODS = ["right", "cut", "error", "garbage", "empty"]


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(WORDS, max_size=25),
    moods=st.lists(st.sampled_from(MOODS), min_size=1, max_size=12),
    where=st.integers(0, 60),
    constrained=st.booleans(),
    layout=st.sampled_from(["lines", "copy"]),
    chunk_tokens=st.sampled_from([1, 8, 64]),
)
def test_every_character_is_accounted_for_whatever_the_engine_does(
    words: list[str], moods: list[str], where: int, constrained: bool, layout: str, chunk_tokens: int
) -> None:
    text = " ".join(words)
    here = Reader(CLINICAL, LEXICON, NEAR, layout=layout)
    calls = iter(range(10_000))

    def answer(request: Request) -> str | Completion | Exception:
        mood = moods[next(calls) % len(moods)]
        right = here(request)
        if mood == "cut":
            return cut(right[:where])
        return {"right": right, "error": EngineError("no"), "garbage": right[::-1], "empty": ""}[mood]

    async def go() -> None:
        options = {"layout": layout, "chunk_tokens": chunk_tokens, "constrained": constrained, "strict": False}
        reading = await read(text, answer, **options)
        wrong = set(moods) - {"right"}
        if not wrong:
            assert not [e for e in reading.extraction.ledger if e.reason in UNREAD]

    asyncio.run(go())


# --- many notes ---


def notes(count: int) -> list[Note]:
    return [Note(id=f"n{i}", text=f"Note {i}: fever and rash.\n" * (1 + i % 3)) for i in range(count)]


async def test_a_stream_yields_every_note_once() -> None:
    extractor = Extractor(CLINICAL, engine=Scripted(READER, concurrency=3))
    readings = [reading async for reading in extractor.stream(notes(10))]
    assert sorted(r.extraction.note.id for r in readings) == sorted(n.id for n in notes(10))
    assert all(len(r.extraction.entities) == 2 * (1 + int(r.extraction.note.id[1:]) % 3) for r in readings)
    extractor.close()


@pytest.mark.parametrize("in_flight", [1, 3, None])
async def test_a_stream_never_has_more_than_so_many_notes_under_way(in_flight: int | None) -> None:
    engine = Scripted(READER, concurrency=2, delay=0.001)
    extractor = Extractor(CLINICAL, engine=engine, relations=False)
    taken = given_back = most = 0

    def source() -> Iterator[Note]:
        nonlocal taken, most
        for note in notes(12):
            taken += 1
            most = max(most, taken - given_back)
            yield note

    async for _ in extractor.stream(source(), in_flight=in_flight):
        given_back += 1
        await asyncio.sleep(0.002)  # a slow consumer
    assert given_back == 12
    assert most == (in_flight or engine.concurrency + 1)
    extractor.close()


async def test_the_chunks_of_a_long_note_do_not_all_wait_at_the_engine_at_a_time() -> None:
    engine = Scripted(READER, concurrency=2, delay=0.0001)
    extractor = Extractor(CLINICAL, engine=engine, chunk_tokens=1, relations=False)
    reading = await extractor.read(Note(id="n", text="fever\n" * 100))
    assert len(reading.extraction.entities) == 100
    assert 2 <= engine.peak <= 8
    extractor.close()


async def test_leaving_a_stream_early_stops_what_is_under_way() -> None:
    engine = Scripted(READER, concurrency=3, delay=0.01)
    extractor = Extractor(CLINICAL, engine=engine, relations=False)
    stream = extractor.stream(notes(9))
    await anext(stream)
    await stream.aclose()
    assert (engine.running, asyncio.all_tasks()) == (0, {asyncio.current_task()})
    assert len(engine.calls) < 9
    extractor.close()


async def test_cancelling_stops_the_engine_s_calls() -> None:
    engine = Scripted(READER, concurrency=4, delay=60)
    extractor = Extractor(CLINICAL, engine=engine, chunk_tokens=1)
    task = asyncio.create_task(extractor.read(Note(id="n", text="fever\n" * 8)))
    while engine.running < 8:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (engine.running, engine.cancelled) == (0, 8)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    extractor.close()


async def test_an_unexpected_error_comes_out_and_leaves_nothing_running() -> None:
    def answer(request: Request) -> str | Exception:
        return ZeroDivisionError() if "rash" in str(lines_asked(request)) else READER(request)

    engine = Scripted(answer, delay=0.001)
    extractor = Extractor(CLINICAL, engine=engine, chunk_tokens=1)
    with pytest.raises(ZeroDivisionError):
        await extractor.read(Note(id="n", text="fever\nrash\n" + "fever\n" * 10))
    assert (engine.running, asyncio.all_tasks()) == (0, {asyncio.current_task()})
    extractor.close()


async def test_what_was_read_before_an_error_is_not_lost() -> None:
    def answer(request: Request) -> str | Exception:
        return ZeroDivisionError() if "rash" in str(lines_asked(request)) else READER(request)

    extractor = Extractor(CLINICAL, engine=Scripted(answer, concurrency=4), relations=False)
    done: list[str] = []

    async def read_all() -> None:
        async for reading in extractor.stream([Note(id=str(i), text="rash" if i == 1 else "fever") for i in range(5)]):
            done.append(reading.extraction.note.id)

    with pytest.raises(ZeroDivisionError):
        await read_all()
    assert sorted(done) == ["0", "2", "3", "4"], "all five ended at once"
    assert asyncio.all_tasks() == {asyncio.current_task()}
    extractor.close()


async def test_a_template_that_fails_stops_the_reading(tmp_path: Path) -> None:
    (tmp_path / "entities/en").mkdir(parents=True)
    (tmp_path / "entities/en/user.j2").write_text("{{ nothing }}")
    extractor = Extractor(CLINICAL, engine=Scripted(READER), prompts=tmp_path)
    with pytest.raises(PromptError):
        await extractor.read(Note(id="n", text=TEXT))
    extractor.close()


# --- the synchronous façade ---


def test_extract_without_an_event_loop() -> None:
    with Extractor(CLINICAL, engine=Scripted(READER)) as extractor:
        extraction = extractor.extract(TEXT)
        again = extractor.extract(Note(id="mine", text="rash"))
    assert (extraction.note.id, again.note.id) == ("note-1", "mine")
    assert len(extraction.of(Problem)) == 3


async def test_extract_within_an_event_loop_that_runs() -> None:
    with Extractor(CLINICAL, engine=Scripted(READER)) as extractor:
        assert extractor.extract("fever").of(Problem)[0].text == "fever"
        assert (await extractor.extract_async("fever")).of(Problem)[0].text == "fever"


def test_a_batch_keeps_its_order() -> None:
    given_notes: list[str | Note] = ["fever", Note(id="x", text="no words here"), "rash\n" * 30, "fever", "chills"]
    with Extractor(CLINICAL, engine=Scripted(READER, delay=0.0001), chunk_tokens=1) as extractor:
        batch = extractor.extract_batch(iter(given_notes))
    assert [e.note.id for e in batch] == ["note-1", "x", "note-3", "note-4", "note-5"]
    assert [len(e.entities) for e in batch] == [1, 0, 30, 1, 1]


def test_a_batch_reads_a_few_notes_at_a_time() -> None:
    engine = Scripted(READER, concurrency=1, delay=0.0001)
    with Extractor(CLINICAL, engine=engine, relations=False) as extractor:
        extractor.extract_batch(["fever"] * 20)
    assert engine.peak <= 2


def test_the_engine_is_closed_with_the_extractor_and_once() -> None:
    engine = Scripted(READER)
    with Extractor(CLINICAL, engine=engine) as extractor:
        extractor.extract("fever")
        assert engine.closed == 0
    assert engine.closed == 1


def test_the_schema_is_restricted_to_labels() -> None:
    reader = Reader(CLINICAL.restrict(["drug"]), LEXICON)
    with Extractor("clinical", engine=Scripted(reader), labels=["drug"]) as extractor:
        assert found(extractor.extract(TEXT)) == [("drug", "aspirin")]


@pytest.mark.parametrize("options", [{"layout": "columns"}, {"chunk_tokens": 0}, {"engine": "abacus"}])
def test_wrong_options_are_told_with_a_hint(options: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        Extractor(CLINICAL, **({"engine": Scripted(READER)} | options))  # type: ignore[arg-type]
    assert caught.value.hint
