"""Gold annotations as answers: what is written is what the layout reads back, and the grammar admits it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.document import Entity, Extraction, Modifier, Note, Relation
from medllm.formats import inline
from medllm.grammar.layout import get_layout
from medllm.grammar.links import read_links
from medllm.prompting.gold import GoldNote, Losses
from medllm.prompting.questions import Questions
from medllm.prompting.render import Prompts
from medllm.schema import Schema, attribute_value
from medllm.schemas.clinical import schema as CLINICAL
from medllm.text.chunks import Chunk, split_chunks
from medllm.text.lines import split_lines


class Problem(Entity):
    """A problem."""

    severe: bool = False


class Drug(Entity):
    """A drug."""


class Dose(Modifier):
    """A dose."""


class HasDose(Relation[Drug, Dose]):
    """The dose."""


class Treats(Relation[Drug, Problem]):
    """Given for it."""


class Causes(Relation[Drug | Problem, Problem], group="harm"):
    """It causes it."""


FLAT = Schema("flat", [Problem, Drug, Dose], [HasDose, Treats, Causes])
NESTED = Schema("nested", [Problem, Drug, Dose], [HasDose, Treats, Causes], nested=True)
QUESTIONS = {
    ("lines", FLAT): Questions(FLAT, get_layout("lines"), Prompts()),
    ("copy", FLAT): Questions(FLAT, get_layout("copy"), Prompts()),
    ("lines", NESTED): Questions(NESTED, get_layout("lines"), Prompts()),
}


@st.composite
def annotated(draw: st.DrawFn) -> Extraction:
    """Any spans of a text of few words, related at random."""
    words = st.sampled_from(["pain", "pain", "aspirin", "5", "mg", ".", '"', "\\", "咳嗽", "<drug>", "#2", "b.i.d."])
    text = "".join(word + draw(st.sampled_from([" ", "\n", ""])) for word in draw(st.lists(words, min_size=1, max_size=14)))
    edges = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).filter(lambda e: e[0] < e[1])
    entities: list[Entity] = []
    for (start, end), kind in draw(st.lists(st.tuples(edges, st.sampled_from([Problem, Drug, Dose])), max_size=8)):
        entities.append(kind.at(text, start, end, **({"severe": draw(st.booleans())} if kind is Problem else {})))
    relations = []
    for head, tail in draw(st.lists(st.tuples(st.sampled_from(entities), st.sampled_from(entities)), max_size=6)) if entities else ():
        relations += [kind(head=head, tail=tail) for kind in FLAT.relations_between(head.label, tail.label)]
    return Extraction(note=Note(id="n", text=text), entities=tuple(entities), relations=tuple(relations))


def chunks_of(text: str) -> list[Chunk]:
    return [chunk for chunk in split_chunks(text, len, 30) if chunk.lines]


@settings(deadline=None, max_examples=80)
@given(extraction=annotated(), which=st.sampled_from(sorted(QUESTIONS, key=lambda k: (k[0], k[1].name))))
def test_what_is_written_is_read_back(extraction: Extraction, which: tuple[str, Schema]) -> None:
    questions, schema = QUESTIONS[which], which[1]
    losses = Losses()
    gold = GoldNote(extraction, schema, split_lines(extraction.note.text), losses)
    kept = 0
    for chunk in chunks_of(extraction.note.text):
        answered = gold.entities(questions, chunk)
        assert answered.question.constraint.grammar.accepts(answered.answer)
        read = questions.layout.read(answered.question.slots, answered.answer)
        assert (read.read_to, read.unplaced) == (len(chunk.lines), 0)
        mentions = gold.within(chunk)
        kept += len(mentions)
        wanted = [(m.line + 1, m.entity.label, (m.part,), getattr(m.entity, "severe", None)) for m in mentions]
        found = [(f.slot, f.label, f.parts, f.attributes.get("severe")) for f in read.found]
        assert sorted(found, key=repr) == sorted(((*w[:3], None if w[3] is None else attribute_value(w[3])) for w in wanted), key=repr)
        for m in mentions:  # a mention is all of its gold's characters, widened to whole words
            pieces = chunk.lines[m.line].pieces[m.part.first : m.part.end]
            assert pieces[0].end > m.entity.span.start >= pieces[0].start or m.entity.text[:1].isspace()
            assert pieces[-1].start < m.entity.span.end <= pieces[-1].end or m.entity.text[-1:].isspace()
        for answered in gold.modifiers(questions, chunk, 3):
            assert answered.question.constraint.grammar.accepts(answered.answer)
            assert questions.pinned.read(answered.question.slots, answered.answer).unplaced == 0
        for group in range(len(schema.relation_groups)):
            if linked := gold.relations(questions, chunk, group):
                assert linked.question.constraint.grammar.accepts(linked.answer)
                links, read_to, unplaced = read_links(linked.question.links, linked.answer)
                assert (read_to, unplaced) == (len(linked.question.links), 0)
                assert {link.label for _, link in links} == linked.labels
    assert kept + sum(n for label, n in losses.mentions.items() if label != "dose") <= len(extraction.entities)


def test_the_answers_about_an_annotated_note() -> None:
    text = (
        'He <negation of="1">denies</negation> <problem id="1" a="absent">fever</problem>.\n'
        "<drug>Aspirin</drug> <strength>81 mg</strength> for <problem><severity>severe</severity> pain</problem>.\n"
    )
    extraction = inline.parse(text, "n", CLINICAL).extraction
    losses = Losses()
    gold = GoldNote(extraction, CLINICAL, split_lines(extraction.note.text), losses)
    questions = Questions(CLINICAL, get_layout("lines"), Prompts())
    (chunk,) = split_chunks(extraction.note.text, len, 1000)
    assert gold.entities(questions, chunk).answer == '1: problem "fever" (assertion: absent)\n2: drug "Aspirin", problem "severe pain"'
    (modifiers,) = gold.modifiers(questions, chunk, 24)
    assert modifiers.answer == '1: negation "denies"\n2: strength "81 mg"\n3: severity "severe"'
    assert modifiers.labels == {"negation", "strength", "severity"}
    assert not losses.mentions


def test_what_cannot_be_said_is_counted() -> None:
    text = "Severe chest\npain, and fever."
    spans = [(Problem, 7, 17), (Problem, 17, 18), (Problem, 19, 28), (Drug, 23, 28), (Problem, 19, 28)]
    mentions = [kind.at(text, start, end) for kind, start, end in spans]
    losses = Losses()
    gold = GoldNote(Extraction(note=Note(id="n", text=text), entities=tuple(mentions)), FLAT, split_lines(text), losses)
    assert [(m.entity.text, m.line) for m in gold.main] == [("and fever", 1)]
    assert losses.mentions == {"problem": 3, "drug": 1}
