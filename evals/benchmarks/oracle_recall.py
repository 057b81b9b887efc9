"""Oracle recall: how much of each development corpus a reader could write under the grammar, if it knew the gold.

    MEDLLM_DATA=... python evals/benchmarks/oracle_recall.py -o evals/results/oracle_recall.json

Every note is split into the lines that prompts show. A gold mention is placed on the pieces of one line; the answer of the line,
written with all mentions placed there, must be taken by llguidance under the line's grammar, and be read back as the same mentions.
(A chunk's grammar is that of its lines one after the other, so that lines can be tried one by one.) The same label on the same
spans counts once. Exits with 1 where a corpus is below 0.995.
"""

import argparse
import collections
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import regex
from llguidance import LLMatcher, LLTokenizer
from machine import cpu_model

from medllm.formats import registry
from medllm.grammar.constraint import Constraint
from medllm.grammar.layout import MAX_REPEATED, MAX_SAME_START, Found, Label, Part, Slot, get_layout, is_separator
from medllm.text.lines import Line, split_lines

REQUIRED = 0.995
GAP = regex.compile(r"[\s\p{Cc}\p{Cf}\p{Cs}]")
BYTES = LLTokenizer("byte")


@dataclass(frozen=True)
class Corpus:
    """Where a corpus lies below MEDLLM_DATA, its format, and how its mentions are asked for (all labels unless some are named)."""

    name: str
    format: str
    paths: tuple[str, ...]
    labels: tuple[str, ...] = ()
    nested: bool = True


CORPORA = (
    Corpus("kiwi-mtsamples", "brat", ("kiwi-mtsamples/train",)),
    Corpus("kiwi-mtsamples, flat, main labels", "brat", ("kiwi-mtsamples/train",), ("problem", "test", "treatment", "drug"), nested=False),
    Corpus("gpt-mtsamples", "conll", ("gpt-mtsamples/train", "gpt-mtsamples/valid")),
    Corpus("maccrobat", "brat", ("maccrobat/train",)),
    Corpus("chia", "brat", ("chia/train",)),
    Corpus("phee", "brat", ("phee/train", "phee/dev")),
    Corpus("ncbi-disease", "brat", ("ncbi-disease/train", "ncbi-disease/dev")),
    Corpus("bc5cdr", "pubtator", ("bc5cdr/train.PubTator.txt", "bc5cdr/dev.PubTator.txt")),
    Corpus("biored", "pubtator", ("biored/train.PubTator.txt", "biored/dev.PubTator.txt")),
    Corpus("cehrner", "cehrner", ("cehrner/train.json", "cehrner/dev.json")),
)


@dataclass
class Tally:
    """What was counted in one note."""

    gold: int
    lines: int
    longest: int
    missed: collections.Counter[str]


Mention = tuple[str, tuple[tuple[int, int], ...]]  # the label, and the offsets of each part


def try_note(labels: tuple[Label, ...], nested: bool, note: tuple[str, frozenset[Mention]]) -> Tally:
    """Place and try the mentions of one note."""
    text, mentions = note
    lines = split_lines(text)
    starts = {p.start: (n, i) for n, line in enumerate(lines) for i, p in enumerate(line.pieces)}
    ends = {p.end: (n, i + 1) for n, line in enumerate(lines) for i, p in enumerate(line.pieces)}
    missed: collections.Counter[str] = collections.Counter()
    by_line: dict[int, list[Found]] = {}
    for label, spans in sorted(mentions):
        if reason := _off_pieces(spans, text, starts, ends):
            missed[reason] += 1
            continue
        parts = tuple(Part(starts[start][1], ends[end][1]) for start, end in spans)
        by_line.setdefault(starts[spans[0][0]][0], []).append(Found(1, label, parts))
    for number, found in by_line.items():
        missed += _try_line(Slot(1, lines[number], labels), found, nested)
    return Tally(len(mentions), len(by_line), max(map(len, by_line.values()), default=0), missed)


def _off_pieces(
    spans: tuple[tuple[int, int], ...], text: str, starts: dict[int, tuple[int, int]], ends: dict[int, tuple[int, int]]
) -> str | None:
    """Why a mention has no place on the pieces of one line."""
    if not all(start in starts and end in ends for start, end in spans):
        edges = "".join(text[start] + text[end - 1] for start, end in spans)
        return "edge at white space" if GAP.search(edges) else "edge inside a piece"
    touched = {starts[start][0] for start, _ in spans} | {ends[end][0] for _, end in spans}
    return "crosses a line" if len(touched) > 1 else None


def _try_line(slot: Slot, found: list[Found], nested: bool) -> collections.Counter[str]:
    """The mentions of a line that its grammar does not take, by reason."""
    missed: collections.Counter[str] = collections.Counter()
    if not nested:
        kept = _apart(found)
        missed["overlaps another"] = len(found) - len(kept)
        found = kept
    line = _Line(slot, nested)
    if not line.takes(found):
        alone = [f for f in found if line.takes([f])]
        missed.update(_refused(slot.line, f) for f in found if f not in alone)
        found = _at_most(MAX_SAME_START, alone)
        missed["more than the bound at one start"] = len(alone) - len(found)
        if not line.takes(found):
            missed["refused together"] = len(found)
    return +missed


