"""Probabilities for what hangs on mentions: that a relation holds, and that a mention's assertion is as it says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medllm.document import Entity, Relation, Vote
from medllm.schema import attribute_value

ASSERTION = "assertion"
_HIGHEST = 7.0


@dataclass(frozen=True)
class Logistic:
    """A logistic regression: weights of features by name, and a bias."""

    weights: Mapping[str, float]
    bias: float

    def probability(self, found: Mapping[str, float]) -> float:
        """The probability for these features; those it was not fitted on count nothing."""
        return logistic(self.bias + sum(self.weights.get(name, 0.0) * value for name, value in found.items()))


def relation_features(relation: Relation[Any, Any]) -> dict[str, float]:
    """What is known of a relation: who found it and how surely, how sure its mentions are, how far apart they stand and in which order."""
    head, tail = relation.head, relation.tail
    gap = max(head.span.start - tail.span.end, tail.span.start - head.span.end, 0)
    found = {
        f"label={relation.label}": 1.0,
        f"pair={head.label} {tail.label}": 1.0,
        "distance": math.log1p(gap),
        "tail first": float(tail.span.start < head.span.start),
    }
    for name, end in (("head", head), ("tail", tail)):
        if end.confidence is not None:
            found[f"{name}:logit"] = bounded_logit(end.confidence)
    for vote in relation.votes:
        found[voice_of(vote)] = 1.0
        if vote.score is not None:
            found[f"{voice_of(vote)}:logit"] = bounded_logit(vote.score)
    return found


def voice_of(vote: Vote) -> str:
    """The reader of a relation and its way to find one: scores of different ways do not compare."""
    return f"{vote.reader} {vote.placed}".strip()


def assertion_features(entity: Entity) -> dict[str, float]:
    """What is known of a mention's assertion: its value, the label, and of each voice whether it says the same and how surely."""
    value = attribute_value(entity.attributes[ASSERTION])
    found = {f"label={entity.label}": 1.0, f"value={value}": 1.0}
    if entity.confidence is not None:
        found["mention:logit"] = bounded_logit(entity.confidence)
    for vote in entity.votes:
        about, equals, said = vote.about.partition("=")
        if equals and about == ASSERTION:
            voice = f"{vote.reader}:{'same' if said == value else 'other'}"
            found[voice] = 1.0
            if vote.score is not None:
                found[f"{voice}:logit"] = bounded_logit(vote.score)
    return found


def has_assertion(entity: Entity) -> bool:
    """True for a mention that has this attribute."""
    return entity.attributes.get(ASSERTION) is not None


def logistic(value: float) -> float:
    """1 / (1 + exp(-value)), without overflow."""
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


def bounded_logit(probability: float) -> float:
    """The log odds of a probability, within plus and minus 7."""
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return max(-_HIGHEST, min(_HIGHEST, math.log(inside / (1 - inside))))
