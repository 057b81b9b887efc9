"""Chinese medical words: found in texts, by sound and as abbreviations."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.chinese_terms import THUOCL, ChineseTerms, thuocl_words
from medllm.errors import ModelError

TERMS = ChineseTerms(["心肌梗死", "心肌", "心肌炎", "房颤", "心房颤动", "高血压", "2型糖尿病"])


def test_the_longest_word_is_found() -> None:
    text = "心肌炎、心肌梗死，2型糖尿病"
    assert [text[start:end] for start, end, _ in TERMS.find(text)] == ["心肌炎", "心肌梗死", "2型糖尿病"]


@given(st.text("心肌炎梗死房颤动2型，\n", max_size=40))
def test_what_is_found_stands_there_and_does_not_overlap(text: str) -> None:
    last = 0
    for start, end, word in TERMS.find(text):
        assert last <= start < end
        assert text[start:end] == word
        assert word in TERMS.words
        last = end


def test_a_slip_of_the_input_method() -> None:
    pytest.importorskip("pypinyin", reason="sounds need pypinyin")
    assert TERMS.same_sound("心机梗死") == ("心肌梗死",)
    assert TERMS.same_sound("高血压") == ()
    assert TERMS.same_sound("发热") == ()


def test_abbreviations() -> None:
    assert TERMS.abbreviated("房颤") == ("心房颤动",)
    assert TERMS.abbreviated("心梗") == ("心肌梗死",)
    assert TERMS.abbreviated("心") == ()


def test_thuocl() -> None:
    try:
        words = thuocl_words()
    except ModelError as error:
        pytest.skip(f"THUOCL cannot be had here: {error}")
    assert len(words) == 12_053
    assert {"高血压", "糖尿病"} <= set(words)


def test_a_file_of_another_kind(tmp_path, monkeypatch) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"IT": []}))
    monkeypatch.setattr("medllm.chinese_terms.pull", lambda card, progress=None: tmp_path / "x.json")
    with pytest.raises(ModelError, match=THUOCL.file):
        thuocl_words()
