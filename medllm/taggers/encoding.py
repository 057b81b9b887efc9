"""Notes as the tokens of an encoder: units with their own offsets, so that no tokenizer's normalisation can shift a mention.

A unit is a piece (``medllm.text.pieces``): a run of letters or digits, one mark, one character of a script without blanks. Each is
tokenized by itself, and the tag of a unit is the tag of its first token. Offsets are the units', in code points of the note,
whatever the tokenizer lower-cases, composes or drops. Line breaks, which word-piece vocabularies cannot say, become tokens of
their own where the tagger was trained with them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medllm.errors import ModelError
from medllm.lexicons import Lexicon
from medllm.taggers.features import case_features, lexicon_features, width
from medllm.taggers.wordpiece import WORDS_KEPT, WordPiece
from medllm.text.pieces import Piece, split_pieces

UNIT_TOKENS = 12
"""Tokens of one unit that are read; longer ones (gene sequences, encoded files) lose their tails, which carry no tag."""
BREAKS = ("[unused1]", "[unused2]")
"""The tokens of one line break, and of a blank line, where the vocabulary has them."""
STARTS, ENDS, PADDINGS, MASKS = ("[CLS]", "<s>"), ("[SEP]", "</s>"), ("[PAD]", "<pad>"), ("[MASK]", "<mask>")
"""The special tokens of the BERT and of the RoBERTa family."""


@dataclass(frozen=True)
class Encoded:
    """A note as tokens.

    ``ids`` [tokens], ``unit`` [tokens]: the unit a token belongs to, -1 for a break; ``first`` [units]: the index of a unit's first
    token; ``segment`` [units]: a number that changes at blank lines, which no mention crosses; ``features`` [units, features].
    """

    units: tuple[Piece, ...]
    ids: NDArray[np.int64]
    unit: NDArray[np.int64]
    first: NDArray[np.int64]
    segment: NDArray[np.int64]
    features: NDArray[np.float32]


class UnitTokenizer:
    """Encodes notes with the content of a ``tokenizer.json``. Raises ModelError.

    ``breaks`` says whether line breaks are tokens; ``lexicon``, if any, gives features beside those of case.
    """

    def __init__(self, content: str, *, breaks: bool, lexicon: Lexicon | None = None) -> None:
        self._content = content
        self._lexicon = lexicon
        self._words: WordPiece | _Library
        try:
            data = json.loads(content)
            self._words = WordPiece(data) if WordPiece.fits(data) else _Library(content, data)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"tokenizer.json is damaged ({type(error).__name__})") from error
        self.features = width(lexicons=lexicon is not None)
        self.unknown = self._words.unknown
        self.start, self.end = self._special(STARTS), self._special(ENDS)
        self.padding = next((i for token in PADDINGS if (i := self._words.vocabulary.get(token)) is not None), self.end)
        self.breaks = tuple(self._words.vocabulary.get(token, self.end) for token in BREAKS) if breaks else ()

    @property
    def mask(self) -> int:
        """The id of the token that stands for a gap. Raises ModelError where the vocabulary has none."""
        return self._special(MASKS)

    def _special(self, names: Sequence[str]) -> int:
        found = next((i for name in names if (i := self._words.vocabulary.get(name)) is not None), None)
        if found is None:
            raise ModelError(f"the tokenizer has none of the tokens {', '.join(names)}", hint="encoders of the BERT family do")
        return found

    @classmethod
    def load(cls, folder: Path, *, breaks: bool, lexicon: Lexicon | None = None) -> "UnitTokenizer":
        """From ``tokenizer.json`` in ``folder``. Raises ModelError where there is none that can be read."""
        try:
            return cls((folder / "tokenizer.json").read_text("utf-8"), breaks=breaks, lexicon=lexicon)
        except OSError:
            raise ModelError(
                "there is no tokenizer.json beside the model", hint="save it with the fast tokenizer of transformers"
            ) from None

    @classmethod
    def of_vocabulary(cls, tokens: Sequence[str]) -> "UnitTokenizer":
        """A lower-casing WordPiece tokenizer over the lines of a ``vocab.txt``. Raises ModelError."""
        normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
        model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
        vocabulary = {token: number for number, token in enumerate(tokens)}
        data = {"normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"}, "model": {**model, "vocab": vocabulary}}
        return cls(json.dumps(data, ensure_ascii=False), breaks=False)

    def to_json(self) -> str:
        """The tokenizer as its ``tokenizer.json``."""
        return self._content

    def encode(self, text: str) -> Encoded:
        """The units and tokens of a text of any length.

        >>> from medllm.taggers.testing import tiny_tokenizer
        >>> encoded = tiny_tokenizer().encode("No fever.\\n\\nBP 120")
        >>> [unit.text for unit in encoded.units], encoded.segment.tolist()
        (['No', 'fever', '.', 'BP', '120'], [0, 0, 0, 1, 1])
        """
        units = split_pieces(text, 0, len(text))
        tokens = [self._words.tokens(unit.text)[:UNIT_TOKENS] for unit in units]
        ids: list[int] = []
        owner: list[int] = []
        first, segment, number = np.zeros(len(units), np.int64), np.zeros(len(units), np.int64), 0
        for index, unit in enumerate(units):
            lines = text.count("\n", units[index - 1].end, unit.start) if index else 0
            if lines > 1:
                number += 1
            if lines and self.breaks:
                ids.append(self.breaks[lines > 1])
                owner.append(-1)
            first[index], segment[index] = len(ids), number
            ids += tokens[index] or (self.unknown,)
            owner += [index] * (len(tokens[index]) or 1)
        features = case_features(units)
        if self._lexicon is not None:
            features = np.concatenate([features, lexicon_features(text, units, self._lexicon)], 1)
        return Encoded(units, np.array(ids, np.int64), np.array(owner, np.int64), first, segment, features)


@dataclass(frozen=True)
class Window:
    """A stretch of a note's tokens that the encoder sees at once: half-open token indexes."""

    start: int
    end: int


