"""The mark-up of worked examples: what it means, and that what is no mark-up is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.errors import SchemaError
from medllm.prompting.examples import parse_example

WORDS = st.text(st.characters(exclude_characters="[]|", exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), max_size=6))
def test_mentions_are_where_their_text_stands_without_the_mark_up(parts: list[tuple[str, str]]) -> None:
    example = parse_example("".join(f"{plain}[problem assertion=absent|{marked}]" for plain, marked in parts))
    assert example.text == "".join(plain + marked for plain, marked in parts)
    assert [example.text[m.start : m.end] for m in example.mentions] == [marked for _, marked in parts]
    assert all((m.label, m.attributes) == ("problem", {"assertion": "absent"}) for m in example.mentions)
    assert all(left.end <= right.start for left, right in zip(example.mentions, example.mentions[1:], strict=False))


def test_relations_may_point_forwards_and_backwards_and_be_several() -> None:
    example = parse_example("[negation <hasAttr#1 <hasAttr#b|No] [problem #1|fever] or [problem #b|chills], [drug <TrAP#1|aspirin]")
    assert example.links == (("hasAttr", 1, 0), ("hasAttr", 2, 0), ("TrAP", 1, 3))


def test_brackets_of_the_text_itself_stay() -> None:
    example = parse_example("Seen on [**2020-1-1**], dose [5 mg], a|b, [problem|pain]")
    assert example.text == "Seen on [**2020-1-1**], dose [5 mg], a|b, pain"
    assert len(example.mentions) == 1


@pytest.mark.parametrize(
    "marked",
    [
        "[problem absent|fever]",
        "[problem <hasAttr|fever]",
        "[problem <hasAttr#2|fever]",
        "[problem #1|fever] [drug <TrAP#2|aspirin]",
        "[problem #1|fever] [problem #1|chills]",
        "[problem|]",
        "[problem|fever",
        "[problem|left [bodyloc|knee] pain",
        "[drug|aspirin] and [problem assertion=absent|fever",
    ],
)
def test_what_is_no_mark_up_is_refused_with_a_hint_and_without_the_text(marked: str) -> None:
    with pytest.raises(SchemaError) as caught:
        parse_example(marked)
    assert caught.value.hint
    assert "fever" not in str(caught.value)


def test_a_mention_may_stand_inside_another() -> None:
    example = parse_example("无[symptom assertion=absent #1|[anatomy <located_in#1|右上腹]压痛]。")
    assert example.text == "无右上腹压痛。"
    assert [(m.label, m.start, m.end) for m in example.mentions] == [("symptom", 1, 6), ("anatomy", 1, 4)]
    assert example.links == (("located_in", 0, 1),)
