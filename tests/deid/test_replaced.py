"""A note with parts replaced, and the way back: whatever is replaced by whatever, what is found stands in the original text."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from medllm.deid.replaced import ReplacedNote
from medllm.document import Entity, Extraction, LedgerEntry, Note, Relation, Span


@st.composite
def replaced_notes(draw: st.DrawFn) -> ReplacedNote:
    text = draw(st.text(st.sampled_from("ab \n中💊é"), min_size=1, max_size=30))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    new = st.text(st.sampled_from("XY[]"), min_size=1, max_size=6)
    parts = [(start, end, draw(new)) for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    return ReplacedNote.of(Note(id="n", text=text), parts)


@st.composite
def spans(draw: st.DrawFn, length: int) -> Span:
    start = draw(st.integers(0, length - 1))
    return Span(start=start, end=draw(st.integers(start + 1, length)))


@given(replaced_notes())
def test_what_is_between_replacements_stays(replaced: ReplacedNote) -> None:
    before, after = 0, 0
    for part in replaced.replacements:
        assert replaced.original.text[before : part.start] == replaced.note.text[after : part.new_start]
        before, after = part.end, part.new_end
    assert replaced.original.text[before:] == replaced.note.text[after:]


@given(st.data())
def test_a_span_goes_back_to_its_own_text_and_takes_replaced_parts_whole(data: st.DataObject) -> None:
    replaced = data.draw(replaced_notes())
    span = data.draw(spans(len(replaced.note.text)))
    back = replaced.original_span(span)
    expected = ""
    for position in range(span.start, span.end):
        part = next((p for p in replaced.replacements if p.new_start <= position < p.new_end), None)
        if part is None:
            expected += replaced.note.text[position]
        elif position in (part.new_start, span.start):
            expected += replaced.original.text[part.start : part.end]
    assert back.of(replaced.original.text) == expected


@given(st.data())
def test_mentions_of_several_parts_are_valid_in_the_original(data: st.DataObject) -> None:
    replaced = data.draw(replaced_notes())
    length = len(replaced.note.text)
    offsets = sorted(data.draw(st.sets(st.integers(0, length), min_size=min(4, length + 1), max_size=6)))
    if len(offsets) < 2:
        return
    mention = Entity.at(replaced.note.text, *offsets[: len(offsets) // 2 * 2])
    back = replaced.original_entity(mention)
    assert back.text == " ".join(span.of(replaced.original.text) for span in back.spans)
    assert Entity.model_validate(back.model_dump()).spans == back.spans


@given(st.data())
def test_ranges_of_the_ledger_that_make_up_a_note_make_up_the_original(data: st.DataObject) -> None:
    replaced = data.draw(replaced_notes())
    length = len(replaced.note.text)
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, length), max_size=4))), length]
    entries = [LedgerEntry(note_id="n", reader="llm", reason="context", start=a, end=b) for a, b in pairwise(cuts)]
    back = [replaced.original_entry(entry) for entry in entries]
    assert [entry.start for entry in back[1:]] == [entry.end for entry in back[:-1]]
    assert (back[0].start, back[-1].end) == (0, len(replaced.original.text))


def test_relations_point_at_the_mentions_of_the_original() -> None:
    replaced = ReplacedNote.of(Note(id="n", text="Ann has a rash from aspirin."), [(0, 3, "[PATIENT]")])
    text = replaced.note.text
    rash, drug = (Entity.at(text, text.index(w), text.index(w) + len(w), id=w) for w in ("rash", "aspirin"))
    found = Extraction(note=replaced.note, entities=(rash, drug), relations=(Relation(head=drug, tail=rash),))
    back = replaced.original_extraction(found)
    assert back.note.text == "Ann has a rash from aspirin."
    assert [(e.text, e.span.start) for e in back.entities] == [("rash", 10), ("aspirin", 20)]
    assert back.relations[0].head is back.entities[1]
    assert back.relations[0].tail is back.entities[0]
