"""Accounting, limits, concurrency and privacy: how many cases of each the tests try, and how many of these break the promise.

    PYTHONPATH=. python evals/benchmarks/reliability_promises.py -o evals/results/reliability_promises.json

A case is one run of a test with one set of arguments. The tests start medllm as a user does, over good and bad notes and with faults.
"""

import argparse
import datetime
import json
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from machine import cpu_model

ROOT = Path(__file__).parents[2]
PROMISES = {
    "privacy": ("tests/privacy", ""),
    "accounting": ("tests/runs/test_accounting.py", ""),
    "limits": (
        "tests/formats/test_inputs.py tests/formats/test_inputs_rows.py tests/engines/test_vllm.py",
        "large or limit or timeout or long or max",
    ),
    "concurrency": ("tests/runs/test_sharing.py", ""),
}
"""By promise: where its tests stand, and which of them are about it."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path, required=True)
    output = parser.parse_args().output
    found = {}
    for promise, (places, names) in PROMISES.items():
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            chosen = ["-k", names] if names else []
            line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *places.split(), *chosen, f"--junitxml={report}"]
            subprocess.run(line, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
            suite = next(ET.parse(report).iter("testsuite"))
            counts = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
            tests = sorted({str(case.get("name")).partition("[")[0] for case in suite.iter("testcase")})
        broken = counts["failures"] + counts["errors"]
        found[promise] = {"cases": counts["tests"] - counts["skipped"], "broken": broken, "skipped": counts["skipped"], "tests": tests}
        print(promise, {k: v for k, v in found[promise].items() if k != "tests"}, flush=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    record = {
        "benchmark": "reliability_promises",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "PYTHONPATH=. python evals/benchmarks/reliability_promises.py -o evals/results/reliability_promises.json",
        "machine": cpu_model(),
        "python": platform.python_version(),
        "commit": commit,
        "promises": found,
    }
    output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
