"""Generated and mutated notes and files through every reader, splitter, grammar builder, rule, tagger and writer.

    PYTHONPATH=. python evals/benchmarks/reliability_fuzz.py -o evals/results/reliability_fuzz.json

An input is a note or a file, made by seeded mutators from the annotated examples, the example notes and a list of nasty strings
(``tests/fuzzing``). A crash is anything but a MedllmError or an entry for the ledger; a hang takes more than 2 s of CPU time; an offset
error is a mention whose text is not what stands at its offsets, a chunk that loses characters, or a prompt that changes a line. A
failure's seed in the record makes its input again: ``PARTS[part][kind](random.Random(seed))``.
"""

import argparse
import datetime
import importlib.metadata
import json
import multiprocessing
import os
import platform
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import zip_longest
from pathlib import Path

from machine import cpu_model

from tests.fuzzing import campaign, material
from tests.fuzzing.campaign import Result
from tests.fuzzing.parts import LONG

INPUTS = {
    "readers of annotations": 8400,
    "readers of notes": 3500,
    "writers": 4500,
    "splitter": 2800,
    "grammar builder": 1200,
    "rules": 1900,
    "tagger": 50,
}
PACKAGES = ("medllm", "pydantic", "llguidance", "regex", "pyarrow", "pypdf", "python-docx", "spacy", "rdflib", "onnxruntime")


CHUNK = 50
"""Inputs that a process makes at a time."""


def tasks(seed: int, share: float, every: int) -> Iterator[tuple[str, Callable[[], Result]]]:
    """The parts side by side, so that a campaign that is stopped has been through all of them."""
    made: dict[str, list[Callable[[], Result]]] = {}
    for part, whole in INPUTS.items():
        count = round(share * whole)
        made[part] = [partial(campaign.short, part, range(n, min(n + CHUNK, count)), seed) for n in range(0, count, CHUNK)]
    texts = len(material.long_texts())
    for part in LONG:
        starts = range(0, texts, 8 * every)
        made[f"{part}, 99,000 characters"] = [partial(campaign.long, part, range(n, min(n + 8 * every, texts), every)) for n in starts]
    for row in zip_longest(*([(name, task) for task in of] for name, of in made.items())):
        yield from (one for one in row if one is not None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs of each part")
    parser.add_argument("--long", type=int, default=1, help="one in so many of the long texts")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    parts: dict[str, Result] = {}
    with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn"), warnings.simplefilter, ("error",)) as pool:
        running = {pool.submit(task): name for name, task in tasks(given.seed, given.share, given.long)}
        for done in as_completed(running):
            campaign.add(parts.setdefault(running[done], Result()), done.result())
            left = sum(not one.done() for one in running)
            given.output.write_text(json.dumps(record(parts, left), indent=1) + "\n")


def record(parts: Mapping[str, Result], left: int) -> dict[str, object]:
    found = {name: result.summary() | ({"seeds": result.examples} if result.examples else {}) for name, result in sorted(parts.items())}
    return {
        "benchmark": "reliability_fuzz",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": shlex.join(["python", "evals/benchmarks/reliability_fuzz.py", *sys.argv[1:]]),
        "data": "examples/annotated, examples/notes and tests/fuzzing/material.py, mutated",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, shared with other work: CPU seconds",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "inputs": sum(r.inputs for r in parts.values()),
        "crashes": sum(r.crashes for r in parts.values()),
        "hangs": sum(r.hangs for r in parts.values()),
        "offset_errors": sum(r.offset_errors for r in parts.values()),
        "tasks_left": left,
        "parts": found,
    }


if __name__ == "__main__":
    main()
