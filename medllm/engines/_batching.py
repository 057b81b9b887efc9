"""Gathering overlapping calls into batches that one worker thread runs."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from medllm.errors import EngineError

CHOICE = 4  # batches' worth of work to choose from, at most, before one is run

STACK = 1 << 28  # bytes of address space; memory is taken as it is used

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Job(Generic[Work, Result]):
    work: Work
    length: int
    future: "Future[Result]" = field(default_factory=Future)


class Batches(Generic[Work, Result]):
    """A queue and one thread. ``run`` gets up to ``size`` pieces of work and gives a result or an error for each.

    A batch is the piece that has waited longest with those nearest to it in length, so that padding is small. Calls may come from
    several event loops.
    """

    def __init__(self, run: Callable[[Sequence[Work]], Sequence[Result | Exception]], size: int) -> None:
        self._run = run
        self._size = size
        self._state = threading.Condition()
        self._waiting: list[_Job[Work, Result]] = []
        self._expected = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """While a piece of work is being prepared: the next batch waits for it, so as to have a choice."""
        with self._state:
            self._expected += 1
        try:
            yield
        finally:
            with self._state:
                self._expected -= 1
                self._state.notify_all()

    def put(self, work: Work, length: int) -> "asyncio.Future[Result]":
        """Queue a piece of work, of a length in tokens. Raises EngineError after ``close``."""
        job = _Job[Work, Result](work, length)
        with self._state:
            if self._closed:
                raise closed()
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="medllm-batches", daemon=True)
                self._thread.start()
            self._waiting.append(job)
            self._state.notify_all()
        return asyncio.wrap_future(job.future)

    def close(self) -> None:
        """Refuse what waits and what comes, and wait for the batch that runs. May be called twice."""
        with self._state:
            self._closed = True
            refused, self._waiting = self._waiting, []
            thread = self._thread
            self._state.notify_all()
        for job in refused:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(closed())
        if thread is not None:
            thread.join()

    def _loop(self) -> None:
        while batch := self._next():
            try:
                results = self._run([job.work for job in batch])
            except Exception as error:
                results = [error] * len(batch)
            for job, result in zip(batch, results, strict=True):
                if isinstance(result, Exception):
                    job.future.set_exception(result)
                else:
                    job.future.set_result(result)

    def _next(self) -> list[_Job[Work, Result]]:
        """The next batch; empty when closed."""
        with self._state:
            while not self._closed:
                self._state.wait_for(self._ready)
                chosen = set(nearest([job.length for job in self._waiting], self._size))
                batch = [job for i, job in enumerate(self._waiting) if i in chosen]
                self._waiting = [job for i, job in enumerate(self._waiting) if i not in chosen]
                if batch := [job for job in batch if job.future.set_running_or_notify_cancel()]:
                    return batch
        return []

    def _ready(self) -> bool:
        enough = len(self._waiting) >= CHOICE * self._size
        return self._closed or enough or bool(self._waiting and not self._expected)


def nearest(lengths: Sequence[int], size: int) -> list[int]:
    """Indices of the first length and of the ``size - 1`` others nearest to it.

    >>> nearest([50, 900, 48, 70, 10], 3)
    [0, 2, 3]
    """
    return sorted(range(len(lengths)), key=lambda i: (i != 0, abs(lengths[i] - lengths[0])))[:size]


@contextmanager
def deep_stacks() -> Iterator[None]:
    """Give threads that are begun in here a large stack: llguidance compiles by recursion, and runs off the end of a usual one.

    (A terminal that nests some 2,000 others ended the process where the stack was 8 MiB, with llguidance 1.9.1.)
    """
    try:
        before = threading.stack_size(STACK)
    except (ValueError, RuntimeError):  # not on this system
        yield
        return
    try:
        yield
    finally:
        threading.stack_size(before)


def closed() -> EngineError:
    """The error of a call to an engine that has been closed."""
    return EngineError("The engine has been closed", hint="Make a new engine for further requests.")
