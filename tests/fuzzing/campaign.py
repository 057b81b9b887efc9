"""A campaign: many inputs through each part, with what went wrong. The short form is a test, the long one a benchmark."""

import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.fuzzing import material
from tests.fuzzing.parts import LONG, PARTS, Case, OffsetError

HANG_SECONDS = 2.0
"""Of CPU time, for a note of up to 100,000 characters."""
_WARM: set[str] = set()
GIVE_UP_SECONDS = 20.0
"""Of CPU time as well: a busy machine makes no hangs."""


class GaveUp(BaseException):
    """No Exception: nothing may catch it."""


@dataclass
class Result:
    """Counts of one part. ``failures`` tells where: kind, seed, and the error's class and innermost place, never its input."""

    inputs: int = 0
    crashes: int = 0
    hangs: int = 0
    offset_errors: int = 0
    slowest_seconds: float = 0.0
    slowest: str = ""
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """For a record."""
        counts = {"inputs": self.inputs, "crashes": self.crashes, "hangs": self.hangs, "offset_errors": self.offset_errors}
        found = {"failures": dict(self.failures)} if self.failures else {}
        return counts | {"slowest_seconds": round(self.slowest_seconds, 3), "slowest": self.slowest} | found


def short(part: str, numbers: range, seed: int) -> Result:
    """The inputs of these numbers through a part; they go round its kinds."""
    result = Result()
    kinds = list(PARTS[part].items())
    for number in numbers:
        kind, case = kinds[number % len(kinds)]
        if kind not in _WARM:  # what is loaded on first use is no part of any input's time
            one(Result(), kind, kind, case, "first")
            _WARM.add(kind)
        one(result, f"{kind}, input {number}", kind, case, f"{seed}:{part}:{number}")
    return result


def long(part: str, numbers: range) -> Result:
    """Texts of nearly 100,000 characters through a part that reads whole notes."""
    result = Result()
    texts = material.long_texts()
    for number in numbers:
        one(result, f"long text {number}", "long", partial(LONG[part], text=texts[number]), f"long:{number}")
    return result


def add(left: Result, right: Result) -> None:
    """Count what another process has counted."""
    left.inputs += right.inputs
    left.crashes += right.crashes
    left.hangs += right.hangs
    left.offset_errors += right.offset_errors
    if right.slowest_seconds > left.slowest_seconds:
        left.slowest_seconds, left.slowest = right.slowest_seconds, right.slowest
    left.failures.update(right.failures)
    left.examples = right.examples | left.examples


def one(result: Result, name: str, kind: str, case: Case, seed: str) -> None:
    """One input, counted."""
    result.inputs += 1
    started = time.process_time()
    try:
        with _alarm():
            case(random.Random(seed))
    except GaveUp:
        pass
    except OffsetError as error:
        result.offset_errors += 1
        _note(result, kind, seed, error)
    except Exception as error:
        result.crashes += 1
        _note(result, kind, seed, error)
    taken = time.process_time() - started
    result.hangs += taken > HANG_SECONDS
    if taken > result.slowest_seconds:
        result.slowest_seconds, result.slowest = taken, name


def _note(result: Result, kind: str, seed: str, error: Exception) -> None:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/medllm/" in f.filename or "/fuzzing/" in f.filename]
    place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].name}" if frames else ""
    what = f"{kind}: {type(error).__name__} in {place}"
    result.failures[what] += 1
    result.examples.setdefault(what, seed)


@contextmanager
def _alarm() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise GaveUp

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, GIVE_UP_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
