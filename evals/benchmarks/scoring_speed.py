"""How long it takes to score 1,000 notes with 100 mentions each, with 1,000 bootstrap samples: matching and intervals together.

    python evals/benchmarks/scoring_speed.py [--output evals/results/scoring_speed.json]

The notes are made up: words at random, mentions of four labels, predictions with moved edges, wrong labels, missing and spurious
mentions from a fixed seed. Reading files is not measured, the notes are in memory.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import random
import sys
import time
from pathlib import Path

from machine import cpu_model

from medllm.document import Entity, Extraction, Note, any_entity
from medllm.evaluation import score

LABELS = ("problem", "treatment", "test", "drug")
NOTES, MENTIONS, SAMPLES, REPEATS = 1000, 100, 1000, 3


def make_note(note_id: str, rng: random.Random) -> tuple[Extraction, Extraction]:
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 9))) for _ in range(MENTIONS * 6)]
    text = " ".join(words)
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word) + 1)
    gold: list[Entity] = []
    pred: list[Entity] = []
    for i in range(MENTIONS):
        first, last, label = i * 6, i * 6 + rng.randint(0, 2), rng.choice(LABELS)
        gold.append(any_entity(label).at(text, starts[first], starts[last + 1] - 1))
        fate = rng.random()
        moved = last + 1 if fate < 0.2 else last
        if fate < 0.9:
            other = rng.choice(LABELS) if fate > 0.8 else label
            pred.append(any_entity(other).at(text, starts[first], starts[moved + 1] - 1))
        if fate > 0.95:
            pred.append(any_entity(label).at(text, starts[first + 4], starts[first + 5] - 1))
    note = Note(id=note_id, text=text)
    return Extraction(note=note, entities=tuple(gold)), Extraction(note=note, entities=tuple(pred))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("evals/results/scoring_speed.json"))
    options = parser.parse_args()
    rng = random.Random(0)
    pairs = {f"note{i:04}": make_note(f"note{i:04}", rng) for i in range(NOTES)}
    gold, pred = ({note_id: pair[side] for note_id, pair in pairs.items()} for side in (0, 1))
    figures = {}
    for metric in ("exact", "overlap"):
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            result = score(gold, pred, metric, bootstrap=SAMPLES)
            seconds.append(round(time.perf_counter() - start, 3))
        assert result.intervals
        low_high = result.intervals.micro["f1"]
        figures[metric] = {
            "seconds": seconds,
            "micro_f1": round(result.micro.f1, 4),
            "interval": [round(low_high.low, 4), round(low_high.high, 4)],
        }
    record = {
        "benchmark": "scoring speed",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/scoring_speed.py",
        "notes": NOTES,
        "gold_mentions": sum(len(e.entities) for e in gold.values()),
        "predicted_mentions": sum(len(e.entities) for e in pred.values()),
        "bootstrap_samples": SAMPLES,
        "results": figures,
        "machine": {"cpu": cpu_model(), "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()},
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in ("numpy", "pydantic")}},
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    json.dump(figures, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
