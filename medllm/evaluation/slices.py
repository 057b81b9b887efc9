"""Any score by a key of the note or of the mention: section, length, language, sex, age, seen in training or not.

A note key puts whole notes in slices, and any metric can be scored in each. A mention key puts mentions in slices: notes are
aligned whole, then hits and misses count in the slice of the gold mention, spurious mentions in the slice of their own.
A key of None leaves the note or the mention out.
"""

import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from medllm.document import Entity, Extraction, Note
from medllm.evaluation.counts import Counts, add
from medllm.evaluation.matching import Criterion, align
from medllm.evaluation.metrics import metric, tally
from medllm.text import kinds
from medllm.text.patient import patient_of

NoteKey = Callable[[Note], str | None]
MentionKey = Callable[[Note, Entity], str | None]
Slices = dict[str, dict[str, Counts]]
"""slice -> label -> counts"""
SlicesByNote = dict[str, dict[str, dict[str, Counts]]]
"""slice -> note id -> label -> counts"""


def by_note(gold: Mapping[str, Extraction], pred: Mapping[str, Extraction], key: NoteKey, metric_name: str = "exact") -> Slices:
    """Counts by slice of notes and by label. ``gold`` and ``pred`` hold the same notes by id; ``key`` is asked of the gold note."""
    return _added(notes_by_note(gold, pred, key, metric_name))


def by_mention(gold: Mapping[str, Extraction], pred: Mapping[str, Extraction], key: MentionKey, criterion: Criterion = "exact") -> Slices:
    """Counts by slice of mentions and by label, under a criterion of ``matching``."""
    return _added(mentions_by_note(gold, pred, key, criterion))


def notes_by_note(gold: Mapping[str, Extraction], pred: Mapping[str, Extraction], key: NoteKey, metric_name: str = "exact") -> SlicesByNote:
    """As ``by_note``, with the counts of each note kept apart."""
    count, groups = metric(metric_name), SlicesByNote()
    for note_id, extraction in gold.items():
        if (name := key(extraction.note)) is not None:
            groups.setdefault(name, {})[note_id] = count(extraction, pred[note_id])
    return groups


def mentions_by_note(
    gold: Mapping[str, Extraction], pred: Mapping[str, Extraction], key: MentionKey, criterion: Criterion = "exact"
) -> SlicesByNote:
    """As ``by_mention``, with the counts of each note kept apart."""
    groups = SlicesByNote()
    for note_id, extraction in gold.items():
        alignment, note = align(extraction, pred[note_id], criterion), extraction.note
        hits = [(key(note, g), g.label) for g, _ in alignment.matches]
        spurious = [(key(note, e), e.label) for e in alignment.spurious]
        missed = [(key(note, e), e.label) for e in alignment.missed]
        for name in {k for k, _ in (*hits, *spurious, *missed) if k is not None}:
            parts = ([label for k, label in items if k == name] for items in (hits, spurious, missed))
            groups.setdefault(name, {})[note_id] = tally(*parts)
    return groups


def _added(groups: SlicesByNote) -> Slices:
    return {name: add(groups[name].values()) for name in sorted(groups)}


def bucket(value: float, edges: Sequence[float]) -> str:
    """The name of the bucket of ``value`` between increasing ``edges``, lower edge included.

    >>> [bucket(v, [18, 65]) for v in (3, 18, 64, 80)]
    ['<18', '18-65', '18-65', '>=65']
    """
    i = bisect_right(edges, value)
    if i == 0:
        return f"<{edges[0]:g}"
    return f">={edges[-1]:g}" if i == len(edges) else f"{edges[i - 1]:g}-{edges[i]:g}"


_SCRIPT_SAMPLE = 2000


# --- note keys -------------------------------------------------------------------------------------------------------


def meta(field: str, edges: Sequence[float] = (), *, also: Sequence[str] = ()) -> NoteKey:
    """By a field of ``Note.meta`` (``language``, ``sex``, ``note_type``), in buckets where ``edges`` are given (``age``).

    The names of fields are compared without case; the first of ``field`` and ``also`` that the note has counts.
    """

    def key(note: Note) -> str | None:
        given = {name.casefold(): value for name, value in note.meta.items()}
        value = next((given[name.casefold()] for name in (field, *also) if given.get(name.casefold())), None)
        if value is None or not edges:
            return value
        try:
            return bucket(float(value), edges)
        except ValueError:
            return None

    return key


def note_length(edges: Sequence[float] = (1000, 5000, 20000)) -> NoteKey:
    """By the number of characters of the note."""
    return lambda note: bucket(len(note.text), edges)


def patient_sex() -> NoteKey:
    """By the sex of the patient: the field ``sex`` or ``gender`` of the note's meta, else what its text tells."""
    given = meta("sex", also=["gender"])
    names = {"f": "female", "m": "male"}

    def key(note: Note) -> str | None:
        value = given(note)
        return patient_of(note.text).sex if value is None else names.get(value.casefold(), value.casefold())

    return key


def patient_age(edges: Sequence[float] = (18, 40, 65)) -> NoteKey:
    """By the age of the patient in years: the field ``age`` of the note's meta, else what its text tells."""
    given = meta("age", edges)

    def key(note: Note) -> str | None:
        if (name := given(note)) is not None:
            return name
        age = patient_of(note.text).age
        return None if age is None else bucket(age, edges)

    return key


def note_type() -> NoteKey:
    """By the field ``note_type`` (MIMIC-IV) or ``CATEGORY`` (MIMIC-III) of the note's meta, else what its words tell of it."""
    given = meta("note_type", also=["category"])
    return lambda note: given(note) or kinds.note_type(note.text)


def language() -> NoteKey:
    """By the field ``language`` of the note's meta, else by the script that most of its letters belong to (``Latin``, ``CJK``)."""
    given = meta("language")
    return lambda note: given(note) or _script(note.text)


# --- mention keys ----------------------------------------------------------------------------------------------------


def section(of: Callable[[Note, int], str | None]) -> MentionKey:
    """By the section that a mention starts in; ``of`` says which section of the note an offset is in."""
    return lambda note, mention: of(note, mention.span.start)


def mention_length(edges: Sequence[float] = (2, 3, 5)) -> MentionKey:
    """By the number of words (blank-separated) of the mention."""
    return lambda note, mention: bucket(len(mention.text.split()), edges)


def seen(texts: Collection[str]) -> MentionKey:
    """``seen`` where the mention's text is among ``texts`` (the training mentions), case and spacing ignored; else ``unseen``."""
    known = {_plain(text) for text in texts}
    return lambda note, mention: "seen" if _plain(mention.text) in known else "unseen"


def shape() -> MentionKey:
    """``discontinuous`` where the mention has several parts, else ``continuous``."""
    return lambda note, mention: "discontinuous" if len(mention.spans) > 1 else "continuous"


def _script(text: str) -> str | None:
    counted = Counter(unicodedata.name(c, "").partition(" ")[0].capitalize() for c in text[:_SCRIPT_SAMPLE] if c.isalpha())
    return {"Cjk": "CJK"}.get(name := counted.most_common(1)[0][0], name) if counted else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
