"""Chunks: how much of a note one prompt asks about.

Chunks partition the note: each character belongs to the target of exactly one of them. A chunk also shows what stands
before it, readable but not extractable: its grammar holds the target lines only.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from medllm.text.lines import Line, split_lines
from medllm.text.sections import split_sections

CONTEXT_LINES = 2
GOOD_FILL = 0.6
"""A chunk this full ends at the next section, so that sections are not torn without need."""


@dataclass(frozen=True)
class Chunk:
    """Target lines, and what a reader may see around them. ``start`` and ``end`` are offsets in the note."""

    start: int
    end: int
    lines: tuple[Line, ...]
    section: str = ""
    context: tuple[str, ...] = ()

    def halves(self) -> "tuple[Chunk, Chunk] | None":
        """The chunk cut in two between lines, or None if it has one line only."""
        if len(self.lines) < 2:
            return None
        middle = len(self.lines) // 2
        cut = self.lines[middle].start
        context = tuple(line.view for line in self.lines[max(0, middle - CONTEXT_LINES) : middle])
        return (
            replace(self, end=cut, lines=self.lines[:middle]),
            replace(self, start=cut, lines=self.lines[middle:], context=context),
        )


def split_chunks(text: str, count_tokens: Callable[[str], int], budget: int) -> list[Chunk]:
    """The chunks of a note, in order, each of at most ``budget`` tokens of target lines by ``count_tokens``.

    A single line above the budget is a chunk of its own. A note without any piece (blank, or empty) has one chunk and no lines.
    """
    lines = split_lines(text)
    sections = split_sections(text)
    section_starts = [s.start for s in sections]
    costs = [count_tokens(line.view) + 4 for line in lines]  # its number, colon and line break
    groups: list[list[int]] = []
    used = 0
    for index, line in enumerate(lines):
        new_section = index > 0 and bisect_right(section_starts, line.start) != bisect_right(section_starts, lines[index - 1].start)
        if not groups or used + costs[index] > budget or (new_section and used >= GOOD_FILL * budget):
            groups.append([])
            used = 0
        groups[-1].append(index)
        used += costs[index]
    return _chunks(text, lines, groups, [sections[bisect_right(section_starts, lines[g[0]].start) - 1].title for g in groups])


def _chunks(text: str, lines: Sequence[Line], groups: Sequence[Sequence[int]], titles: Sequence[str]) -> list[Chunk]:
    if not groups:
        return [Chunk(0, len(text), ())]
    starts = [0, *(lines[g[0]].start for g in groups[1:])]
    ends = [*starts[1:], len(text)]
    return [
        Chunk(
            start,
            end,
            tuple(lines[i] for i in group),
            title,
            tuple(line.view for line in lines[max(0, group[0] - CONTEXT_LINES) : group[0]]),
        )
        for start, end, group, title in zip(starts, ends, groups, titles, strict=True)
    ]
