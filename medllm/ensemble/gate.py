"""The gate of the cascade: which parts of a note are worth a language model's time, by how unsure the tagger is of them."""

from collections.abc import Callable, Iterable, Sequence

from medllm.document import Entity, Span


def worth(part: Span, mentions: Iterable[Entity], probability: Callable[[Entity], float]) -> float:
    """How unsure the tagger is of a part: the expected number of its mentions that it is wrong about, or would be without."""
    return sum(min(p, 1 - p) for e in mentions if part.start <= e.span.start < part.end for p in [probability(e)])


def choose(
    parts: Sequence[Span], costs: Sequence[float], mentions: Sequence[Entity], budget: float, probability: Callable[[Entity], float]
) -> list[int]:
    """The numbers of the parts to ask about: those worth most for their cost, for at most ``budget`` in all.

    Parts of which the tagger is sure (nothing to gain) are not asked about. A part that goes over the budget is left out, and cheaper ones
    may follow it.
    """
    gains = [worth(part, mentions, probability) for part in parts]
    chosen = []
    for number in sorted(range(len(parts)), key=lambda n: (-gains[n] / max(costs[n], 1), n)):
        if gains[number] > 0 and costs[number] <= budget:
            chosen.append(number)
            budget -= costs[number]
    return sorted(chosen)


def tagger_score(entity: Entity) -> float:
    """The tagger's own probability of a mention; one half where it gave none."""
    return next((v.score for v in entity.votes if v.reader == "tagger" and v.score is not None), 0.5)
