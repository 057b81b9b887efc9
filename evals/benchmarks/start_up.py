"""How much medllm costs before it reads anything: starting times and the size of an installation without torch.

    python evals/benchmarks/start_up.py [--install] -o evals/results/start_up.json

Times are medians of nine runs, beside those of a bare interpreter. ``--install`` makes a virtual environment and installs this
checkout into it from the index that pip is configured with.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import cpu_model

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import medllm": [sys.executable, "-c", "import medllm"],
    "medllm --help": [sys.executable, "-c", "from medllm.cli import main; main()", "--help"],
}


def seconds(command: list[str], runs: int = 9) -> float:
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - started)
    return round(statistics.median(taken), 3)


def installed_megabytes() -> float:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([f"{folder}/bin/python", "-m", "pip", "install", "-q", "--no-compile", str(ROOT)], check=True)
        return round(sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file() and not f.is_symlink()) / 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    result = {
        "benchmark": "start_up",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/start_up.py" + (" --install" if given.install else ""),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "seconds": {name: seconds(command) for name, command in COMMANDS.items()},
        "installation_without_torch_mb": installed_megabytes() if given.install else None,
    }
    given.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