def windows(encoded: Encoded, size: int, overlap: int, *, phase: int = 0) -> list[Window]:
    """Windows of at most ``size`` tokens that cover all, each sharing ``overlap`` with the next; edges never cut a unit.

    ``phase`` makes the first one shorter by so many tokens, so that training sees other seams in every epoch.
    """
    total, found, start = len(encoded.ids), [], 0
    if not 0 <= overlap < size - UNIT_TOKENS:
        raise ValueError(f"an overlap of {overlap} tokens does not fit into windows of {size}")
    while start < total:
        end = _at_unit(encoded, min(total, start + size - (phase if not start else 0)), start)
        found.append(Window(start, end))
        if end >= total:
            break
        start = max(_at_unit(encoded, end - overlap, start), start + 1)
        start = _unit_start(encoded, start)
    return found


def _at_unit(encoded: Encoded, at: int, floor: int) -> int:
    """The nearest edge between units at or before ``at``."""
    total = len(encoded.ids)
    while floor + 1 < at < total and encoded.unit[at] >= 0 and encoded.unit[at] == encoded.unit[at - 1]:
        at -= 1
    return at


def _unit_start(encoded: Encoded, at: int) -> int:
    """The nearest edge between units at or after ``at``."""
    total = len(encoded.ids)
    while at < total and encoded.unit[at] >= 0 and at > 0 and encoded.unit[at] == encoded.unit[at - 1]:
        at += 1
    return at


class _Library:
    """Any other tokenizer, through the ``tokenizers`` library: each word by itself, as its pre-tokenized input."""

    def __init__(self, content: str, data: dict[str, Any]) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise ModelError("this tagger's tokenizer needs the tokenizers library", hint="pip install tokenizers") from None
        try:
            self._tokenizer = Tokenizer.from_str(content)
        except Exception as error:  # the library raises bare Exception
            raise ModelError(f"tokenizer.json cannot be used ({type(error).__name__})") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        self.unknown = self.vocabulary.get(str(data["model"].get("unk_token")), 0)
        self.tokens = lru_cache(WORDS_KEPT)(self._tokens)

    def _tokens(self, word: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode([word], is_pretokenized=True, add_special_tokens=False).ids)
