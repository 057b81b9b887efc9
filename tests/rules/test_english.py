"""What the rules say of English sentences; the mention judged stands in square brackets."""

import re

import pytest

from medllm.document import Assertion, Span
from medllm.rules import Experiencer, Kind, Temporality, assess

BRACKETS = re.compile(r"\[([^\]]*)\]")


def judge(marked):
    """The judgements of the bracketed mentions, and the text without brackets."""
    text, spans, at = "", [], 0
    for match in BRACKETS.finditer(marked):
        text += marked[at : match.start()]
        spans.append(Span(start=len(text), end=len(text) + len(match[1])))
        text += match[1]
        at = match.end()
    text += marked[at:]
    return assess(text, spans), text


@pytest.mark.parametrize(
    ("marked", "wanted"),
    [
        ("He denies [chest pain], [fever] or [chills], and he has a [rash].", "absent absent absent present"),
        ("There is no evidence of [pneumonia] or [effusion].", "absent absent"),
        ("[Murmurs] were not heard.", "absent"),
        ("[Myocardial infarction] was ruled out.", "absent"),
        ("He was ruled out for [myocardial infarction].", "absent"),
        ("Negative for [cough].", "absent"),
        ("She was negative for [malaria].", "absent"),
        ("Homans sign was negative. [Edema]: none.", "absent"),
        ("The [rash] has resolved.", "absent"),
        ("No sign suggestive of [appendicitis].", "absent"),
        ("No increase in [pain].", "present"),
        ("The [infection] did not respond. Not only [fever] but [rash].", "present present present"),
        ("Gram-negative [sepsis].", "present"),
        ("No [fever] but a [cough].", "absent present"),
        ("No. 5 [fracture].", "present"),
        ("Possible [pneumonia].", "possible"),
        ("[Pulmonary embolism] cannot be excluded.", "possible"),
        ("Cannot rule out [gout].", "possible"),
        ("Findings suggestive of [cirrhosis].", "possible"),
        ("Probably due to [asthma].", "possible"),
        ("[Lymphoma]? Will biopsy.", "possible"),
        ("Suspected [meningitis] was ruled out.", "absent"),
        ("Possible [pneumonia], no [effusion].", "possible absent"),
        ("Return if you have [fever].", "hypothetical"),
        ("Tylenol as needed for [pain].", "hypothetical"),
        ("Heparin for prevention of [thrombosis].", "hypothetical"),
        ("He has [shortness of breath] on exertion.", "conditional"),
        ("His mother had [breast cancer] and his father died of [stroke].", "associated_with_someone_else associated_with_someone_else"),
        ("Family history of [gout].", "associated_with_someone_else"),
        ("His mother reports [vomiting]. He lives with his wife and has [cough].", "present present"),
        ("FAMILY HISTORY: [Gout].\nASSESSMENT: [Gout].", "associated_with_someone_else present"),
        ("1. [Asthma] 2. Possible [gout] 3. [Obesity]", "present possible present"),
        ("[no chest pain] and without [signs of failure]", "absent absent"),
    ],
)
def test_the_assertion_of_a_mention(marked, wanted):
    judgements, _ = judge(marked)
    assert [j.assertion for j in judgements] == [Assertion(w) for w in wanted.split()]


def test_a_line_broken_to_fit_a_page_goes_on_and_others_do_not():
    (broken, whole), _ = judge("The patient has been well and on review of systems denies any recent\n[chest pain]. No\n[fever]")
    assert (broken.assertion, whole.assertion) == (Assertion.ABSENT, Assertion.PRESENT)


def test_a_list_of_short_lines_is_not_one_sentence():
    judgements, _ = judge("Edema: no\nSigns of [sepsis]\nNo fever\n[Cough]\n[Rash]")
    assert {j.assertion for j in judgements} == {Assertion.PRESENT}


def test_the_past_is_present_and_historical():
    (past, section, now, ago), _ = judge(
        "HPI: history of [gout].\nPAST MEDICAL HISTORY: [Asthma].\nPLAN: [Cough] for two days. [Stroke] five years ago."
    )
    assert {past.assertion, section.assertion, now.assertion, ago.assertion} == {Assertion.PRESENT}
    assert [j.temporality for j in (past, section, now, ago)] == [
        Temporality.HISTORICAL,
        Temporality.HISTORICAL,
        Temporality.RECENT,
        Temporality.HISTORICAL,
    ]


def test_who_has_it_and_when_are_told_beside_the_assertion():
    (family, future), _ = judge("Her brother never had [diabetes]. Call for [fever].")
    assert (family.experiencer, family.has(Kind.NEGATION)) == (Experiencer.OTHER, True)
    assert (future.experiencer, future.temporality) == (Experiencer.PATIENT, Temporality.HYPOTHETICAL)


def test_the_cue_is_the_words_that_decided():
    (judgement, plain), text = judge("He denies chest pain or [fever]. [Rash].")
    assert text[judgement.cue.start : judgement.cue.end] == "denies"
    assert plain.cue is None
    (section,), text = judge("FAMILY HISTORY: [Gout].")
    assert text[section.cue.start : section.cue.end] == "FAMILY HISTORY"
