"""Units and windows: every offset is the note's own, whatever the tokenizer does to the text."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.taggers.encoding import UNIT_TOKENS, windows
from medllm.taggers.testing import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
TEXTS = st.text(st.characters(exclude_categories=()) | st.sampled_from("aA1 \n.,éÉ́İß漢字\u200b\u202e🩺"), max_size=200)


@given(TEXTS)
@settings(deadline=None)
def test_units_are_the_notes_own_characters(text: str) -> None:
    encoded = TOKENIZER.encode(text)
    at = 0
    for unit in encoded.units:
        assert at <= unit.start < unit.end <= len(text)
        assert text[unit.start : unit.end] == unit.text
        at = unit.end
    assert len(encoded.first) == len(encoded.units) == len(encoded.segment) == len(encoded.features)
    assert encoded.unit[encoded.first].tolist() == list(range(len(encoded.units)))
    assert len(encoded.ids) == len(encoded.unit)


@given(TEXTS, st.integers(2 * UNIT_TOKENS, 40), st.integers(0, 8), st.integers(0, 4))
@settings(deadline=None)
def test_windows_cover_every_unit_whole(text: str, size: int, overlap: int, phase: int) -> None:
    encoded = TOKENIZER.encode(text)
    found = windows(encoded, size, overlap, phase=phase)
    seen = np.zeros(len(encoded.ids), int)
    for window in found:
        assert 0 < window.end - window.start <= size
        seen[window.start : window.end] += 1
        for edge in (window.start, window.end):
            inside = 0 < edge < len(encoded.ids)
            assert not inside or encoded.unit[edge] != encoded.unit[edge - 1] or encoded.unit[edge] == -1
    assert (seen > 0).all()


def test_line_breaks_are_tokens_and_blank_lines_part_segments() -> None:
    encoded = TOKENIZER.encode("No pain\nfever\n\n\nBP")
    assert (encoded.unit == -1).sum() == 2
    assert len(set(encoded.ids[encoded.unit == -1].tolist())) == 2
    assert encoded.segment.tolist() == [0, 0, 0, 1]
    plain = tiny_tokenizer(breaks=False).encode("No pain\nfever\n\n\nBP")
    assert (plain.unit == -1).sum() == 0
    assert plain.segment.tolist() == [0, 0, 0, 1]


def test_a_word_of_a_thousand_tokens_keeps_its_place() -> None:
    encoded = TOKENIZER.encode("pain " + "1" * 1000 + " fever")
    assert [unit.text[:4] for unit in encoded.units] == ["pain", "1111", "feve"]
    assert (encoded.unit == 1).sum() <= UNIT_TOKENS


def test_case_is_seen() -> None:
    encoded = TOKENIZER.encode("CHEST Pain in 2004 a")
    assert encoded.features.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
