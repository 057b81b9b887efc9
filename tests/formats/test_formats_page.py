"""docs/formats.md says what the code does: every format, what it cannot hold, every input, every extra."""

import re
import tomllib
from pathlib import Path

import pytest

from medllm.formats import registry
from medllm.formats.discovery import ENDINGS, FORMATS
from medllm.formats.holding import HELD, Feature

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


def row(name: str) -> list[str]:
    (line,) = re.findall(rf"^\| `{re.escape(name)}` \|.*\|$", PAGE, re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("name", sorted(registry.WRITERS))
def test_what_a_format_cannot_hold(name: str) -> None:
    lost = [what.value for what in Feature if what not in HELD[name]]
    assert row(name)[-1] == (", ".join(lost) or "-")


def test_formats_that_are_only_read() -> None:
    assert {name: row(name)[-1] for name in registry.READERS.keys() - registry.WRITERS.keys()} == {}


def test_every_input_is_named() -> None:
    named = set(re.findall(r"`(\.\w+)`", PAGE))
    assert ENDINGS.keys() <= named
    assert all(f"`{name}:" in PAGE for name in set(FORMATS) - set(ENDINGS.values()))


def test_the_extras_are_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = set(re.findall(r"medllm\[(\w+)\]", PAGE))
    assert named == {"parquet", "spacy", "graph", "documents", "standards", "sql"}
    assert named <= extras.keys()
