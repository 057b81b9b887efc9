"""Pieces: offsets, order, coverage, and views that split into the same pieces again."""

import regex
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from medllm.text.pieces import join_pieces, split_pieces

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WRITTEN = st.text(
    alphabet='aBé\u0301\u20e31٣²½ \t\r\n\u00a0\u00ad\u200b\u2028\x00--.."\\/<>头痛、。\u3000が\u3099กั한🙂👩\u200d\ud800\u202e'
)
TEXTS = st.one_of(st.text(st.characters(exclude_categories=[])), WRITTEN)
UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
GAP = regex.compile(r"[\s\p{Cc}\p{Cf}\p{Cs}]")


@quick
@given(TEXTS)
@example("pain\r\n\u2028BP 120/80\x00")
@example("a\ud800b")
def test_pieces_are_the_text_at_their_offsets_in_order_and_leave_only_gaps(text):
    pieces = split_pieces(text, 0, len(text))
    end = 0
    for piece in pieces:
        assert piece.start >= end
        assert piece.text
        assert piece.text == text[piece.start : piece.end]
        assert all(GAP.fullmatch(c) for c in text[end : piece.start])
        assert not GAP.search(piece.text)
        broken = bool(set("\r\n") & set(text[end : piece.start])) and bool(UNSPACED.match(text, end - 1) and UNSPACED.match(piece.text))
        assert piece.gap == (end > 0 and piece.start > end and not broken)
        end = piece.end
    assert all(GAP.fullmatch(c) for c in text[end:])


@quick
@given(TEXTS, st.data())
def test_any_run_of_pieces_is_split_the_same_when_its_view_is_read_again(text, data):
    pieces = split_pieces(text, 0, len(text))
    first = data.draw(st.integers(0, len(pieces)))
    part = pieces[first : data.draw(st.integers(first, len(pieces)))]
    view = join_pieces(part)
    again = split_pieces(view, 0, len(view))
    assert [p.text for p in again] == [p.text for p in part]
    assert [p.gap for p in again[1:]] == [p.gap for p in part[1:]]
    assert join_pieces(again) == view


@quick
@given(TEXTS, TEXTS)
def test_offsets_are_those_of_the_whole_text(before, text):
    inside = split_pieces(before + text, len(before), len(before) + len(text))
    alone = split_pieces(text, 0, len(text))
    assert [(p.text, p.start - len(before), p.end - len(before), p.gap) for p in inside] == [tuple(p) for p in alone]


def test_words_digits_marks_and_unspaced_characters_are_pieces_of_their_own():
    def split(text):
        return [p.text for p in split_pieces(text, 0, len(text))]

    assert split("q.6h., 3x10mg ---- 5'") == ["q", ".", "6", "h", ".", ",", "3", "x", "10", "mg", "----", "5", "'"]
    assert split("头痛3天、ปวด") == ["头", "痛", "3", "天", "、", "ป", "ว", "ด"]
    assert split("cafe\u0301s na\u00efve") == ["cafe\u0301s", "na\u00efve"]
    assert split("👍🏽 👩\u200d⚕\ufe0f") == ["👍", "🏽", "👩", "⚕\ufe0f"]
    assert split("صداع شديد ١٢٠") == ["صداع", "شديد", "١٢٠"]


def test_every_character_of_a_chinese_run_is_a_piece_with_its_own_offsets():
    text = "患者头痛 3 天"
    assert [(p.text, p.start, p.end) for p in split_pieces(text, 0, 4)] == [(c, n, n + 1) for n, c in enumerate("患者头痛")]
    assert [(p.text, p.gap) for p in split_pieces(text, 2, len(text))] == [("头", False), ("痛", False), ("3", True), ("天", True)]
