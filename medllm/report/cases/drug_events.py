"""The drug-event matrix: for every drug and every harm said of it, in how many notes, and how surely."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from medllm.document import Entity, Extraction
from medllm.lexicons.words import normalise
from medllm.schema import attribute_value

DRUGS = ("drug", "Drug", "medication", "Medication")
EVENTS = ("effect", "ADE", "ade", "adverse_event")
CAUSALITY = ("asserted", "suspected", "denied")


@dataclass
class Cell:
    """One drug and one harm: the notes that join them, by what they say of the cause. A note counts once, by the surest it says."""

    notes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def count(self, causality: str) -> int:
        """Notes that say so, and nothing surer."""
        surer = CAUSALITY[: CAUSALITY.index(causality)]
        return len(self.notes[causality].difference(*(self.notes[other] for other in surer)))

    @property
    def total(self) -> int:
        """Notes that say the drug is the cause, or may be."""
        return self.count("asserted") + self.count("suspected")


@dataclass(frozen=True)
class Matrix:
    """Drugs as rows, harms as columns, the most frequent first. ``cells`` has the pairs that are said."""

    drugs: Sequence[str]
    events: Sequence[str]
    cells: dict[tuple[str, str], Cell]
    most: int


def matrix(extractions: Iterable[Extraction]) -> Matrix:
    """Count the pairs that relations between a drug and a harm join, whatever the relation is called.

    Mentions of one code are one, whatever they are called; mentions without code are one where their words are.
    """
    names: dict[str, Counter[str]] = defaultdict(Counter)
    cells: dict[tuple[str, str], Cell] = defaultdict(Cell)
    for extraction in extractions:
        for relation in extraction.relations:
            pair = _pair(relation.head, relation.tail)
            if pair is None:
                continue
            keys = [_key(entity) for entity in pair]
            for key, entity in zip(keys, pair, strict=True):
                names[key][entity.text.lower()] += 1
            said = attribute_value(pair[1].attributes.get("causality") or CAUSALITY[0])
            cells[keys[0], keys[1]].notes[said if said in CAUSALITY else CAUSALITY[0]].add(extraction.note.id)
    title = {key: max(sorted(found), key=lambda name: found[name]) for key, found in names.items()}
    of_drug: Counter[str] = Counter()
    of_event: Counter[str] = Counter()
    for (drug, event), cell in cells.items():
        of_drug[drug] += cell.total
        of_event[event] += cell.total
    drugs = sorted(of_drug, key=lambda key: (-of_drug[key], title[key]))
    events = sorted(of_event, key=lambda key: (-of_event[key], title[key]))
    shown = _distinct(title)
    return Matrix(
        [shown[key] for key in drugs],
        [shown[key] for key in events],
        {(shown[drug], shown[event]): cell for (drug, event), cell in cells.items()},
        max((cell.total for cell in cells.values()), default=0),
    )


def _pair(head: Entity, tail: Entity) -> tuple[Entity, Entity] | None:
    for drug, event in ((head, tail), (tail, head)):
        if drug.label in DRUGS and event.label in EVENTS:
            return drug, event
    return None


def _key(entity: Entity) -> str:
    return entity.codes[0] if entity.codes else f"{entity.label} {normalise(entity.text) or entity.text}"


def _distinct(title: dict[str, str]) -> dict[str, str]:
    """Names by key; two concepts that share a name are told apart by their keys."""
    counted = Counter(title.values())
    return {key: name if counted[name] == 1 else f"{name} ({key})" for key, name in title.items()}
