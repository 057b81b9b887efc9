"""The run directory: what a run has done, written so that it can be stopped at any moment and taken up again.

``extractions.jsonl`` holds one line a note and is the record of what is done: a note's ledger and usage lines are written
before it, and it says how many they are, so whatever is not all there is dropped and done again. All three kinds of line name the
note and the SHA-256 of its text; those of a text that has been read anew since are dropped at the end. Everything is patients' data:
owner-only.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from medllm.digests import DigestMap, digest
from medllm.document import Extraction, LedgerEntry, Note
from medllm.errors import RunError
from medllm.formats import jsonl
from medllm.formats.files import open_private, private_folder
from medllm.reading import Reading, RequestUsage
from medllm.runs import audit
from medllm.runs.accounting import Accounts, add_up, count, key, text_of
from medllm.runs.ledger import INPUT, WORTH_ANOTHER_TRY
from medllm.schema import Schema

EXTRACTIONS = "extractions.jsonl"
LEDGER = "ledger.jsonl"
USAGE = "usage.jsonl"
SCHEMA = "schema.json"
MANIFEST = "run.json"

_LINES = (EXTRACTIONS, LEDGER, USAGE)
_ANOTHER = "give another -o, or --fresh to begin anew"
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}


class RunDirectory:
    """An output folder, locked while open.

    ``configuration`` is what decides the result (schema, model, layout, ...); a folder that was written with another one is
    refused with a RunError, unless ``fresh`` says to begin anew. Notes that the engine did not answer for are not counted as
    done. Raises RunError wherever the folder cannot be written.
    """

    def __init__(self, path: str | Path, schema: Schema, configuration: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = Path(path)
        self.configuration = json.loads(json.dumps(configuration))
        self._files: dict[str, TextIO] = {}
        self._done = DigestMap()
        self._changed = False
        self._runs: list[dict[str, Any]] = []
        with self._writing():
            private_folder(self.path)
            self._lock = self._locked()
        try:
            with self._writing():
                if fresh:
                    for name in (*_LINES, SCHEMA, MANIFEST):
                        (self.path / name).unlink(missing_ok=True)
                self._check_configuration()
                self._runs.append(audit.begun())
                self._recover()
                self._write_whole(SCHEMA, schema.to_json())
                self._write_manifest({"state": "running"})
                self._files = {name: open_private(self.path / name, "a") for name in _LINES}
        except BaseException:
            self.close()
            raise

    def is_done(self, note: Note) -> bool:
        """True if this very text was read under this id."""
        return self._done.get(note.id) == digest(note.sha256)

    @property
    def notes_done(self) -> int:
        """Number of notes that were read, in this run and before it."""
        return len(self._done)

    def write(self, reading: Reading) -> None:
        """Keep the reading of one note: usage, ledger, and then the line that makes it done."""
        note = reading.extraction.note
        sha256 = note.sha256
        with self._writing():
            self._append(USAGE, (_usage(request) | {"sha256": sha256} for request in reading.requests))
            self._append(LEDGER, (_entry(entry) | {"sha256": sha256} for entry in reading.extraction.ledger))
            self._files[EXTRACTIONS].write(
                jsonl.dump(
                    reading.extraction,
                    read=reading.read,
                    **({"left": reading.left} if reading.left else {}),
                    requests=len(reading.requests),
                )
                + "\n"
            )
            self._flush(EXTRACTIONS)
        self._changed |= self._done.get(note.id) != 0
        self._done.set(note.id, digest(sha256))

    def write_unread(self, entry: LedgerEntry) -> None:
        """Keep the ledger entry of an input that is no note. Those of earlier runs are gone: each run is told its inputs again."""
        with self._writing():
            self._append(LEDGER, [_entry(entry)])

    def account(self) -> Accounts:
        """What the whole directory adds up to, of this run and of those before it, once what belongs to changed texts is dropped."""
        with self._writing():
            self._drop_changed()
            return add_up(*(_lines(self.path / name) for name in _LINES))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Drop what belongs to texts that have changed, and write ``run.json``: the configuration, what came of the run, and its sums."""
        with self._writing():
            self._drop_changed()
            self._runs[-1] = audit.ended(self._runs[-1], result)
            self._write_manifest({**result, "files": audit.sums(self.path, (*_LINES, SCHEMA))})

    def close(self) -> None:
        """Close the files and give back the lock."""
        try:
            with self._writing():
                self._close_files()
        finally:
            self._lock.release()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _locked(self) -> FileLock:
        """A lock of the kernel's: it goes when its process is killed, as one that is a mere file would not."""
        lock = FileLock(self.path / ".lock", timeout=0, mode=0o600, fallback_to_soft=False)
        try:
            lock.acquire()
        except Timeout:
            raise RunError(f"another run is writing to {self.path}", hint="wait for it, or give another -o") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise RunError(
                f"the file system of {self.path} cannot lock files, so two runs could write there at once",
                hint="give an -o on a local disk, and copy the folder when the run is finished",
            ) from None
        return lock

    def _check_configuration(self) -> None:
        try:
            manifest = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
            before = dict(manifest["configuration"])
            self._runs = [dict(run) for run in manifest.get("runs", ())]
        except FileNotFoundError:
            if (self.path / EXTRACTIONS).exists():
                raise RunError(f"{self.path} holds extractions of an unknown run", hint=_ANOTHER) from None
            return
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{self.path / MANIFEST} is not readable", hint=_ANOTHER) from None
        if before != self.configuration:
            changed = sorted(k for k in {*before, *self.configuration} if before.get(k) != self.configuration.get(k))
            raise RunError(f"{self.path} was written with another {', '.join(changed)}", hint=_ANOTHER)

    def _recover(self) -> None:
        """Learn what is done, and drop torn lines, notes to be tried again, and what belongs to no note that is done.

        An extraction holds its own ledger entries and its number of requests: a note whose lines in the other files are not all there
        is not done either.
        """
        kept, asked = count(_lines(self.path / LEDGER)), count(_lines(self.path / USAGE))
        for line in _lines(self.path / EXTRACTIONS):
            (name, sha256), entries = text_of(line), line.get("ledger", [])
            whole = kept.get(key(line)) == len(entries) and asked.get(key(line)) == line.get("requests")
            again = any(entry["reason"] in WORTH_ANOTHER_TRY for entry in entries)
            self._done.set(name, digest(sha256) if whole and not again else 0)
        self._compact(keep_unread=False)

    def _is_current(self, line: Mapping[str, Any]) -> bool:
        name, sha256 = text_of(line)
        return self._done.get(name) == digest(sha256)

    def _drop_changed(self) -> None:
        if self._changed:
            self._close_files()
            self._compact(keep_unread=True)
            self._changed = False

    def _compact(self, *, keep_unread: bool) -> None:
        for name in _LINES:
            path = self.path / name
            if not path.exists():
                continue
            with _replacing(path) as file:
                for raw, line in _raw_lines(path):
                    if keep_unread if line.get("reader") == INPUT else self._is_current(line):
                        file.write(raw)

    def _append(self, name: str, lines: Iterable[Mapping[str, Any]]) -> None:
        for line in lines:
            self._files[name].write(json.dumps(line, ensure_ascii=False) + "\n")
        self._flush(name)

    def _flush(self, name: str) -> None:
        self._files[name].flush()
        os.fsync(self._files[name].fileno())

    def _close_files(self) -> None:
        with ExitStack() as closing:
            while self._files:
                closing.callback(self._files.popitem()[1].close)

    def _write_manifest(self, result: Mapping[str, Any]) -> None:
        self._write_whole(MANIFEST, {"version": 1, "configuration": self.configuration, **result, "runs": self._runs})

    def _write_whole(self, name: str, content: Mapping[str, Any]) -> None:
        with _replacing(self.path / name) as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise RunError(f"cannot write to {self.path}: {why}", hint="is there space, and may you write there?") from None


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A file that takes the place of ``path`` once it is whole and on the disk."""
    temporary = path.with_name(f"{path.name}.tmp")
    with open_private(temporary, "w") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    if hasattr(os, "O_DIRECTORY"):  # the new name too is to outlast a power cut
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _entry(entry: LedgerEntry) -> dict[str, Any]:
    return entry.model_dump(exclude_none=True)


def _usage(request: RequestUsage) -> dict[str, Any]:
    line = {k: v for k, v in asdict(request).items() if k != "usage"} | asdict(request.usage)
    if not request.from_cache:
        del line["from_cache"]
    return line | {"seconds": round(request.usage.seconds, 3)}


@dataclass(frozen=True)
class Run:
    """A run directory as it was written, read without the schema's own code."""

    schema: Schema
    extractions: list[Extraction]
    ledger: list[dict[str, Any]]
    manifest: dict[str, Any]

    @property
    def summary(self) -> dict[str, Any]:
        """The manifest, with the model, the tagger, the engine and medllm's version of its configuration first."""
        configuration = self.manifest.get("configuration", {})
        named = {"model": "model", "tagger": "tagger", "engine": "engine", "version": "medllm"}
        first = {name: configuration[key] for name, key in named.items() if key in configuration}
        return first | {key: value for key, value in self.manifest.items() if key not in ("version", "runs", "files")}


def read_run(path: str | Path) -> Run:
    """Read a run directory, one that was stopped or is being written too. Raises RunError if it is none."""
    folder = Path(path)
    file = folder / EXTRACTIONS
    if not file.is_file():
        raise RunError(f"{folder} is not a run directory", hint="give the OUT of `medllm extract ... -o OUT`")
    schema = Schema.load(folder / SCHEMA)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = {}
    latest = {}
    for number, (raw, _) in enumerate(_raw_lines(file), 1):
        extraction = jsonl.load(raw, schema, path=str(file), number=number)
        latest[extraction.note.id] = extraction
    return Run(schema, list(latest.values()), list(_lines(folder / LEDGER)), manifest)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    return (line for _, line in _raw_lines(path))


def _raw_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The whole lines of a JSON-lines file; a torn one is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for raw in file:
            with suppress(ValueError):  # a torn line may end within a character
                text = raw.decode("utf-8", "surrogatepass")
                if text.endswith("\n") and isinstance(line := json.loads(text), dict):
                    yield text, line
