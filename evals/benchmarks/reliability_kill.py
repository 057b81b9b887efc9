"""Runs that are killed, run out of disk and have their files torn at random moments, and are taken up again.

    PYTHONPATH=. python evals/benchmarks/reliability_kill.py --points 200 -o evals/results/reliability_kill.json

A chain of one to four disturbances, then a run that may finish; its files must be those of an undisturbed run, byte for byte once their
lines are sorted. The engine is a scripted one, whose answers follow from the prompt. *killed*: SIGKILL at a moment drawn from the length
of a run, its start and the recovery of the run before it included. *full disk*: no file may grow beyond a size drawn from 1 byte to that
of the largest one (RLIMIT_FSIZE). *torn*: after a kill, the last 16 to 4,096 bytes of each file, with probability 1/2, are lost, zeros,
or random bytes. Only disturbances that met a run in its midst count.
"""

import argparse
import datetime
import json
import os
import platform
import random
import sys
import tempfile
import time
from pathlib import Path

from machine import cpu_model

from medllm.versions import versions
from tests.runs.chaos import DISTURBANCES, ERRORS, Disturber, write_notes

LINES = ("Takes aspirin 81 mg.\n", "主诉：头痛。\n", "Has no fever 💊.\n", "A rash.\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--notes", type=int, default=16)
    parser.add_argument("--delay", type=float, default=0.01, help="seconds of a request")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--remark", default="", help="what else is to be known of the machine")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    started = time.monotonic()
    chains = different = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_notes(work / "notes", given.notes, LINES)
        disturber = Disturber(work / "notes", work / "runs" / "whole", random.Random(given.seed), given.delay)
        while sum(disturber.counts[kind] for kind in DISTURBANCES) < given.points:
            chains += 1
            try:
                disturber.chain(work / "runs" / f"{chains}")
            except AssertionError as error:
                different += 1
                print(f"chain {chains}: {error}", file=sys.stderr)
        tracebacks = (work / "runs" / ERRORS).read_text().count("Traceback")
    result = {
        "benchmark": "reliability_kill",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/reliability_kill.py --points {given.points} --seed {given.seed}",
        "data": f"{given.notes} invented notes of 2 to 5 lines, an empty file and one that is not text",
        "machine": "; ".join(filter(None, (f"{cpu_model()}, {os.cpu_count()} cores", given.remark))),
        "python": platform.python_version(),
        "versions": versions(("pydantic", "llguidance", "filelock")),
        "kill_points": {kind: disturber.counts[kind] for kind in DISTURBANCES},
        "points": sum(disturber.counts[kind] for kind in DISTURBANCES),
        "chains": chains,
        "chains_unlike_an_undisturbed_run": different,
        "tracebacks": tracebacks,
        "seconds_of_an_undisturbed_run": round(disturber.seconds, 2),
        "seconds": round(time.monotonic() - started, 1),
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    print(json.dumps(result, ensure_ascii=False, indent=1))
    sys.exit(1 if different or tracebacks else 0)


if __name__ == "__main__":
    main()
