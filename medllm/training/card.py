"""The frame of a model card: what every card says, in the same order and words."""

import datetime
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CAUTION = "It helps people who read clinical notes at scale; it is no medical device and decides nothing about a patient."


def write_card_file(
    folder: Path,
    *,
    front: Mapping[str, str],
    name: str,
    about: Sequence[str],
    data: Sequence[str],
    remarks: Sequence[str],
    scores: Sequence[str],
    command: str,
    settings: Mapping[str, Any],
    versions: str,
    digests: str,
) -> Path:
    """Write ``README.md``: the front matter, then lines on what it is, data, scores, and how it was made."""
    lines = [
        "---",
        *(f"{key}: {value}" for key, value in front.items()),
        "---",
        "",
        f"# {name}",
        "",
        *about,
        CAUTION,
        "",
        "## Data",
        "",
        *data,
        *(["", *remarks] if remarks else []),
        "",
        "## Scores",
        "",
        *scores,
        "",
        "## How it was made",
        "",
        f"`{command}`",
        "",
        ", ".join(f"{key} {value}" for key, value in settings.items()),
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}, {versions}",
        "",
        digests,
    ]
    path = folder / "README.md"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
