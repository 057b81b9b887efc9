"""The run directory: what a run has done, written so that it can be stopped at any moment and taken up again.

``extractions.jsonl`` holds one line a note and is the record of what is done: a note's ledger and usage lines are written
before it, so whatever has no extraction line is dropped and done again. Everything is patients' data: owner-only.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from medllm.document import Extraction, LedgerEntry, Note
from medllm.errors import RunError
from medllm.formats import jsonl
from medllm.formats.files import open_private, private_folder
from medllm.pipeline import UNREAD, Reading, RequestUsage
from medllm.schema import Schema

EXTRACTIONS = "extractions.jsonl"
LEDGER = "ledger.jsonl"
USAGE = "usage.jsonl"
SCHEMA = "schema.json"
MANIFEST = "run.json"


class RunDirectory:
    """An output folder, locked while open.

    ``configuration`` is what decides the result (schema, model, layout, ...); a folder that was written with another one is
    refused with a RunError, unless ``fresh`` says to begin anew.
    """

    def __init__(self, path: str | Path, schema: Schema, configuration: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = Path(path)
        try:
            private_folder(self.path)
            self._lock = FileLock(self.path / ".lock", timeout=0)
            self._lock.acquire()
        except Timeout:
            raise RunError(f"another run is writing to {self.path}", hint="wait for it, or give another -o") from None
        except OSError as error:
            raise RunError(f"cannot write to {self.path}: {error.strerror}", hint="give another -o") from None
        try:
            self.configuration = json.loads(json.dumps(configuration))
            if fresh:
                for name in (EXTRACTIONS, LEDGER, USAGE, SCHEMA, MANIFEST):
                    (self.path / name).unlink(missing_ok=True)
            self._check_configuration()
            self._done = self._recover()
            self._write_whole(SCHEMA, json.dumps(schema.to_json(), ensure_ascii=False, indent=1))
            self._files: dict[str, TextIO] = {name: open_private(self.path / name, "a") for name in (EXTRACTIONS, LEDGER, USAGE)}
        except BaseException:
            self._lock.release()
            raise

    def is_done(self, note: Note) -> bool:
        """True if this very text was read under this id, wholly."""
        return self._done.get(note.id) == note.sha256

    @property
    def notes_done(self) -> int:
        """Number of notes with a line in ``extractions.jsonl``."""
        return len(self._done)

    def forget(self, note_id: str) -> None:
        """Drop a note whose text has changed, before it is read again."""
        if note_id in self._done:
            self._close_files()
            del self._done[note_id]
            self._compact(set(self._done))
            self._files = {name: open_private(self.path / name, "a") for name in (EXTRACTIONS, LEDGER, USAGE)}

    def write(self, reading: Reading) -> None:
        """Keep the reading of one note: usage, ledger, and then the line that makes it done."""
        for request in reading.requests:
            self._files[USAGE].write(_usage_line(request))
        self.write_ledger(reading.extraction.ledger)
        for name in (USAGE, LEDGER):
            self._flush(name)
        self._files[EXTRACTIONS].write(jsonl.dump(reading.extraction) + "\n")
        self._flush(EXTRACTIONS)
        self._done[reading.extraction.note.id] = reading.extraction.note.sha256

    def write_ledger(self, entries: Iterable[LedgerEntry]) -> None:
        """Keep ledger entries, those of notes that have no extraction too."""
        for entry in entries:
            self._files[LEDGER].write(entry.model_dump_json(exclude_none=True) + "\n")

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write ``run.json``: the configuration, and what came of the run."""
        for name in (USAGE, LEDGER, EXTRACTIONS):
            self._flush(name)
        self._write_whole(MANIFEST, json.dumps({"version": 1, "configuration": self.configuration, **result}, ensure_ascii=False, indent=1))

    def close(self) -> None:
        """Close the files and give back the lock."""
        self._close_files()
        self._lock.release()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _check_configuration(self) -> None:
        try:
            before = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))["configuration"]
        except FileNotFoundError:
            before = None
        except (ValueError, KeyError, OSError):
            raise RunError(f"{self.path / MANIFEST} is not readable", hint="give another -o, or --fresh to begin anew") from None
        if before is not None and before != self.configuration:
            changed = sorted(k for k in {*before, *self.configuration} if before.get(k) != self.configuration.get(k))
            raise RunError(f"{self.path} was written with another {', '.join(changed)}", hint="give another -o, or --fresh to begin anew")
        if before is None:
            if (self.path / EXTRACTIONS).exists():
                raise RunError(f"{self.path} holds extractions of an unknown run", hint="give another -o, or --fresh to begin anew")
            self._write_whole(MANIFEST, json.dumps({"version": 1, "configuration": self.configuration, "state": "running"}, indent=1))

    def _recover(self) -> dict[str, str]:
        """What is done, after dropping torn lines, notes that were not read wholly, and what belongs to no finished note."""
        unread = {entry["note_id"] for entry in _lines(self.path / LEDGER) if entry.get("reason") in UNREAD}
        done = {line["note_id"]: line["sha256"] for line in _lines(self.path / EXTRACTIONS) if line["note_id"] not in unread}
        self._compact(set(done))
        return done

    def _compact(self, keep: set[str]) -> None:
        for name in (EXTRACTIONS, LEDGER, USAGE):
            path = self.path / name
            if not path.exists():
                continue
            temporary = path.with_suffix(".tmp")
            seen: set[str] = set()
            with open_private(temporary, "w") as file:
                for raw, line in _raw_lines(path):
                    note_id = line.get("note_id")
                    if note_id in keep and not (name == EXTRACTIONS and note_id in seen):
                        seen.add(note_id)
                        file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)

    def _flush(self, name: str) -> None:
        self._files[name].flush()
        os.fsync(self._files[name].fileno())

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()

    def _write_whole(self, name: str, text: str) -> None:
        temporary = self.path / f"{name}.tmp"
        with open_private(temporary, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)


def _usage_line(request: RequestUsage) -> str:
    line = {k: v for k, v in asdict(request).items() if k != "usage"} | asdict(request.usage)
    return json.dumps(line | {"seconds": round(request.usage.seconds, 3)}, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Run:
    """A run directory as it was written, read without the schema's own code."""

    schema: Schema
    extractions: list[Extraction]
    ledger: list[dict[str, Any]]
    manifest: dict[str, Any]


def read_run(path: str | Path) -> Run:
    """Read a run directory. Raises RunError if it is none."""
    folder = Path(path)
    if not (folder / EXTRACTIONS).is_file():
        raise RunError(f"{folder} is not a run directory", hint="give the OUT of `medllm extract ... -o OUT`")
    schema = Schema.load(folder / SCHEMA)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = {}
    ledger = list(_lines(folder / LEDGER))
    return Run(schema, list(jsonl.read(folder / EXTRACTIONS, schema)), ledger, manifest)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    return (line for _, line in _raw_lines(path))


def _raw_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The whole lines of a JSON-lines file; a torn one is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="surrogatepass", newline="\n") as file:
        for raw in file:
            with suppress(ValueError):
                if raw.endswith("\n") and isinstance(line := json.loads(raw), dict):
                    yield raw, line
