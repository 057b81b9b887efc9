"""Notes with tags in their text: what a person writes is read, what is written is read back the same."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.document import Entity, Extraction, Modifier, Note, Relation
from medllm.errors import FormatError
from medllm.formats import inline
from medllm.schema import Schema

SCHEMA = Schema.load("clinical")
ANNOTATED = Path(__file__).parents[2] / "examples" / "annotated"


@st.composite
def extractions(draw: st.DrawFn) -> Extraction:
    """Problems and drugs side by side, body sites nested in problems, doses and negations beside them, each with an owner."""
    words = st.text(st.characters(exclude_categories=("Cs", "Z", "C")) | st.sampled_from("<>&\"'aé漢🩺"), min_size=1, max_size=6)
    text, entities, relations = "", [], []
    heads: list[Entity] = []
    for kind in draw(st.lists(st.sampled_from(["problem", "drug", "nested", "strength", "negation", ""]), max_size=8)):
        gap = draw(st.sampled_from([" ", "\n", ", "]))
        word = draw(words) + " x"
        start, end = len(text) + len(gap), len(text) + len(gap) + len(word)
        text += gap + word
        whole = Note(id="n", text=text).text
        if kind in ("problem", "drug"):
            heads.append(SCHEMA.entity(kind).at(whole, start, end))
            entities.append(heads[-1])
        elif kind == "nested":
            problem = SCHEMA.entity("problem").at(whole, start, end, assertion=draw(st.sampled_from(["present", "absent"])))
            heads.append(problem)
            part = SCHEMA.entity("bodyloc").at(whole, end - 1, end)
            entities += [problem, part]
            relations.append(_link(problem, part))
        elif kind and (able := [h for h in heads if SCHEMA.relations_between(h.label, kind)]):
            modifier = SCHEMA.entity(kind).at(whole, start, end)
            entities.append(modifier)
            relations.append(_link(draw(st.sampled_from(able)), modifier))
    note = Note(id="n", text=text or "x")
    return Extraction(note=note, entities=tuple(entities), relations=tuple(relations))


def _link(head: Entity, modifier: Entity) -> Relation:  # type: ignore[type-arg]
    return SCHEMA.relations_between(head.label, modifier.label)[0](head=head, tail=modifier)


def _plain(extraction: Extraction) -> object:
    mentions = sorted((e.label, repr(e.spans), sorted((k, str(v)) for k, v in e.attributes.items())) for e in extraction.entities)
    links = sorted((r.label, r.head.label, repr(r.head.spans), r.tail.label, repr(r.tail.spans)) for r in extraction.relations)
    return extraction.note.text, mentions, links


@given(extractions())
@settings(deadline=None)
def test_what_is_written_reads_back_the_same(extraction: Extraction) -> None:
    marked, left_out = inline.render(extraction)
    parsed = inline.parse(marked, "n", SCHEMA)
    assert left_out == 0
    assert not parsed.problems
    assert _plain(parsed.extraction) == _plain(extraction)


def test_the_projects_own_notes_are_read_without_fault_and_written_back() -> None:
    parsed = list(inline.read(ANNOTATED, SCHEMA))
    assert len(parsed) >= 400
    assert [str(problem) for p in parsed for problem in p.problems] == []
    for one in parsed[::20]:
        marked, left_out = inline.render(one.extraction)
        again = inline.parse(marked, one.extraction.note.id, SCHEMA).extraction
        assert left_out == 0
        assert _plain(again) == _plain(one.extraction)
    modifiers = [e for p in parsed for e in p.extraction.entities if isinstance(e, Modifier)]
    linked = sum(len({id(r.tail) for r in p.extraction.relations}) for p in parsed)
    assert linked == len(modifiers)


@pytest.mark.parametrize(
    ("marked", "fault"),
    [
        ("<drug>aspirin", "n.txt:1: malformed-line: <drug> is never closed (dropped)"),
        ("a\n</drug> b", "n.txt:2: malformed-line: </drug> closes nothing (dropped)"),
        ('<negation of="7">No</negation>', "n.txt:1: unknown-reference: the head of the relation: not there, or dropped (dropped)"),
        ('<problem a="maybe">x</problem>', "n.txt:1: attribute: not a value of problem.assertion"),
        ('<drug id="1">a</drug> <drug id="1">b</drug>', "n.txt:1: duplicate-id"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(marked: str, fault: str) -> None:
    (problem,) = inline.parse(marked, "n", SCHEMA, path="n.txt").problems
    assert str(problem).startswith(fault)


def test_a_less_than_sign_is_itself() -> None:
    extraction = inline.parse("<test>WBC</test> <labvalue><4</labvalue>, <b>bold</b>", "n", SCHEMA).extraction
    assert extraction.note.text == "WBC <4, <b>bold</b>"
    assert [e.text for e in extraction.entities] == ["WBC", "<4"]


def test_a_note_that_has_tags_itself_is_refused() -> None:
    note = Note(id="n", text="aspirin </drug>")
    with pytest.raises(FormatError, match="has such tags"):
        inline.render(Extraction(note=note, entities=(SCHEMA.entity("drug").at(note.text, 0, 7),)))


def test_crossing_mentions_are_counted() -> None:
    note = Note(id="n", text="left knee pain")
    crossing = (SCHEMA.entity("problem").at(note.text, 5, 14), SCHEMA.entity("bodyloc").at(note.text, 0, 9))
    marked, left_out = inline.render(Extraction(note=note, entities=crossing))
    assert left_out == 1
    assert inline.parse(marked, "n", SCHEMA).extraction.note.text == note.text
