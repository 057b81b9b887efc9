"""The boundary policy: where the mentions of a corpus begin and end, learnt from its annotations and applied to any reader's mentions.

Readers that find the right thing often write another edge than a corpus does: "the severe chest pain", "chest pain", "pain". The policy
walks from within a mention outwards, and at each gap between two words weighs whether the corpus would end the mention there, by the
words around it, their kinds, the label and how far it has come. What a reader wrote counts too: its own edge is preferred. It needs no
tagger and no language model, and can only move edges: nothing is added, dropped or labelled otherwise.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import regex

from medllm.document import Entity, Span, Vote, sha256
from medllm.errors import ModelError

VERSION = 1
READER = "boundary"
LEFT, RIGHT = "L", "R"
PREFERENCE = 1.0
"""How much a reader's own edge is preferred, in log odds; a third of it is held against every other."""
MOST = 6
"""Words that may be added at one side."""

_WORD = regex.compile(r"\p{Script=Han}|[^\W_]+(?:[-'’./][^\W_]+)*|[^\w\s]|_")
_END = ""

Words = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class BoundaryPolicy:
    """Weights (log odds that a mention ends at a gap) of what stands around it; ``about`` says what it was learnt from."""

    weights: Mapping[str, float]
    bias: float
    labels: frozenset[str]
    about: Mapping[str, str] = field(default_factory=dict)
    preference: float = PREFERENCE

    def adjust(self, text: str, span: Span, label: str, within: Span | None = None) -> Span:
        """The mention's range as the corpus would have annotated it; ``span`` itself where the label is not known.

        It keeps at least one word of the mention, adds at most ``MOST`` at each side, and stays ``within`` where that is given. Parts of
        words are never cut.
        """
        if label not in self.labels:
            return span
        words = words_of(text, max(0, span.start - 240), min(len(text), span.end + 240))
        held = [n for n, (start, end) in enumerate(words) if start < span.end and span.start < end]
        if not held:
            return span
        first, last = held[0], held[-1]
        able = [n for n, (start, end) in enumerate(words) if within is None or (within.start <= start and end <= within.end)] or held
        begin = self._best(text, words, label, LEFT, last, range(last, max(able[0], first - MOST) - 1, -1), first, able[0])
        outwards = range(max(begin, first) + 1, min(able[-1] + 1, last + 1 + MOST) + 1)
        end = self._best(text, words, label, RIGHT, begin + 1, outwards, last + 1, able[-1] + 1)
        return Span(start=words[begin][0], end=words[end - 1][1])

    def _best(self, text: str, words: Words, label: str, side: str, origin: int, gaps: Sequence[int], written: int, limit: int) -> int:
        """The gap, of those from within outwards, at which the mention most likely ends; at ``limit`` it must."""
        best, best_score, walked = gaps[0], -math.inf, 0.0
        for gap in gaps:
            odds = self.bias + sum(self.weights.get(f, 0.0) for f in features(text, words, gap, side, label, abs(gap - origin)))
            odds += self.preference if gap == written else -self.preference / 3
            score = walked - (0.0 if gap == limit else math.log1p(math.exp(-odds)))
            if score > best_score:
                best, best_score = gap, score
            walked -= math.log1p(math.exp(odds))
        return best

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it, hexadecimal."""
        return sha256(self.to_json())

    def to_json(self) -> str:
        """The policy as JSON; ``load`` reads it back."""
        weights = {name: round(value, 3) for name, value in sorted(self.weights.items())}
        data = {
            "version": VERSION,
            "about": dict(self.about),
            "labels": sorted(self.labels),
            "bias": round(self.bias, 4),
            "weights": weights,
        }
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "BoundaryPolicy":
        """Read what ``to_json`` wrote. Raises ModelError for anything else."""
        try:
            data = json.loads(text)
            if data["version"] != VERSION:
                raise ValueError(data["version"])
            about = {str(k): str(v) for k, v in data["about"].items()}
            weights = {str(k): float(v) for k, v in data["weights"].items()}
            return cls(weights, float(data["bias"]), frozenset(map(str, data["labels"])), about)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelError("this is no boundary policy", hint="`medllm train calibrator` writes one") from None

    @classmethod
    def load(cls, path: str | Path) -> "BoundaryPolicy":
        """Read a policy from a file. Raises ModelError."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            raise ModelError(f"{path} cannot be read", hint="give a boundary policy that `medllm train calibrator` wrote") from None