class _Line:
    """A line's grammar in llguidance."""

    def __init__(self, slot: Slot, nested: bool) -> None:
        self._slots = [slot]
        self._layout = get_layout("lines")
        lark = Constraint(self._layout.describe(self._slots, nested=nested, discontinuous=nested)).lark
        self._matcher = LLMatcher(BYTES, LLMatcher.grammar_from_lark(lark), log_level=0)
        if self._matcher.is_error():
            raise SystemExit("llguidance refuses the grammar of a line")

    def takes(self, found: Sequence[Found]) -> bool:
        """Whether the answer is taken, and read back as these mentions."""
        text = self._layout.write(self._slots, found)
        self._matcher.reset()
        tokens = BYTES.tokenize_bytes(text.encode())
        if self._matcher.try_consume_tokens(tokens) < len(tokens) or not self._matcher.is_accepting():
            return False
        return {(f.label, f.parts) for f in self._layout.read(self._slots, text).found} == {(f.label, f.parts) for f in found}


def _refused(line: Line, found: Found) -> str:
    if any(part.end == part.first + 1 and is_separator(line.pieces[part.first]) for part in found.parts):
        return "a lone punctuation mark"
    if any(part.end - part.first > MAX_REPEATED for part in found.parts):
        return "longer than the bound on repeated text"
    return "refused"


def _apart(found: Sequence[Found]) -> list[Found]:
    """As many mentions as possible of which no two overlap."""
    kept: list[Found] = []
    for item in sorted(found, key=lambda f: (f.parts[-1].end, -f.parts[0].first)):
        if len(item.parts) == 1 and (not kept or kept[-1].parts[-1].end <= item.parts[0].first):
            kept.append(item)
    return kept


def _at_most(bound: int, found: Sequence[Found]) -> list[Found]:
    begun: collections.Counter[int] = collections.Counter()
    kept = []
    for item in found:
        begun[item.parts[0].first] += 1
        if begun[item.parts[0].first] <= bound:
            kept.append(item)
    return kept


def label_name(label: str) -> str:
    """A corpus's label as schemas allow them."""
    return regex.sub(r"[^\w-]", "_", label)


def read(corpus: Corpus, data: Path) -> Iterator[tuple[str, frozenset[Mention]]]:
    """The texts of a corpus, each with its mentions."""
    for path in corpus.paths:
        for parsed in registry.reader(corpus.format)(data / path, None):
            wanted = (e for e in parsed.extraction.entities if not corpus.labels or e.label in corpus.labels)
            yield parsed.extraction.note.text, frozenset((label_name(e.label), tuple((s.start, s.end) for s in e.spans)) for e in wanted)


def measure(corpus: Corpus, data: Path, pool: ProcessPoolExecutor) -> dict[str, object]:
    notes = list(read(corpus, data))
    labels = tuple(Label(name) for name in sorted({label for _, mentions in notes for label, _ in mentions}))
    tallies = list(pool.map(partial(try_note, labels, corpus.nested), notes, chunksize=8))
    gold = sum(t.gold for t in tallies)
    missed = sum((t.missed for t in tallies), collections.Counter[str]())
    return {
        "notes": len(notes),
        "labels": len(labels),
        "grammar": "nested and discontinuous" if corpus.nested else "flat",
        "lines_with_mentions": sum(t.lines for t in tallies),
        "most_mentions_in_a_line": max(t.longest for t in tallies),
        "gold": gold,
        "accepted": gold - missed.total(),
        "recall": round(1 - missed.total() / gold, 5),
        "missed": dict(missed.most_common()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="*", help="names of corpora")
    given = parser.parse_args()
    if "MEDLLM_DATA" not in os.environ:
        sys.exit("set MEDLLM_DATA to the folder that holds the corpora")
    data = Path(os.environ["MEDLLM_DATA"])
    results = {}
    with ProcessPoolExecutor(given.jobs) as pool:
        for corpus in CORPORA:
            if not given.only or corpus.name in given.only:
                results[corpus.name] = measure(corpus, data, pool)
                print(corpus.name, json.dumps(results[corpus.name]), flush=True)
    record = {
        "benchmark": "oracle recall of the line-pinned grammar",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"MEDLLM_DATA=... python evals/benchmarks/oracle_recall.py {shlex.join(sys.argv[1:])}".strip(),
        "data": {corpus.name: list(corpus.paths) for corpus in CORPORA if corpus.name in results},
        "results": results,
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in ("medllm", "llguidance", "regex")}},
    }
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if low := [name for name, result in results.items() if result["recall"] < REQUIRED]:  # type: ignore[operator]
        sys.exit(f"below {REQUIRED}: {', '.join(low)}")


if __name__ == "__main__":
    main()
