"""Chunks: they partition the note, keep to their budget, and show what stands before them."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm.text.chunks import CONTEXT_LINES, split_chunks
from medllm.text.lines import split_lines

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=[])),
    st.lists(
        st.sampled_from(
            [
                "HPI: pain\n",
                "PLAN\r\n",
                "He has pain. ",
                "\n\n",
                "word " * 60,
                "主诉：头痛。\n",
                "\u2028",
                "🙂",
                "\x00",
                "x" * 200,
                "\ud800",
            ]
        ),
        max_size=25,
    ).map("".join),
)


def words(text):
    return len(text.split())


def check_partition(chunks, text):
    assert (chunks[0].start, chunks[-1].end) == (0, len(text))
    assert all(left.end == right.start for left, right in itertools.pairwise(chunks))
    assert [line for chunk in chunks for line in chunk.lines] == split_lines(text)
    for chunk in chunks:
        assert chunk.start < chunk.end or not text
        assert all(chunk.start <= line.start and line.end <= chunk.end for line in chunk.lines)


@quick
@given(TEXTS, st.integers(1, 120))
def test_chunks_partition_the_note_and_keep_to_their_budget(text, budget):
    chunks = split_chunks(text, words, budget)
    check_partition(chunks, text)
    for chunk in chunks:
        assert len(chunk.lines) <= 1 or sum(words(line.view) + 4 for line in chunk.lines) <= budget
        assert chunk.lines or len(chunks) == 1


@quick
@given(TEXTS, st.integers(1, 400))
def test_halves_partition_it_too_down_to_single_lines(text, budget):
    chunks = split_chunks(text, words, budget)
    while any(len(chunk.lines) > 1 for chunk in chunks):
        chunks = [half for chunk in chunks for half in (chunk.halves() or (chunk,))]
        check_partition(chunks, text)
    assert all(chunk.halves() is None for chunk in chunks)


@quick
@given(TEXTS, st.integers(1, 120))
def test_the_context_is_the_lines_before_the_target(text, budget):
    views = [line.view for line in split_lines(text)]
    chunks = split_chunks(text, words, budget)
    chunks += [half for chunk in chunks for half in (chunk.halves() or ())][1:]
    starts = [line.start for line in split_lines(text)]
    for chunk in chunks:
        if chunk.lines:
            first = starts.index(chunk.lines[0].start)
            shown = views[max(0, first - CONTEXT_LINES) : first]
            assert list(chunk.context) == shown[len(shown) - len(chunk.context) :]


@pytest.mark.parametrize("text", ["", "   \r\n\t", "\x00\u200b"])
def test_a_blank_note_is_one_chunk_without_lines(text):
    (chunk,) = split_chunks(text, words, 10)
    assert (chunk.start, chunk.end, chunk.lines, chunk.halves()) == (0, len(text), (), None)


def test_a_chunk_that_is_full_enough_ends_at_the_next_section_and_has_its_title():
    text = "HPI: " + "pain " * 20 + "\nPLAN: rest\nmore rest\n"
    assert [(c.section, len(c.lines)) for c in split_chunks(text, words, 40)] == [("HPI", 1), ("PLAN", 2)]
    assert [(c.section, len(c.lines)) for c in split_chunks(text, words, 400)] == [("HPI", 3)]


def test_a_line_above_the_budget_is_a_chunk_of_its_own():
    chunks = split_chunks("no pain\n" + "word " * 50 + "\nno pain", words, 20)
    assert [[words(line.view) for line in c.lines] for c in chunks] == [[2], [50], [2]]
