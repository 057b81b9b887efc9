"""How good the probabilities of relations and assertions are: the tagger on the notes that its training held out.

    python evals/benchmarks/link_calibration.py --run RUN [-o evals/results/link_calibration.json]

The run is of ``medllm extract --readers tagger --calibrator off`` over the notes of ``evals/samples/annotated-held-out-39.txt``. Every
probability is of a model fitted on other notes (5 folds over notes). "Before" is what there was without: for a relation the score of its
vote, for an assertion the tagger's own probability. Intervals are bootstraps over notes.
"""

import argparse
import datetime
import json
import os
import platform
import random
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from machine import cpu_model

from medllm.ensemble.links import logistic
from medllm.formats.annotated import read_annotated
from medllm.runs.directory import read_run
from medllm.schema import Schema
from medllm.training.calibrator import calibration_error, cross_fit, judge_mentions
from medllm.training.links import Case, assertion_cases, crossed, mention_key, relation_cases

DATA = "inline:examples/annotated"
BEFORE = {"relations": ("tagger tags:logit",), "assertions": ("tagger:same:logit", "tagger:other:logit")}
SAMPLES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    gold = {x.note.id: x for x in read_annotated(DATA, Schema.load("clinical"))[0]}
    runs = read_run(options.run).extractions
    sure = {mention_key(j.note, j.entity): j.probability for j in cross_fit(judge_mentions(runs, gold))}
    record: dict[str, Any] = {
        "benchmark": "link calibration",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/link_calibration.py --run RUN",
        "data": f"{DATA}, the notes of evals/samples/annotated-held-out-39.txt",
        "notes": len(runs),
        "relations": measured("relations", relation_cases(runs, gold, sure)),
        "assertions": measured("assertions", assertion_cases(runs, gold, sure)),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("medllm", "scikit-learn")},
    }
    text = json.dumps(record, indent=1) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    print(text)


def measured(name: str, cases: Sequence[Case]) -> dict[str, Any]:
    found = crossed(cases)
    before = [next((logistic(c.features[f]) for f in BEFORE[name] if f in c.features), 0.5) for c in cases]
    after = [p for _, p in found]
    return {
        "cases": len(cases),
        "right": round(sum(c.right for c in cases) / len(cases), 4),
        "ece_before": error(cases, before),
        "ece": error([c for c, _ in found], after),
        "bins": calibration_error(after, [c.right for c, _ in found])[1],
    }


def error(cases: Sequence[Case], probabilities: Sequence[float]) -> dict[str, Any]:
    """The calibration error with its interval; resampling widens it, for it is a sum of absolute values."""
    by_note: dict[str, list[tuple[float, bool]]] = {}
    for case, p in zip(cases, probabilities, strict=True):
        by_note.setdefault(case.note, []).append((p, case.right))
    chance, notes = random.Random(0), sorted(by_note)
    errors = []
    for _ in range(SAMPLES):
        drawn = [each for note in chance.choices(notes, k=len(notes)) for each in by_note[note]]
        errors.append(calibration_error([p for p, _ in drawn], [right for _, right in drawn])[0])
    errors.sort()
    whole, _ = calibration_error(list(probabilities), [c.right for c in cases])
    return {"ece": round(whole, 4), "interval": [round(errors[int(SAMPLES * q)], 4) for q in (0.025, 0.975)]}


if __name__ == "__main__":
    main()
