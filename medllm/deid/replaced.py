"""A note with its identifying text replaced, and the way back: what was found in it, placed in the original note."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from medllm.document import Entity, Extraction, LedgerEntry, Note, Span


class Replacement(NamedTuple):
    """``original[start:end]`` became ``replaced[new_start:new_end]``."""

    start: int
    end: int
    new_start: int
    new_end: int


@dataclass(frozen=True)
class ReplacedNote:
    """``note`` is the note with what was replaced; ``original`` the one it was made of. ``replacements`` are in reading order."""

    original: Note
    note: Note
    replacements: tuple[Replacement, ...]

    @classmethod
    def of(cls, original: Note, parts: Iterable[tuple[int, int, str]]) -> "ReplacedNote":
        """Replace ``(start, end, new text)``, in order and without overlap; new text must not be empty.

        >>> ReplacedNote.of(Note(id="1", text="Ann has flu."), [(0, 3, "[PATIENT]")]).note.text
        '[PATIENT] has flu.'
        """
        pieces, replacements, position, length = list[str](), list[Replacement](), 0, 0
        for start, end, new in parts:
            between = original.text[position:start]
            replacements.append(Replacement(start, end, length + len(between), length + len(between) + len(new)))
            pieces += [between, new]
            length, position = replacements[-1].new_end, end
        text = "".join([*pieces, original.text[position:]])
        return cls(original, original.model_copy(update={"text": text}), tuple(replacements))

    def original_span(self, span: Span) -> Span:
        """Where a span of the replaced text stands in the original. A part of something replaced stands for all of it."""
        return Span(start=self._back(span.start, whole_to_the=-1), end=self._back(span.end, whole_to_the=1))

    def original_entity(self, entity: Entity) -> Entity:
        """The mention in the original text; parts that come to overlap are one."""
        spans: list[Span] = []
        for span in map(self.original_span, entity.spans):
            if spans and span.start < spans[-1].end:
                span = Span(start=spans.pop().start, end=span.end)
            spans.append(span)
        text = " ".join(span.of(self.original.text) for span in spans)
        return entity.model_copy(update={"spans": tuple(spans), "text": text})

    def original_extraction(self, extraction: Extraction) -> Extraction:
        """The extraction of the original note: mentions, relations and ledger with its offsets and its text."""
        entities = {id(e): self.original_entity(e) for e in extraction.entities}

        def end(entity: Entity) -> Entity:
            return entities.get(id(entity)) or self.original_entity(entity)

        relations = tuple(r.model_copy(update={"head": end(r.head), "tail": end(r.tail)}) for r in extraction.relations)
        ledger = tuple(map(self.original_entry, extraction.ledger))
        return Extraction(note=self.original, entities=tuple(entities.values()), relations=relations, ledger=ledger)

    def original_entry(self, entry: LedgerEntry) -> LedgerEntry:
        """The ledger entry with offsets of the original. Entries that do not overlap do not come to: what is replaced goes to the later."""
        start = None if entry.start is None else self.original_offset(entry.start)
        end = None if entry.end is None else self.original_offset(entry.end)
        return entry.model_copy(update={"start": start, "end": end})

    def original_offset(self, offset: int) -> int:
        """Where an offset stands in the original; inside of something replaced, where that begins."""
        return self._back(offset, whole_to_the=-1)

    def _back(self, offset: int, *, whole_to_the: int) -> int:
        """The offset in the original; inside of a replacement its start (-1) or its end (1)."""
        number = bisect_right(self._new_starts, offset) - 1
        if number < 0:
            return offset
        found = self.replacements[number]
        if found.new_start < offset < found.new_end:
            return found.start if whole_to_the < 0 else found.end
        return found.start if offset == found.new_start else offset - found.new_end + found.end

    @cached_property
    def _new_starts(self) -> Sequence[int]:
        return [r.new_start for r in self.replacements]
