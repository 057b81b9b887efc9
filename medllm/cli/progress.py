"""Progress on stderr: bars on a terminal, plain lines otherwise."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from medllm.messages import translated as _

if TYPE_CHECKING:
    from medllm.runs.run import Progress as RunProgress
    from medllm.weights import Progress

PLAIN_SECONDS = 10.0
"""Without a terminal, a run says how far it is at most so often."""


@contextmanager
def download_progress() -> Iterator["Progress"]:
    """A bar on a terminal, else a line for every tenth of a stage; both on stderr."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done)

        yield show


def _lines() -> "Progress":
    said: dict[str, int] = {}

    def show(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 0
        if said.get(stage) != tenth:
            said[stage] = tenth
            so_far = _("{stage}: {done} of {total} MB")
            typer.echo(so_far.format(stage=stage, done=f"{done / 1e6:,.0f}", total=f"{total / 1e6:,.0f}"), err=True)

    return show


@contextmanager
def run_progress() -> Iterator[Callable[["RunProgress"], None]]:
    """A line that is rewritten on a terminal, else a line now and then: notes, mentions, notes a minute, tokens a second."""
    last = 0.0

    def show(progress: "RunProgress") -> None:
        nonlocal last
        now = time.monotonic()
        if sys.stderr.isatty():
            typer.echo(f"\r\x1b[K{run_line(progress)}", err=True, nl=False)
        elif now - last >= PLAIN_SECONDS:
            typer.echo(run_line(progress), err=True)
        last = now

    yield show
    if sys.stderr.isatty() and last:
        typer.echo("\r\x1b[K", err=True, nl=False)


def run_line(progress: "RunProgress") -> str:
    """How far a run is, in one line.

    >>> from medllm.runs.run import Progress
    >>> run_line(Progress(notes=3, mentions=40, seconds=60))
    '3 notes, 40 mentions, 3.0 notes/min, 0 tokens/s'
    """
    seconds = max(progress.seconds, 1e-9)
    parts = [
        _("{count} notes").format(count=progress.notes),
        *([_("{count} done before").format(count=progress.skipped)] if progress.skipped else []),
        _("{count} mentions").format(count=progress.mentions),
        *([_("{count} ledger entries").format(count=progress.ledger)] if progress.ledger else []),
        *([_("{count} answers from the cache").format(count=progress.from_cache)] if progress.from_cache else []),
        _("{count} notes/min").format(count=f"{60 * progress.notes / seconds:.1f}"),
        _("{count} tokens/s").format(count=f"{progress.usage.completion_tokens / seconds:.0f}"),
    ]
    return ", ".join(parts)
