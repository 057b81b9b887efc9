"""Tables of a score by subgroup, asked for by name: section, lengths, language, sex and age of the patient, seen in training.

=============== ==================================================================================================
section         the section that the mention starts in (``section_group``)
mention-length  words of the mention
seen            whether the mention's text is among the training mentions (only where these are given)
shape           continuous or discontinuous
note-length     characters of the note
note-type       the field ``note_type`` or ``CATEGORY`` of the note's meta
language        the field ``language`` of the note's meta, else the script of its letters
sex, age        of the patient: fields of the note's meta, else what the text tells (``medllm.text.patient``)
=============== ==================================================================================================

What a key cannot place is left out of the table and counted.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, get_args

from medllm.document import Extraction
from medllm.errors import UsageError
from medllm.evaluation import slices
from medllm.evaluation.counts import Counts, micro
from medllm.evaluation.matching import Criterion
from medllm.evaluation.section_group import SECTION_GROUPS, section_group
from medllm.evaluation.slices import MentionKey, NoteKey, SlicesByNote
from medllm.evaluation.statistics import Intervals, bootstrap

NOTE_CHARACTERS = (1000, 2500, 5000, 10000)
MENTION_WORDS = (2, 3, 4, 6)
AGES = (18, 40, 65)


@dataclass(frozen=True)
class Subgroup:
    """One row: the micro counts of its notes or mentions, and their intervals where they were drawn."""

    name: str
    notes: int
    counts: Counts
    intervals: Intervals | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as ``medllm score --json`` prints it."""
        shown: dict[str, Any] = {"notes": self.notes, "gold": self.counts.gold, "pred": self.counts.pred, **self.counts.scores.to_json()}
        if self.intervals:
            shown["intervals"] = {measure: [i.low, i.high] for measure, i in self.intervals.items()}
        return shown


@dataclass(frozen=True)
class SubgroupTable:
    """One table. ``left_out`` is the number of mentions (gold and predicted, a match once) that belong to no row."""

    name: str
    title: str
    rows: tuple[Subgroup, ...]
    left_out: int = 0


@dataclass(frozen=True)
class _Kind:
    title: str
    note: NoteKey | None = None
    mention: MentionKey | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """The keys that have an order, and how each is shown."""


def _ranges(edges: Sequence[int], first: str = "") -> dict[str, str]:
    """The buckets between whole numbers, from the lowest, as they are shown; ``first`` names the lowest.

    >>> _ranges([2, 3, 6])
    {'<2': '<2', '2-3': '2', '3-6': '3–5', '>=6': '≥6'}
    """
    inner = [f"{low:,}" if high == low + 1 else f"{low:,}–{high - 1:,}" for low, high in pairwise(edges)]
    shown = [first or f"<{edges[0]:,}", *inner, f"≥{edges[-1]:,}"]
    return dict(zip((slices.bucket(value, edges) for value in (edges[0] - 1, *edges)), shown, strict=True))


_KINDS: dict[str, _Kind] = {
    "section": _Kind(
        "Section", mention=slices.section(lambda note, at: section_group(note.text, at)), names={name: name for name in SECTION_GROUPS}
    ),
    "mention-length": _Kind("Mention length, words", mention=slices.mention_length(MENTION_WORDS), names=_ranges(MENTION_WORDS, "1")),
    "shape": _Kind("Shape of the mention", mention=slices.shape()),
    "note-length": _Kind("Note length, characters", note=slices.note_length(NOTE_CHARACTERS), names=_ranges(NOTE_CHARACTERS)),
    "note-type": _Kind("Type of note", note=slices.note_type()),
    "language": _Kind("Language or script", note=slices.language()),
    "sex": _Kind("Sex of the patient", note=slices.patient_sex()),
    "age": _Kind("Age of the patient, years", note=slices.patient_age(AGES), names=_ranges(AGES)),
}
SEEN = "seen"
"""Whether a mention's text is among the training mentions, which have to be given."""
SUBGROUPS = (*_KINDS, SEEN)
"""The names there are."""


def subgroup_tables(
    gold: Mapping[str, Extraction],
    pred: Mapping[str, Extraction],
    names: Iterable[str] = SUBGROUPS,
    metric: str = "exact",
    *,
    labels: Collection[str] | None = None,
    training: Collection[str] | None = None,
    samples: int = 0,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[SubgroupTable, ...]:
    """The tables of these names under a metric of ``metrics``; those with fewer than two rows are left out.

    ``labels`` are those whose counts are summed, all otherwise. ``training`` holds the texts of the training mentions; without it there
    is no table ``seen``. Intervals are drawn over the notes of each row if ``samples`` is not 0. Raises UsageError for an unknown name,
    and for a division of mentions under a metric that does not match mentions.
    """
    found, total = [], micro(_counted(slices.by_note(gold, pred, lambda _: "", metric)[""], labels))
    for name in names:
        kind = _kind(name, training)
        if kind is None:
            continue
        groups = {
            row: {note_id: _counted(counts, labels) for note_id, counts in notes.items()}
            for row, notes in _groups(gold, pred, name, kind, metric).items()
        }
        table = _table(name, kind, groups, total, lambda notes: _intervals(notes, samples, level, seed))
        if len(table.rows) > 1:
            found.append(table)
    return tuple(found)


def _kind(name: str, training: Collection[str] | None) -> _Kind | None:
    if name == SEEN:
        return None if training is None else _Kind("Mention text in training", mention=slices.seen(training))
    if name not in _KINDS:
        raise UsageError(f"there is no slice {name!r}", hint=f"one of {', '.join(SUBGROUPS)}")
    return _KINDS[name]


def _counted(counts: Mapping[str, Counts], labels: Collection[str] | None) -> dict[str, Counts]:
    return {label: c for label, c in counts.items() if labels is None or label in labels}


def _groups(gold: Mapping[str, Extraction], pred: Mapping[str, Extraction], name: str, kind: _Kind, metric: str) -> SlicesByNote:
    if kind.note is not None:
        return slices.notes_by_note(gold, pred, kind.note, metric)
    assert kind.mention is not None
    for criterion in get_args(Criterion):
        if criterion == metric:
            return slices.mentions_by_note(gold, pred, kind.mention, criterion)
    raise UsageError(
        f"{metric} cannot be divided by {name}, which divides mentions",
        hint=f"{', '.join(n for n, k in _KINDS.items() if k.note)} divide notes; {', '.join(get_args(Criterion))} are by mention",
    )


def _table(
    name: str, kind: _Kind, groups: SlicesByNote, total: Counts, intervals: Callable[[list[Counts]], Intervals | None]
) -> SubgroupTable:
    order = {row: i for i, row in enumerate(kind.names)}
    rows = []
    for row in sorted(groups, key=lambda r: (order.get(r, len(order)), r)):
        notes = [micro(counts) for counts in groups[row].values()]
        counts = sum(notes, Counts())
        if counts.gold or counts.pred:
            rows.append(Subgroup(kind.names.get(row, row), len(notes), counts, intervals(notes)))
    inside = sum((row.counts for row in rows), Counts())
    return SubgroupTable(name, kind.title, tuple(rows), _items(total) - _items(inside))


def _items(counts: Counts) -> int:
    return counts.tp + counts.fp + counts.fn


def _intervals(notes: list[Counts], samples: int, level: float, seed: int) -> Intervals | None:
    return bootstrap([{"": c} for c in notes], [""], samples=samples, level=level, seed=seed).micro if samples else None
