"""The rules' voice on mentions that another reader found."""

import pytest

from medllm.document import Entity, Vote
from medllm.rules.voice import assert_by_rules
from medllm.schemas.clinical import Drug, Problem

TEXT = "No fever. Mother had asthma. Possible pneumonia. Cough. Took aspirin."


def problem(text: str, assertion: str = "present") -> Problem:
    start = TEXT.index(text)
    return Problem.at(TEXT, start, start + len(text), assertion=assertion, votes=(Vote(reader="llm", model="m", score=0.5),))


def said(entity: Entity) -> list[tuple[str, str, str]]:
    return [(v.reader, v.model, v.about) for v in entity.votes]


@pytest.mark.parametrize(("text", "told"), [("fever", "absent"), ("asthma", "associated_with_someone_else"), ("pneumonia", "possible")])
def test_the_rules_decide_and_both_answers_are_kept(text: str, told: str) -> None:
    (judged,) = assert_by_rules(TEXT, [problem(text)])
    assert (judged.assertion, judged.text) == (told, text)  # type: ignore[attr-defined]
    assert type(judged.assertion) is type(problem(text).assertion)  # type: ignore[attr-defined]
    assert said(judged) == [("llm", "m", ""), ("llm", "m", "assertion=present"), ("rules", "context", f"assertion={told}")]


def test_the_reader_may_have_the_last_word() -> None:
    (judged,) = assert_by_rules(TEXT, [problem("fever", "possible")], decide=False)
    assert judged.assertion == "possible"  # type: ignore[attr-defined]
    assert said(judged)[1:] == [("llm", "m", "assertion=possible"), ("rules", "context", "assertion=absent")]


def test_what_both_call_present_and_what_has_no_assertion_stays_as_it_is() -> None:
    cough, aspirin = problem("Cough"), Drug.at(TEXT, TEXT.index("aspirin"), TEXT.index("aspirin") + 7)
    assert assert_by_rules(TEXT, [cough, aspirin]) == [cough, aspirin]
