"""Whose assertion to take: the language model's, or the rules'? Over the problems of a recorded run that gold has too.

    MEDLLM_DATA=... python evals/benchmarks/assertion_voices.py RUN [RUN ...] -o evals/results/assertion_voices.json

A RUN is a folder that ``medllm extract`` or ``evals/benchmarks/embedded_reader.py`` wrote for notes of kiwi-mtsamples. Both voices judge
the same mentions: problems whose span is exactly a gold problem's. Gold's assertions follow from the modifiers of each problem.
Intervals: 95 % bootstrap over notes.
"""

import argparse
import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from assertion_rules import CLASSES, add, mapped, table
from machine import cpu_model

from medllm.document import Extraction
from medllm.evaluation.counts import Counts
from medllm.formats import jsonl
from medllm.rules import assess
from medllm.schema import Schema


def score(run: Path, gold: dict[str, Extraction]) -> dict[str, Any]:
    voices: dict[str, list[dict[str, Counts]]] = {"llm": [], "rules": []}
    right = dict.fromkeys(voices, 0)
    judged = 0
    for found in jsonl.read(run / "extractions.jsonl", Schema.load("clinical")):
        wanted = {e.span: e.attributes["assertion"].value for e in gold[found.note.id].entities if e.label == "problem"}
        problems = [e for e in found.entities if e.label == "problem" and e.span in wanted]
        given = {
            "llm": [e.attributes["assertion"].value for e in problems],
            "rules": [j.assertion.value for j in assess(found.note.text, [e.span for e in problems])],
        }
        judged += len(problems)
        for voice, said in given.items():
            voices[voice].append({})
            for entity, value in zip(problems, said, strict=True):
                right[voice] += wanted[entity.span] == value
                for name in CLASSES:
                    add(voices[voice][-1], name, wanted[entity.span] == name, value == name)
    return {
        "notes": len(voices["llm"]),
        "problems": judged,
        "accuracy": {voice: round(n / judged, 4) for voice, n in right.items()},
        "classes": {voice: table(notes, CLASSES) for voice, notes in voices.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    if "MEDLLM_DATA" not in os.environ:
        sys.exit("set MEDLLM_DATA to the folder that holds the corpora")
    gold = {e.note.id: e for e in mapped("kiwi-mtsamples", Path(os.environ["MEDLLM_DATA"]))}
    found = {}
    for run in options.runs:
        model = json.loads((run / "run.json").read_text(encoding="utf-8"))["configuration"]["model"]
        found[model] = score(run, gold)
    result = {
        "benchmark": "assertion_voices",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/assertion_voices.py RUN [RUN ...] -o evals/results/assertion_voices.json",
        "data": "kiwi-mtsamples: the runs that embedded_0.5b.json and embedded_models_7.json tell of",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "models": found,
    }
    options.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
