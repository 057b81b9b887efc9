"""Two runs, one folder: one of them writes, and where nobody can tell which, nobody does."""

import errno
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from medllm.errors import RunError
from tests.runs import driver
from tests.runs.conftest import content, go, notes


def _start_together(barrier: Any, notes: str, out: str) -> None:
    barrier.wait()
    raise SystemExit(driver.main(notes, out, "0.1"))


def test_runs_that_start_at_the_same_moment_do_not_mix(folder: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([driver.__name__])
    barrier = context.Barrier(3)
    arguments = (barrier, str(folder), str(tmp_path / "out"))
    processes = [context.Process(target=_start_together, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    codes = [process.exitcode for process in processes]
    assert 3 in codes, "one of them finished"
    assert set(codes) <= {1, 3}, "the others were refused, or came when it was finished"
    go(folder, tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(RunError, match="cannot lock files") as caught:
        go(notes(2), tmp_path / "out")
    assert "local disk" in caught.value.hint
    assert {file.name for file in (tmp_path / "out").iterdir()} <= {".lock"}
