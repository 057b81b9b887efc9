"""What a tagger reads out of clinical notes that it has never seen: mentions, assertions and modifiers against the gold of a corpus.

    MEDLLM_DATA=corpora python evals/benchmarks/tagger_transfer.py [--tagger clinical-en] [-o evals/results/tagger_clinical_en.json]

The corpus is Kiwi's MTSamples training part, through its label map. Exact and overlap F1 by label with intervals over notes; the assertion
of mentions found exactly; relations to modifiers end to end; notes and sentences a second.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path

from machine import cpu_model

from medllm.document import Extraction
from medllm.evaluation.score import score
from medllm.formats import labelmap as maps
from medllm.formats.registry import reader
from medllm.schema import Schema
from medllm.taggers.reader import TaggerReader
from medllm.taggers.sources import DEFAULT_TAGGER, model_folder
from medllm.taggers.tagger import Tagger

MAIN = ("problem", "test", "treatment", "drug")
MAP = Path(__file__).parents[1] / "labelmaps" / "kiwi-mtsamples-to-clinical.toml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tagger", default=DEFAULT_TAGGER)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    root = os.environ.get("MEDLLM_DATA")
    if not root:
        sys.exit("MEDLLM_DATA is not set: it names the folder with the corpora")
    schema, chosen = Schema.load("clinical"), maps.load(MAP)
    parsed = reader("brat")(Path(root) / "kiwi-mtsamples" / "train", None)
    gold = {p.extraction.note.id: maps.apply(p.extraction, chosen, schema) for p in parsed}
    read = TaggerReader(Tagger.load(model_folder(options.tagger)), schema)
    read.read(next(iter(gold.values())).note)
    started = time.perf_counter()
    found = {}
    for note_id, extraction in gold.items():
        entities, relations = read.read(extraction.note)
        found[note_id] = Extraction(note=extraction.note, entities=entities, relations=relations)
    seconds = time.perf_counter() - started
    modifiers = sorted(set(schema.labels) - set(MAIN))
    scores = {
        "exact": score(gold, found, "exact", MAIN, options.samples),
        "overlap": score(gold, found, "overlap", MAIN, options.samples),
        "exact, modifiers": score(gold, found, "exact", modifiers, options.samples),
        "assertion of mentions found exactly": score(gold, found, "attribute-matched:assertion", None, options.samples),
        "assertion and mention": score(gold, found, "attribute:assertion", None, options.samples),
        "relations to modifiers": score(gold, found, "relations", None, options.samples),
    }
    record = {
        "benchmark": "tagger_transfer",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/tagger_transfer.py --tagger {Path(options.tagger).name}",
        "data": f"kiwi-mtsamples/train: {len(gold)} notes, {sum(len(x.entities) for x in gold.values()):,} mentions; none was trained on",
        "tagger": read.tagger.config.name,
        "tagger_sha256": read.tagger.fingerprint,
        "backend": read.tagger.backend.name,
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("medllm", "onnxruntime", "tokenizers", "numpy")},
        "seconds_a_note": round(seconds / len(gold), 4),
        "characters_a_second": round(sum(len(x.note.text) for x in gold.values()) / seconds),
        "scores": {name: result.summary() for name, result in scores.items()},
    }
    if options.output:
        options.output.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    for name, result in scores.items():
        print(f"{name}: micro F1 {result.micro.f1:.3f}", {k: round(c.f1, 3) for k, c in result.counts.items()})
    print(f"{seconds / len(gold) * 1000:.0f} ms a note")


if __name__ == "__main__":
    main()
