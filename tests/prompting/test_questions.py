"""Questions: what a reader is shown, word for word, and that worked examples are answers that the grammar admits."""

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from medllm.document import Entity, Modifier, Note, Relation
from medllm.engines.base import Message, Request
from medllm.ensemble.disputes import Dispute
from medllm.errors import SchemaError
from medllm.grammar.layout import get_layout
from medllm.prompting.disputes import ask_about
from medllm.prompting.questions import Question, Questions
from medllm.prompting.render import Prompts
from medllm.schema import Schema
from medllm.schemas import clinical, clinical_zh, i2b2_2010
from medllm.text.chunks import Chunk, split_chunks
from tests.scripted import Reader

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = "MEDLLM_UPDATE_SNAPSHOTS"

NOTE = Note(
    id="n",
    text="HISTORY: Seen in June.\nNo cough.\nPLAN: Mild fever, given aspirin 81 mg daily.\nAspirin helped the fever.\n",
)
MENTIONS = {"Mild fever": "problem", "aspirin": "drug", "Aspirin": "drug", "fever.": "problem"}


def chunk() -> Chunk:
    """The plan, which has a section and lines before it."""
    return split_chunks(NOTE.text, len, 80)[-1]


def asked(schema: Schema, task: str, layout: str = "lines") -> Question:
    questions = Questions(schema, get_layout(layout), Prompts())
    here = chunk()
    if task == "entities":
        return questions.entities(here)
    labels = {"drug": "treatment"} if "drug" not in schema.labels else {"problem": "symptom"} if "problem" not in schema.labels else {}
    mentions = []
    for text, label in MENTIONS.items():
        start = NOTE.text.rindex(text)
        kind = schema.entity(labels.get(label, label))
        mentions.append(kind.at(NOTE.text, start, start + len(text.rstrip("."))))
    mentions.sort(key=Entity.sort_key)
    line_of = [next(n for n, line in enumerate(here.lines) if line.start <= m.span.start < line.end) for m in mentions]
    if task == "disputes":
        first, last = mentions[0], mentions[-1]
        narrow = type(first).at(NOTE.text, first.span.start + 5, first.span.end)
        return ask_about(questions, [Dispute("edges", (first, narrow), swapped=True), Dispute("llm-only", (last,))], here.lines)
    if task == "modifiers":
        return questions.modifiers([(m, here.lines[n]) for m, n in zip(mentions, line_of, strict=True)])
    return questions.relations(list(zip(mentions, line_of, strict=True)), here.lines)


SHOWN = [
    (clinical.schema, "entities", "lines"),
    (clinical.schema, "entities", "copy"),
    (clinical.schema, "modifiers", "lines"),
    (clinical.schema, "disputes", "lines"),
    (i2b2_2010.schema, "entities", "lines"),
    (i2b2_2010.schema, "relations", "lines"),
    (clinical_zh.schema, "entities", "lines"),
    (clinical_zh.schema, "disputes", "lines"),
]


@pytest.mark.parametrize(("schema", "task", "layout"), SHOWN, ids=lambda v: getattr(v, "name", v))
def test_what_is_shown_word_for_word(schema: Schema, task: str, layout: str) -> None:
    """Run with MEDLLM_UPDATE_SNAPSHOTS=1 after a change of wording, and read the difference."""
    file = SNAPSHOTS / f"{schema.name}-{task}-{layout}.txt"
    shown = "\n".join(f"--- {m.role}\n{m.content}\n" for m in asked(schema, task, layout).messages)
    if os.environ.get(UPDATE):
        file.parent.mkdir(exist_ok=True)
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


def test_every_snapshot_is_one_that_is_shown() -> None:
    shown = {f"{schema.name}-{task}-{layout}.txt" for schema, task, layout in SHOWN}
    assert {f.name for f in SNAPSHOTS.iterdir()} == {*shown, "retrieved.txt"}


def test_all_but_the_last_message_depends_on_the_schema_alone() -> None:
    questions = Questions(clinical.schema, get_layout("lines"), Prompts())
    firsts = {questions.entities(c).messages[:-1] for c in split_chunks(NOTE.text, len, 20)}
    lasts = {questions.entities(c).messages[-1] for c in split_chunks(NOTE.text, len, 20)}
    assert (len(firsts), len(lasts)) == (1, len(NOTE.text.splitlines()))


def test_lines_before_a_chunk_are_shown_and_cannot_be_answered() -> None:
    question = asked(clinical.schema, "entities")
    assert "No cough." in question.messages[-1].content
    assert question.constraint.grammar.accepts('1: problem "Mild fever", drug "aspirin"\n2: -')
    assert not question.constraint.grammar.accepts('1: problem "cough"\n2: -')
    assert not question.constraint.grammar.accepts("1: -\n2: -\n3: -")


# --- worked examples ---


