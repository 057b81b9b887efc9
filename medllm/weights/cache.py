"""Where model files lie on this machine, and what their SHA-256 is.

``MEDLLM_CACHE`` names one folder or several, separated as in ``PATH``. New files go to ``models/`` in the first one; every one
is searched, so that a read-only folder shared by a team, or a disk carried into a closed network, can hold the models.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from medllm.weights.source import Report

_BLOCK = 1 << 20


def folders() -> tuple[Path, ...]:
    """The cache folders: those in ``MEDLLM_CACHE``, else the user's cache folder on this system."""
    named = tuple(Path(name).expanduser() for name in os.environ.get("MEDLLM_CACHE", "").split(os.pathsep) if name)
    if named:
        return named
    from platformdirs import user_cache_path

    return (user_cache_path("medllm", appauthor=False),)


def models_folder() -> Path:
    """The folder that fetched models are written to. It may not exist yet."""
    return folders()[0] / "models"


def candidates(file: str) -> Iterator[Path]:
    """The places in the cache where there is a file of this name, unchecked."""
    for folder in folders():
        for path in (folder / "models" / file, folder / file):
            if path.is_file():
                yield path


def checksum(path: Path, *, fresh: bool = False, report: Report | None = None) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    It is remembered in the cache under the file's path, size and time of change, never beside the file, which may be anybody's;
    ``fresh`` reads the file again all the same. Raises OSError where the file cannot be read.
    """
    stamp = _stamp(path)
    known = None if fresh else _read_stamp(_stamp_place(path))
    if known is not None and stamp.items() <= known.items():
        return str(known["sha256"])
    digest = read_checksum(path, report=report)
    _write_stamp(_stamp_place(path), {**stamp, "sha256": digest})
    return digest


def remember_checksum(path: Path, sha256: str) -> None:
    """Keep the hash of a file that has just been read, so that ``checksum`` need not read it again."""
    _write_stamp(_stamp_place(path), {**_stamp(path), "sha256": sha256})


def read_checksum(path: Path, *, report: Report | None = None) -> str:
    """SHA-256 of a file, read now and not remembered. Raises OSError."""
    import hashlib

    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if report:
                report(done, size)
    return digest.hexdigest()


def _stamp(path: Path) -> dict[str, object]:
    found = path.stat()
    return {"path": str(path.resolve()), "size": found.st_size, "mtime_ns": found.st_mtime_ns}


def _stamp_place(path: Path) -> Path:
    import hashlib

    return folders()[0] / "checksums" / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]}.json"


def _read_stamp(place: Path) -> dict[str, object] | None:
    import json

    try:
        stamp = json.loads(place.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and "sha256" in stamp else None


def _write_stamp(place: Path, stamp: dict[str, object]) -> None:
    import json
    from contextlib import suppress

    # A cache that cannot be written costs a second reading at the next start, nothing else.
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, json.dumps(stamp))


def write_atomically(path: Path, text: str) -> None:
    """Replace a small text file in one step. Raises OSError."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_text(text, "utf-8")
    fresh.replace(path)
