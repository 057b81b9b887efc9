"""Runs that are disturbed at random: killed, out of room on the disk, and with files torn as a power cut leaves them."""

import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.runs import driver

FILES = ("extractions.jsonl", "ledger.jsonl", "usage.jsonl")
TORN = (*FILES, "schema.json", *(f"{name}.tmp" for name in (*FILES, "run.json")))
"""What a power cut may tear. ``run.json`` is replaced by a whole file that is on the disk, so it is whole, the old or the new one."""

DISTURBANCES = ("killed", "full disk", "torn")
ERRORS = "errors.txt"

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([driver.__name__])


def content(out: Path) -> dict[str, list[bytes]]:
    """The lines of a run directory, byte for byte, in an order of their own."""
    return {name: sorted((out / name).read_bytes().splitlines(keepends=True)) for name in FILES}


def write_notes(folder: Path, count: int, lines: Sequence[str]) -> None:
    """Notes of a few lines, an empty one, and a file that is not text."""
    folder.mkdir(parents=True)
    for n in range(count):
        (folder / f"n{n}.txt").write_text(f"Bed {n}.\n" + "".join(lines[: 1 + n % len(lines)]), encoding="utf-8")
    (folder / "empty.txt").write_text(" \n")
    (folder / "image.txt").write_bytes(b"\x89PNG\0\0\0")


class Disturber:
    """Disturbs runs over ``notes``. ``whole`` is the directory of an undisturbed one, made here; ``seconds`` is how long it took.

    ``counts`` are the disturbances that met a run in its midst.
    """

    def __init__(self, notes: Path, whole: Path, random: Random, delay: float) -> None:
        self.notes = notes
        self.random = random
        self.delay = delay
        self.counts: Counter[str] = Counter()
        assert self._finish(whole.with_name("first")) == 3, "the notes have entries in the ledger"
        started = time.monotonic()  # now that the processes' server is up
        assert self._finish(whole) == 3
        self.seconds = time.monotonic() - started
        self.whole = content(whole)
        self.largest = max((whole / name).stat().st_size for name in FILES)

    def chain(self, out: Path) -> None:
        """Disturb a run one to four times, then let it finish, and compare it with the undisturbed one."""
        for _ in range(self.random.randint(1, 4)):
            getattr(self, f"_{(kind := self.random.choice(DISTURBANCES)).replace(' ', '_')}")(out, kind)
        assert self._finish(out) == 3, "it was to finish, with entries in the ledger"
        assert content(out) == self.whole

    def _killed(self, out: Path, kind: str) -> None:
        process = self._start(out, 0)
        time.sleep(self.random.random() * self.seconds)
        process.kill()
        process.join()
        self.counts[kind] += process.exitcode == -9

    def _torn(self, out: Path, kind: str) -> None:
        self._killed(out, "killed before it was torn")
        torn = 0
        for path in (out / name for name in TORN):
            if path.exists() and self.random.random() < 0.5:
                self._tear(path)
                torn += 1
        self.counts[kind] += torn > 0

    def _tear(self, path: Path) -> None:
        """Lose the last bytes of a file, or find others in their place."""
        lost = self.random.randint(16, 4096)
        kept = path.read_bytes()[:-lost]
        found = self.random.choice((b"", bytes(lost), self.random.randbytes(lost)))
        path.write_bytes(kept + found)

    def _full_disk(self, out: Path, kind: str) -> None:
        process = self._start(out, self.random.randint(1, self.largest))
        process.join()
        assert process.exitcode == 1, "it was to stop with an error"
        self.counts[kind] += 1

    def _finish(self, out: Path) -> int | None:
        process = self._start(out, 0)
        process.join()
        return process.exitcode

    def _start(self, out: Path, most: int) -> "multiprocessing.process.BaseProcess":
        out.parent.mkdir(parents=True, exist_ok=True)
        process = _processes.Process(target=_run, args=(str(self.notes), str(out), str(self.delay), str(most)))
        process.start()
        return process


def _run(notes: str, out: str, delay: str, most: str) -> None:
    with open(Path(out).parent / ERRORS, "a") as errors:
        os.dup2(errors.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    sys.exit(driver.main(notes, out, delay, most))
