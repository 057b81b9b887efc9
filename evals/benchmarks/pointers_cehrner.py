"""What UIE finds in Chinese records with no training: exact and overlap F1 on a part of cEHRNER, with intervals over records.

    MEDLLM_DATA=corpora python evals/benchmarks/pointers_cehrner.py [--part dev] [--limit N] [-o evals/results/pointers_cehrner.json]

It is asked twice: by what the corpus' own labels say (疾病和诊断: 疾病), and by the names in CHOSEN, which were compared with others on 90
records of the training part. Mentions of different labels may overlap, as in the corpus.
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

from medllm.document import Extraction, any_entity
from medllm.evaluation.score import score
from medllm.formats.registry import reader
from medllm.schema import Schema
from medllm.taggers.loading import load_tagger
from medllm.taggers.pointer_reader import PointerReader

CHOSEN = {
    "身体部位": "解剖部位",
    "疾病": "疾病和诊断",
    "药物": "药物",
    "症状": "症状",
    "化验项目": "实验室检验",
    "影像检查": "影像检查",
    "手术": "手术",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tagger", default="uie-nano")
    parser.add_argument("--part", default="dev", choices=("train", "dev"))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    root = os.environ.get("MEDLLM_DATA")
    if not root:
        sys.exit("MEDLLM_DATA is not set: it names the folder with the corpora")
    gold = {p.extraction.note.id: p.extraction for p in reader("cehrner")(Path(root) / "cehrner" / f"{options.part}.json", None)}
    gold = dict(list(gold.items())[: options.limit])
    labels = sorted({e.label for x in gold.values() for e in x.entities})
    schema = Schema("cehrner", [any_entity(label) for label in labels], language="zh", nested=True)
    tagger = load_tagger(options.tagger, schema)
    record = {
        "benchmark": "pointers_cehrner",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/pointers_cehrner.py --part {options.part}",
        "data": f"cehrner/{options.part}: {len(gold)} records, {sum(len(x.entities) for x in gold.values()):,} mentions",
        "tagger": tagger.config.name,
        "tagger_sha256": tagger.fingerprint,
        "training": "none; names and the window of 160 tokens were chosen on at most 90 records of the training part",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, shared with other work",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("medllm", "onnxruntime", "numpy")},
    }
    for name, given in (("asked by the corpus' labels", None), ("asked by names chosen on the training part", CHOSEN)):
        read = PointerReader(tagger, schema, labels=given)
        started = time.perf_counter()
        found = {note_id: Extraction(note=x.note, entities=read.read(x.note)[0]) for note_id, x in gold.items()}
        seconds = time.perf_counter() - started
        scores = {metric: score(gold, found, metric, None, options.samples).summary() for metric in ("exact", "overlap")}
        characters = sum(len(x.note.text) for x in gold.values())
        record[name] = {"asked": read.labels, "characters_a_second": round(characters / seconds), "scores": scores}
        print(name, {metric: round(s["micro"]["f1"], 3) for metric, s in scores.items()}, f"{seconds:.0f} s", flush=True)
    if options.output:
        options.output.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
