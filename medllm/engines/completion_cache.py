"""The completion cache: answers by the SHA-256 of everything that decided them, in one SQLite file.

It holds no prompts, but its answers quote the notes: it is patients' data, and its owner's alone (file 0600, folder 0700). Several
processes may share it. What is deleted is overwritten (``secure_delete``), and ``purge`` leaves an empty file.
"""

import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from medllm.errors import CacheError
from medllm.formats.files import private_folder

FILE = "completions-1.sqlite"
"""The number is that of what a row holds: another version of it has a file of its own."""

WAIT = 10.0
"""Seconds to wait for another process that is writing."""

DAY = 86_400
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_HINT = "medllm cache purge removes a damaged one; --cache-dir names another place"
_TABLE = "CREATE TABLE IF NOT EXISTS completions (key BLOB PRIMARY KEY, made INTEGER, packed BLOB, crc INTEGER) WITHOUT ROWID"

_T = TypeVar("_T")


def place(folder: str | Path | None = None) -> Path:
    """The cache's file: in ``folder``, else in the user's own cache folder; never in that of MEDLLM_CACHE, which a team may share."""
    if folder is None:
        from platformdirs import user_cache_path

        folder = user_cache_path("medllm", appauthor=False) / "completions"
    return Path(folder) / FILE


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds: answers, bytes on the disk, and the days of the oldest and the newest answer (``YYYY-MM-DD``)."""

    path: Path
    answers: int = 0
    bytes: int = 0
    oldest: str = ""
    newest: str = ""


class CompletionCache:
    """Bytes by 32-byte keys, in ``folder`` (else the user's own). One that is damaged or cannot be used raises CacheError.

    A row that is not what was written, as its checksum says, counts as missing. May be used from several threads and processes.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.path = place(folder)
        self._lock = threading.Lock()
        with self._using():
            private_folder(self.path.parent)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            os.close(descriptor)
            self.path.chmod(0o600)  # the files that SQLite keeps beside it get the same
            self._database = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        try:
            with self._using():
                self._prepare()
        except BaseException:
            self._database.close()
            raise

    def get(self, key: bytes) -> bytes | None:
        """What was put under a key."""
        row = self._do(lambda db: db.execute("SELECT packed, crc FROM completions WHERE key = ?", (key,)).fetchone())
        if row is None or not isinstance(row[0], bytes) or zlib.crc32(key + row[0]) != row[1]:
            return None
        return zlib.decompress(row[0])

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value; the newer of two with the same key counts."""
        packed = zlib.compress(value)
        row = key, int(time.time()), packed, zlib.crc32(key + packed)
        self._do(lambda db: db.execute("INSERT OR REPLACE INTO completions VALUES (?, ?, ?, ?)", row))

    def info(self) -> CacheInfo:
        """What the cache holds."""
        question = "SELECT count(*), date(min(made), 'unixepoch'), date(max(made), 'unixepoch') FROM completions"
        answers, oldest, newest = self._do(lambda db: db.execute(question).fetchone())
        beside = (self.path.with_name(f"{self.path.name}{ending}") for ending in ("", "-wal", "-shm"))
        return CacheInfo(self.path, answers, sum(p.stat().st_size for p in beside if p.exists()), oldest or "", newest or "")

    def purge(self, older_than_days: float = 0) -> int:
        """Delete the answers that are so old, all of them for 0, overwrite where they stood, and say how many they were."""
        before = time.time() - older_than_days * DAY if older_than_days else float("inf")
        gone = self._do(lambda db: db.execute("DELETE FROM completions WHERE made < ?", (before,)).rowcount)
        self._do(lambda db: db.execute("VACUUM"))
        self._do(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        return gone

    def close(self) -> None:
        """Close the file. May be called twice."""
        with self._lock:
            self._database.close()

    def _prepare(self) -> None:
        self._database.execute("PRAGMA secure_delete = ON")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")  # after a power cut the last answers may be missing, no more
        self._database.execute(_TABLE)

    def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._lock, self._using():
            return work(self._database)

    @contextmanager
    def _using(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            name = str(getattr(error, "sqlite_errorname", ""))
            why = name or getattr(error, "strerror", None) or type(error).__name__
            message = f"the completion cache {self.path} cannot be used: {why}"
            raise CacheError(message, hint=_HINT, damaged=name.startswith(_DAMAGED)) from None


def purge(folder: str | Path | None = None, older_than_days: float = 0) -> int | None:
    """Empty a cache; a damaged one is removed, and then the number is not known (None). Raises CacheError."""
    path = place(folder)
    if not path.exists():
        return 0
    try:
        cache = CompletionCache(folder)
        try:
            return cache.purge(older_than_days)
        finally:
            cache.close()
    except CacheError as error:
        if older_than_days or not error.damaged:
            raise
    for ending in ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
    return None
