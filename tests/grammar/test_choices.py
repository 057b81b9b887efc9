"""Closed questions: what is written is admitted and read back, and nothing else is admitted."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm.grammar.choices import ChoiceSlot, Chosen, describe_choices, read_choices, write_choices
from medllm.grammar.json_answer import answer_schema, from_notation, to_notation

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SLOTS = st.lists(st.sampled_from([("yes", "no"), ("A", "B", "neither")]), min_size=1, max_size=12).map(
    lambda offered: [ChoiceSlot(n, options) for n, options in enumerate(offered, 1)]
)


@quick
@given(slots=SLOTS, data=st.data())
def test_what_is_written_is_admitted_and_read_back_and_changes_of_it_alike_by_all_matchers(slots, data, recognize):
    given_ = {slot.number: data.draw(st.sampled_from(slot.options)) for slot in slots}
    text = write_choices(slots, given_)
    recognizer = recognize(describe_choices(slots))
    assert recognizer.agree(text)
    chosen, unplaced = read_choices(slots, text)
    assert ({c.slot: c.option for c in chosen}, unplaced) == (given_, 0)
    assert [text[slice(*c.where)] for c in chosen] == list(given_.values())
    assert to_notation(from_notation(text)) == text
    for _ in range(4):
        at = data.draw(st.integers(0, len(text)))
        changed = text[:at] + data.draw(st.sampled_from(["", "1", " ", "A", "\n", "no"])) + text[at + data.draw(st.integers(0, 2)) :]
        if recognizer.agree(changed):
            again, unplaced = read_choices(slots, changed)
            assert (write_choices(slots, {c.slot: c.option for c in again}), unplaced) == (changed, 0)


def test_of_what_no_grammar_held_the_answers_are_kept():
    slots = [ChoiceSlot(1, ("yes", "no")), ChoiceSlot(2, ("A", "B", "neither"))]
    assert read_choices(slots, "Sure:\n2: B\n2: A\n1: maybe") == ([Chosen(2, "B", (9, 10))], 2)
    assert read_choices(slots, "1: yes\n2: A", cut_off=True) == ([Chosen(1, "yes", (3, 6))], 0)
    assert read_choices(slots, "") == ([], 0)


def test_a_json_schema_asks_for_one_of_the_options():
    lists = answer_schema((), (), [ChoiceSlot(1, ("yes", "no"))])["properties"]
    assert lists == {"1": {"type": "array", "items": {"enum": ["yes", "no"]}, "maxItems": 1, "minItems": 1}}
