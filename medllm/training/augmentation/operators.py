"""Ways to make another training note of one: each keeps what is annotated true, or changes mention and annotation together.

Easy data augmentation: Wei & Zou 2019 (D19-1670). Mention and label-wise token replacement: Dai & Adel 2020 (2020.coling-main.343).
"""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from medllm.text.pieces import Piece, split_pieces
from medllm.training.augmentation.edits import Edit, rewrite
from medllm.training.augmentation.synonyms import SYNONYMS
from medllm.training.tagger.data import Mention, TrainingNote

RATE = 0.15
"""The share of words that insertion, deletion, swaps, synonyms and label-wise replacement touch; of mentions it is twice that."""
Operator = Callable[[TrainingNote, random.Random], TrainingNote]


@dataclass(frozen=True)
class Pools:
    """What replacements are drawn from: texts of mentions by label, and words by label and place in a mention."""

    mentions: Mapping[str, Sequence[str]]
    words: Mapping[tuple[str, bool], Sequence[str]]

    @classmethod
    def of(cls, notes: Sequence[TrainingNote], lexicons: Mapping[str, Sequence[str]] | None = None) -> "Pools":
        """From the training notes, and from ``lexicons``: names by label."""
        mentions: dict[str, set[str]] = defaultdict(set)
        words: dict[tuple[str, bool], list[str]] = defaultdict(list)
        for note in notes:
            for mention in note.mentions:
                text = note.text[mention.start : mention.end]
                if "\n" not in text:
                    mentions[mention.label].add(text)
                for index, piece in enumerate(_words(text)):
                    words[mention.label, index == 0].append(piece.text)
        for label, names in (lexicons or {}).items():
            mentions[label].update(names)
        return cls({label: sorted(texts) for label, texts in mentions.items()}, dict(words))


def replace_mentions(pools: Pools) -> Operator:
    """Mentions give way to others of their label."""

    def apply(note: TrainingNote, chance: random.Random) -> TrainingNote:
        edits = []
        for mention in alone(note):
            pool = pools.mentions.get(mention.label, ())
            if len(pool) > 1 and chance.random() < 2 * RATE:
                edits.append(Edit(mention.start, mention.end, chance.choice(pool)))
        return rewrite(note, edits)

    return apply


def replace_words_of_label(pools: Pools) -> Operator:
    """Words of mentions give way to words at the same place in mentions of the same label."""

    def apply(note: TrainingNote, chance: random.Random) -> TrainingNote:
        edits = []
        for mention in alone(note):
            for index, word in enumerate(_words(note.text[mention.start : mention.end])):
                pool = pools.words.get((mention.label, index == 0), ())
                if pool and chance.random() < RATE:
                    edits.append(Edit(mention.start + word.start, mention.start + word.end, chance.choice(pool)))
        return rewrite(note, edits)

    return apply


def synonyms(note: TrainingNote, chance: random.Random) -> TrainingNote:
    """Common words and abbreviations of notes, inside mentions too, give way to what means the same."""
    edits = [
        Edit(match.start(), match.end(), SYNONYMS.other(match.group(), chance))
        for match in SYNONYMS.pattern.finditer(note.text)
        if _holds_no_edge(note, match.start(), match.end()) and chance.random() < 2 * RATE
    ]
    return rewrite(note, edits)


def insert_words(note: TrainingNote, chance: random.Random) -> TrainingNote:
    """Words from elsewhere outside of mentions are inserted before words outside of mentions."""
    free = _free(note)
    return rewrite(note, [Edit(w.start, w.start, chance.choice(free).text + " ") for w in free if chance.random() < RATE])


def delete_words(note: TrainingNote, chance: random.Random) -> TrainingNote:
    """Words outside of mentions go, with the blank behind them."""
    gone = [w for w in _free(note) if chance.random() < RATE]
    edges = {m.start for m in note.mentions}
    return rewrite(note, [Edit(w.start, w.end + (note.text[w.end : w.end + 1] == " " and w.end not in edges), "") for w in gone])


def swap_words(note: TrainingNote, chance: random.Random) -> TrainingNote:
    """Neighbouring words outside of mentions change places."""
    edits, last = [], -1
    for left, right in pairwise(_free(note)):
        if left.start > last and note.text[left.end : right.start] == " " and chance.random() < RATE:
            edits += [Edit(left.start, left.end, right.text), Edit(right.start, right.end, left.text)]
            last = right.end
    return rewrite(note, edits)


def turn_coordinations(note: TrainingNote, chance: random.Random) -> TrainingNote:
    """``A and B`` becomes ``B and A`` where both are mentions of one label."""
    edits: list[Edit] = []
    for left, right in pairwise(sorted(alone(note), key=lambda m: m.start)):
        alike = (left.label, left.attributes) == (right.label, right.attributes)
        joined = note.text[left.end : right.start] in (" and ", " or ", ", ", "/")
        if alike and joined and (not edits or edits[-1].end <= left.start) and chance.random() < 0.5:
            one, other = note.text[left.start : left.end], note.text[right.start : right.end]
            edits += [Edit(left.start, left.end, other), Edit(right.start, right.end, one)]
    return rewrite(note, edits)


