"""Assertion, experiencer and temporality of given mentions, from the cues around them.

The algorithm is ConText's (Harkema et al. 2009, J Biomed Inform 42:839), which goes on from NegEx (Chapman et al. 2001, J Biomed
Inform 34:301): a cue has a direction and a scope, which ends with the sentence, at a word that ends scopes ("but"), or where another
cue takes over; a pseudo-cue ("no increase") has none. Here scopes also end at the commas of Chinese clauses and at the numbers of a
list, and the section of a mention is a cue too (Family History, 既往史).
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from medllm.document import Assertion, Span
from medllm.rules.clauses import around, clause_end, sentences, separators
from medllm.rules.cues import SENTENCE, Cue, Direction, Group, Kind, find_cues, only_function_words, tables
from medllm.text.breaks import is_han
from medllm.text.sections import Section, split_sections


class Experiencer(StrEnum):
    """Who has it."""

    PATIENT = "patient"
    OTHER = "other"


class Temporality(StrEnum):
    """When: now or of late, in the past, or not (yet) at all."""

    RECENT = "recent"
    HISTORICAL = "historical"
    HYPOTHETICAL = "hypothetical"


@dataclass(frozen=True)
class Judgement:
    """What the rules say of a mention. ``cues`` are all that tell of it, in order; a section's cue is its title."""

    assertion: Assertion
    experiencer: Experiencer
    temporality: Temporality
    cues: tuple[Cue, ...] = ()

    @property
    def cue(self) -> Cue | None:
        """The cue that gave the assertion, the first if several did; None where nothing speaks against present."""
        return next((cue for cue in self.cues if _ASSERTIONS.get(cue.kind) == self.assertion), None)

    def has(self, kind: Kind) -> bool:
        """True if a cue of this kind tells of the mention, whatever the others say."""
        return any(cue.kind == kind for cue in self.cues)


_ASSERTIONS = {
    Kind.EXPERIENCER: Assertion.ASSOCIATED_WITH_SOMEONE_ELSE,
    Kind.HYPOTHETICAL: Assertion.HYPOTHETICAL,
    Kind.CONDITIONAL: Assertion.CONDITIONAL,
    Kind.POSSIBLE: Assertion.POSSIBLE,
    Kind.NEGATION: Assertion.ABSENT,
}
"""In the order of precedence of the i2b2 2010 guidelines."""

_TAKES_OVER = frozenset({Kind.NEGATION, Kind.POSSIBLE, Kind.HYPOTHETICAL, Kind.CONDITIONAL})
LONGEST_REACH = 1000
"""Characters: no scope reaches further, however long its sentence is."""

MOST_ITEMS = 20
"""A list is followed over so many commas."""

_LEADING = (Direction.FORWARD, Direction.END)
_WORD = re.compile(r"[^\W\d_]+|\d+")


def assess(text: str, mentions: Iterable[Span]) -> tuple[Judgement, ...]:
    """What the rules say of each of ``mentions`` (half-open code points of ``text``), in their order.

    A mention may itself begin with a cue ("no chest pain", 活动后气促); a single character is then taken for a part of its name (无尿).

    >>> text = "FAMILY HISTORY: Mother had gout.\\nIMPRESSION: Possible pneumonia."
    >>> [j.assertion.value for j in assess(text, [Span(start=27, end=31), Span(start=54, end=63)])]
    ['associated_with_someone_else', 'possible']
    """
    cues, sections = find_cues(text), split_sections(text)
    ranges = sentences(text, [(cue.start, cue.end) for cue in cues if is_han(text[cue.start])])
    starts, titles = [c.start for c in cues], [s.start for s in sections]
    known: dict[tuple[int, int], _Sentence] = {}
    found = []
    for mention in mentions:
        start, end = around(ranges, mention.start, mention.end)
        if (start, end) not in known:
            known[start, end] = _Sentence(text, start, end, cues[bisect_left(starts, start) : bisect_left(starts, end)])
        section = sections[bisect_right(titles, mention.start) - 1]
        found.append(_judge(known[start, end], mention, _section_cue(section)))
    return tuple(found)