def move_edges(text: str, mention: Entity, policy: BoundaryPolicy, within: Span | None = None) -> Entity:
    """The mention with the policy's edges, and a vote that says where they were; a discontinuous mention as it is.

    >>> policy = BoundaryPolicy({"La=for": 9.0, "Rgap=end": 9.0}, -3.0, frozenset({"entity"}))
    >>> moved = move_edges("for the fever", Entity.at("for the fever", 8, 13), policy)
    >>> moved.text, [vote.about for vote in moved.votes]
    ('the fever', ['edges=8-13'])
    """
    if len(mention.spans) > 1:
        return mention
    before = mention.spans[0]
    after = policy.adjust(text, before, mention.label, within)
    if after == before:
        return mention
    vote = Vote(reader=READER, model=policy.about.get("name", ""), about=f"edges={before.start}-{before.end}")
    return mention.model_copy(update={"spans": (after,), "text": after.of(text), "votes": (*mention.votes, vote)})


def words_of(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The offsets of the words of a stretch: Han characters and punctuation marks by themselves, hyphenated words as one."""
    return [m.span() for m in _WORD.finditer(text, start, end)]


def features(text: str, words: Words, gap: int, side: str, label: str, distance: int) -> list[str]:
    """What is known of the gap before word number ``gap``: once for all labels, and once for this one."""
    before, after = _word(text, words, gap - 1), _word(text, words, gap)
    kind_before, kind_after = _kind(before), _kind(after)
    between = _between(text, words, gap)
    shared = [
        f"a={before.lower()}",
        f"b={after.lower()}",
        f"ka={kind_before}",
        f"kb={kind_after}",
        f"ab={before.lower()}|{after.lower()}",
        f"aa={_word(text, words, gap - 2).lower()}|{before.lower()}",
        f"bb={after.lower()}|{_word(text, words, gap + 1).lower()}",
        f"kk={kind_before}|{kind_after}",
        f"d={min(distance, 5)}",
        f"gap={between}",
        f"gk={between}|{kind_before}|{kind_after}",
        "l",
    ]
    return [side + f for f in shared] + [f"{side}{label}:{f}" for f in shared[:8] + shared[-1:]]


def gaps_of(text: str, mentions: Iterable[tuple[Span, str]]) -> Iterator[tuple[list[str], bool]]:
    """Of an annotated note: what stands at each gap from within its mentions outwards, and whether the mention ends there."""
    words = words_of(text, 0, len(text))
    starts = {start: n for n, (start, _) in enumerate(words)}
    ends = {end: n for n, (_, end) in enumerate(words)}
    for span, label in mentions:
        first, last = starts.get(span.start), ends.get(span.end)
        if first is None or last is None:
            continue
        for gap in range(last, first - 1, -1):
            yield features(text, words, gap, LEFT, label, last - gap), gap == first
        for gap in range(first + 1, last + 2):
            yield features(text, words, gap, RIGHT, label, gap - 1 - first), gap == last + 1


def _word(text: str, words: Words, number: int) -> str:
    return text[slice(*words[number])] if 0 <= number < len(words) else _END


def _between(text: str, words: Words, gap: int) -> str:
    if not 0 < gap < len(words):
        return "end"
    space = text[words[gap - 1][1] : words[gap][0]]
    return "line" if "\n" in space else "blank" if space else "none"


def _kind(word: str) -> str:
    """A number, punctuation by itself, a word with digits, a capitalised or a plain word with its last two letters."""
    if not word or not any(c.isalnum() for c in word):
        return word
    if word[0].isdigit():
        return "0"
    if any(c.isdigit() for c in word):
        return "x0"
    return f"{'X' if word[0].isupper() else 'x'}{word[-2:].lower()}"