def worked(messages: Sequence[Message]) -> list[tuple[Request, str]]:
    """The examples of a prompt: each question as if it were asked, and its answer."""
    pairs = [(q, a) for q, a in pairwise(messages) if (q.role, a.role) == ("user", "assistant")]
    return [(Request((messages[0], q), None, 100), a.content) for q, a in pairs]


@pytest.mark.parametrize("layout", ["lines", "copy"])
@pytest.mark.parametrize("schema", [clinical.schema, i2b2_2010.schema], ids=lambda s: s.name)
def test_the_examples_of_the_shipped_packs_are_answers_that_the_grammar_admits(schema: Schema, layout: str) -> None:
    messages = asked(schema, "entities", layout).messages
    slots_of = Reader(schema, layout=layout).slots
    examples = worked(messages)
    assert len(examples) == len(schema.examples)
    for request, answer in examples:
        assert get_layout(layout).describe(slots_of(request), nested=schema.nested).accepts(answer)


def test_the_examples_of_modifiers_are_answers_that_the_grammar_admits() -> None:
    slots_of = Reader(clinical.schema).slots
    examples = worked(asked(clinical.schema, "modifiers").messages)
    assert examples
    for request, answer in examples:
        assert get_layout("lines").describe(slots_of(request)).accepts(answer)


@pytest.mark.parametrize("schema", [clinical.schema, clinical_zh.schema], ids=lambda s: s.name)
def test_the_examples_of_disputes_are_answers_of_every_kind(schema: Schema) -> None:
    rows = {row.split(": ")[1] for _, answer in worked(asked(schema, "disputes").messages) for row in answer.split("\n")}
    assert rows == {"yes", "no", "A", "B", "neither"}


class Problem(Entity):
    """A problem."""

    severe: bool = False


class Drug(Entity):
    """A drug."""


class Dose(Modifier):
    """A dose."""


class HasDose(Relation[Drug, Dose]):
    """The dose of the drug."""


class Causes(Relation[Drug, Problem]):
    """The drug causes the problem."""


class Treats(Relation[Drug, Problem]):
    """The drug treats the problem."""


def pack(*examples: str, **options: Any) -> Schema:
    return Schema("mine", [Problem, Drug, Dose], [HasDose, Causes, Treats], examples=examples, **options)


def test_an_example_is_written_in_the_order_that_the_grammar_has() -> None:
    schema = pack("[drug #1|Aspirin] [dose <HasDose#1|1 g] for [problem severe=yes <Treats#1 <Causes#1|pain]; [problem <Causes#1|rash].")
    questions = Questions(schema, get_layout("lines"), Prompts())
    (note_chunk,) = split_chunks(NOTE.text, len, 1000)
    start = NOTE.text.index("fever")
    fever = Problem.at(NOTE.text, start, start + 5)
    messages = questions.relations([(fever, 2), (fever, 2)], note_chunk.lines).messages
    ((_, answer),) = worked(messages)
    assert answer == "1: Causes 2, Treats 2, Causes 3\n2: -\n3: -"
    assert [a for _, a in worked(questions.entities(note_chunk).messages)] == [
        '1: drug "Aspirin", problem "pain" (severe: yes), problem "rash"'
    ]
    ((_, modifiers),) = worked(questions.modifiers([(Drug.at(NOTE.text, 0, 7), note_chunk.lines[0])]).messages)
    assert modifiers == '1: dose "1 g"'


def test_an_example_with_labels_that_were_left_out_shows_the_others() -> None:
    schema = pack("[drug #1|Aspirin] [dose <HasDose#1|1 g] for [problem <Treats#1|pain].").restrict(["problem"])
    questions = Questions(schema, get_layout("lines"), Prompts())
    assert [a for _, a in worked(questions.entities(chunk()).messages)] == ['1: problem "pain"']


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ("A [problem severe=very|rash].", "refuses"),
        ("[drug #1|Aspirin]\n\nwas given.\nNothing else was.\nThen a [problem <Causes#1|rash] came.", "refuses"),
        ("A [problem|rash and\nfever].", "crosses lines"),
        ("[problem|Pneumo]nia.", "inside a word"),
        ("[problem| rash].", "inside a word"),
        ("[problem #1|Rash] from [drug <Causes#1|aspirin].", "'Causes' from problem to drug"),
        ("[drug #1|Aspirin], [problem <Cause#1|rash].", "'Cause' from drug to problem"),
        ("[drug|Aspirin], [problem <Causes#1|rash].", "has the id '1'"),
        ("A [problem|severe [problem|rash]].", "the grammar refuses"),
        ("A [problem severe|rash].", "not understood"),
    ],
)
def test_an_example_that_could_not_be_answered_is_refused_before_anything_is_read(example: str, said: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Questions(pack(example), get_layout("lines"), Prompts())
    assert said in str(caught.value)
    assert caught.value.hint


def test_overlapping_mentions_need_the_layout_that_can_write_them() -> None:
    with pytest.raises(SchemaError, match="overlapping"):
        Questions(pack("A [problem|rash].", nested=True), get_layout("copy"), Prompts())
