"""Lines: they partition the pieces of a note, keep sentences together where they are short, and are bounded."""

import sys
from collections import Counter

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from medllm.text.chunks import split_chunks
from medllm.text.lines import MAX_PIECES, WHOLE_PIECES, split_lines
from medllm.text.pieces import join_pieces, split_pieces
from medllm.text.sections import split_sections

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=[])),
    st.text(alphabet="aB1. !?\"'。！”、\r\n\v\f\x1c\x85\u2028\u2029\t\x00\u200b头\u0301🙂א"),
    st.lists(
        st.sampled_from(["Dr. ", "pain. ", "E. coli ", "2. ", "Then ", "No ", "痛。", "5 mg ", "\r\n", "\u2028", "--", "\u05d0 "]),
        max_size=120,
    ).map("".join),
)


def views(text, **options):
    return [line.view for line in split_lines(text, **options)]


@quick
@given(TEXTS, st.booleans())
@example("word " * 700, True)
@example("x" * 3000 + " end", True)
def test_lines_partition_the_pieces(text, sentences):
    lines = split_lines(text, sentences=sentences)
    placed = [(p.text, p.start, p.end) for line in lines for p in line.pieces]
    assert "".join(t for t, *_ in placed) == "".join(p.text for p in split_pieces(text, 0, len(text)))
    assert all(text[start:end] == piece for piece, start, end in placed)
    end = 0
    for line in lines:
        assert end <= line.start == line.pieces[0].start
        assert (end := line.end) == line.pieces[-1].end
        assert 1 <= len(line.pieces) <= MAX_PIECES
        assert line.view == join_pieces(line.pieces)
        assert not set(line.view) & set("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029\t\x00")


@quick
@given(TEXTS)
def test_views_joined_with_line_breaks_give_the_same_views(text):
    assert views("\n".join(views(text, sentences=False)), sentences=False) == views(text, sentences=False)


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\v", "\f", "\x85", "\u2028", "\u2029"])
def test_every_line_break_ends_a_line(line_break):
    assert views(f"Has COPD{line_break}Quit smoking{line_break}{line_break}") == ["Has COPD", "Quit smoking"]


@pytest.mark.parametrize("text", ["", " ", "\r\n \t\u2028\x00", "\u200b\u00ad"])
def test_a_blank_note_has_no_lines(text):
    assert split_lines(text) == []


LONG = "and so on with more of the same words until this line is long enough to be split where its sentences end, which is far " * 2


def sentences(text):
    return views(f"{text} {LONG}")


def test_a_short_line_stays_whole_and_a_long_one_is_split_at_its_sentence_ends():
    text = 'He has pain. It is mild! Is it new? "Never." He left. (See below.) 3 tablets.'
    assert views(text) == [text]
    assert len(split_pieces(text, 0, len(text))) <= WHOLE_PIECES
    assert sentences(text)[:6] == ["He has pain.", "It is mild!", "Is it new?", '"Never."', "He left.", "(See below.)"]
    assert views(f"{text} {LONG}", sentences=False) == [f"{text} {LONG}".strip()]


@pytest.mark.parametrize(
    "text",
    [
        "Seen by Dr. Lowe today",
        "Mrs. Smith and Prof. Jones",
        "Grew E. coli and S. Aureus",
        "Took it p.o. Monday and b.i.d. Tuesday",
        "See Fig. 3 and ref. 12",
        "Pain of approx. 3 days vs. None before",
        "Left at 8 a.m. Sunday",
        "Vitamin C. Then nothing",
    ],
)
def test_an_abbreviation_is_no_sentence_end(text):
    assert sentences(text)[0].startswith(text)


def test_a_list_number_is_no_sentence_end():
    assert sentences("2. Asthma is stable. 3. COPD is not.")[0] == "2. Asthma is stable."


def test_chinese_sentences_end_at_their_marks_and_keep_a_closing_quote():
    text = "患者头痛三天。自述“很痛。”无发热！是否恶心？无；" + "，".join(["继续观察"] * 12)
    assert views(text)[:5] == ["患者头痛三天。", "自述“很痛。”", "无发热！", "是否恶心？", "无；"]


def test_a_sentence_too_long_for_a_line_is_cut_at_a_gap():
    text = "120/80 " * 200
    lines = split_lines(text)
    assert len(lines) > 1
    assert "".join(line.view.replace(" ", "") for line in lines) == text.replace(" ", "")
    assert all(line.view.startswith("120/80") and line.view.endswith("120/80") for line in lines)


def test_a_sentence_without_gaps_is_cut_at_the_bound():
    assert [len(line.pieces) for line in split_lines("痛" * (2 * MAX_PIECES + 1))] == [MAX_PIECES, MAX_PIECES, 1]


def calls(work):
    """How many calls, of Python functions and of built-in ones, it takes."""
    counted = Counter()
    previous = sys.getprofile()
    sys.setprofile(lambda frame, event, arg: counted.update([event]))
    try:
        work()
    finally:
        sys.setprofile(previous)
    return counted["call"] + counted["c_call"]


@pytest.mark.parametrize("word", ["E. Coli. ", "痛。", "A: <b>"])
def test_work_grows_with_the_length_of_a_line_and_no_faster(word):
    def work(length):
        text = (word * length)[:length]
        return calls(lambda: split_chunks(text, len, 256))

    assert work(12_000) <= 4.4 * work(3_000) + 500


@pytest.mark.parametrize(
    "text", ["# " + " " * 100_000 + "x", "A" + " " * 100_000 + "x", "pain." + " " * 100_000 + "x", "A" * 100_000, "Aa " * 33_333]
)
def test_patterns_do_not_look_at_a_long_line_again_and_again(text):
    assert split_sections(text)[-1].end == len(text)  # would not end in hours if they did
    assert "".join(views(text)).replace(" ", "") == text.replace(" ", "")
