import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.document import Entity, Extraction, Note, any_entity
from medllm.errors import UsageError
from medllm.evaluation.bipartite import maximum_matching
from medllm.evaluation.disagreements import Kind, confusion, disagreements, kinds
from medllm.evaluation.matching import Criterion, align
from medllm.evaluation.metrics import aligned_counts, mention_counts

TEXT = "He had a dull left knee pain and fever after ibuprofen."
CRITERIA: tuple[Criterion, ...] = ("exact", "overlap", "span", "span-overlap")


def mention(label: str, *offsets: int) -> Entity:
    return any_entity(label).at(TEXT, *offsets)


def extraction(*mentions: Entity) -> Extraction:
    return Extraction(note=Note(id="n", text=TEXT), entities=mentions)


@st.composite
def mentions(draw: st.DrawFn) -> list[Entity]:
    """Up to eight mentions, nested, repeated and discontinuous ones included."""
    found = []
    for _ in range(draw(st.integers(0, 8))):
        cuts = sorted(draw(st.sets(st.integers(0, 20), min_size=2, max_size=4)))
        found.append(mention(draw(st.sampled_from("ab")), *cuts[: len(cuts) // 2 * 2]))
    return found


def micro(gold: list[Entity], pred: list[Entity], criterion: Criterion) -> tuple[int, int, int]:
    counts = aligned_counts(align(gold, pred, criterion)).values()
    return sum(c.tp for c in counts), sum(c.fp for c in counts), sum(c.fn for c in counts)


@given(mentions(), mentions(), st.sampled_from(CRITERIA))
def test_swapping_gold_and_prediction_swaps_precision_and_recall(gold: list[Entity], pred: list[Entity], criterion: Criterion) -> None:
    tp, fp, fn = micro(gold, pred, criterion)
    assert micro(pred, gold, criterion) == (tp, fn, fp)


@given(mentions(), st.sampled_from(CRITERIA), st.randoms())
def test_a_perfect_copy_is_perfect_in_any_order(gold: list[Entity], criterion: Criterion, random: object) -> None:
    shuffled = list(gold)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert micro(gold, shuffled, criterion) == (len(gold), 0, 0)


@given(mentions(), mentions())
def test_looser_criteria_never_match_less(gold: list[Entity], pred: list[Entity]) -> None:
    hits = {c: micro(gold, pred, c)[0] for c in CRITERIA}
    assert hits["exact"] <= hits["overlap"] <= hits["span-overlap"]
    assert hits["exact"] <= hits["span"] <= hits["span-overlap"]


@given(mentions(), mentions(), st.randoms())
def test_the_order_of_mentions_does_not_change_counts(gold: list[Entity], pred: list[Entity], random: object) -> None:
    shuffled = list(pred)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for criterion in CRITERIA:
        assert micro(gold, pred, criterion) == micro(gold, shuffled, criterion)


@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=14))
def test_matching_is_maximum(lefts: int, edges: list[tuple[int, int]]) -> None:
    edges = [(left, right) for left, right in edges if left < lefts]

    def most(rest: list[tuple[int, int]], used: frozenset[int]) -> int:
        if not rest:
            return 0
        (left, right), tail = rest[0], rest[1:]
        without = most(tail, used)
        if right + 10 in used or left in used:
            return without
        return max(without, 1 + most(tail, used | {left, right + 10}))

    pairs = maximum_matching(lefts, edges)
    assert len(pairs) == most(edges, frozenset())
    assert set(pairs) <= set(edges)
    assert len({left for left, _ in pairs}) == len({right for _, right in pairs}) == len(pairs)


def test_one_prediction_answers_one_gold_mention() -> None:
    wide = [mention("problem", 9, 38)]
    assert micro([mention("problem", 9, 28), mention("problem", 33, 38)], wide, "overlap") == (1, 0, 1)
    assert micro(wide, [mention("problem", 9, 28), mention("problem", 33, 38)], "overlap") == (1, 1, 0)


def test_a_wide_prediction_does_not_take_the_gold_of_a_narrow_one() -> None:
    gold = [mention("problem", 9, 28), mention("problem", 33, 38)]
    pred = [mention("problem", 9, 38), mention("problem", 9, 28)]
    alignment = align(gold, pred, "overlap")
    assert alignment.pairs == ((0, 1), (1, 0))


def test_exact_pairs_are_preferred() -> None:
    gold = [mention("problem", 9, 28)]
    alignment = align(gold, [mention("problem", 9, 13), mention("problem", 9, 28)], "overlap")
    assert alignment.pairs == ((0, 1),)


def test_maximum_comes_before_preference() -> None:
    outer, inner = mention("problem", 9, 28), mention("problem", 9, 13)
    alignment = align([outer, inner], [outer, mention("problem", 19, 28)], "overlap")
    assert alignment.pairs == ((0, 1), (1, 0))


def test_repeated_mentions_are_counted_each() -> None:
    once = mention("problem", 9, 28)
    assert micro([once], [once, once], "exact") == (1, 1, 0)
    assert micro([once, once], [once], "exact") == (1, 0, 1)


def test_nested_mentions_are_mentions() -> None:
    outer, inner = mention("problem", 9, 28), mention("problem", 19, 28)
    assert micro([outer, inner], [outer], "exact") == (1, 0, 1)
    assert micro([outer, inner], [outer, inner], "overlap") == (2, 0, 0)


def test_a_discontinuous_mention_is_its_parts() -> None:
    parts, cover, gap = mention("problem", 9, 13, 24, 28), mention("problem", 9, 28), mention("problem", 14, 23)
    assert micro([parts], [cover], "exact") == (0, 1, 1)
    assert micro([parts], [cover], "overlap") == (1, 0, 0)
    assert micro([parts], [gap], "overlap") == (0, 1, 1)
    assert micro([parts], [parts], "exact") == (1, 0, 0)


def test_labels_count_except_under_span() -> None:
    gold, pred = [mention("problem", 9, 28)], [mention("treatment", 9, 28)]
    assert [micro(gold, pred, c)[0] for c in CRITERIA] == [0, 0, 1, 1]
    assert {label: c.tp for label, c in aligned_counts(align(gold, pred, "span")).items()} == {"problem": 1}


def test_span_prefers_the_same_label() -> None:
    gold = [mention("problem", 9, 28), mention("test", 9, 28)]
    pred = [mention("test", 9, 28), mention("problem", 9, 28)]
    assert align(gold, pred, "span").pairs == align(gold, pred, "span-overlap").pairs == ((0, 1), (1, 0))


def test_touching_is_not_overlapping() -> None:
    assert micro([mention("problem", 9, 13)], [mention("problem", 13, 18)], "overlap") == (0, 1, 1)


def test_counts_by_label() -> None:
    gold = extraction(mention("problem", 9, 28), mention("drug", 45, 54))
    pred = extraction(mention("problem", 9, 28), mention("problem", 33, 38))
    counts = mention_counts(gold, pred)
    assert {label: (c.tp, c.fp, c.fn) for label, c in counts.items()} == {"drug": (0, 0, 1), "problem": (1, 1, 0)}


def test_unknown_criterion() -> None:
    with pytest.raises(UsageError, match="fuzzy") as caught:
        align([], [], "fuzzy")  # type: ignore[arg-type]
    assert "overlap" in caught.value.hint


def test_kinds_of_disagreement() -> None:
    gold = extraction(
        mention("problem", 0, 2), mention("problem", 9, 28), mention("problem", 33, 38), mention("drug", 45, 54), mention("test", 39, 44)
    )
    pred = extraction(
        mention("problem", 0, 2), mention("problem", 14, 28), mention("problem", 33, 44), mention("problem", 45, 54), mention("test", 3, 6)
    )
    found = disagreements(gold, pred)
    assert [d.kind for d in found] == [Kind.SPURIOUS, Kind.LEFT_EDGE, Kind.RIGHT_EDGE, Kind.MISSED, Kind.LABEL]
    assert {k: n for k, n in kinds(found).items() if n} == {"spurious": 1, "left edge": 1, "right edge": 1, "missed": 1, "label": 1}
    assert confusion(found) == {("", "test"): 1, ("drug", "problem"): 1, ("test", ""): 1}


def test_kinds_of_edges() -> None:
    def kind(gold: Entity, pred: Entity) -> Kind:
        (found,) = disagreements(extraction(gold), extraction(pred))
        return found.kind

    assert kind(mention("problem", 9, 28), mention("problem", 14, 38)) == Kind.BOTH_EDGES
    assert kind(mention("problem", 9, 28), mention("problem", 9, 13, 24, 28)) == Kind.PARTS
    assert kind(mention("problem", 9, 28), mention("test", 9, 24)) == Kind.LABEL_AND_EDGE


@given(mentions(), mentions())
def test_every_mention_is_in_one_disagreement_or_matched(gold: list[Entity], pred: list[Entity]) -> None:
    found = disagreements(extraction(*gold), extraction(*pred))
    matched = len(align(gold, pred).pairs)
    assert matched + sum(d.gold is not None for d in found) == len(gold)
    assert matched + sum(d.pred is not None for d in found) == len(pred)
