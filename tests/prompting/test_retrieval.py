"""Retrieved examples: never the note itself, never more than the budget, always what the grammar admits, and the same each time."""

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.document import Extraction, Note
from medllm.errors import InputError, UsageError
from medllm.formats import inline
from medllm.grammar.layout import get_layout
from medllm.pipeline import Extractor
from medllm.prompting.pool import squeezed
from medllm.prompting.questions import Questions
from medllm.prompting.render import Prompts
from medllm.prompting.retrieval import LONG_LINE, AnnotatedExamples
from medllm.runs.run import configuration
from medllm.schemas.clinical import schema as CLINICAL
from medllm.schemas.i2b2_2010 import TrAP, TrCP
from medllm.schemas.i2b2_2010 import schema as I2B2
from medllm.text.chunks import split_chunks
from medllm.text.lines import split_lines
from tests.scripted import Reader, Scripted

MARKED = {
    "one": "PLAN: <drug>Aspirin</drug> <strength>81 mg</strength> for <problem>a mild fever</problem>.\nHe walks with a cane.\n",
    "two": '<negation of="1">No</negation> <problem id="1" a="absent">chest pain</problem>.\n<test>BP</test> <labvalue>120/80</labvalue>.',
    "three": "<treatment>Physical therapy</treatment> was advised.\nFever diary given to him.\nHe lives alone.\n",
    "four": "<drug>Ibuprofen</drug> <strength>400 mg</strength> for <problem>back pain after long walks</problem>.\n",
}
NOTES = [inline.parse(text, name, CLINICAL).extraction for name, text in MARKED.items()]
STORE = AnnotatedExamples(NOTES, CLINICAL)
QUESTIONS = Questions(CLINICAL, get_layout("lines"), Prompts())
COPYING = Questions(CLINICAL, get_layout("copy"), Prompts())
SOME = ["Fever.", "咳嗽2天", *(line.view for x in NOTES for line in split_lines(x.note.text))]
NEW = "PLAN: Mild fever, aspirin 81 mg daily.\nNo chest pain."


def shown(note: Note, *, budget: int = 10_000, store: AnnotatedExamples = STORE, questions: Questions = QUESTIONS) -> str:
    """The retrieved part of the prompt about a note."""
    (chunk, *_) = split_chunks(note.text, len, 1000)
    own = len(questions.entities(chunk).messages)
    messages = store.of(note, questions, len, budget).entities(chunk).messages
    assert messages[: own - 1] == questions.entities(chunk).messages[:-1], "what every question has stands first"
    assert messages[-1] == questions.entities(chunk).messages[-1]
    return "\n".join(m.content for m in messages[own - 1 : -1])


