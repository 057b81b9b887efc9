"""medllm, langextract and llm-ie on the same notes, model, server and entity types: notes a minute, exact F1, and what each lost.

    MEDLLM_DATA=corpora python evals/benchmarks/vllm_peers.py --base-url http://localhost:8000 --model NAME --notes 50 --work WORK \\
        --langextract VENV/bin/python --llm-ie VENV/bin/python -o evals/results/vllm_peers.json

The peers run through their adapters of evals/baselines, in their own environments and with their own settings for a local server; both
get examples from notes that are not scored. All systems run one after the other on one server, each from a cold prefix cache where
the server can be told so (VLLM_SERVER_DEV_MODE=1). Seconds are from the first note to the last; the
peers' include their imports.
"""

import argparse
import asyncio
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from machine import cpu_model

from medllm.document import Extraction
from medllm.engines.vllm import VllmEngine
from medllm.evaluation import score, suite
from medllm.evaluation.gold import read_gold
from medllm.formats import jsonl
from medllm.formats.files import private_folder
from medllm.pipeline import Extractor
from medllm.schema import Schema
from medllm.versions import versions

BASELINES = Path(__file__).parents[1] / "baselines"
sys.path.insert(0, str(BASELINES))
from folds import fold_record  # noqa: E402

SUITE = "kiwi-mtsamples"
PEERS = {"langextract": "langextract_llm.py", "llm-ie": "llm_ie_llm.py"}


def through_medllm(gold: Mapping[str, Extraction], given: argparse.Namespace, schema: Schema, labels: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Extraction] = {}

    async def read_all(extractor: Extractor) -> Counter[str]:
        reasons: Counter[str] = Counter()
        async for reading in extractor.stream(x.note for x in gold.values()):
            found[reading.extraction.note.id] = reading.extraction
            reasons.update(entry.reason for entry in reading.extraction.ledger)
        return reasons

    with Extractor(schema, engine=VllmEngine(given.base_url, given.model), labels=labels, relations=False) as extractor:
        started = time.perf_counter()
        reasons = asyncio.run(read_all(extractor))
        seconds = time.perf_counter() - started
    return {"predictions": found, "seconds": seconds, "lost": dict(reasons)}


def through_peer(name: str, python: str, folds: Path, given: argparse.Namespace) -> dict[str, Any]:
    out = given.work / f"{name}.jsonl"
    line = [python, str(BASELINES / PEERS[name]), str(folds), str(out), "--base-url", f"{given.base_url}/v1", "--model", given.model]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:300]}
    status = json.loads(done.stdout.strip().splitlines()[-1])
    return {"predictions": {x.note.id: x for x in jsonl.read(out)}} | status


def summary(found: dict[str, Any], gold: Mapping[str, Extraction], labels: tuple[str, ...], samples: int) -> dict[str, Any]:
    if "failed" in found:
        return found
    pred = found.pop("predictions")
    kept = [e for x in pred.values() for e in x.entities]
    grounded = sum(e.text == " ".join(s.of(x.note.text) for s in e.spans) for x in pred.values() for e in x.entities)
    return {
        "notes": len(pred),
        "notes_a_minute": round(60 * len(pred) / found["seconds"], 3),
        "mentions": len(kept),
        "grounded": grounded,
        "exact": score(gold, {n: pred[n] for n in gold}, "exact", labels=labels, bootstrap=samples).summary(),
        "overlap": score(gold, {n: pred[n] for n in gold}, "overlap", labels=labels, bootstrap=samples).summary(),
        **{k: v for k, v in found.items() if k in ("seconds", "lost", "versions", "options")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True, help="the model's name on the server")
    parser.add_argument("--notes", type=int, default=50)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--langextract", help="the Python that has langextract")
    parser.add_argument("--llm-ie", help="the Python that has llm-ie")
    parser.add_argument("--samples", type=int, default=1000, help="bootstrap samples")
    parser.add_argument("--remark", default="", help="what else is to be known, such as that the machine was shared")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.base_url = given.base_url.rstrip("/").removesuffix("/v1")
    private_folder(given.work)
    chosen = suite.load(SUITE)
    schema = Schema.load(chosen.pack_name)
    labels = chosen.labels or schema.labels
    everything = read_gold(chosen, schema).notes
    scored = sorted(everything)[: given.notes]
    gold = {note_id: everything[note_id] for note_id in scored}
    folds = given.work / "folds.jsonl"
    folds.write_text(json.dumps(fold_record(everything, scored, schema, labels)) + "\n", encoding="utf-8")
    systems: dict[str, Any] = {}
    for name, python in {"medllm": sys.executable, "langextract": given.langextract, "llm-ie": given.llm_ie}.items():
        if python is None:
            continue
        httpx.post(f"{given.base_url}/reset_prefix_cache", trust_env=False)  # 404 where the server does not offer it
        found = through_medllm(gold, given, schema, labels) if name == "medllm" else through_peer(name, python, folds, given)
        systems[name] = summary(found, gold, labels, given.samples)
        print(f"{name}: {systems[name].get('notes_a_minute', systems[name])} notes a minute", file=sys.stderr)
    ours = systems["medllm"]["notes_a_minute"]
    result = {
        "benchmark": "vllm_peers",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/vllm_peers.py --base-url URL --model {given.model} --notes {given.notes} --work WORK",
        "data": f"suite {SUITE}: {len(gold)} notes, {sum(len(x.note.text) for x in gold.values())} characters; labels {', '.join(labels)}",
        "machine": "; ".join(filter(None, (f"{cpu_model()}, {os.cpu_count()} cores", given.remark))),
        "python": platform.python_version(),
        "versions": versions(),
        "systems": systems,
        "medllm_over": {n: round(ours / s["notes_a_minute"], 2) for n, s in systems.items() if n != "medllm" and s.get("notes_a_minute")},
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
