"""A report as Markdown: the tables and the methods, and no text of any note, so that it can be shared where the notes cannot."""

import re
from collections.abc import Sequence
from pathlib import Path

from medllm.errors import InputError
from medllm.evaluation.report.content import Report
from medllm.evaluation.report.grid import Cell, Grid
from medllm.evaluation.report.methods import methods
from medllm.evaluation.report.tables import grids
from medllm.formats.files import open_private

_SPECIAL = re.compile(r"([\\`*_\[\]<>|])")


def render_markdown(report: Report) -> str:
    """The report as Markdown with tables in the form of GitHub."""
    parts = [f"# {_escape(report.title)}"]
    if report.facts:
        parts.append("\n".join(f"* {_escape(name)}: {_escape(value)}" for name, value in report.facts))
    for found in grids(report).values():
        parts += [part for grid in found for part in _grid(grid)]
    parts += ["## Methods", *(_escape(text) for text in methods(report))]
    return "\n\n".join(parts) + "\n"


def write_markdown(report: Report, out: Path) -> Path:
    """Write the Markdown. Returns ``out``; raises InputError where that is not possible."""
    try:
        with open_private(out) as file:
            file.write(render_markdown(report))
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}", hint="give another output path") from error
    return out


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A table; the first ``words`` columns are set left, the others right.

    >>> print(markdown_table(["label", "F1"], [["drug", "0.9"]]))
    | label | F1 |
    | :--- | ---: |
    | drug | 0.9 |
    """
    lines = [head, [":---"] * words + ["---:"] * (len(head) - words), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def _grid(grid: Grid) -> list[str]:
    head = list(grid.head)
    if grid.groups:
        spread = [text for text, width in grid.groups for _ in range(width)]
        head = [f"{name}, {group.lower()}" if group else name for name, group in zip(head, spread, strict=True)]
    found = [f"## {_escape(grid.title)}", markdown_table([_escape(h) for h in head], [_row(row) for row in grid.rows], grid.words)]
    return [*found, _escape(grid.note)] if grid.note else found


def _row(row: Sequence[Cell]) -> list[str]:
    return [_escape(str(cell)) for cell in row]


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
