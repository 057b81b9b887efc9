"""The boundary policy: what a corpus includes is taken in, what it leaves out is left out, and nothing else changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.document import Entity, Span
from medllm.ensemble.boundary import BoundaryPolicy, move_edges, words_of
from medllm.ensemble.shipped import find_policy
from medllm.errors import InputError, ModelError
from medllm.schema import Schema
from medllm.training.boundary import learn_boundaries

pytest.importorskip("sklearn")

TEXTS = [
    f"{before} has the {how} {what} {after}"
    for before in ("She", "He", "Patient")
    for how in ("severe", "mild", "acute")
    for what in ("chest pain", "knee pain", "back pain")
    for after in ("today.", "since Monday.", "and is tired.")
]


def corpus(first: str) -> list[tuple[str, list[tuple[Span, str]]]]:
    """Notes whose problems begin at the word ``first`` or at the one after it."""
    return [(text, [(Span(start=text.index(first), end=text.index("pain") + 4), "problem")]) for text in TEXTS]


@pytest.fixture(scope="module")
def wide() -> BoundaryPolicy:
    return learn_boundaries(corpus("the"), about={"schema": "clinical", "language": "en"})


def place(text: str, part: str) -> Span:
    return Span(start=text.index(part), end=text.index(part) + len(part))


@pytest.mark.parametrize("read", ["pain", "chest pain", "severe chest pain", "the severe chest pain", "has the severe chest pain"])
def test_edges_become_those_of_the_corpus(wide: BoundaryPolicy, read: str) -> None:
    text = "Anna has the severe chest pain today."
    assert wide.adjust(text, place(text, read), "problem").of(text) == "the severe chest pain"


def test_another_corpus_has_other_edges() -> None:
    narrow = learn_boundaries([(t, [(place(t, " ".join(t.split()[4:6])), "problem")]) for t in TEXTS])
    text = "Anna has the severe chest pain today."
    assert narrow.adjust(text, place(text, "the severe chest pain"), "problem").of(text) == "chest pain"


def test_a_label_that_was_not_learnt_stays(wide: BoundaryPolicy) -> None:
    text = "Anna has the severe chest pain today."
    assert wide.adjust(text, place(text, "pain"), "test") == place(text, "pain")


def test_a_word_that_only_touches_the_mention_is_not_of_it() -> None:
    """Offsets are half-open: "(" ends where the mention begins, and ")" begins where it ends."""
    at_once = BoundaryPolicy({"Ll": 9.0, "Rl": 9.0}, 0.0, frozenset({"problem"}))
    assert at_once.adjust("(pain)", Span(start=1, end=5), "problem") == Span(start=1, end=5)


def test_it_stays_in_its_line(wide: BoundaryPolicy) -> None:
    text = "Anna has the severe chest pain today."
    within = Span(start=text.index("chest"), end=len(text))
    assert wide.adjust(text, place(text, "pain"), "problem", within).of(text) == "chest pain"


def test_a_moved_mention_says_where_it_was(wide: BoundaryPolicy) -> None:
    kind = Schema.load("clinical").entity("problem")
    text = "Anna has the severe chest pain today."
    moved = move_edges(text, kind.at(text, 20, 30), wide)
    assert (moved.text, moved.votes[-1].reader, moved.votes[-1].about) == ("the severe chest pain", "boundary", "edges=20-30")
    parts = Entity.at(text, 9, 12, 20, 25)
    assert move_edges(text, parts, wide) is parts


@given(st.text(alphabet="ab c.\n-頭1\u0301🙂", max_size=40), st.data())
def test_any_text_any_span(wide: BoundaryPolicy, text: str, data: st.DataObject) -> None:
    if not text:
        return
    start = data.draw(st.integers(0, len(text) - 1))
    span = Span(start=start, end=data.draw(st.integers(start + 1, len(text))))
    after = wide.adjust(text, span, "problem")
    assert 0 <= after.start < after.end <= len(text)
    if any(s < span.end and span.start < e for s, e in words_of(text, 0, len(text))):
        assert after.overlaps(span)


def test_written_and_read_again(wide: BoundaryPolicy, tmp_path: object) -> None:
    again = BoundaryPolicy.from_json(wide.to_json())
    assert again.to_json() == wide.to_json()
    assert again.digest == BoundaryPolicy.from_json(again.to_json()).digest


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"version": 9}', '{"version": 1, "about": 3}'])
def test_what_is_no_policy(content: str) -> None:
    with pytest.raises(ModelError, match="no boundary policy"):
        BoundaryPolicy.from_json(content)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(InputError, match="nothing to learn"):
        learn_boundaries([("No mention.", [])])


def test_the_shipped_policy_is_for_its_schema_alone() -> None:
    policy = find_policy("auto", Schema.load("clinical"))
    assert policy is not None
    text = "The patient developed severe shortness of breath overnight ."
    assert policy.adjust(text, place(text, "breath"), "problem").of(text) == "severe shortness of breath"
    assert find_policy("auto", Schema.load("case_report")) is None
    assert find_policy("off", Schema.load("clinical")) is None
