"""Run every baseline over a suite's notes in five folds, score it with medllm, and record the figures.

    MEDLLM_DATA=corpora python evals/baselines/run.py --work work/baselines \\
        --python medspacy=venv-medspacy/bin/python [--base-url http://localhost:8000/v1 --model NAME]

Writes evals/results/baselines_kiwi.json and evals/results/baselines.md. Systems run as scripts in their own environments and write
predictions into the work folder, which holds text of the notes; what is there already is not run again. A system that cannot run is
recorded with the reason.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folds import write_folds
from table import write_table

from medllm.document import Extraction
from medllm.evaluation import score, suite
from medllm.evaluation.gold import read_gold
from medllm.formats import jsonl
from medllm.formats.files import private_folder
from medllm.schema import Schema

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
sys.path.insert(0, str(HERE.parent / "benchmarks"))
from scoring_speed import cpu_model  # noqa: E402

SUITE, SAMPLE = "kiwi-mtsamples", "kiwi-20"
FOLDS = 5
METRICS = ("exact", "overlap")
ASSERTION = ("attribute-matched:assertion", "attribute:assertion")
SKIPPED = 77


@dataclass(frozen=True)
class System:
    """A baseline: its adapter, the environment it runs in, and the adapter's options."""

    name: str
    script: str
    environment: str
    options: tuple[str, ...] = ()
    server: bool = False


SYSTEMS = (
    System("dictionary", "dictionary.py", "medllm"),
    System("dictionary, filtered", "dictionary.py", "medllm", ("--least", "0.5")),
    System("medspaCy", "medspacy_rules.py", "medspacy"),
    System("medspaCy, filtered", "medspacy_rules.py", "medspacy", ("--least", "0.5")),
    System("scispaCy", "scispacy_ner.py", "scispacy"),
    System("langextract", "langextract_llm.py", "langextract", server=True),
    System("llm-ie", "llm_ie_llm.py", "llm-ie", server=True),
    System("GLiNER", "gliner_ner.py", "gliner"),
    System("OpenMed", "openmed_ner.py", "openmed"),
)


def run_system(system: System, work: Path, pythons: Mapping[str, str], server: list[str]) -> dict[str, Any]:
    """Run an adapter unless its predictions are there; its status line, or the reason why it was skipped."""
    out = work / f"{system.name.replace(', ', '-').lower()}.jsonl"
    status = out.with_suffix(".status.json")
    if out.exists() and status.exists():
        return json.loads(status.read_text())
    options = [*system.options, *(server if system.server else [])]
    command = [pythons.get(system.environment, sys.executable), str(HERE / system.script), str(work / "folds.jsonl"), str(out), *options]
    print(f"+ {system.name}", file=sys.stderr)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == SKIPPED:
        return {"skipped": done.stderr.strip().splitlines()[-1].partition(": ")[2]}
    if done.returncode:
        sys.exit(f"{system.name} failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1]) | {"predictions": out.name}
    status.write_text(json.dumps(found) + "\n")
    return found


def scores(gold: Mapping[str, Extraction], pred: Mapping[str, Extraction], labels: tuple[str, ...], samples: int) -> dict[str, Any]:
    chosen = {note_id: pred[note_id] for note_id in gold}
    found = {metric: score(gold, chosen, metric, labels, samples).summary() for metric in METRICS}
    if any("assertion" in e.attributes for x in chosen.values() for e in x.entities):
        kept = {
            note_id: x.model_copy(update={"entities": tuple(e for e in x.entities if e.label in labels)}) for note_id, x in gold.items()
        }
        found |= {metric: score(kept, chosen, metric, None, samples).summary() for metric in ASSERTION}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--python", action="append", default=[], metavar="SYSTEM=PATH", help="the interpreter of a system's environment")
    parser.add_argument("--base-url", help="an OpenAI-compatible server for langextract and llm-ie")
    parser.add_argument("--model", help="the model's name on that server")
    parser.add_argument("--samples", type=int, default=1000, help="bootstrap samples")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "baselines_kiwi.json")
    given = parser.parse_args()
    private_folder(given.work)
    chosen, sample = suite.load(SUITE), suite.load(SAMPLE)
    schema = Schema.load(chosen.pack_name)
    labels = chosen.labels or schema.labels
    gold = {SUITE: read_gold(chosen, schema).notes, SAMPLE: read_gold(sample, schema).notes}
    write_folds(given.work / "folds.jsonl", gold[SUITE], schema, labels, FOLDS)
    jsonl.write(given.work / "gold.jsonl", gold[SUITE].values())
    server = ["--base-url", given.base_url, "--model", given.model] if given.base_url and given.model else []
    pythons = dict(pair.split("=", 1) for pair in given.python)
    systems = {}
    for system in SYSTEMS:
        status = run_system(system, given.work, pythons, server)
        if "skipped" not in status:
            pred = {x.note.id: x for x in jsonl.read(given.work / status["predictions"])}
            status["scores"] = {name: scores(notes, pred, labels, given.samples) for name, notes in gold.items()}
        systems[system.name] = status
    record = {
        "benchmark": "baselines",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "MEDLLM_DATA=corpora python evals/baselines/run.py --work WORK --python medspacy=VENV/bin/python",
        "data": {
            name: f"suite {name}: {len(notes)} notes, {sum(len(x.note.text) for x in notes.values())} characters"
            for name, notes in gold.items()
        },
        "labels": list(labels),
        "folds": f"{FOLDS} folds of whole notes; training sentences that also stand in a scored note are left out",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), "medllm": importlib.metadata.version("medllm")},
        "systems": systems,
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    write_table(given.output, given.output.with_name("baselines.md"))


if __name__ == "__main__":
    main()