_VOICES = (
    (re.compile(r" (?:showed|revealed|demonstrated) "), " was shown by "),
    (re.compile(r" was (?:started|given|prescribed) for "), " was the reason for "),
    (re.compile(r" was treated with "), " was given for "),
    (re.compile(r" (?:is|was) secondary to "), " led to "),
)


def turn_voices(note: TrainingNote, chance: random.Random) -> TrainingNote:
    """``X was treated with Y`` becomes ``Y was given for X``: the two mentions change places, each with its annotation."""
    mentions = sorted(alone(note), key=lambda m: m.start)
    for left, right in pairwise(mentions):
        between = note.text[left.end : right.start]
        for pattern, other in _VOICES:
            if pattern.fullmatch(between) and chance.random() < 0.7:
                return _exchanged(note, left, right, other)
    return note


def negate(note: TrainingNote, chance: random.Random) -> TrainingNote:
    """A line is added in which problems of the note are denied; their assertion, where the note annotates it, is ``absent``."""
    own = [m for m in alone(note) if m.label == "problem" and "\n" not in note.text[m.start : m.end]]
    if not own:
        return note
    before, cue, behind = chance.choice(_NEGATIONS)
    chosen = chance.sample(own, min(len(own), chance.randint(1, 3)))
    text = note.text + ("" if note.text.endswith("\n") else "\n") + before
    mentions = list(note.mentions)
    start = text.index(cue, len(text) - len(before)) if cue in before else -1
    if start >= 0 and "negation" in note.labels:
        mentions.append(Mention(start, start + len(cue), "negation"))
    for index, mention in enumerate(chosen):
        text += "" if not index else " or " if index == len(chosen) - 1 else ", "
        words = note.text[mention.start : mention.end]
        values = tuple((k, "absent" if k == "assertion" else v) for k, v in mention.attributes)
        mentions.append(Mention(len(text), len(text) + len(words), "problem", values))
        text += words
    return TrainingNote(note.id, text + behind + "\n", tuple(mentions), note.labels, note.attributes)


_NEGATIONS = (
    ("No ", "No", "."),
    ("Denies ", "Denies", "."),
    ("The patient denies any ", "denies", "."),
    ("Negative for ", "Negative for", "."),
    ("There is no evidence of ", "no evidence of", "."),
    ("He was without ", "without", "."),
)


def _exchanged(note: TrainingNote, left: Mention, right: Mention, between: str) -> TrainingNote:
    """Two neighbouring mentions in the opposite order with other words between them. Their annotations go with their words."""
    one, other = note.text[left.start : left.end], note.text[right.start : right.end]
    rest = tuple(m for m in note.mentions if m not in (left, right))
    text = note.text[: left.start] + other + between + one + note.text[right.end :]
    shift = len(text) - len(note.text)
    moved = [Mention(m.start + shift, m.end + shift, m.label, m.attributes) if m.start >= right.end else m for m in rest]
    first = Mention(left.start, left.start + len(other), right.label, right.attributes)
    begin = first.end + len(between)
    second = Mention(begin, begin + len(one), left.label, left.attributes)
    mentions = sorted([*moved, first, second], key=lambda m: (m.start, -m.end))
    return TrainingNote(note.id, text, tuple(mentions), note.labels, note.attributes)


def alone(note: TrainingNote) -> Iterator[Mention]:
    """Mentions that share no character with another one."""
    ordered = sorted(note.mentions, key=lambda m: (m.start, m.end))
    reached = -1
    for index, mention in enumerate(ordered):
        following = ordered[index + 1].start if index + 1 < len(ordered) else len(note.text) + 1
        if mention.start >= reached and following >= mention.end:
            yield mention
        reached = max(reached, mention.end)


def _words(text: str) -> list[Piece]:
    return [piece for piece in split_pieces(text, 0, len(text)) if piece.text[0].isalnum()]


def _holds_no_edge(note: TrainingNote, start: int, end: int) -> bool:
    """True where each mention lies apart from the stretch, or around all of it."""
    return all(m.end <= start or end <= m.start or (m.start <= start and end <= m.end) for m in note.mentions)


def _free(note: TrainingNote) -> list[Piece]:
    """Words outside of all mentions."""
    taken = bytearray(len(note.text))
    for mention in note.mentions:
        taken[mention.start : mention.end] = b"x" * (mention.end - mention.start)
    return [word for word in _words(note.text) if word.text[0].isalpha() and not any(taken[word.start : word.end])]
