"""Scores as tables for a terminal: medllm's own results and those of the official scorers, in one form."""

import io
import math
from typing import TYPE_CHECKING, Any

from medllm.evaluation.official.result import OfficialResult, Table
from medllm.evaluation.result import Result
from medllm.evaluation.subgroups import SubgroupTable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

SCORES = ("precision", "recall", "f1")
_WIDTH = 160


def tables(result: Result | OfficialResult) -> "list[RichTable]":
    """The result as rich tables, one for a ``Result``, one for each printed table of an official scorer."""
    if isinstance(result, OfficialResult):
        return [_official(result, table) for table in result.tables if table.rows]
    return [_own(result)]


def subgroup_table(source: SubgroupTable, metric: str) -> "RichTable":
    """One division of a score into subgroups as a rich table."""
    left_out = f", {source.left_out} items in no group" if source.left_out else ""
    table = _new(f"{metric} by {source.title.lower()}{left_out}", source.title.lower(), "notes", "gold", "pred", *SCORES)
    for row in source.rows:
        counted = [str(n) for n in (row.notes, row.counts.gold, row.counts.pred)]
        table.add_row(row.name, *counted, *_scores(row.counts.scores.to_json(), row.intervals))
    return table


def console() -> "Console":
    """Standard output; where it is no terminal, wide enough that no figure is broken over lines."""
    import sys

    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)


def render(result: Result | OfficialResult, *, width: int = _WIDTH) -> str:
    """The tables as plain text."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(*tables(result), sep="\n")
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def _own(result: Result) -> "RichTable":
    intervals = result.intervals
    title = f"{result.metric}, {len(result.notes)} notes"
    if intervals:
        title += f", {intervals.level:.0%} intervals of {intervals.samples} samples"
    table = _new(title, "label", "gold", "pred", "tp", "fp", "fn", *SCORES)
    rows: list[tuple[str, Any, Any]] = [(label, c, intervals and intervals.labels[label]) for label, c in result.counts.items()]
    for i, (name, c, spread) in enumerate([*rows, ("micro", result.micro, intervals and intervals.micro)]):
        counted = [str(n) for n in (c.gold, c.pred, c.tp, c.fp, c.fn)]
        table.add_row(name, *counted, *_scores(c.scores.to_json(), spread), end_section=i == len(rows) - 1)
    table.add_row("macro", *[""] * 5, *_scores(result.macro.to_json(), intervals and intervals.macro))
    return table


def _official(result: OfficialResult, source: Table) -> "RichTable":
    counted = list(dict.fromkeys(name for row in source.rows for name in row.counts))
    spread = ["sd (p)", "sd (r)"] if any(row.spread for row in source.rows) else []
    facts = "".join(f", {name.replace('_', ' ')} {_number(value)}" for name, value in source.facts.items())
    table = _new(f"{result.metric}: {source.heading}{facts}", "row", *counted, *SCORES, *spread)
    digits = 2 if source.unit == "percent" else 4
    for row in source.rows:
        numbers = [row.precision, row.recall, row.f1, *(row.spread or ())]
        table.add_row(row.name, *(str(row.counts.get(n, "")) for n in counted), *(_decimal(n, digits) for n in numbers))
    return table


def _new(title: str, first: str, *others: str) -> "RichTable":
    from rich.table import Table as RichTable

    table = RichTable(title=title, title_justify="left")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _scores(scores: dict[str, float], intervals: Any) -> list[str]:
    cells = []
    for name in SCORES:
        spread = f" [{intervals[name].low:.3f}, {intervals[name].high:.3f}]" if intervals else ""
        cells.append(f"{scores[name]:.4f}{spread.replace('[', chr(92) + '[')}")
    return cells


def _decimal(value: float, digits: int) -> str:
    return "NaN" if math.isnan(value) else f"{value:.{digits}f}"


def _number(value: float) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
