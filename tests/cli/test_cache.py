"""``extract --cache`` and ``medllm cache``, as a user meets them."""

from pathlib import Path

import pytest

from medllm.engines.completion_cache import place
from tests.cli.test_commands import MARKER, extract, medllm, notes, recording

__all__ = ["notes", "recording"]  # fixtures


def test_answers_are_kept_only_if_asked_for_and_until_they_are_purged(notes: Path, recording: str, tmp_path: Path) -> None:
    cache, where = str(tmp_path / "cache"), ("--cache-dir", str(tmp_path / "cache"))
    first = extract(notes, recording, "-o", str(tmp_path / "one"), "--cache", *where)
    assert "from the cache" not in first.stderr
    second = extract(notes, recording, "-o", str(tmp_path / "two"), "--cache", *where)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "4 answers from the cache" in second.stderr
    lines = [sorted((tmp_path / out / "extractions.jsonl").read_text().splitlines()) for out in ("one", "two")]
    assert lines[0] == lines[1]
    path, answers, size, oldest, newest = medllm("cache", "info", *where).stdout.rstrip("\n").split("\t")
    assert (Path(path).parent, answers, oldest) == (Path(cache), "4", newest)
    assert int(size) > 0
    assert "4 answers deleted" in medllm("cache", "purge", *where).stderr
    assert medllm("cache", "info", *where).stdout.split("\t")[1] == "0"


def test_a_damaged_cache_is_one_warning(notes: Path, recording: str, tmp_path: Path) -> None:
    place(tmp_path).write_bytes(b"no database " * 400)
    done = extract(notes, recording, "-o", str(tmp_path / "out"), "--cache", "--cache-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: the completion cache") == 1
    assert MARKER not in done.stderr
    purged = medllm("cache", "purge", "--cache-dir", str(tmp_path))
    assert (purged.returncode, purged.stderr) == (0, "the damaged cache is removed\n")


@pytest.mark.parametrize("options", [("--cache-dir", "x"), ("--cache", "--readers", "tagger")])
def test_options_that_say_nothing_are_wrong_usage(notes: Path, options: tuple[str, ...]) -> None:
    done = medllm("extract", str(notes), "-o", "out", *options)
    assert done.returncode == 2
    assert "hint: " in done.stderr
