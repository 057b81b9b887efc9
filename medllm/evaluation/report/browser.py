"""The error browser: every disagreement in its sentence, gold above the words and predicted below them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medllm.document import Entity, Extraction, Note
from medllm.evaluation.disagreements import Disagreement, Kind
from medllm.evaluation.matching import align
from medllm.evaluation.report.content import EXACT, Report
from medllm.evaluation.section_group import section_group
from medllm.report.highlight import Mark, highlight
from medllm.report.page import probability
from medllm.text.lines import Line, split_lines

AROUND = 160
"""So many characters of the sentence are shown at most before and after the mention."""


@dataclass(frozen=True)
class Item:
    """A disagreement as it is shown. ``gold`` and ``pred`` are labels, "" for none; ``html`` is the marked sentence."""

    number: int
    kind: str
    gold: str
    pred: str
    gold_text: str
    pred_text: str
    note_id: str
    section: str
    place: str
    confidence: str
    html: str
    cut_before: bool
    cut_after: bool


@dataclass(frozen=True)
class Frequent:
    """A text that was often wrong in one way: how often, and the filters that find it."""

    text: str
    label: str
    times: int
    filters: tuple[tuple[str, str], ...]


def items(report: Report) -> Iterator[Item]:
    """One item for each disagreement of the report, in its order."""
    hue = {label: f"l{i}" for i, label in enumerate(report.labels)}
    note_id, lines, agreed = "", list[Line](), list[Entity]()
    for number, found in enumerate(report.errors):
        if found.note_id != note_id or not number:
            note_id = found.note_id
            gold, pred = report.gold[note_id], report.pred[note_id]
            lines = split_lines(gold.note.text)
            agreed = _agreed(gold, pred)
        yield _item(number, found, report.gold[note_id].note, lines, agreed, hue)


def frequent(report: Report, kind: Kind, most: int = 12) -> list[Frequent]:
    """The texts that were most often missed, or spurious, without case; those that occur at least twice."""
    mentions = [d.mention for d in report.errors if d.kind is kind]
    counted = Counter((" ".join(m.text.casefold().split()), m.label) for m in mentions)
    side = "gold" if kind is Kind.MISSED else "pred"
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [
        Frequent(text, label, times, (("kind", kind.value), (side, label), ("find", text))) for (text, label), times in ranked if times > 1
    ][:most]


def _agreed(gold: Extraction, pred: Extraction) -> list[Entity]:
    return [g for g, _ in align(gold, pred, EXACT).matches]


def _item(number: int, found: Disagreement, note: Note, lines: Sequence[Line], agreed: Sequence[Entity], hue: dict[str, str]) -> Item:
    both = [m for m in (found.gold, found.pred) if m is not None]
    first, last = min(m.span.start for m in both), max(m.span.end for m in both)
    start, end = _sentence(note.text, lines, first, last)
    begin, stop = max(start, first - AROUND), min(end, last + AROUND)
    begin, stop = _at_word(note.text, begin, start), _at_word(note.text, stop, end)
    marks = [
        _mark(f"e{number}a{i}", m, begin, f"also {hue[m.label]}")
        for i, m in enumerate(agreed)
        if begin <= m.span.start and m.span.end <= stop
    ]
    if found.gold is not None:
        marks.append(_mark(f"e{number}g", found.gold, begin, f"gold {hue[found.gold.label]}", "gold"))
    if found.pred is not None:
        marks.append(_mark(f"e{number}p", found.pred, begin, f"pred {hue[found.pred.label]}", "predicted"))
    return Item(
        number,
        found.kind.value,
        found.gold.label if found.gold else "",
        found.pred.label if found.pred else "",
        found.gold.text if found.gold else "",
        found.pred.text if found.pred else "",
        note.id,
        section_group(note.text, first),
        f"{first}–{last}",
        probability(found.pred.confidence) if found.pred else "",
        highlight(note.text[begin:stop], marks),
        begin > start,
        stop < end,
    )


def _sentence(text: str, lines: Sequence[Line], first: int, last: int) -> tuple[int, int]:
    """From the start of the sentence that holds ``first`` to the end of the one that holds ``last``."""
    start = max((line.start for line in lines if line.start <= first), default=0)
    end = min((line.end for line in lines if line.end >= last), default=len(text))
    return min(start, first), max(end, last)


def _at_word(text: str, cut: int, end: int) -> int:
    """A cut moved out of a word, at most twenty characters towards ``end``."""
    if cut == end:
        return cut
    step = -1 if end < cut else 1
    for place in range(cut, cut + step * min(20, abs(end - cut)), step):
        if text[place - 1 : place + 1].strip() != text[place - 1 : place + 1]:
            return place
    return cut


def _mark(identifier: str, mention: Entity, origin: int, classes: str, side: str = "") -> Mark:
    spans = tuple((s.start - origin, s.end - origin) for s in mention.spans)
    return Mark(identifier, spans, classes, title=" · ".join(filter(None, (side, mention.label))))
