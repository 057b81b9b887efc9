"""WordPiece as BERT's, over words that are already apart: what inference with the shipped taggers needs of a tokenizer library.

The same tokens as ``tokenizers`` gives for a ``tokenizer.json`` with ``BertNormalizer``, ``BertPreTokenizer`` and ``WordPiece`` (tested
against it; characters that newer versions of Unicode added may differ). That library and what it brings along would be a tenth of the
installation; tokenizers of other kinds are left to it.
"""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

WORDS_KEPT = 1 << 16


class WordPiece:
    """Turns words into token ids. ``data`` is the content of a ``tokenizer.json``; ``fits`` says whether this class can read it."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        model, normalizer = data["model"], data["normalizer"]
        self.vocabulary: dict[str, int] = model["vocab"]
        self.unknown = self.vocabulary[model["unk_token"]]
        self._prefix = str(model["continuing_subword_prefix"])
        self._longest = int(model["max_input_chars_per_word"])
        self._lower = bool(normalizer["lowercase"])
        strip = normalizer["strip_accents"]
        self._strip = self._lower if strip is None else bool(strip)
        self._clean = bool(normalizer["clean_text"])
        self.tokens = lru_cache(WORDS_KEPT)(self._tokens)

    @staticmethod
    def fits(data: Mapping[str, Any]) -> bool:
        """True for BERT's own kind of tokenizer."""
        kinds = [(data.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
        return kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]

    def _tokens(self, word: str) -> tuple[int, ...]:
        """The ids of one word; none where nothing of it is left after cleaning."""
        return tuple(token for part in _parts(self._normalized(word)) for token in self._greedy(part))

    def _normalized(self, word: str) -> str:
        if self._clean:
            word = "".join(" " if c.isspace() else c for c in word if not _dropped(c))
        if self._strip:
            word = "".join(c for c in unicodedata.normalize("NFD", word) if unicodedata.category(c) != "Mn")
        return "".join(c.lower() for c in word) if self._lower else word

    def _greedy(self, part: str) -> list[int]:
        if len(part) > self._longest:
            return [self.unknown]
        found, start = [], 0
        while start < len(part):
            prefix = self._prefix if start else ""
            for end in range(len(part), start, -1):
                token = self.vocabulary.get(prefix + part[start:end])
                if token is not None:
                    found.append(token)
                    start = end
                    break
            else:
                return [self.unknown]
        return found


def _dropped(character: str) -> bool:
    """Control and format characters, the replacement character and those that are not assigned; not white space."""
    if character in "\t\n\r":
        return False
    return character in "\x00\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn")


def _parts(word: str) -> list[str]:
    """Words and single punctuation marks."""
    parts: list[str] = []
    inside = False
    for character in word:
        if character.isspace():
            inside = False
        elif _is_punctuation(character):
            parts.append(character)
            inside = False
        elif inside:
            parts[-1] += character
        else:
            parts.append(character)
            inside = True
    return parts


def _is_punctuation(character: str) -> bool:
    return (character.isascii() and character.isprintable() and not character.isalnum() and character != " ") or unicodedata.category(
        character
    ).startswith("P")
