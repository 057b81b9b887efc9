"""The suites of the case packs: a dictionary of training mentions over all of each, and a small model over a listed sample.

    MEDLLM_DATA=corpora python evals/benchmarks/cases.py --work WORK [--model 0.5b] [-o evals/results/cases.json]

The dictionary (``evals/baselines/dictionary.py``, filtered at 0.5) learns PHEE's training part, and for the other two suites, which have
no training part of their own, the other four folds of five. Sentences that stand in a scored note are left out of what it learns. The
model reads without examples from the corpora; nothing was tuned on any of them. The samples take every nth note by length, the longest
tenth left out, so that a CPU gets through them. A run goes on where WORK stands. Intervals: bootstrap over notes, 95 %.
"""

import argparse
import asyncio
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import cpu_model

sys.path.insert(0, str(Path(__file__).parents[1] / "baselines"))
from adapter import Fold, Found, Sentence
from dictionary import Dictionary
from folds import fold_record, split

from medllm.document import Extraction
from medllm.engines import EngineOptions
from medllm.evaluation import score, suite
from medllm.evaluation.evaluate import evaluate, extractor_of, options_of
from medllm.evaluation.gold import Gold, read_gold
from medllm.formats import jsonl
from medllm.runs.directory import EXTRACTIONS, USAGE
from medllm.schema import Schema

SAMPLES = Path(__file__).parents[1] / "samples"
SUITES = {"pharmacovigilance": "phee-30.txt", "trial-eligibility": "chia-8.txt", "case-report": "maccrobat-2.txt"}
METRICS = ("exact", "overlap")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", default="0.5b", help="none: the dictionary alone")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    record: dict[str, Any] = {
        "benchmark": "cases",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": shlex.join(["python", "evals/benchmarks/cases.py", "--work", "WORK", "--model", given.model]),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, busy with other work",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("medllm", "xllamacpp", "llguidance")},
        "suites": {name: one_suite(name, given) for name in SUITES},
    }
    text = json.dumps(record, ensure_ascii=False, indent=1)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")
    print(text)


def one_suite(name: str, given: argparse.Namespace) -> dict[str, Any]:
    chosen = suite.load(name)
    schema = Schema.load(chosen.pack_name)
    gold = read_gold(chosen, schema)
    wanted = {line for line in (SAMPLES / SUITES[name]).read_text().splitlines() if line and not line.startswith("#")}
    sample = {note_id: x for note_id, x in gold.notes.items() if note_id in wanted}
    assert len(sample) == len(wanted)
    assert chosen.labels
    found = dictionary(chosen, schema, gold.notes)
    result: dict[str, Any] = {
        "dictionary, all": scores(gold.notes, found, chosen.labels, given.resamples),
        "dictionary, sample": scores(sample, found, chosen.labels, given.resamples),
    }
    if given.model != "none":
        out = given.work / name
        result[f"{given.model}, sample"] = read_sample(chosen, schema, replace(gold, notes=sample), out, given)
    return result


def dictionary(chosen: suite.Suite, schema: Schema, gold: Mapping[str, Extraction]) -> dict[str, Extraction]:
    """What the dictionary finds in every note of a suite, learnt from the training part or the other folds."""
    labels = chosen.labels or schema.labels
    if chosen.training is None:
        records = [fold_record(gold, scored, schema, labels) for scored in split(gold)]
    else:
        part = chosen.model_copy(update={"corpus": chosen.training})
        training = {f"train/{note_id}": x for note_id, x in read_gold(part, schema).notes.items()}
        records = [fold_record({**gold, **training}, sorted(gold), schema, labels)]
    found = {}
    for record in records:
        learnt = [Sentence(s["text"], tuple(Found(*m) for m in s["mentions"])) for s in record["train"]]
        fold = Fold((), tuple(learnt), {})
        terms = Dictionary.learn(fold.train, 0.5)
        for note in record["notes"]:
            spans = [schema.entity(m.label).at(note["text"], m.start, m.end) for m in terms.find(note["text"])]
            found[note["id"]] = gold[note["id"]].model_copy(update={"entities": tuple(spans), "relations": ()})
    return found


def read_sample(chosen: suite.Suite, schema: Schema, gold: Gold, out: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The scores of the model over the sample, and what reading it cost."""
    reading = {"engine": "embedded", "model": given.model, "readers": "llm"}
    asked = chosen.with_settings(reading, labels=None, metrics=None, samples=0)
    with extractor_of(asked, schema, EngineOptions(threads=given.threads)) as extractor:
        done = asyncio.run(evaluate(asked, gold, extractor, out, options=options_of(asked, None)))
    pred = {x.note.id: x for x in jsonl.read(out / EXTRACTIONS, schema)}
    usage = [json.loads(line) for line in (out / USAGE).read_text().splitlines()]
    assert chosen.labels
    return scores(gold.notes, pred, chosen.labels, given.resamples) | {
        "ledger": done.run.ledger,
        "seconds": round(sum(request["seconds"] for request in usage), 1),
        "completion_tokens": sum(request["completion_tokens"] for request in usage),
    }


def scores(gold: Mapping[str, Extraction], pred: Mapping[str, Extraction], labels: Sequence[str], samples: int) -> dict[str, Any]:
    chosen = {note_id: pred[note_id] for note_id in gold}
    occurring = {e.label for notes in (gold, chosen) for x in notes.values() for e in x.entities}
    labels = [label for label in labels if label in occurring]
    size = {"notes": len(gold), "characters": sum(len(x.note.text) for x in gold.values())}
    return size | {metric: score(gold, chosen, metric, labels, samples).summary() for metric in METRICS}


if __name__ == "__main__":
    main()
