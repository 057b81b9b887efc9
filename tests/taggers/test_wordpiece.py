"""WordPiece gives the tokens that the tokenizers library gives, for any text."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.taggers.sources import DEFAULT_TAGGER, model_folder
from medllm.taggers.wordpiece import WordPiece
from medllm.text.pieces import split_pieces

tokenizers = pytest.importorskip("tokenizers", reason="the library to compare with")
CONTENT = (model_folder(DEFAULT_TAGGER) / "tokenizer.json").read_text("utf-8")
OURS, THEIRS = WordPiece(json.loads(CONTENT)), tokenizers.Tokenizer.from_str(CONTENT)
THEIRS.no_padding()  # what files of the hub say of padding and length is for whole texts
THEIRS.no_truncation()
OLD = st.characters(exclude_categories=("Cs", "Cn")).filter(lambda c: unicodedata.ucd_3_2_0.category(c) != "Cn")  # both know these
TEXTS = st.text(OLD | st.sampled_from("aEé\u0301Σσςİıß½°µ---...10,漢字ﬁ Ⅳ"), max_size=60)


@given(TEXTS)
@settings(deadline=None, max_examples=300)
def test_the_same_tokens_as_the_library(text: str) -> None:
    for piece in split_pieces(text, 0, len(text)):
        theirs = THEIRS.encode([piece.text], is_pretokenized=True, add_special_tokens=False).ids
        assert list(OURS.tokens(piece.text)) == theirs, ascii(piece.text)


def test_words_of_clinical_notes() -> None:
    text = "Pt. c/o SOB x3d; s/p CABG (2004). Hgb 9.1 g/dL, T 38.5°C, β-blocker, Ménière's, CO₂, 1½ tabs q.6h."
    for piece in split_pieces(text, 0, len(text)):
        assert list(OURS.tokens(piece.text)) == THEIRS.encode([piece.text], is_pretokenized=True, add_special_tokens=False).ids
    assert OURS.tokens("x" * 101) == (OURS.unknown,)
