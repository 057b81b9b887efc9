"""A second voice of one language model: the same note asked for in the other layout, or with the examples in another order.

Where there is no tagger this is the second opinion. What the first voice found stays, with what the second says of it; what the second
alone found is rejected, unless a calibrator says otherwise. Without a calibrator ``confidence`` is an agreement and no probability: the
mean of both voices' scores, where a voice that says otherwise counts as 0.
"""

from dataclasses import replace

from medllm.document import Entity, Extraction, Vote
from medllm.ensemble.calibration import SECOND, Calibrator
from medllm.ensemble.reconcile import numbered, pair, settle
from medllm.reading import Reading

LAYOUT, EXAMPLES = "layout", "examples"
VOICES = (LAYOUT, EXAMPLES)


def as_second(reading: Reading) -> Reading:
    """A reading in the second voice's name: its votes, its accounts and its ledger."""
    x = reading.extraction
    update = {
        "entities": tuple(e.model_copy(update={"votes": tuple(map(_renamed, e.votes))}) for e in x.entities),
        "relations": (),
        "ledger": tuple(entry.model_copy(update={"reader": entry.reader.replace("llm", SECOND, 1)}) for entry in x.ledger),
    }
    return replace(reading, extraction=x.model_copy(update=update), read={SECOND: sum(reading.read.values())})


def heard_twice(first: Reading, second: Reading, calibrator: Calibrator | None) -> Reading:
    """The first reading with the second voice's votes."""
    x, other = first.extraction, second.extraction
    joined = pair(x.entities, other.entities, ("llm", SECOND))
    own = {id(e) for e in x.entities}
    alone = [mention for mention, sources in joined if id(sources[0]) not in own]
    if calibrator is None:
        agreed = [(m.model_copy(update={"confidence": agreement(m)}), s) for m, s in joined if id(s[0]) in own]
        answer = settle(agreed, x.relations, known=())
        rejected = numbered((m.model_copy(update={"confidence": agreement(m)}) for m in alone), "X")
    else:
        answer = settle(joined, x.relations, known=(), calibrator=calibrator)
        rejected = answer.rejected
    extraction = Extraction(
        note=x.note, entities=answer.entities, relations=answer.relations, ledger=(*x.ledger, *other.ledger), rejected=rejected
    )
    return Reading(extraction, (*first.requests, *second.requests), first.read | second.read)


def agreement(mention: Entity) -> float:
    """The mean of what both voices give this very mention: their score, 1 where the engine gives none, 0 where they say otherwise."""
    said = [v for v in mention.votes if v.reader in ("llm", SECOND) and not v.about]
    return round(sum(1.0 if v.score is None else v.score for v in said) / 2, 4)


def _renamed(vote: Vote) -> Vote:
    return vote.model_copy(update={"reader": SECOND}) if vote.reader == "llm" else vote
