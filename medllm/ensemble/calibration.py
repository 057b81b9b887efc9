"""Calibration: from what the readers say of a mention, the probability that it is right; and lanes that keep a promise of precision.

The model is a logistic regression over the votes: who found it, with which edges and label, how sure they were, its label and length.
It is fitted on notes with gold (``medllm train calibrator``); probabilities are of the exact mention: label and both edges.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from medllm.document import Entity, Relation, Vote, sha256
from medllm.ensemble.links import ASSERTION, Logistic, assertion_features, bounded_logit, has_assertion, relation_features, voice_of
from medllm.errors import ModelError, UsageError
from medllm.schema import attribute_value

VERSION = 1
ACCEPTED, REVIEW = "accepted", "review"
READERS = ("tagger", "llm")
DISPUTES = "llm-disputes"
"""The reader whose votes are the language model's answers about disputes."""
SECOND = "llm-second"
"""The reader whose votes are the language model's second voice."""
EXTRA = (DISPUTES, SECOND)
NOTHING = "nothing"
CALIBRATOR = "calibrator"
"""The reader whose votes are the probabilities of assertions."""
PARTS = ("relations", "assertions")


@dataclass(frozen=True)
class Calibrator:
    """Weights of what the votes say, ``keep`` (the probability from which a mention stays) and ``lanes``.

    ``lanes`` holds, for each precision that could be promised on notes not fitted on, the probability from which mentions have it.
    ``schema`` is the name of the schema whose labels it knows.
    """

    weights: Mapping[str, float]
    bias: float
    keep: float
    lanes: Mapping[float, float] = field(default_factory=dict)
    schema: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    promised: float | None = None
    """With it, mentions get their lane: ``accepted`` from the probability that keeps this precision on, ``review`` below."""
    relations: Logistic | None = None
    assertions: Logistic | None = None
    """Fitted where the gold has relations, and assertions."""

    @property
    def readers(self) -> frozenset[str]:
        """The readers whose votes it was fitted on; it says nothing of mentions that others found."""
        return frozenset(filter(None, self.about.get("readers", "llm,tagger").split(",")))

    def judge(self, entity: Entity) -> Entity:
        """The mention with its confidence, and its lane where a precision is promised; as it is where its label was not fitted."""
        if f"label={entity.label}" not in self.weights:
            return entity.model_copy(update={"lane": REVIEW}) if self.promised is not None else entity
        confidence = self.probability(entity)
        update: dict[str, object] = {"confidence": round(confidence, 4)}
        if self.promised is not None:
            update["lane"] = ACCEPTED if confidence >= self.lanes[self.promised] else REVIEW
        judged = entity.model_copy(update=update)
        if self.assertions is None or not has_assertion(entity):
            return judged
        value, score = attribute_value(entity.attributes[ASSERTION]), self.assertions.probability(assertion_features(judged))
        vote = Vote(reader=CALIBRATOR, score=round(score, 4), about=f"{ASSERTION}={value}")
        return judged.model_copy(update={"votes": (*judged.votes, vote)})

    def judge_relation(self, relation: Relation[Any, Any]) -> Relation[Any, Any]:
        """The relation with its confidence, between mentions that have theirs; as it is where its label or who found it was not fitted."""
        needed = {f"label={relation.label}", *map(voice_of, relation.votes)}
        if self.relations is None or not needed <= self.relations.weights.keys():
            return relation
        return relation.model_copy(update={"confidence": round(self.relations.probability(relation_features(relation)), 4)})

    def probability(self, entity: Entity) -> float:
        """The probability that the mention is right."""
        return Logistic(self.weights, self.bias).probability(features(entity))

    def promising(self, precision: float) -> "Calibrator":
        """The calibrator that puts mentions into lanes. Raises UsageError where no such precision was reached when it was fitted."""
        able = [each for each in sorted(self.lanes) if each >= precision]
        if not able:
            most = f"the most it can promise is {max(self.lanes):.2f}" if self.lanes else "it was fitted on too little to promise any"
            raise UsageError(
                f"a precision of {precision:.2f} cannot be promised: {most}", hint="fit a calibrator on more notes, or ask for less"
            )
        return replace(self, promised=able[0])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it, hexadecimal."""
        return sha256(self.to_json())

    def to_json(self) -> str:
        """The calibrator as JSON; ``load`` reads it back."""
        data: dict[str, Any] = {
            "version": VERSION,
            "schema": self.schema,
            "about": dict(self.about),
            "bias": self.bias,
            "keep": self.keep,
            "lanes": {str(k): v for k, v in self.lanes.items()},
            "weights": dict(sorted(self.weights.items())),
        }
        for name in PARTS:
            if (part := getattr(self, name)) is not None:
                data[name] = {"bias": part.bias, "weights": dict(sorted(part.weights.items()))}
        return json.dumps(data, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def load(cls, path: str | Path) -> "Calibrator":
        """Read a file, or the folder that ``medllm train calibrator`` wrote. Raises ModelError."""
        file = Path(path) / "calibrator.json" if Path(path).is_dir() else Path(path)
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            if data["version"] != VERSION:
                raise ValueError(data["version"])
            weights = {str(k): float(v) for k, v in data["weights"].items()}
            lanes = {float(k): float(v) for k, v in data["lanes"].items()}
            about = {str(k): str(v) for k, v in data["about"].items()}
            parts = [_part(data[name]) if name in data else None for name in PARTS]
            return cls(weights, float(data["bias"]), float(data["keep"]), lanes, str(data["schema"]), about, None, *parts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise ModelError(f"{path} is no calibrator", hint="give what `medllm train calibrator` wrote") from None


def _part(data: Mapping[str, Any]) -> Logistic:
    return Logistic({str(k): float(v) for k, v in data["weights"].items()}, float(data["bias"]))


def features(entity: Entity) -> dict[str, float]:
    """What the votes say, as numbers: for each reader whether and as what it found the mention, and how sure it was."""
    found = {f"label={entity.label}": 1.0, "words": min(math.log(1 + len(entity.text.split())), 3.0)}
    states = []
    for reader in READERS:
        vote = next((v for v in entity.votes if v.reader == reader and not v.about.startswith("assertion=")), None)
        state = "absent" if vote is None else vote.about.partition("=")[0] or "same"
        states.append(state)
        found[f"{reader}:{state}"] = 1.0
        if vote is not None and vote.score is not None:
            found[f"{reader}:{state}:logit"] = bounded_logit(vote.score)
    found["+".join(states)] = 1.0
    for reader, name in zip(EXTRA, ("again", "second"), strict=True):
        answer = next((v for v in entity.votes if v.reader == reader and not v.about.startswith("assertion=")), None)
        if answer is None:
            continue
        asked = f"{'+'.join(states)} {name}:{answer.about.partition('=')[0] or 'same'}"
        found[asked] = 1.0
        if answer.score is not None:
            found[f"{asked}:score"] = answer.score
    return found
