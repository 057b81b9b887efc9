"""One encoder for mentions and assertions, two that are held together, or two apart: measured on the project's annotated notes.

    python evals/benchmarks/tagger_multitask.py --base FOLDER --base-name NAME --work WORK [-o evals/results/tagger_multitask.json]

Trained on notes 000 to 119 of examples/annotated and scored on 400 to 459, the same for all; nothing was tuned. Assertion is scored on
the gold mentions that a reading found exactly, and over all gold problems, where one that was not found counts as wrong. Intervals and
paired differences to the shared encoder are bootstrapped over notes. Each training is recorded alone in WORK and never made twice.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu_model
from numpy.typing import NDArray

from medllm.schema import Schema
from medllm.taggers.tagger import TaggedMention, Tagger
from medllm.training.tagger import TrainingOptions, fit, read_corpus
from medllm.training.tagger.data import TrainingNote

SETTINGS = TrainingOptions(epochs=5, rate=1.5e-4, head_rate=1e-3, average=0.97)
SAMPLES = 2000
WAYS = ("shared", "soft-1e-3", "soft-1e-1", "separate")
NOTES = "examples/annotated"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="the encoder: a folder or a hub name")
    parser.add_argument("--base-name", required=True, help="what the record calls it")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    schema = Schema.load("clinical")
    notes = {note.id[:3]: note for note in read_corpus(f"inline:{NOTES}", schema).notes}
    training = [notes[f"{i:03}"] for i in range(120)]
    held_out = [notes[f"{i:03}"] for i in range(400, 460)]
    options.work.mkdir(parents=True, exist_ok=True)
    for way in WAYS:
        record = options.work / f"{way}.json"
        if not record.is_file():
            started = time.monotonic()
            found = read(way, training, held_out, options.base, options.work / f"{way}-training", schema)
            counts = [count(note, mentions) for note, mentions in zip(held_out, found, strict=True)]
            record.write_text(json.dumps({"minutes": round((time.monotonic() - started) / 60, 1), "counts": counts}))
    done = {way: json.loads((options.work / f"{way}.json").read_text()) for way in WAYS}
    draws = np.random.default_rng(0).integers(0, len(held_out), (SAMPLES, len(held_out)))
    plain = np.array(done["shared"]["counts"])
    rows: dict[str, Any] = {}
    for way, record in done.items():
        own = np.array(record["counts"])
        rows[way] = {"minutes": record["minutes"]}
        for name, figure in FIGURES.items():
            rows[way][name] = {"value": figure(own), "interval": interval([figure(own[d]) for d in draws])}
            if way != "shared":
                rows[way][name]["gain_interval"] = interval([figure(own[d]) - figure(plain[d]) for d in draws])
    summary = {
        "benchmark": "tagger_multitask",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/tagger_multitask.py --base {options.base_name}",
        "data": f"{NOTES}: trained on 000-119, scored on 400-459",
        "encoder": options.base_name,
        "settings": dataclasses.asdict(SETTINGS),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, shared with other work",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("medllm", "torch", "transformers")},
        "ways": rows,
    }
    if options.output:
        options.output.write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    for way, row in rows.items():
        print(f"{way:10}", {name: (round(cell["value"], 3), cell.get("gain_interval")) for name, cell in row.items() if name != "minutes"})


def read(
    way: str, training: Sequence[TrainingNote], held_out: Sequence[TrainingNote], base: str, work: Path, schema: Schema
) -> list[tuple[TaggedMention, ...]]:
    """What a training of this way reads in the held-out notes."""
    texts = [note.text for note in held_out]
    if way != "separate":
        soft = float(way.removeprefix("soft-")) if way.startswith("soft") else 0.0
        return list(fit(training, base, work, dataclasses.replace(SETTINGS, soft=soft), schema=schema).tagger().tag_many(texts))
    mentions_alone = [dataclasses.replace(note, attributes=frozenset()) for note in training]
    values_alone = [dataclasses.replace(note, labels=frozenset()) for note in training]
    finder = fit(mentions_alone, base, work / "mentions", SETTINGS, schema=schema).tagger()
    judge = fit(values_alone, base, work / "assertions", SETTINGS, schema=schema).tagger()
    return [joined(finder, judge, text) for text in texts]


def joined(finder: Tagger, judge: Tagger, text: str) -> tuple[TaggedMention, ...]:
    """The mentions of one tagger with the attributes that another one gives their stretches."""
    ((encoded, scores),) = judge.scores([text])
    (head,), (where,) = judge.config.attributes, judge.config.slices()[1]
    made = []
    for mention in finder.tag(text):
        inside = [i for i, unit in enumerate(encoded.units) if unit.start < mention.end and mention.start < unit.end]
        logs = scores[inside][:, where] - np.logaddexp.reduce(scores[inside][:, where], axis=1, keepdims=True)
        values = {head.name: dict(zip(head.values, np.exp(logs.mean(0)).tolist(), strict=True))} if mention.label in head.labels else {}
        made.append(dataclasses.replace(mention, attributes=values))
    return tuple(made)


def count(note: TrainingNote, found: Sequence[TaggedMention]) -> list[int]:
    """Right, found and gold mentions; of gold problems found exactly, how many, and how many with the right assertion; gold problems."""
    gold = {(m.start, m.end, m.label): dict(m.attributes).get("assertion") for m in note.mentions}
    mine = {(m.start, m.end, m.label): m.value("assertion") for m in found}
    asserted = [key for key in gold if gold[key] is not None]
    both = [key for key in asserted if key in mine]
    return [len(gold.keys() & mine.keys()), len(mine), len(gold), len(both), sum(gold[k] == mine[k] for k in both), len(asserted)]


FIGURES = {
    "mentions_f1": lambda c: float(2 * c[:, 0].sum() / max(1, c[:, 1].sum() + c[:, 2].sum())),
    "assertion_accuracy_of_found": lambda c: float(c[:, 4].sum() / max(1, c[:, 3].sum())),
    "found_with_right_assertion": lambda c: float(c[:, 4].sum() / max(1, c[:, 5].sum())),
}


def interval(values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    return [float(x) for x in np.quantile(values, [0.025, 0.975])]


if __name__ == "__main__":
    main()
