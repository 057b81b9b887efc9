"""De-identification on the notes written for this project (evals/sets/deid): the i2b2-2014 scorer, and what is found at all.

    PYTHONPATH=. python evals/benchmarks/deid.py [--half a b] [--errors] [-o evals/results/deid.json]

``found``: words of the gold tags (runs of letters and digits, as in the official token sections) that lie in any tag that was made,
whatever its type: these are replaced. Its precision counts the words of the tags made that lie in any gold tag. Half a may be looked at
while rules are written; half b was scored once at their end, and again after they were widened on texts by others
(``deid_templates.py``); what they miss in it was never looked at. Intervals: 95 % bootstrap over notes.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import cpu_model

from medllm.deid.analyzer import Analyzer
from medllm.deid.findings import CATEGORIES
from medllm.document import Extraction, any_entity
from medllm.evaluation.official import i2b2_2014 as scorer
from medllm.formats import registry

GOLD = Path(__file__).parents[1] / "sets" / "deid"
SAMPLES, SEED = 1000, 0
WORD = re.compile("[a-zA-Z0-9]+")
SECTIONS = ("Strict", "Relaxed", "Token", "HIPAA Strict", "HIPPA Token", "Binary Strict", "Binary Token", "Binary HIPPA Token")
CAVEAT = (
    "the author of the notes wrote the rules too, not looking at half b but not without knowing it: some labels of numbers and some "
    "occupations stand in both. Take its figures as an upper bound of what a hospital's own notes would give. No tagger of names was used, "
    "only titles, fields, lists and repetition"
)


def predict(analyzer: Analyzer, gold: Extraction) -> Extraction:
    text = gold.note.text
    found = enumerate(analyzer.find(text))
    return Extraction(note=gold.note, entities=tuple(any_entity(f.type).at(text, f.start, f.end, id=f"P{n}") for n, f in found))


def words(extraction: Extraction) -> Iterator[tuple[tuple[int, int], str]]:
    """The words of the mentions: where, and of what type."""
    for entity in extraction.entities:
        for match in WORD.finditer(extraction.note.text, entity.span.start, entity.span.end):
            yield match.span(), entity.label


def counts(gold: Extraction, pred: Extraction) -> Counter[tuple[str, str, str]]:
    """Words by ``gold`` or ``pred``, type or category, and ``all`` or ``hit``."""
    sides = {"gold": list(words(gold)), "pred": list(words(pred))}
    places = {side: {place for place, _ in found} for side, found in sides.items()}
    counted: Counter[tuple[str, str, str]] = Counter()
    for side, other in (("gold", "pred"), ("pred", "gold")):
        for place, kind in sides[side]:
            for name in {kind, CATEGORIES.get(kind, "OTHER"), "all"}:
                counted[side, name, "all"] += 1
                counted[side, name, "hit"] += place in places[other]
    return counted


def ratio(side: str, name: str) -> Callable[[Sequence[Counter[tuple[str, str, str]]]], float | None]:
    def of(notes: Sequence[Counter[tuple[str, str, str]]]) -> float | None:
        whole = sum(n[side, name, "all"] for n in notes)
        return sum(n[side, name, "hit"] for n in notes) / whole if whole else None

    return of


def interval(notes: Sequence[Any], measure: Callable[[Sequence[Any]], float | None]) -> list[float]:
    rng = random.Random(SEED)
    drawn = sorted(value for _ in range(SAMPLES) if (value := measure(rng.choices(notes, k=len(notes)))) is not None)
    return [round(drawn[int(len(drawn) * q)], 4) for q in (0.025, 0.975)]


def found(pairs: Sequence[tuple[Extraction, Extraction]]) -> dict[str, Any]:
    notes = [counts(*pair) for pair in pairs]
    names = ["all", *sorted(scorer.NAMES), *sorted({e.label for gold, _ in pairs for e in gold.entities} - set(scorer.NAMES))]
    result = {}
    for name in names:
        total = sum(n["gold", name, "all"] for n in notes)
        if not total:
            continue
        row: dict[str, Any] = {"words": total}
        for key, side in (("recall", "gold"), ("precision", "pred")):
            value = ratio(side, name)(notes)
            if value is not None:
                row |= {key: round(value, 4), f"{key}_interval": interval(notes, ratio(side, name))}
        result[name] = row
    return result


def official(gold: Path, pairs: Sequence[tuple[Extraction, Extraction]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        writer = registry.writer("i2b2-2014")(Path(folder) / "pred", None)
        for _, pred in pairs:
            writer.write(pred)
        writer.close()
        tables = {table.name: table for table in scorer.score(gold, Path(folder) / "pred").tables}
    chosen = [*SECTIONS, *(f"{name} {how}" for name in scorer.NAMES for how in ("Strict", "Token"))]
    rows = {name: tables[name].row(scorer.MICRO) for name in chosen}
    return {
        name: {"precision": round(row.precision, 4), "recall": round(row.recall, 4), "f1": round(row.f1, 4)} | row.counts
        for name, row in rows.items()
        if row.counts["tp"] + row.counts["fn"]
    }


def show_errors(gold: Extraction, pred: Extraction) -> None:
    text = gold.note.text
    for kind, one, other in (("missed", gold, pred), ("spurious", pred, gold)):
        places = {place for place, _ in words(other)}
        for (start, end), label in words(one):
            if (start, end) not in places:
                print(
                    kind, gold.note.id, label, repr(text[max(0, start - 30) : start]), text[start:end], repr(text[end : end + 20]), sep="\t"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=("a", "b"), nargs="*", default=["a", "b"])
    parser.add_argument("--errors", action="store_true", help="print what is wrong (not for half b)")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    analyzer = Analyzer()
    halves = {}
    for half in given.half:
        golds = [parsed.extraction for parsed in registry.reader("i2b2-2014")(GOLD / half)]
        predict(analyzer, golds[0])  # word lists are read
        started = time.process_time()
        pairs = [(gold, predict(analyzer, gold)) for gold in golds]
        seconds = time.process_time() - started
        if given.errors and half == "a":
            for pair in pairs:
                show_errors(*pair)
        halves[half] = {
            "notes": len(pairs),
            "tags": sum(len(gold.entities) for gold in golds),
            "characters_a_cpu_second": round(sum(len(gold.note.text) for gold in golds) / seconds),
            "found": found(pairs),
            "official": official(GOLD / half, pairs),
        }
    result = {
        "benchmark": "deid",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/deid.py -o evals/results/deid.json",
        "data": "evals/sets/deid: written for the project, committed before any engine was run; half b was scored twice, unseen",
        "caveat": CAVEAT,
        "scorer": scorer.SCORER,
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, shared with other work",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("medllm", "presidio-analyzer", "spacy", "regex")},
        "halves": halves,
    }
    print(json.dumps({half: scored["found"] for half, scored in halves.items()}, indent=1))
    if given.output:
        given.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
