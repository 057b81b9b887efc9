"""Grounding: what an answer names becomes a mention at its own place, with the model's own score."""

import math
from collections.abc import Sequence

import pytest

from medllm.document import Assertion, Entity, Note, Span, Vote
from medllm.engines.base import Completion, TokenLogprob
from medllm.grammar.layout import Found, Part, Slot, get_layout
from medllm.grounding import ground, score, tokens_within
from medllm.prompting.questions import to_label
from medllm.text.lines import split_lines


class Problem(Entity):
    """A problem."""

    assertion: Assertion = Assertion.PRESENT
    acute: bool = False


class Treatment(Entity, label="治疗"):
    """A treatment."""


KINDS = {kind.label: kind for kind in (Problem, Treatment)}
VOTE = Vote(reader="llm", model="m", placed="grammar", score=0.5)


def read(text: str, answer: str, layout: str = "lines") -> list[Entity]:
    """The mentions of an answer under the grammar of the note's lines."""
    note = Note(id="n", text=text)
    slots = [Slot(n, line, tuple(map(to_label, KINDS.values()))) for n, line in enumerate(split_lines(text), 1)]
    form = get_layout(layout)
    assert form.describe(slots, nested=layout == "lines", discontinuous=layout == "lines").accepts(answer)
    by_number = {s.number: s for s in slots}
    return [ground(note, by_number[f.slot], f, KINDS[f.label], VOTE) for f in form.read(slots, answer).found]


def test_a_mention_has_the_offsets_of_the_note_and_not_of_what_the_prompt_shows() -> None:
    text = "🙂 BP\t120/80\r\n  no\u00a0 chest\u200b   pain,\x00e\u0301rythe\u0300me"
    (pain, rash) = read(text, '1: -\n2: problem "chest pain" (assertion: absent), problem "e\u0301rythe\u0300me"')
    assert (pain.text, pain.span) == ("chest\u200b   pain", Span(start=text.index("chest"), end=text.index(",")))
    assert (rash.text, rash.span) == ("e\u0301rythe\u0300me", Span(start=text.index("e\u0301"), end=len(text)))


@pytest.mark.parametrize(
    ("layout", "answer"),
    [
        ("lines", '1: problem "pain" #1, problem "pain" #3\n2: problem "pain"'),
        ("copy", "1: <problem>pain</problem>, no pain, <problem>pain</problem>\n2: <problem>pain</problem>"),
    ],
)
def test_repeated_mentions_are_told_apart(layout: str, answer: str) -> None:
    found = read("pain, no pain, pain\npain", answer, layout)
    assert [e.span.start for e in found] == [0, 15, 20]
    assert {e.text for e in found} == {"pain"}


def test_a_discontinuous_mention_keeps_its_parts() -> None:
    (both,) = read("left and right knee pain", '1: problem "left" + "knee pain"')
    assert both.spans == (Span(start=0, end=4), Span(start=15, end=24))
    assert both.text == "left knee pain"


def test_attributes_become_values_of_the_class_and_the_vote_is_kept() -> None:
    absent, present = read("no fever, chills", '1: problem "fever" (assertion: absent, acute: yes), problem "chills"')
    assert isinstance(absent, Problem)
    assert isinstance(present, Problem)
    assert (absent.assertion, absent.acute) == (Assertion.ABSENT, True)
    assert (present.assertion, present.acute) == (Assertion.PRESENT, False)
    assert absent.votes == (VOTE,)


def test_what_the_class_has_no_field_for_is_left_out() -> None:
    (line,) = split_lines("rest")
    found = Found(1, "治疗", (Part(0, 1),), {"assertion": "absent"})
    assert ground(Note(id="n", text="rest"), Slot(1, line, ()), found, Treatment, VOTE).attributes == {}


# --- scores ------------------------------------------------------------------------------------------------------------


def completion(*tokens: tuple[str, float]) -> Completion:
    return Completion("".join(t for t, _ in tokens), "stop", logprobs=tuple(TokenLogprob(t, p) for t, p in tokens))


def scores(text: str, answer: Completion) -> Sequence[float | None]:
    slots = [Slot(n, line, tuple(map(to_label, KINDS.values()))) for n, line in enumerate(split_lines(text), 1)]
    return [score(answer, f) for f in get_layout("lines").read(slots, answer.text).found]


def test_a_score_is_the_product_over_the_mentions_own_tokens() -> None:
    answer = completion(
        ("1", -9.0), (": ", -9.0), ("problem", -1.0), (' "', -0.5), ("fever", -0.25), ('", ', -0.125), ('problem "chills"', -2.0)
    )
    first, second = scores("fever and chills", answer)
    assert first == pytest.approx(math.exp(-1.875))  # the token that closes the quote goes on after the mention
    assert second == pytest.approx(math.exp(-2.0))


def test_tokens_of_half_a_character_count_with_it() -> None:
    answer = completion(
        ("1: ", -9.0),
        ("", -1.0),
        ("治", -1.0),
        ("疗", -1.0),
        (' "', 0.0),
        ("", -0.5),
        ("", -0.5),
        ("头", -0.5),
        ("", -0.25),
        ("痛", -0.25),
        ('"', 0.0),
    )
    (only,) = scores("头痛", answer)
    assert only == pytest.approx(math.exp(-5.0))


def test_without_logprobs_there_is_no_score() -> None:
    assert scores("fever", Completion('1: problem "fever"', "stop")) == [None]


TOKENS = [TokenLogprob(t, 0.0) for t in ("ab", "", "c", "de", "", "")]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 1, "ab"),
        (1, 2, "ab"),
        (0, 3, "ab||c"),
        (2, 3, "|c"),
        (3, 4, "de"),
        (4, 5, "de"),
        (1, 4, "ab||c|de"),
        (2, 5, "|c|de"),
        (7, 9, ""),
    ],
)
def test_the_tokens_of_a_range(start: int, end: int, expected: str) -> None:
    assert "|".join(t.token for t in tokens_within(TOKENS, start, end)) == expected
