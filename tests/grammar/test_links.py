"""Relations over numbered mentions: what is written is admitted and read back as it was."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm.grammar.links import Link, LinkSlot, describe_links, read_links, write_links

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

LINKS = st.builds(Link, st.sampled_from(["TrAP", "TrAP-1", "has_attr", "PIP", "引起"]), st.integers(1, 30))
SLOTS = st.lists(st.lists(LINKS, unique=True, max_size=6).map(tuple), min_size=1, max_size=4).map(
    lambda offered: [LinkSlot(n, links) for n, links in enumerate(offered, 1)]
)


@st.composite
def questions(draw):
    slots = draw(SLOTS)
    return slots, [(slot.number, link) for slot in slots for link in slot.links if draw(st.booleans())]


@quick
@given(question=questions(), data=st.data())
def test_what_is_written_is_admitted_and_read_back_and_changes_of_it_alike_by_all_matchers(question, data, recognize):
    slots, found = question
    recognizer = recognize(describe_links(slots))
    text = write_links(slots, found)
    assert recognizer.agree(text)
    assert read_links(slots, text) == (found, len(slots), 0)
    for _ in range(6):
        at = data.draw(st.integers(0, len(text)))
        changed = (
            text[:at]
            + data.draw(st.sampled_from(["", "1", " ", ",", "-", "\n", "TrAP 1", ", "]))
            + text[at + data.draw(st.integers(0, 2)) :]
        )
        if recognizer.agree(changed):
            again, answered, unplaced = read_links(slots, changed)
            assert (answered, unplaced) == (len(slots), 0)
            assert write_links(slots, again) == changed


@quick
@given(slots=SLOTS, chance=st.randoms(use_true_random=False))
def test_a_random_walk_under_the_masks_is_understood(slots, chance, recognize):
    text = recognize(describe_links(slots)).walk(chance)
    found, answered, unplaced = read_links(slots, text)
    assert (answered, unplaced) == (len(slots), 0)
    assert write_links(slots, found) == text


@quick
@given(question=questions())
def test_of_an_answer_cut_off_anywhere_what_is_complete_is_kept(question):
    slots, found = question
    text = write_links(slots, found)
    for cut in range(len(text) + 1):
        kept, answered, unplaced = read_links(slots, text[:cut], cut_off=True)
        lines = text[:cut].split("\n")
        assert kept == found[: sum(line.count(",") for line in lines) + sum(": -" not in line for line in lines[:-1])]
        assert answered == len(lines) - 1 + lines[-1].endswith(": -")
        assert unplaced == 0


def test_the_notation():
    slots = [LinkSlot(1, (Link("TrAP", 2), Link("PIP", 3), Link("PIP", 12))), LinkSlot(2, ()), LinkSlot(3, (Link("PIP", 1),))]
    text = "1: TrAP 2, PIP 12\n2: -\n3: -"
    assert write_links(slots, [(1, Link("PIP", 12)), (1, Link("TrAP", 2))]) == text
    assert read_links(slots, text) == ([(1, Link("TrAP", 2)), (1, Link("PIP", 12))], 3, 0)


@pytest.mark.parametrize(
    "line", ["PIP 2", "TrAP 3", "PIP 3, TrAP 2", "TrAP 2, TrAP 2", "TrAP 2,", "TrAP", "TrAP 2, -", "- ", "", "trap 2", "TrAP 02"]
)
def test_no_matcher_takes_a_link_that_is_not_offered_or_out_of_order(line, recognize):
    slots = [LinkSlot(1, (Link("TrAP", 2), Link("PIP", 3))), LinkSlot(2, ())]
    recognizer = recognize(describe_links(slots))
    assert recognizer.agree("1: TrAP 2, PIP 3\n2: -")
    assert not recognizer.agree(f"1: {line}\n2: -")


def test_an_answer_that_stops_before_its_last_slot_was_cut_off_whoever_says_so():
    slots = [LinkSlot(1, (Link("PIP", 2), Link("PIP", 20))), LinkSlot(2, (Link("PIP", 1),))]
    assert read_links(slots, "1: PIP 2") == ([], 0, 0)  # may be the beginning of PIP 20
    assert read_links(slots, "1: PIP 2\n2: PIP 1") == ([(1, Link("PIP", 2)), (2, Link("PIP", 1))], 2, 0)


def test_what_no_grammar_held_does_no_harm():
    slots = [LinkSlot(1, (Link("PIP", 2),)), LinkSlot(2, ())]
    assert read_links(slots, "9" * 5000 + ": PIP 2") == ([], 0, 1)
    assert read_links(slots, "Here they are:\n1: PIP 2, cause 2\n2: PIP 1") == ([(1, Link("PIP", 2))], 2, 3)
    assert read_links(slots, "2: -\n2: -") == ([], 0, 0)
    assert read_links(slots, "") == ([], 0, 0)


def test_many_links_compile_in_a_thread_with_a_small_stack(recognize, small_stack):
    slots = [LinkSlot(n, tuple(Link(f"R{m % 3}", m) for m in range(1, 61))) for n in range(1, 41)]
    text = write_links(slots, [(slot.number, link) for slot in slots for link in slot.links])
    assert small_stack(lambda: recognize(describe_links(slots)).llguidance(text))
