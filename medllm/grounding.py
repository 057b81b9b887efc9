"""Grounding: answers become mentions with offsets, and relations between them.

Under a grammar there is nothing to search: a ``Found`` names pieces, and pieces know their offsets.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from medllm.document import Entity, Note, Vote
from medllm.engines.base import Completion, TokenLogprob
from medllm.grammar.layout import Found, Slot


def ground(note: Note, slot: Slot, found: Found, kind: type[Entity], vote: Vote) -> Entity:
    """The mention that ``found`` names in ``slot``'s line, as an object of class ``kind``."""
    offsets: list[int] = []
    for part in found.parts:
        offsets += [slot.line.pieces[part.first].start, slot.line.pieces[part.end - 1].end]
    values = {
        name: value == "yes" if kind.model_fields[name].annotation is bool else value
        for name, value in found.attributes.items()
        if name in kind.model_fields
    }
    return kind.at(note.text, *offsets, votes=(vote,), **values)


def score(completion: Completion, found: Found) -> float | None:
    """``probability`` of what the model wrote for ``found``."""
    return probability(completion, found.where)


def probability(completion: Completion, where: tuple[int, int]) -> float | None:
    """The model's own probability of what it wrote in these characters: the product over its tokens; None without logprobs.

    Tokens that the grammar forced count as the model saw them before the grammar, so this is a score and not a probability of
    being right; the calibrator makes one of it.
    """
    tokens = tokens_within(completion.logprobs, *where)
    return math.exp(sum(t.logprob for t in tokens)) if tokens else None


def tokens_within(logprobs: Sequence[TokenLogprob], start: int, end: int) -> Sequence[TokenLogprob]:
    """The tokens that lie in characters ``start`` to ``end`` of the text they make up, wholly or in part.

    Of a character that is written with several tokens all but the last may have the empty text: they go with it.
    """
    ends = list(accumulate(len(t.token) for t in logprobs))
    first = bisect_right(ends, start)
    while 0 < first < len(logprobs) and not logprobs[first - 1].token:
        first -= 1
    return logprobs[first : bisect_right(ends, end - 1) + 1]
