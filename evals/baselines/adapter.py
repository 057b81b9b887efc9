"""What every adapter shares: folds in, medllm JSON lines out. Standard library only, so that it runs in any system's environment.

An adapter is a script ``SYSTEM.py FOLDS.jsonl OUT.jsonl [options]`` with a function ``predict(fold, options)`` that yields, for each
note of the fold, its id and what was found. It sees the fold's training sentences and the texts of its notes, never their gold.
Exit code 77: skipped, and the last line of stderr says why.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SKIPPED = 77

lost: Counter[str] = Counter()
"""What a system found and could not be kept, and notes that it failed at, by reason."""


class Skip(Exception):
    """The system cannot run here; the message says why."""


@dataclass(frozen=True)
class Found:
    """A mention: half-open offsets in code points of its text, and the system's own score where it has one."""

    start: int
    end: int
    label: str
    attributes: dict[str, str] = field(default_factory=dict)
    score: float | None = None


@dataclass(frozen=True)
class Sentence:
    """A training sentence with its gold mentions."""

    text: str
    mentions: tuple[Found, ...]


@dataclass(frozen=True)
class Fold:
    """Notes to read, (id, text), and the sentences of other notes to learn from. ``guidelines`` are by label."""

    notes: tuple[tuple[str, str], ...]
    train: tuple[Sentence, ...]
    guidelines: dict[str, str]

    @property
    def labels(self) -> list[str]:
        return list(self.guidelines)


Predict = Callable[[Fold, argparse.Namespace], Iterator[tuple[str, Sequence[Found]]]]


AddOptions = Callable[[argparse.ArgumentParser], None]


def main(system: str, predict: Predict, packages: Sequence[str], add_options: AddOptions = lambda _: None) -> None:
    """Read the folds, write the predictions, and print one JSON line that says what was done, with what."""
    parser = argparse.ArgumentParser(prog=system)
    parser.add_argument("folds", type=Path)
    parser.add_argument("output", type=Path)
    add_options(parser)
    options = parser.parse_args()
    started, begun, notes, found = time.process_time(), time.perf_counter(), 0, 0
    temporary = options.output.with_suffix(".tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline="\n") as file:
            for fold in read_folds(options.folds):
                texts = dict(fold.notes)
                for note_id, mentions in predict(fold, options):
                    file.write(line(system, note_id, texts[note_id], mentions) + "\n")
                    notes, found = notes + 1, found + len(mentions)
    except Skip as reason:
        temporary.unlink(missing_ok=True)
        print(f"{system}: {reason}", file=sys.stderr)
        sys.exit(SKIPPED)
    temporary.replace(options.output)
    given = {k: str(v) for k, v in vars(options).items() if k not in ("folds", "output", "api_key") and v is not None}
    versions = {package: importlib.metadata.version(package) for package in packages} | {"python": sys.version.split()[0]}
    status = {"system": system, "notes": notes, "mentions": found, "cpu_seconds": round(time.process_time() - started, 1)}
    status |= {"seconds": round(time.perf_counter() - begun, 1), "lost": dict(lost), "options": given, "versions": versions}
    print(json.dumps(status))


def require(package: str, install: str) -> None:
    """Skip where a package is not installed."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise Skip(f"{package} is not installed in this environment ({install})") from None


def read_folds(path: Path) -> Iterator[Fold]:
    for raw in path.read_text(encoding="utf-8", errors="surrogatepass").splitlines():
        data = json.loads(raw)
        train = (Sentence(s["text"], tuple(Found(*m) for m in s["mentions"])) for s in data["train"])
        yield Fold(tuple((n["id"], n["text"]) for n in data["notes"]), tuple(train), data["guidelines"])


def line(system: str, note_id: str, text: str, mentions: Sequence[Found]) -> str:
    """One note as ``medllm.formats.jsonl`` reads it."""
    entities = [
        {
            "id": f"T{number}",
            "label": m.label,
            "spans": [[m.start, m.end]],
            "text": text[m.start : m.end],
            "attributes": m.attributes,
            "votes": [{"reader": "baseline", "model": system, "score": m.score}],
        }
        for number, m in enumerate(sorted(mentions, key=lambda m: (m.start, m.end, m.label)), 1)
    ]
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    record = {"version": 1, "note_id": note_id, "sha256": digest, "text": text, "entities": entities}
    return re.sub("[\x85\u2028\u2029]", lambda m: f"\\u{ord(m[0]):04x}", json.dumps(record, ensure_ascii=False))


def example_sentences(fold: Fold, count: int) -> list[Sentence]:
    """Few-shot examples: training sentences of middling length with the most labels, the first of each kind; always the same ones."""
    fitting = [s for s in fold.train if 40 <= len(s.text) <= 250]
    ranked = sorted(fitting, key=lambda s: (-len({m.label for m in s.mentions}), -len(s.mentions), s.text))
    chosen: list[Sentence] = []
    for label in fold.labels:
        chosen += [s for s in ranked if s not in chosen and any(m.label == label for m in s.mentions)][: max(1, count // len(fold.labels))]
    return chosen[:count]


def windows(text: str, words: int) -> Iterator[tuple[int, int]]:
    """Whole lines of a text, as many as hold at most so many words together; (start, end) offsets."""
    start = end = count = 0
    for line in text.splitlines(keepends=True):
        size = len(line.split())
        if count and count + size > words:
            yield start, end
            start, count = end, 0
        end, count = end + len(line), count + size
    if count:
        yield start, end


def add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base-url", help="an OpenAI-compatible server; without it the system is skipped")
    parser.add_argument("--model", help="the model's name on the server")
    parser.add_argument("--api-key", default=os.environ.get("OPENAI_API_KEY", "none"))
    parser.add_argument("--examples", type=int, default=8, help="few-shot examples, from the training sentences")


def server(options: argparse.Namespace) -> tuple[str, str, str]:
    """Address, model and key. Skips where no server is named."""
    if not options.base_url or not options.model:
        raise Skip("no server: give --base-url and --model")
    return options.base_url, options.model, options.api_key