def test_what_is_like_the_question_is_shown_as_the_question_is() -> None:
    found = shown(Note(id="new", text=NEW))
    path = Path(__file__).parent / "snapshots" / "retrieved.txt"
    if os.environ.get("MEDLLM_UPDATE_SNAPSHOTS"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")
    lines = found.splitlines()
    assert "Fever diary given to him." in found, "a look-alike without any mention"
    assert 'treatment "Physical therapy"' in found, "a label that nothing similar has"
    assert lines.index("Lines:") == 0


@pytest.mark.parametrize("extraction", NOTES, ids=lambda x: x.note.id)
def test_a_note_is_never_its_own_example(extraction: Extraction) -> None:
    text = extraction.note.text
    same_text = shown(Note(id="elsewhere", text="  " + text.upper().replace("\n", "\n\n")))
    same_id = shown(Note(id=extraction.note.id, text=NEW))
    for line in split_lines(text):
        assert line.view not in same_text.splitlines()
        assert all(not row.endswith(f": {line.view}") for row in (same_text + same_id).splitlines())


def test_a_long_line_of_another_note_is_no_example_of_it() -> None:
    text = "Something else entirely stands here.\nIbuprofen 400 mg for back pain after long walks.\n"
    assert "after long walks" in shown(Note(id="new", text="Ibuprofen for back pain."))
    assert "after long walks" not in shown(Note(id="new", text=text))
    assert len(squeezed("Ibuprofen 400 mg for back pain after long walks.")) >= LONG_LINE


@settings(deadline=None, max_examples=25)
@given(
    lines=st.lists(st.sampled_from(SOME), min_size=1, max_size=3),
    budget=st.integers(0, 400),
    layout=st.sampled_from(["lines", "copy"]),
)
def test_the_budget_holds_and_the_answers_are_admitted(lines: list[str], budget: int, layout: str) -> None:
    questions = QUESTIONS if layout == "lines" else COPYING
    note = Note(id="new", text="\n".join(lines))
    (chunk, *_) = split_chunks(note.text, len, 1000)
    more = STORE.of(note, questions, len, budget).more
    assert more is not None
    mentions = [(m, chunk.lines[0]) for m in NOTES[0].entities[:1]]
    for variables, answer in [*more.entities(chunk), *more.modifiers(mentions)]:
        pinned = "mentions" in variables
        rows = [slot.line.view for slot in variables["slots"]]
        assert sum(map(len, rows)) + len(answer) <= budget
        assert (get_layout("lines") if pinned else questions.layout).describe(variables["slots"]).accepts(answer)
    assert more.entities(chunk) == more.entities(chunk)


RELATED = {
    "a": ("We gave aspirin for his headache.", ("treatment", "aspirin"), ("problem", "his headache"), TrAP),
    "b": ("The penicillin caused a rash.", ("treatment", "The penicillin"), ("problem", "a rash"), TrCP),
    "c": ("He has a cough and a fever.", ("problem", "a cough"), ("problem", "a fever"), None),
}


def related() -> AnnotatedExamples:
    notes = []
    for name, (text, *pair, kind) in RELATED.items():
        head, tail = (I2B2.entity(label).at(text, text.index(words), text.index(words) + len(words)) for label, words in pair)
        relations = (kind(head=head, tail=tail),) if kind else ()
        notes.append(Extraction(note=Note(id=name, text=text), entities=(head, tail), relations=relations))
    return AnnotatedExamples(notes, I2B2)


def test_for_relations_like_types_and_the_words_between_them_count() -> None:
    store, questions = related(), Questions(I2B2, get_layout("lines"), Prompts())
    text = "Morphine caused severe itching."
    note = Note(id="new", text=text)
    (chunk,) = split_chunks(text, len, 1000)
    mentions = [(I2B2.entity("treatment").at(text, 0, 8), 0), (I2B2.entity("problem").at(text, 16, 30), 0)]
    asked = store.of(note, questions, len, 10_000).relations(mentions, chunk.lines)
    pairs = [(q.content, a.content) for q, a in pairwise(asked.messages) if (q.role, a.role) == ("user", "assistant")]
    assert "penicillin" in pairs[-1][0], "the most alike stands last"
    assert pairs[-1][1] == "1: TrCP 2\n2: -"
    assert any("aspirin" in q and a == "1: TrAP 2\n2: -" for q, a in pairs)


def test_examples_are_of_a_run_s_configuration_and_reach_every_question(tmp_path: Path) -> None:
    for name, text in MARKED.items():
        (tmp_path / f"{name}.txt").write_text(text)
    engine = Scripted(Reader(CLINICAL, {"aspirin": "drug"}), context_tokens=6000)
    with Extractor(CLINICAL, engine=engine, examples=f"inline:{tmp_path}", examples_tokens=300) as extractor:
        reading = asyncio.run(extractor.read(Note(id="new", text=NEW)))
        settings_of = configuration(extractor)
    assert not reading.extraction.ledger
    assert settings_of["examples"] == {"sha256": STORE.digest, "tokens": 300}
    assert all("Aspirin 81 mg" in "".join(m.content for m in request.messages[:-1]) for request in engine.calls)
    (tmp_path / "one.txt").write_text(MARKED["one"].replace("mild", "high"))
    with Extractor(CLINICAL, engine=engine, examples=[f"inline:{tmp_path}"]) as extractor:
        assert configuration(extractor)["examples"]["sha256"] != STORE.digest


def test_examples_of_a_pack_serve_a_part_of_it() -> None:
    engine = Scripted(Reader(CLINICAL.restrict(["drug"])), context_tokens=6000)
    with Extractor(CLINICAL, engine=engine, labels=["drug"], relations=False, examples=STORE) as extractor:
        asyncio.run(extractor.read(Note(id="new", text=NEW)))
    (request,) = engine.calls
    assert 'drug "Aspirin"' in request.messages[-2].content
    assert "problem" not in request.messages[-2].content


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Nothing.")
    with pytest.raises(InputError, match="no mention of the schema"):
        Extractor(CLINICAL, engine=Scripted(Reader(CLINICAL)), examples=f"inline:{tmp_path}")
    with pytest.raises(UsageError, match="FORMAT:PATH"):
        Extractor(CLINICAL, engine=Scripted(Reader(CLINICAL)), examples=str(tmp_path))
    with pytest.raises(UsageError, match="examples are for the language model"):
        Extractor(CLINICAL, engine=Scripted(Reader(CLINICAL)), examples=STORE, deid="mask")
