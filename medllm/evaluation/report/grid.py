"""Tables of a report as data, the same for Markdown and HTML: rows of cells that are text already, and one note below."""

from dataclasses import dataclass

from medllm.evaluation.counts import Scores
from medllm.evaluation.statistics import Interval, Intervals


@dataclass(frozen=True)
class Cell:
    """Text, its interval, and in HTML the label whose colour it has, or the errors that it leads to (filter name, value)."""

    text: str
    spread: str = ""
    label: str = ""
    errors: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.text} ({self.spread})" if self.spread else self.text


@dataclass(frozen=True)
class Grid:
    """A table. The first ``words`` columns hold words, the others figures; ``totals`` rows at the end are set apart."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    words: int = 1
    totals: int = 0
    groups: tuple[tuple[str, int], ...] = ()
    """Headings over several columns: (text, number of columns); empty for none."""


def cells(*texts: str | Cell) -> tuple[Cell, ...]:
    """A row, from texts and cells."""
    return tuple(t if isinstance(t, Cell) else Cell(t) for t in texts)


def figure(value: float) -> str:
    """A score with three digits."""
    return f"{value:.3f}"


def with_interval(value: float, interval: Interval | None) -> Cell:
    """A score with its interval.

    >>> str(with_interval(0.8234, Interval(0.79, 0.85)))
    '0.823 (0.790–0.850)'
    """
    return Cell(figure(value), "" if interval is None else f"{figure(interval.low)}–{figure(interval.high)}")


def score_cells(scores: Scores, intervals: Intervals | None) -> list[Cell]:
    """Precision, recall and F1, each with its interval where there is one."""
    values = scores.to_json()
    return [with_interval(values[m], intervals[m] if intervals else None) for m in ("precision", "recall", "f1")]


def signed(value: float) -> str:
    """A difference, with a real minus sign."""
    return f"{value:+.3f}".replace("-", "−")


def p_value(p: float, samples: int) -> str:
    """A p value as journals print it; never smaller than the test can tell.

    >>> p_value(0.0001, 9999), p_value(0.012, 9999), p_value(0.2, 9999)
    ('<0.001', '0.012', '0.20')
    """
    least = 1 / (samples + 1)
    if p < 0.001:
        return "<0.001" if least < 0.001 else f"≤{least:.2g}"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def count(number: int) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,}"
