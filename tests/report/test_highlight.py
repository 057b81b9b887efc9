import re
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from medllm.report.highlight import MAX_DEPTH, Mark, Unread, highlight, showable, stack

TEXT = st.text(st.one_of(st.sampled_from('ab <>&"\n\r\0中😀\ud800'), st.characters()), max_size=50)


def parts(top: int = 60) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    """Parts of a mention, which may reach beyond the text."""
    edges = st.sets(st.integers(0, top), min_size=2, max_size=6).map(sorted)
    return edges.map(lambda e: tuple(zip(e[::2], e[1::2], strict=False)))


@given(TEXT, st.lists(parts(), max_size=8), st.lists(parts(), max_size=3))
def test_text_is_the_note_and_marks_hold_their_mentions(kit, text, mentions, ranges):
    marks = [Mark(f"m{i}", spans, f"l{i}", title='"<>', badge="absent") for i, spans in enumerate(mentions)]
    unread = [Unread(f"u{i}", spans[0][0], spans[0][1], "why") for i, spans in enumerate(ranges)]
    html = highlight(text, marks, unread)
    page = kit.Page(f'<div id="whole">{html}</div>')
    assert page.texts["whole"] == showable(text)
    assert len(showable(text)) == len(text)
    for i, spans in enumerate(mentions):
        inside = showable("".join(text[start:end] for start, end in spans))
        assert page.marked.get(str(i), "") == re.sub(r"[\r\n]", "", inside)
        pieces = [a for a in page.named("mark") if a["data-m"] == str(i)]
        assert [a.get("id") for a in pieces] == [f"m{i}"] * bool(pieces) + [None] * (len(pieces) - 1)
        assert ["data-badge" in a for a in pieces] == [False] * (len(pieces) - 1) + [True] * bool(pieces)


@given(st.lists(parts(), max_size=9))
def test_overlapping_mentions_have_underlines_of_their_own(mentions):
    depths = stack(mentions)
    for (a, x), (b, y) in combinations(zip(depths, mentions, strict=True), 2):
        if x[0][0] < y[-1][1] and y[0][0] < x[-1][1]:
            assert a != b or a == MAX_DEPTH


def test_inner_mentions_are_underlined_first():
    assert stack([((0, 30),), ((5, 20),), ((6, 9),)]) == [2, 1, 0]
    assert stack([((0, 3), (8, 10)), ((4, 6),)]) == [1, 0]  # the gap is underlined too
    assert stack([]) == []


def test_every_line_has_its_own_direction():
    html = highlight("abc\nمرحبا\r\n\rx", [])
    assert html.count('<div class="ln" dir="auto">') == 4
    assert "&#13;\n</div>" in html


def test_crossing_mentions_are_split_and_nested_ones_are_not():
    crossing = highlight("abcdef", [Mark("x", ((0, 4),)), Mark("y", ((2, 6),))])
    assert crossing.count("<mark") == 3
    nested = highlight("abcdef", [Mark("x", ((0, 6),)), Mark("y", ((2, 4),))])
    assert nested.count("<mark") == 2
    assert nested.index('id="x"') < nested.index('id="y"')


def test_parts_are_joined():
    html = highlight("left and right", [Mark("x", ((0, 4), (9, 14)), "l0")])
    assert '<span class="g l0 d0" data-m="0"> and </span>' in html
    assert html.count("<mark") == 2


def test_a_mention_goes_on_in_the_next_line():
    html = highlight("chest\npain", [Mark("x", ((0, 10),), "l0", badge="absent")])
    assert html.count("<mark") == 2
    assert html.count("data-badge") == 1
    assert html.index("data-badge") > html.index("</div>")


def test_offsets_beyond_the_text_are_cut():
    assert "<mark" not in highlight("ab", [Mark("x", ((5, 9),))])
    assert ">b</mark>" in highlight("ab", [Mark("x", ((1, 99),))])
    assert highlight("", [Mark("x", ((0, 9),))]) == ""
