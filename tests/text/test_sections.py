"""Sections: headings by their form, in English and Chinese; together they cover the note."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm.text.sections import split_sections

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=[])),
    st.lists(
        st.sampled_from(
            ["HPI:", "Plan", "PLAN", "# Title", "主诉：", "【现病史】", "\n", "\r\n", "\u2028", " ", "\u3000", "pain", "120/80", "："]
        ),
        max_size=40,
    ).map("".join),
)


def titles(text):
    return [s.title for s in split_sections(text)]


@quick
@given(TEXTS)
def test_sections_cover_the_note_in_order(text):
    found = split_sections(text)
    assert found[0].start == 0
    assert found[-1].end == len(text)
    assert all(left.end == right.start for left, right in itertools.pairwise(found))
    assert all(s.title in text[s.start : s.end] and s.title == s.title.strip() for s in found)
    assert all(s.title for s in found[1:])


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\u2028"])
@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("HISTORY OF PRESENT ILLNESS:", "HISTORY OF PRESENT ILLNESS"),
        ("HISTORY OF PRESENT ILLNESS", "HISTORY OF PRESENT ILLNESS"),
        ("Past Medical History: COPD", "Past Medical History"),
        ("  Allergies: none", "Allergies"),
        ("Review of Systems:", "Review of Systems"),
        ("## Assessment and plan", "Assessment and plan"),
        ("主诉：头痛三天", "主诉"),
        ("\u3000\u3000现病史:患者", "现病史"),
        ("【辅助检查】头颅CT", "辅助检查"),
    ],
)
def test_a_heading_is_found_whatever_ends_its_lines(heading, title, line_break):
    before, after = f"Seen today.{line_break}", f"{line_break}pain.{line_break}"
    found = split_sections(before + heading + after)
    assert [(s.title, s.start) for s in found] == [("", 0), (title, len(before))]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "He has pain.",
        "no heading: here",
        "120/80:",
        "- - -",
        "诉：",
        "   ",
        "--- :",
        "The pain is worse at night and he cannot sleep: yes",
    ],
)
def test_what_is_no_heading(text):
    assert titles(text) == [""]


def test_a_heading_at_the_very_beginning_leaves_nothing_before_it():
    assert titles("CC: cough\nPlan: rest") == ["CC", "Plan"]
