"""The starting line: the embedded models as they come, over a listed sample of Kiwi notes.

    MEDLLM_DATA=corpora python evals/benchmarks/embedded_reader.py --model 0.5b --work work/0.5b -o evals/results/embedded_0.5b.json

Runs ``medllm extract`` as a user would, into ``--work``, and goes on there if it is started again. Then counts what a grounded
reader must never do (malformed answers, offsets that do not give back their text, notes unaccounted for) and scores it.
Nothing was tuned on these notes. Time is the sum over requests, from sending one to its last token, without loading the model.
"""

import argparse
import collections
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import cpu_model

from medllm.evaluation import score
from medllm.formats import registry
from medllm.runs.directory import read_run

LABELS = ("problem", "test", "treatment", "drug")
SAMPLE = Path(__file__).parents[1] / "samples" / "kiwi-mtsamples-20.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="0.5b")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sample", type=Path, default=SAMPLE)
    parser.add_argument("--samples", type=int, default=1000, help="bootstrap samples")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("options", nargs="*", help="further options of medllm extract, after --")
    given = parser.parse_args()
    if "MEDLLM_DATA" not in os.environ:
        sys.exit("set MEDLLM_DATA to the folder that holds kiwi-mtsamples")
    corpus = Path(os.environ["MEDLLM_DATA"]) / "kiwi-mtsamples" / "train"
    names = [line for line in given.sample.read_text().splitlines() if line and not line.startswith("#")]

    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            for ending in (".txt", ".ann"):
                (Path(folder) / f"{name}{ending}").symlink_to((corpus / f"{name}{ending}").resolve())
        command = ["medllm", "extract", folder, "-o", str(given.work), "--model", given.model, *given.options]
        exit_code = subprocess.run([sys.executable, "-c", "from medllm.cli import main; main()", *command[1:]]).returncode
        if exit_code not in (0, 3):
            sys.exit(exit_code)
        gold = {p.extraction.note.id: p.extraction for p in registry.reader("brat")(Path(folder), None)}
    run = read_run(given.work)
    pred = {x.note.id: x for x in run.extractions}
    usage = [json.loads(line) for line in (given.work / "usage.jsonl").read_text().splitlines()]
    seconds = collections.Counter()
    for request in usage:
        seconds[request["task"]] += request["seconds"]
    reasons = collections.Counter(entry["reason"] for entry in run.ledger)

    result = {
        "benchmark": "embedded_reader",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": shlex.join(
            ["python", "evals/benchmarks/embedded_reader.py", "--model", given.model, "--work", "WORK", "--", *given.options]
        ),
        "data": f"{given.sample.name}: {len(gold)} notes of kiwi-mtsamples/train",
        "characters": sum(len(x.note.text) for x in gold.values()),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": run.manifest["versions"] | {"medllm": importlib.metadata.version("medllm")},
        "configuration": run.manifest["configuration"],
        "exit_code": exit_code,
        "never": {
            "malformed_answers": reasons["unplaced"],
            "offsets_that_do_not_give_back_their_text": sum(
                e.text != " ".join(s.of(x.note.text) for s in e.spans) for x in run.extractions for e in x.entities
            ),
            "notes_unaccounted_for": len(set(gold) - set(pred) - {entry["note_id"] for entry in run.ledger}),
        },
        "ledger": dict(reasons),
        "mentions_a_note": {
            "gold": round(sum(e.label in LABELS for x in gold.values() for e in x.entities) / len(gold), 1),
            "predicted": round(sum(e.label in LABELS for x in run.extractions for e in x.entities) / len(gold), 1),
        },
        "seconds_by_task": {task: round(value, 1) for task, value in seconds.items()},
        "notes_a_minute_entities": round(60 * len(pred) / seconds["entities"], 2),
        "completion_tokens": sum(request["completion_tokens"] for request in usage),
        "peak_rss_mb_of_this_run": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        "scores": {},
    }
    for metric in ("exact", "overlap"):
        scored = score(gold, pred, metric, labels=LABELS, bootstrap=given.samples)
        result["scores"][metric] = scored.summary()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
