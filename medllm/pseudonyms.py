"""Pseudonyms: how a note or its file is named where logs are kept. File names often hold patients' names or record numbers.

A pseudonym is a keyed hash (HMAC-SHA-256, RFC 2104) of the note's id, the path below the input without its ending. The key is the
user's own, in a file that nobody else may read; ``medllm doctor --find note-... --in FOLDER`` finds the note again.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePath

from medllm.formats.files import open_private

PREFIX = "note-"
_DIGITS = 12
_KEY_BYTES = 32


def key_file() -> Path:
    """Where the user's key is."""
    from platformdirs import user_config_path

    return user_config_path("medllm", appauthor=False) / "names.key"


@cache
def _key(path: Path) -> bytes:
    """The key, made on first use; where it cannot be kept, one for this process alone."""
    made = secrets.token_bytes(_KEY_BYTES)
    with suppress(OSError):
        try:
            with open_private(path, "xb") as file:
                file.write(made)
        except FileExistsError:
            kept = path.read_bytes()
            return kept if len(kept) == _KEY_BYTES else made
    return made


def pseudonym(name: str) -> str:
    """``note-`` and twelve hexadecimal digits."""
    data = name.encode("utf-8", "surrogatepass")
    return PREFIX + hmac.new(_key(key_file()), data, hashlib.sha256).hexdigest()[:_DIGITS]


def of_path(path: str, below: str) -> str:
    """A path below a folder that may be told: the folder stays, and the ending."""
    rest = PurePath(path).relative_to(below)
    return str(PurePath(below) / (pseudonym(rest.with_suffix("").as_posix()) + rest.suffix))


def find(wanted: str, folder: Path) -> Iterator[str]:
    """The files below a folder, and the notes of a run directory or of JSON lines in it, that have this pseudonym."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        below = path.relative_to(folder)
        if pseudonym(below.with_suffix("").as_posix()) == wanted:
            yield str(path)
        elif path.suffix == ".jsonl":
            yield from (f"{path}: {name}" for name in _ids(path) if pseudonym(name) == wanted)


def _ids(path: Path) -> Iterator[str]:
    """Every id of a note that the lines of a file name, once."""
    seen: set[str] = set()
    with path.open("rb") as file:
        for raw in file:
            line = None
            with suppress(ValueError, RecursionError):
                line = json.loads(raw)
            for name in (line.get("note_id"), line.get("id")) if isinstance(line, dict) else ():
                if isinstance(name, str) and name not in seen:
                    seen.add(name)
                    yield name