def _judge(sentence: "_Sentence", mention: Span, section: Cue | None) -> Judgement:
    telling = [cue for cue in sentence.near(mention.start, mention.end) if sentence.tells(cue, mention)]
    if section and section.start < mention.start:
        telling.insert(0, section)
    kinds = {cue.kind for cue in telling}
    if {Kind.NEGATION, Kind.POSSIBLE} <= kinds:  # "no sign suggestive of A": the first; "suspected B was ruled out": the one behind
        both = [cue for cue in telling if cue.kind in (Kind.NEGATION, Kind.POSSIBLE)]
        decides = max(both, key=lambda cue: (cue.group.direction == Direction.BACKWARD, -cue.start))
        telling = [cue for cue in telling if cue not in both or cue.kind == decides.kind]
        kinds = {cue.kind for cue in telling}
    assertion = next((a for kind, a in _ASSERTIONS.items() if kind in kinds), Assertion.PRESENT)
    when = Temporality.HISTORICAL if Kind.HISTORICAL in kinds else Temporality.RECENT
    when = Temporality.HYPOTHETICAL if assertion == Assertion.HYPOTHETICAL else when
    return Judgement(assertion, Experiencer.OTHER if Kind.EXPERIENCER in kinds else Experiencer.PATIENT, when, tuple(telling))


def _section_cue(section: Section) -> Cue | None:
    title = section.title.casefold().translate(tables().simplified)
    kind = tables().sections.get(("" if is_han(title[:1]) else " ").join(title.split()))
    return Cue(section.start, section.start + len(section.title), Group(kind, Direction.FORWARD)) if kind else None


class _Sentence:
    """A sentence with its cues, and how far each of them reaches."""

    def __init__(self, text: str, start: int, end: int, cues: Sequence[Cue]) -> None:
        self.text, self.start, self.end = text, start, end
        self._cues = cues
        self._starts = [cue.start for cue in cues]
        self._cuts = separators(text, start, end)
        self._scopes: dict[Cue, int] = {}

    def near(self, start: int, end: int) -> Sequence[Cue]:
        """The cues that begin no further than LONGEST_REACH from ``start`` to ``end``."""
        return self._cues[bisect_left(self._starts, start - LONGEST_REACH) : bisect_right(self._starts, end + LONGEST_REACH)]

    def tells(self, cue: Cue, mention: Span) -> bool:
        """True if ``mention`` lies in the scope of ``cue``."""
        if cue.group.direction == Direction.FORWARD:
            if cue.start <= mention.start < cue.end < mention.end:  # "without [signs of heart failure]", "[no chest pain]"
                return cue.end - cue.start > 1
            return cue.end <= mention.start and self._near(cue, cue.end, mention.start) and mention.start < self._scope(cue)
        if cue.group.direction == Direction.BACKWARD:
            if mention.start < cue.start < mention.end <= cue.end:
                return True
            return mention.end <= cue.start and self._near(cue, mention.end, cue.start) and self._scope(cue) < mention.end
        return False

    def _near(self, cue: Cue, start: int, end: int) -> bool:
        return not isinstance(cue.group.reach, int) or len(_WORD.findall(self.text, start, end)) <= cue.group.reach

    def _scope(self, cue: Cue) -> int:
        """Where it ends, or for a cue that tells of what stands before it, begins."""
        if cue not in self._scopes:
            self._scopes[cue] = self._scope_end(cue) if cue.group.direction == Direction.FORWARD else self._scope_start(cue)
        return self._scopes[cue]

    def _scope_end(self, cue: Cue) -> int:
        later = self._cues[bisect_left(self._starts, cue.end) : bisect_right(self._starts, cue.end + LONGEST_REACH)]
        ends = [next((other.start for other in later if self._ends(cue, other) or self._takes_over(cue, other)), self.end)]
        if cue.group.reach != SENTENCE:
            first = bisect_left(self._cuts, cue.end)
            stops = [c.start for c in later if c.group.direction in _LEADING]
            ends.append(clause_end(self.text, self.end, self._cuts[first : first + MOST_ITEMS], stops))
        return min(ends)

    def _ends(self, cue: Cue, other: Cue) -> bool:
        """True if ``other`` ends scopes, unless it follows at once: "probably due to gout"."""
        return cue.kind in other.group.ends and not only_function_words(self.text[cue.end : other.start])

    def _takes_over(self, cue: Cue, other: Cue) -> bool:
        """True if ``other``, which comes later, tells of what follows instead of ``cue``."""
        if other.kind == cue.kind or other.group.direction != Direction.FORWARD or not {cue.kind, other.kind} <= _TAKES_OVER:
            return False
        return not only_function_words(self.text[cue.end : other.start])

    def _scope_start(self, cue: Cue) -> int:
        before = self._cues[bisect_left(self._starts, cue.start - LONGEST_REACH) : bisect_left(self._starts, cue.start)]
        starts = [other.end for other in before if cue.kind in other.group.ends]
        if cue.group.reach != SENTENCE:
            starts += self._cuts[: bisect_left(self._cuts, cue.start)][-1:]
        if (
            is_han(self.text[cue.start])
            and (colon := max(self.text.rfind(c, max(self.start, cue.start - LONGEST_REACH), cue.start) for c in "：:")) >= 0
        ):
            starts.append(colon)
        return max(starts, default=self.start)
