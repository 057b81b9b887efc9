"""Markers and candidates of relation classifiers: nothing of the note is lost, whatever it holds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.taggers.encoding import windows
from medllm.taggers.relations.config import RelationConfig
from medllm.taggers.relations.marking import cells, mark
from medllm.taggers.relations.pairs import PairMention, Placed, candidates, items_of
from medllm.taggers.testing import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
CONFIG = RelationConfig("x", ("drug", "problem"), ("for",), (("drug", "problem"), ("problem", "problem")), vocabulary=1000, reach=3)


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, list[PairMention]]:
    text = draw(st.text(st.sampled_from("ab ,.\n1é中"), min_size=1, max_size=60))
    mentions = []
    for _ in range(draw(st.integers(0, 6))):
        start, end = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=2)))
        mentions.append(PairMention(start, end, draw(st.sampled_from(CONFIG.labels))))
    return text, mentions


@settings(deadline=None, max_examples=150)
@given(marked())
def test_markers_stand_around_their_mentions_and_change_nothing_else(given_: tuple[str, list[PairMention]]) -> None:
    text, mentions = given_
    encoded = TOKENIZER.encode(text)
    placed = Placed.among(encoded, mentions)
    found, positions = mark(encoded, placed, CONFIG)
    if not len(encoded.units):
        return
    assert found.ids[found.ids < CONFIG.vocabulary].tolist() == encoded.ids.tolist()
    assert (found.unit[found.first] == np.arange(len(encoded.units))).all()
    for number, mention in enumerate(mentions):
        opening, closing = CONFIG.markers[mention.label]
        assert found.ids[positions[number]] == opening
        inside = found.unit[positions[number] :]
        if placed.high[number] > placed.low[number]:
            assert inside[inside >= 0][0] == placed.low[number]
            assert closing in found.ids[positions[number] :]
    assert len(set(positions.tolist())) == len(mentions)


@settings(deadline=None, max_examples=150)
@given(marked())
def test_candidates_are_all_pairs_of_admitted_labels_within_reach(given_: tuple[str, list[PairMention]]) -> None:
    text, mentions = given_
    placed = Placed.among(TOKENIZER.encode(text), mentions)
    pairs = candidates(placed, items_of(mentions, concepts=False), CONFIG)
    assert CONFIG.reach is not None
    expected = {
        (h, t)
        for h, head in enumerate(mentions)
        for t, tail in enumerate(mentions)
        if h != t
        and (head.label, tail.label) in CONFIG.signatures
        and max(placed.low[t] - placed.high[h], placed.low[h] - placed.high[t]) <= CONFIG.reach
    }
    assert set(zip(pairs.heads.tolist(), pairs.tails.tolist(), strict=True)) == expected
    assert len(pairs.heads) == len(expected)


def test_concepts_are_joined_wherever_their_mentions_are() -> None:
    config = RelationConfig("x", ("drug", "problem"), ("CID",), (("drug", "problem"),), vocabulary=1000, concepts=True)
    text = "lithium, then rash. " + "more words. " * 30 + "lithium and acne"
    named = (("lithium", "drug", "D1"), ("rash", "problem", "D2"), ("acne", "problem", "D3"))
    mentions = [PairMention(text.index(w), text.index(w) + len(w), label, (code,)) for w, label, code in named]
    mentions.append(PairMention(text.rindex("lithium"), text.rindex("lithium") + 7, "drug", ("D1",)))
    items = items_of(mentions, concepts=True)
    assert [(i.code, i.members) for i in items] == [("D1", (0, 3)), ("D2", (1,)), ("D3", (2,))]
    pairs = candidates(Placed.among(TOKENIZER.encode(text), mentions), items, config)
    assert [(items[h].code, items[t].code) for h, t in zip(pairs.heads, pairs.tails, strict=True)] == [("D1", "D2"), ("D1", "D3")]
    assert (pairs.features[:, 0] < 5).all()  # the nearer of the two mentions counts


def test_a_mention_is_read_in_the_window_with_the_most_context_around_it() -> None:
    encoded = TOKENIZER.encode(" ".join(["fever"] * 100))
    cut = windows(encoded, 40, 20)
    rows, columns = cells(cut, np.arange(100), 100)
    for position, (row, column) in enumerate(zip(rows, columns, strict=True)):
        assert cut[row].start + column - 1 == position
        assert 1 <= column <= cut[row].end - cut[row].start
    assert rows[0] == 0
    assert rows[99] == len(cut) - 1
