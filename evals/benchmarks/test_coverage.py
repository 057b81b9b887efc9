"""Which branches of medllm its tests take, processes that tests start included.

    PYTHONPATH=. python evals/benchmarks/test_coverage.py --jobs 2 -o evals/results/coverage.json

The folders of tests are divided among ``--jobs`` runs of pytest, each under coverage.py with the settings of ``pyproject.toml``, and
the data combined. What coverage.py cannot see: processes that are killed, those with an environment of their own (``packaging``), and
tests that need a vLLM (``MEDLLM_VLLM``) or the corpora (``MEDLLM_DATA``, ``MEDLLM_PARITY``) where these are not set.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import cpu_model

ROOT = Path(__file__).parents[2]
NOT_UNDER_COVERAGE = "tests/runs/test_run.py::test_a_full_disk_is_one_sentence_and_what_was_done_is_kept"
"""It lets no file grow, those of coverage.py included."""


def main() -> None:
    """Run the tests and write the record; exit 1 where tests failed, with the record marked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    parts = sorted(path for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("test_*.py")))
    parts += [*sorted((ROOT / "tests").glob("test_*.py")), ROOT / "medllm"]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "COVERAGE_FILE": f"{folder}/data", "OMP_NUM_THREADS": "1"}
        logs = [Path(folder) / f"{job}.log" for job in range(arguments.jobs)]
        running = []
        for job, log in enumerate(logs):
            command = [
                sys.executable,
                "-m",
                "coverage",
                "run",
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                f"--deselect={NOT_UNDER_COVERAGE}",
            ]
            with log.open("w") as out:
                running.append(
                    subprocess.Popen([*command, *map(str, parts[job :: arguments.jobs])], cwd=ROOT, env=environment, stdout=out, stderr=out)
                )
        failed = [process.wait() for process in running]
        for log in logs:
            print(log.read_text()[-3000:], file=sys.stderr)
        subprocess.run([sys.executable, "-m", "coverage", "combine", "-q"], cwd=ROOT, env=environment, check=True)
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", f"{folder}/all.json"], cwd=ROOT, env=environment, check=True)
        report = json.loads((Path(folder) / "all.json").read_text())
    totals = report["totals"]
    files = {name: file["summary"] for name, file in report["files"].items()}
    missing = sorted(files, key=lambda name: -files[name]["missing_branches"])[:30]
    record = {
        "benchmark": "coverage of the tests",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"PYTHONPATH=. python evals/benchmarks/test_coverage.py --jobs {arguments.jobs} -o {arguments.output}",
        "python": platform.python_version(),
        "coverage": report["meta"]["version"],
        "machine": cpu_model(),
        "tests_failed": any(failed),
        "with": [name for name in ("MEDLLM_DATA", "MEDLLM_PARITY", "MEDLLM_VLLM") if name in os.environ],
        "statements": {"covered": totals["covered_lines"], "all": totals["num_statements"]},
        "branches": {
            "covered": totals["covered_branches"],
            "all": totals["num_branches"],
            "share": round(totals["covered_branches"] / totals["num_branches"], 4),
        },
        "most_missing": {name: [files[name]["missing_branches"], files[name]["num_branches"]] for name in missing},
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({key: record[key] for key in ("statements", "branches", "tests_failed")}))
    sys.exit(any(failed))


if __name__ == "__main__":
    main()
