"""Changes of a note's text that take its mentions along: offsets are right by construction."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from medllm.training.tagger.data import Mention, TrainingNote


class Edit(NamedTuple):
    """``text`` in place of the half-open stretch from ``start`` to ``end``. An empty stretch is an insertion."""

    start: int
    end: int
    text: str


def rewrite(note: TrainingNote, edits: Iterable[Edit], added: Iterable[Mention] = ()) -> TrainingNote:
    """The note with all edits made. ``added`` are further mentions, with offsets in the text as it was.

    A mention that an edit lies in, or covers exactly, changes with it; what is inserted at its edge stays outside. Raises ValueError for
    edits that overlap each other or the edge of a mention, or would empty one.

    >>> note = TrainingNote("1", "No fever.", (Mention(3, 8, "problem"),), frozenset({"problem"}))
    >>> changed = rewrite(note, [Edit(3, 8, "chest pain"), Edit(0, 2, "Denies")])
    >>> changed.text, changed.text[changed.mentions[0].start : changed.mentions[0].end]
    ('Denies chest pain.', 'chest pain')
    """
    ordered = sorted(edits)
    moves = _Moves(ordered, len(note.text))
    mentions = [moves.mention(m) for m in (*note.mentions, *added)]
    parts, at = [], 0
    for edit in ordered:
        parts += [note.text[at : edit.start], edit.text]
        at = edit.end
    text = "".join([*parts, note.text[at:]])
    return replace(note, text=text, mentions=tuple(sorted(mentions, key=lambda m: (m.start, -m.end))))


class _Moves:
    def __init__(self, edits: Sequence[Edit], length: int) -> None:
        self._edits, self._starts, self._ends = edits, [e.start for e in edits], [e.end for e in edits]
        self._shift, at = [0], 0
        for edit in edits:
            if not at <= edit.start <= edit.end <= length:
                raise ValueError("edits overlap, or lie outside of the note")
            at = edit.end
            self._shift.append(self._shift[-1] + len(edit.text) - (edit.end - edit.start))

    def mention(self, mention: Mention) -> Mention:
        first, last = self._edits_before(mention.start), bisect_left(self._starts, mention.end)
        for edit in self._edits[first:last]:
            if edit.start < mention.start < edit.end or edit.start < mention.end < edit.end:
                raise ValueError("an edit overlaps the edge of a mention")
        start, end = mention.start + self._shift[first], mention.end + self._shift[max(first, last)]
        if end <= start:
            raise ValueError("an edit empties a mention")
        return replace(mention, start=start, end=end)

    def _edits_before(self, at: int) -> int:
        """How many edits end at or before ``at``, insertions at it counted."""
        index = bisect_left(self._ends, at)
        while index < len(self._edits) and self._ends[index] == at:
            index += 1
        return index
