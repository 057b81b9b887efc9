"""Who ran what, when, and what came of it: the part of ``run.json`` that an audit asks for.

``run.json`` names what decided the result (``configuration``: schema, prompts, models and taggers, each with its SHA-256), every start of a
run in the folder (``runs``) and the files' sums (``files``). ``extractions.jsonl`` names for each note the SHA-256 of its text and for each
mention the reader and the model that found it; ``ledger.jsonl`` what was not read.
"""

import datetime
import getpass
import hashlib
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


def who() -> dict[str, str]:
    """The user and the machine, as the system names them; what it does not name is left out."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name
        user = ""
    return {name: value for name, value in (("user", user), ("host", platform.node())) if value}


def now() -> str:
    """The time in UTC, to the second (ISO 8601)."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def begun() -> dict[str, Any]:
    """The record of a run that begins."""
    return {**who(), "started": now(), "state": "running"}


def ended(run: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a run that has ended: its state, what it did, and by which versions."""
    of_this_run = result.get("this_run", {})
    kept = {name: result[name] for name in ("state", "versions") if name in result}
    return {**run, "finished": now(), **of_this_run, **kept}


def sums(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Size in bytes and SHA-256 of the files of a folder that are there. Raises OSError."""
    found = {}
    for name in names:
        path = folder / name
        if path.is_file():
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
            found[name] = {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
    return found
