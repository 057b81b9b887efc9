"""Oracle recall: is what annotators wrote accepted by the grammar of its own note?

    MEDLLM_DATA=corpora python evals/benchmarks/oracle_recall.py -o evals/results/oracle_recall.json

Each gold mention is placed on the pieces of a line of its note, as the splitter makes them; the answer that lists all mentions of a
line is written in the line-pinned layout and given to llguidance under that line's grammar. A line whose mentions neither overlap nor
have several parts is tried with the flat grammar, any other with the one that allows that. What is not accepted is counted by reason.
"""

import argparse
import collections
import datetime
import importlib.metadata
import itertools
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from llguidance import LLMatcher, LLTokenizer
from machine import cpu_model

from medllm.document import Entity, Extraction
from medllm.formats import registry
from medllm.grammar.constraint import Constraint
from medllm.grammar.layout import MAX_SAME_START, Found, Label, Part, Slot, get_layout
from medllm.text.lines import Line, split_lines

CORPORA = {
    "kiwi-mtsamples/train": ("brat", "kiwi-mtsamples/train"),
    "gpt-mtsamples/train": ("conll", "gpt-mtsamples/train"),
    "gpt-mtsamples/valid": ("conll", "gpt-mtsamples/valid"),
    "maccrobat/train": ("brat", "maccrobat/train"),
    "chia/train": ("brat", "chia/train"),
    "phee/train": ("brat", "phee/train"),
    "phee/dev": ("brat", "phee/dev"),
    "ncbi-disease/train": ("brat", "ncbi-disease/train"),
    "ncbi-disease/dev": ("brat", "ncbi-disease/dev"),
    "bc5cdr/train": ("pubtator", "bc5cdr/train.PubTator.txt"),
    "bc5cdr/dev": ("pubtator", "bc5cdr/dev.PubTator.txt"),
    "biored/train": ("pubtator", "biored/train.PubTator.txt"),
    "biored/dev": ("pubtator", "biored/dev.PubTator.txt"),
    "cehrner/train": ("cehrner", "cehrner/train.json"),
    "cehrner/dev": ("cehrner", "cehrner/dev.json"),
}
TOKENS = LLTokenizer("byte")
LAYOUT = get_layout("lines")


def place(
    entity: Entity, lines: list[Line], starts: dict[int, tuple[int, int]], ends: dict[int, tuple[int, int]]
) -> tuple[int, tuple[Part, ...]] | str:
    """The line and the parts of a mention, or the reason why it has none."""
    parts, on = [], set()
    for span in entity.spans:
        first, last = starts.get(span.start), ends.get(span.end)
        if first is None or last is None:
            return "edge inside a piece, or at white space"
        on |= {first[0], last[0]}
        parts.append(Part(first[1], last[1] + 1))
    return (on.pop(), tuple(parts)) if len(on) == 1 else "crosses a line"


def accepted(line: Line, found: list[Found]) -> bool:
    """True if llguidance takes the answer that lists ``found`` under the grammar of ``line``."""
    slot = Slot(1, line, tuple(Label(name) for name in sorted({f.label for f in found})))
    ordered = sorted(found, key=lambda f: (f.parts[0].first, f.parts[-1].end))
    discontinuous = any(len(f.parts) > 1 for f in found)
    nested = any(b.parts[0].first < a.parts[-1].end for a, b in itertools.pairwise(ordered))
    constraint = Constraint(LAYOUT.describe([slot], nested=nested, discontinuous=discontinuous))
    matcher = LLMatcher(TOKENS, constraint.lark)
    tokens = TOKENS.tokenize_bytes(LAYOUT.write([slot], found).encode())
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def judge(extraction: Extraction) -> Iterator[str]:
    """For each mention ``accepted``, or the reason why it is not."""
    lines = split_lines(extraction.note.text)
    starts = {p.start: (i, j) for i, line in enumerate(lines) for j, p in enumerate(line.pieces)}
    ends = {p.end: (i, j) for i, line in enumerate(lines) for j, p in enumerate(line.pieces)}
    by_line: dict[int, list[tuple[Found, int]]] = collections.defaultdict(list)
    same = collections.Counter((e.label, e.spans) for e in extraction.entities)
    for entity in {(e.label, e.spans): e for e in extraction.entities}.values():
        count = same[entity.label, entity.spans]  # an exact copy of a mention is the same answer
        placed = place(entity, lines, starts, ends)
        if isinstance(placed, str):
            yield from [placed] * count
        else:
            by_line[placed[0]].append((Found(1, entity.label, placed[1]), count))
    for index, found in by_line.items():
        at_start: collections.Counter[int] = collections.Counter()
        kept = []
        for item, count in found:
            at_start[item.parts[0].first] += 1
            if at_start[item.parts[0].first] > MAX_SAME_START:
                yield from [f"more than {MAX_SAME_START} begin at one piece"] * count
            else:
                kept.append((item, count))
        whole = accepted(lines[index], [item for item, _ in kept])
        for item, count in kept:
            yield from ["accepted" if whole or accepted(lines[index], [item]) else "refused"] * count
        if not whole:
            print(f"{extraction.note.id}: the answer of line {index + 1} is refused as a whole", file=sys.stderr)


def count(extractions: Iterable[Extraction]) -> dict[str, object]:
    notes = 0
    verdicts: collections.Counter[str] = collections.Counter()
    for extraction in extractions:
        notes += 1
        verdicts.update(judge(extraction))
    total = sum(verdicts.values())
    return {
        "notes": notes,
        "mentions": total,
        "oracle_recall": round(verdicts["accepted"] / total, 5),
        "not_accepted": {reason: n for reason, n in verdicts.most_common() if reason != "accepted"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="gone on with if it is there")
    parser.add_argument("--only", nargs="*", choices=CORPORA, default=list(CORPORA))
    given = parser.parse_args()
    if "MEDLLM_DATA" not in os.environ:
        sys.exit("set MEDLLM_DATA to the folder that holds the corpora")
    data = Path(os.environ["MEDLLM_DATA"])
    before = json.loads(given.output.read_text())["corpora"] if given.output.exists() else {}
    corpora: dict[str, dict[str, object]] = dict(before)
    for name in given.only:
        format_, path = CORPORA[name]
        corpora[name] = count(p.extraction for p in registry.reader(format_)(data / path, None))
        print(name, corpora[name], flush=True)
    result = {
        "benchmark": "oracle_recall",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/oracle_recall.py",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("medllm", "llguidance")},
        "lowest": min(c["oracle_recall"] for c in corpora.values()),
        "corpora": {name: corpora[name] for name in CORPORA if name in corpora},
    }
    given.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
