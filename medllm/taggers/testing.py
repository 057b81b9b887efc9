"""A tokenizer small enough for examples and tests."""

import json
from typing import Any

from medllm.taggers.encoding import BREAKS, UnitTokenizer


def tiny_tokenizer(*, breaks: bool = True) -> UnitTokenizer:
    """Word pieces over single characters and a few words, in lower case, as BERT's."""
    characters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *BREAKS, *characters, *("##" + c for c in characters), "fever", "no", "pain", "[MASK]"]
    content: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: number for number, word in enumerate(words)},
        },
    }
    return UnitTokenizer(json.dumps(content), breaks=breaks)
