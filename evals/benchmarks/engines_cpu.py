"""The CPU engines side by side: the same model, note, prompts and grammars through ``embedded`` and ``transformers``.

    python evals/benchmarks/engines_cpu.py --model MODEL.gguf [NOTES...] -o evals/results/engines_cpu.json

Each engine runs ``medllm extract --no-relations`` in a process of its own. Seconds are those of the requests, without loading; the
ratio of the two is what counts, the machine being whatever it is.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import cpu_model

ENGINES = {"embedded": (), "transformers": ("--parallel", "4")}
RUN = "import resource; from medllm.cli import app; app(standalone_mode=False); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def measure(engine: str, options: tuple[str, ...], model: str, notes: list[str]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as out:
        command = ["extract", *notes, "-o", out, "--engine", engine, "--model", model, "--no-relations", *options]
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-c", RUN, *command], capture_output=True, text=True, check=True)
        wall = time.monotonic() - started
        usage = [json.loads(line) for line in (Path(out) / "usage.jsonl").read_text().splitlines()]
        manifest = json.loads((Path(out) / "run.json").read_text())
    count = len({u["note_id"] for u in usage})
    # Requests of one batch wait for each other, so their seconds overlap: the run's own time, without loading, is used for both.
    return {
        "options": list(options),
        "notes": count,
        "mentions": manifest["this_run"]["mentions"],
        "seconds_with_loading": round(wall, 1),
        "seconds": manifest["seconds"],
        "notes_a_minute": round(60 * count / manifest["seconds"], 2),
        "prompt_tokens": sum(u["prompt_tokens"] - u["cached_tokens"] for u in usage),
        "completion_tokens": sum(u["completion_tokens"] for u in usage),
        "peak_rss_mb": round(int(done.stdout.split()[-1]) / 1024),
        "versions": manifest["versions"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", nargs="*", default=["examples/notes/medication-list.txt"])
    parser.add_argument("--model", required=True, help="a GGUF file, which both engines run")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    result = {
        "benchmark": "engines_cpu",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/engines_cpu.py --model {Path(given.model).name}",
        "data": [Path(n).name for n in given.notes],
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "engines": {engine: measure(engine, options, given.model, given.notes) for engine, options in ENGINES.items()},
    }
    engines = result["engines"]
    result["embedded_over_transformers"] = round(engines["embedded"]["notes_a_minute"] / engines["transformers"]["notes_a_minute"], 1)
    given.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
