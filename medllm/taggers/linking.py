"""Relations that a classifier finds among mentions, as those of a schema."""

from collections.abc import Sequence
from typing import Any

from medllm.document import Entity, Relation, Vote
from medllm.schema import Schema
from medllm.taggers.relations import PairMention, RelationClassifier

READER = "tagger"


def link(text: str, entities: Sequence[Entity], schema: Schema, classifier: RelationClassifier) -> list[Relation[Any, Any]]:
    """The relations that the classifier finds and the schema admits, with its probability as the vote's score.

    Concepts are joined at their first mentions; a mention without a code is a concept by its own words, whatever their case.
    """
    found: list[Relation[Any, Any]] = []
    for linked in classifier.classify(text, [pair_mention(e) for e in entities]):
        head, tail = entities[linked.head.members[0]], entities[linked.tail.members[0]]
        kind = next((r for r in schema.relations_between(head.label, tail.label) if r.label == linked.label), None)
        if kind is not None:
            vote = Vote(reader=READER, model=classifier.config.name, placed="pairs", score=round(linked.probability, 4))
            found.append(kind(head=head, tail=tail, votes=(vote,)))
    return found


def pair_mention(entity: Entity) -> PairMention:
    """The mention as the classifier takes it."""
    return PairMention(entity.spans[0].start, entity.spans[-1].end, entity.label, entity.codes or (entity.text.casefold(),))
