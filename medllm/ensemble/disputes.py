"""Disputes: where two readers do not agree, or are too unsure, as closed questions whose answer becomes one more vote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medllm.document import Entity, Modifier, Vote
from medllm.ensemble.calibration import DISPUTES, NOTHING
from medllm.ensemble.reconcile import Joined

TAGGER_ONLY, LLM_ONLY, LABEL, EDGES, UNSURE = "tagger-only", "llm-only", "label", "edges", "unsure"
SURE = 0.7
"""A mention that both readers found is asked about again where the tagger's own score is below this."""
YES, NO, NEITHER = "yes", "no", "neither"
LETTERS = "AB"


@dataclass(frozen=True)
class Dispute:
    """A mention in doubt: ``candidates`` holds it, and after it what the language model wrote in its place, where it wrote something.

    ``swapped`` says that the second candidate is shown first, so that no reader always is.
    """

    kind: str
    candidates: tuple[Entity, ...]
    swapped: bool = False

    @property
    def shown(self) -> tuple[Entity, ...]:
        """The candidates in the order in which they are shown."""
        return self.candidates[::-1] if self.swapped else self.candidates

    @property
    def options(self) -> tuple[str, ...]:
        """The answers that can be given."""
        return (YES, NO) if len(self.candidates) == 1 else (*LETTERS, NEITHER)

    def chosen(self, option: str) -> Entity | None:
        """The candidate that an answer takes; None for none of them."""
        if option in LETTERS:
            return self.shown[LETTERS.index(option)]
        return self.candidates[0] if option == YES else None

    def vote(self, option: str, vote: Vote) -> Vote:
        """The answer as a vote on the mention: ``about`` is empty where the answer is this very mention."""
        mention, taken = self.candidates[0], self.chosen(option)
        if taken is None:
            about = NOTHING
        elif taken.label != mention.label:
            about = f"label={taken.label}"
        else:
            about = "" if taken.spans == mention.spans else f"edges={taken.span.start}-{taken.span.end}"
        return vote.model_copy(update={"reader": DISPUTES, "about": about})


def find_disputes(joined: Sequence[Joined]) -> dict[int, Dispute]:
    """The disputes among joined mentions, by their number. What a reader was not asked about, or does not know, it does not dispute."""
    found: dict[int, Dispute] = {}
    pairs = 0
    for number, (mention, sources) in enumerate(joined):
        if not isinstance(mention, Modifier) and (kind := _kind(mention)):
            other = sources[1:] if kind in (LABEL, EDGES) else ()
            found[number] = Dispute(kind, (mention, *other), bool(other) and pairs % 2 == 1)
            pairs += len(other)
    return found


def with_votes(joined: Sequence[Joined], votes: Mapping[int, Vote]) -> list[Joined]:
    """The joined mentions with the answers about them."""
    return [
        (mention.model_copy(update={"votes": (*mention.votes, votes[number])}) if number in votes else mention, sources)
        for number, (mention, sources) in enumerate(joined)
    ]


def _kind(mention: Entity) -> str:
    said = {v.reader: v for v in mention.votes if v.reader in ("tagger", "llm") and not v.about.startswith("assertion=")}
    if len(said) < 2:
        return ""
    tagger, model = said["tagger"], said["llm"]
    if NOTHING in (tagger.about, model.about):
        return LLM_ONLY if tagger.about else TAGGER_ONLY
    state = model.about.partition("=")[0]
    if state in (LABEL, EDGES):
        return state
    return UNSURE if not state and tagger.score is not None and tagger.score < SURE else ""
