"""Whatever the text: cues lie in it, in order; judgements follow from their cues; nothing fails or takes long."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm.document import Assertion, Span
from medllm.rules import Direction, Kind, assess, find_cues
from tests.text.test_lines import calls

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=[]), min_size=1),
    st.lists(
        st.sampled_from(
            ["no ", "denies ", "fever", ", ", "but ", "possible ", "if ", "mother ", ". ", "\n", "无", "否认", "头痛", "、", "，", "。",
             "？", "待排", "Family History: ", "家族史：", "2. ", "(-)", "🙂", "\x00", "İ", "\ud800", "12 ", "years ago", "#", "$"]
        ),
        min_size=1,
        max_size=30,
    ).map("".join),
)  # fmt: skip


@quick
@given(TEXTS, st.data())
def test_judgements_follow_from_cues_that_lie_in_the_text(text, data):
    cues = find_cues(text)
    assert all(0 <= c.start < c.end <= len(text) for c in cues)
    assert all(left.end <= right.start for left, right in itertools.pairwise(cues))
    start = data.draw(st.integers(0, len(text) - 1))
    span = Span(start=start, end=data.draw(st.integers(start + 1, len(text))))
    (judgement,) = assess(text, [span])
    assert all(0 <= c.start < c.end <= len(text) for c in judgement.cues)
    assert all(c.group.direction in (Direction.FORWARD, Direction.BACKWARD) for c in judgement.cues)
    assert (judgement.cue is None) == (judgement.assertion == Assertion.PRESENT)
    assert judgement.has(Kind.NEGATION) or judgement.assertion != Assertion.ABSENT


@quick
@given(TEXTS, TEXTS)
def test_a_sentence_is_judged_by_itself(before, after):
    """What stands in other paragraphs, but for a section's heading, changes nothing."""

    def said(text, at):
        return assess(text, [Span(start=at, end=at + 5)])[0].assertion

    sentence = "He denies fever."
    framed = f"{before}\n\n# Now\n\n{sentence}\n\n{after}"
    assert said(framed, len(framed) - len(after) - 8) == said(sentence, 10) == Assertion.ABSENT


@quick
@given(st.lists(st.sampled_from(["fever", "头痛", "cough"]), max_size=8))
def test_without_cues_everything_is_present(words):
    text = " ".join(words)
    spans = [Span(start=m, end=m + 1) for m in range(len(text)) if not text[m].isspace()]
    assert all(j.assertion == Assertion.PRESENT and not j.cues for j in assess(text, spans))


@pytest.mark.parametrize("text", ["", " "])
def test_without_mentions_there_is_nothing_to_say(text):
    assert assess(text, []) == ()
    assert find_cues(text) == []


@pytest.mark.parametrize("word", ["no fever, ", "无发热，", "history\n"])
def test_work_grows_with_the_text_and_its_mentions_and_no_faster(word):
    def work(length):
        text = (word * length)[:length]
        spans = [Span(start=at, end=at + 2) for at in range(0, length - 2, 500)]
        return calls(lambda: assess(text, spans))

    work(100)  # the tables are read once
    assert work(9_000) <= 3.6 * work(3_000)
