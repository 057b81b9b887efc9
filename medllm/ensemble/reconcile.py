"""Reconciling: what two readers found in one note becomes one list of mentions, each with what both readers say of it.

Mentions are paired one to one where they share characters, those of one label first. A pair is one mention: with the label that both
gave it, or the tagger's where they differ, and with the tagger's edges. Every mention then holds a vote of each reader: ``about`` is
empty where the reader found this very mention, else ``edges=12-20`` or ``label=drug`` (it found that instead), ``nothing``, or
``not asked`` where the language model was not asked about the place.

With a calibrator a mention stays if it is more likely right than its threshold asks; a modifier that no reader disputes stays too.
Without one the tagger's mentions stay, and of the language model's those of labels that the tagger does not know. What does not stay is
not lost: it is ``rejected``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from medllm.document import Entity, Modifier, Relation, Span, Vote
from medllm.ensemble.calibration import NOTHING, Calibrator
from medllm.evaluation.matching import MentionKey, align, mention_key

NOT_ASKED = "not asked"
Found = tuple[Sequence[Entity], Sequence[Relation[Any, Any]]]
Joined = tuple[Entity, tuple[Entity, ...]]
"""A mention with the votes of both readers, and what it was joined of: the tagger's mention first."""


@dataclass(frozen=True)
class Reconciled:
    """One answer: mentions in reading order with ids, relations between them, and the mentions that did not stay."""

    entities: tuple[Entity, ...]
    relations: tuple[Relation[Any, Any], ...]
    rejected: tuple[Entity, ...]


def reconcile(
    tagged: Found,
    prompted: Found,
    *,
    known: Iterable[str],
    calibrator: Calibrator | None = None,
    not_asked: Sequence[Span] = (),
) -> Reconciled:
    """Join what the tagger and the language model found. ``known`` are the labels that the tagger was taught, ``not_asked`` the
    stretches that the language model did not read.

    Relations stay where both their mentions do; one that both readers found is one, with both their votes.
    """
    return settle(join(tagged, prompted, known=known, not_asked=not_asked), (*tagged[1], *prompted[1]), known=known, calibrator=calibrator)


def join(tagged: Found, prompted: Found, *, known: Iterable[str], not_asked: Sequence[Span] = ()) -> list[Joined]:
    """Each mention of either reader once, with the votes of both; as ``reconcile`` has it, before anything is decided."""
    taught = frozenset(known)
    return pair(tagged[0], prompted[0], ("tagger", "llm"), known=taught, not_asked=not_asked)


def pair(
    first: Sequence[Entity],
    second: Sequence[Entity],
    readers: tuple[str, str],
    *,
    known: frozenset[str] | None = None,
    not_asked: Sequence[Span] = (),
) -> list[Joined]:
    """As ``join``, for any two readers; ``known`` None: the first one knows all labels."""
    partner = dict(align(first, second, "span-overlap").pairs)
    asked_tagger = _voter(first, readers[0])
    asked_model = _voter(second, readers[1])
    joined: list[Joined] = []
    for number, entity in enumerate(first):
        other = second[partner[number]] if number in partner else None
        vote = _silent(asked_model, entity, not_asked) if other is None else _said(other, entity)
        joined.append((_with_votes(entity, (*entity.votes, vote)), (entity,) if other is None else (entity, other)))
    matched = set(partner.values())
    for number, entity in enumerate(second):
        if number not in matched:
            own = (asked_tagger, *entity.votes) if known is None or entity.label in known else entity.votes
            joined.append((_with_votes(entity, own), (entity,)))
    return joined


def judged(found: Found, calibrator: Calibrator) -> Reconciled:
    """What one reader found, each mention with its probability; those below the calibrator's threshold are rejected."""
    return settle([(entity, (entity,)) for entity in found[0]], found[1], known=(), calibrator=calibrator)


def settle(
    joined: Iterable[Joined], links: Iterable[Relation[Any, Any]], *, known: Iterable[str], calibrator: Calibrator | None = None
) -> Reconciled:
    """What stays and what does not, with ids."""
    taught = frozenset(known)
    kept: dict[MentionKey, Entity] = {}
    stays: list[Entity] = []
    rejected: list[Entity] = []
    for entity, sources in sorted(joined, key=lambda each: each[0].sort_key()):
        if calibrator is not None:
            entity = calibrator.judge(entity)
            stay = entity.confidence is None or entity.confidence >= calibrator.keep or _undisputed_modifier(entity)
        else:
            stay = entity.label not in taught or any(v.reader == "tagger" and v.about != NOTHING for v in entity.votes)
        if not stay:
            rejected.append(entity)
            continue
        entity = entity.model_copy(update={"id": f"T{len(stays) + 1}"})
        stays.append(entity)
        kept |= {mention_key(source): entity for source in sources}
    relations = _relations(links, kept)
    if calibrator is not None:
        relations = tuple(map(calibrator.judge_relation, relations))
    return Reconciled(tuple(stays), relations, numbered(rejected, "X"))


def _undisputed_modifier(entity: Entity) -> bool:
    """True for a modifier that no reader fails to find: a threshold that is made for mentions would lose too many doses."""
    return isinstance(entity, Modifier) and all(vote.about != NOTHING for vote in entity.votes)


def numbered(entities: Iterable[Entity], letter: str) -> tuple[Entity, ...]:
    """The mentions in reading order, with ids."""
    return tuple(e.model_copy(update={"id": f"{letter}{n}"}) for n, e in enumerate(sorted(entities, key=Entity.sort_key), 1))


def _relations(found: Iterable[Relation[Any, Any]], kept: dict[MentionKey, Entity]) -> tuple[Relation[Any, Any], ...]:
    links: dict[tuple[str, str, str], Relation[Any, Any]] = {}
    for relation in found:
        head, tail = kept.get(mention_key(relation.head)), kept.get(mention_key(relation.tail))
        if head is None or tail is None or head is tail:
            continue
        key = head.id, tail.id, relation.label
        votes = (*links[key].votes, *relation.votes) if key in links else relation.votes
        links[key] = type(relation)(head=head, tail=tail, votes=votes)
    ordered = sorted(links.values(), key=lambda r: (r.head.sort_key(), r.tail.sort_key(), r.label))
    return tuple(r.model_copy(update={"id": f"R{n}"}) for n, r in enumerate(ordered, 1))


def _said(other: Entity, entity: Entity) -> Vote:
    """What the reader of ``other`` says of ``entity``."""
    vote = next(v for v in other.votes if not v.about)
    if other.label != entity.label:
        return vote.model_copy(update={"about": f"label={other.label}"})
    if other.spans != entity.spans:
        return vote.model_copy(update={"about": f"edges={other.span.start}-{other.span.end}"})
    return vote


def _silent(vote: Vote, entity: Entity, not_asked: Sequence[Span]) -> Vote:
    return vote.model_copy(update={"about": NOT_ASKED}) if any(s.overlaps(entity.span) for s in not_asked) else vote


def _voter(found: Sequence[Entity], reader: str) -> Vote:
    """The vote of a reader that found nothing, in the name of its model."""
    model = next((v.model for e in found for v in e.votes if not v.about), "")
    return Vote(reader=reader, model=model, about=NOTHING)


def _with_votes(entity: Entity, votes: Iterable[Vote]) -> Entity:
    return entity.model_copy(update={"votes": tuple(votes)})
