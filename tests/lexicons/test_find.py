"""Where names of a lexicon stand in a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.lexicons import Concept, Lexicon, normalise

LEXICON = Lexicon(
    [
        Concept("X", "1", "Heart failure", ("HF", "Cardiac failure", "2,4-cardiosis"), ("disorder",)),
        Concept("X", "2", "Failure"),
        Concept("X", "3", "Leukemia", ("ALL", "Leukaemia, acute"), ("disorder",)),
        Concept("X", "4", "Parkinson Disease", (), ("disorder",)),
        Concept("X", "5", "Aspirin", ("It", "ASA"), ("drug",)),
        Concept("X", "6", "2型糖尿病", ("糖尿病2型",), ("disorder",)),
        Concept("Y", "1", "Disease of Parkinson", ("Heart failure",)),
    ]
)


def found(text: str, *, overlapping: bool = False) -> list[tuple[str, str]]:
    return [(text[m.start : m.end], " ".join(m.codes)) for m in LEXICON.find(text, overlapping=overlapping)]


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        (
            "Heart failure, cardiac failures; heart-\nfailure",
            [("Heart failure", "X:1 Y:1"), ("cardiac failures", "X:1"), ("heart-\nfailure", "X:1 Y:1")],
        ),
        ("heart\n\nfailure of the heart. Failure", [("failure", "X:2"), ("Failure", "X:2")]),
        ("ALL of us, all of us, and HF or hf", [("ALL", "X:3"), ("HF", "X:1")]),
        ("LEUKAEMIA", [("LEUKAEMIA", "X:3")]),
        ("leukemia, acute", [("leukemia", "X:3")]),
        ("Parkinson's disease, Parkinson disease", [("Parkinson's disease", "X:4"), ("Parkinson disease", "X:4")]),
        ("It is what it is: asa, ASA", [("ASA", "X:5")]),
        ("诊断为2型糖尿病。", [("2型糖尿病", "X:6")]),
        ("(2,4-cardiosis) 2, 4-cardiosis", [("2,4-cardiosis", "X:1")]),
        ("heartfailure unfailure", []),
        ("", []),
    ],
)
def test_longest_names_in_reading_order(text: str, matches: list[tuple[str, str]]) -> None:
    assert found(text) == matches


def test_overlapping_gives_the_longest_at_every_word() -> None:
    assert found("heart failure", overlapping=True) == [("heart failure", "X:1 Y:1"), ("failure", "X:2")]


def test_lookup_by_code_name_and_kind() -> None:
    assert LEXICON["X:3"].name == "Leukemia"
    assert "Z:1" not in LEXICON
    assert [c.code for c in LEXICON.named("HEART FAILURES")] == ["X:1", "Y:1"]
    assert LEXICON.named("heart") == ()
    assert [c.code for c in LEXICON.only("drug")] == ["X:2", "X:5", "Y:1"]


def test_a_preferred_name_comes_before_a_synonym() -> None:
    lexicon = Lexicon([Concept("X", "1", "Cold", ("Flu",)), Concept("X", "2", "Flu"), Concept("X", "2", "Another flu")])
    assert [c.code for c in lexicon.named("flu")] == ["X:2", "X:1"]
    assert len(lexicon) == 2


@given(st.text(max_size=60))
def test_offsets_are_those_of_words_and_matches_do_not_overlap(text: str) -> None:
    end = 0
    for match in LEXICON.find(text):
        assert end <= match.start < match.end <= len(text)
        assert all(LEXICON[code] in LEXICON.named(text[match.start : match.end]) for code in match.codes)
        end = match.end


@given(
    st.sampled_from([name for c in LEXICON for name in c.names if name not in ("It", "Leukaemia, acute")]),
    st.sampled_from(["", "的", "(", "pt. ", "é "]),
)
def test_a_name_is_found_behind_anything_that_ends_a_word(name: str, before: str) -> None:
    text = f"{before}{name}. 18 kg"
    first = next(LEXICON.find(text))
    assert (first.start, first.end) == (len(before), len(before) + len(name))


@given(st.text(max_size=40))
def test_normalising_twice_is_normalising_once(name: str) -> None:
    once = normalise(name)
    assert normalise(f" {name}\n") == once
    assert normalise(name.upper()) == normalise(name.upper().lower())
