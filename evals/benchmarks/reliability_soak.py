"""Many notes through a server that fails at a fifth of all requests, in seven ways: is everything accounted for, and what does it cost?

    PYTHONPATH=. python evals/benchmarks/reliability_soak.py --notes 10000 -o evals/results/reliability_soak.json

The server (``tests/engines/faulty.py``) is a process of its own; its answers follow from the prompt. It closes the connection before an
answer or in its midst, does not answer in time, says 429 or 500, cuts an answer off, or sends a page of HTML. Notes have two lines;
what is measured is medllm with ``--engine vllm``, from the notes to the run directory. The same run is then taken up again until nothing
is left that is worth another try. Peak memory is that of medllm's process after the first 1,000 notes and at the end.
"""

import argparse
import asyncio
import datetime
import json
import multiprocessing
import os
import platform
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from machine import cpu_model

from medllm.document import Note
from medllm.engines.vllm import VllmEngine
from medllm.pipeline import Extractor
from medllm.runs.directory import RunDirectory
from medllm.runs.ledger import WORTH_ANOTHER_TRY
from medllm.runs.run import Progress, configuration, run
from medllm.schema import Schema
from medllm.versions import versions
from tests.engines.faulty import SEVEN_WAYS, FaultyServer, mixed
from tests.scripted import Reader

SCHEMA = Schema.load("clinical").restrict(["problem", "drug"])
_NUMBER = re.compile(r"Patient (\d+) ")


class Tally:
    """In the place of the list of what a server was asked: how often for each note."""

    def __init__(self) -> None:
        self.by_note: Counter[int] = Counter()
        self.requests = 0

    def __len__(self) -> int:
        return self.requests

    def append(self, body: dict[str, Any]) -> None:
        self.requests += 1
        self.by_note[int(_NUMBER.findall(body["messages"][-1]["content"])[-1])] += 1


def serve(connection: Connection, share: float, seed: int) -> None:
    """Tell the address, then, for each question, how often each note was asked about since the last one."""
    faults = mixed(share, seed)
    happened: Counter[str] = Counter()

    def fault(number: int) -> str | None:
        found = faults(number)
        happened[found or "none"] += 1
        return found

    with FaultyServer(Reader(SCHEMA, {"fever": "problem", "aspirin": "drug"}), fault=fault) as server:
        tally = server.asked = Tally()  # type: ignore[assignment]
        connection.send(server.url)
        while connection.recv():
            connection.send((dict(tally.by_note), dict(happened)))
            tally.by_note.clear()
            happened.clear()


def peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def notes(count: int) -> Iterator[Note]:
    for n in range(count):
        yield Note(id=f"n{n}", text=f"Patient {n} has fever.\nPatient {n} takes aspirin.\n")


def one_run(url: str, out: Path, given: argparse.Namespace) -> dict[str, Any]:
    peaks: dict[int, float] = {}

    def report(progress: Progress) -> None:
        if progress.notes in (1000, given.notes):
            peaks[progress.notes] = peak_mb()
        if progress.notes % 1000 == 0:
            print(f"{progress.notes} notes, {progress.ledger} entries, {progress.seconds:.0f} s", file=sys.stderr, flush=True)

    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    engine = VllmEngine(url, timeout=given.timeout, patience=60, parallel=32)
    with Extractor(SCHEMA, engine=engine, relations=False) as extractor:
        directory = RunDirectory(out, SCHEMA, configuration(extractor))
        try:
            result = asyncio.run(run(extractor, notes(given.notes), directory, report=report))
        finally:
            directory.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    ledger = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
    return {
        "exit_code": result.exit_code,
        "notes_read": result.progress.notes,
        "accounting": json.loads((out / "run.json").read_text())["accounting"],
        "ledger": dict(Counter(entry["reason"] for entry in ledger)),
        "peak_rss_mb": peaks,
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notes", type=int, default=10_000)
    parser.add_argument("--share", type=float, default=0.2, help="of the requests that fail")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds to wait for an answer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--remark", default="", help="what else is to be known of the machine")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe()
    server = processes.Process(target=serve, args=(there, given.share, given.seed))
    server.start()
    url, runs = here.recv(), []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        while not runs or (len(runs) < 5 and WORTH_ANOTHER_TRY & runs[-1]["ledger"].keys()):
            runs.append(one_run(url, out, given))
            here.send(True)
            asked, happened = here.recv()
            per_note = sorted(asked.values())
            runs[-1] |= {
                "requests": sum(per_note),
                "requests_a_note": {"mean": round(sum(per_note) / len(per_note), 3), "p99": per_note[int(0.99 * len(per_note))]},
                "failures": {kind: happened.get(kind, 0) for kind in SEVEN_WAYS},
            }
            runs[-1]["requests_a_note"]["most"] = per_note[-1]
        lines = [json.loads(line) for line in (out / "extractions.jsonl").read_text().splitlines()]
        in_ledger = {json.loads(line)["note_id"] for line in (out / "ledger.jsonl").read_text().splitlines()}
    here.send(False)
    server.join()
    whole = {line["note_id"] for line in lines if [e["text"] for e in line["entities"]] == ["fever", "aspirin"]}
    peaks = runs[0]["peak_rss_mb"]
    result = {
        "benchmark": "reliability_soak",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/reliability_soak.py --notes {given.notes} --share {given.share} --timeout {given.timeout:g}",
        "data": f"{given.notes} invented notes of two lines; answers of a scripted reader",
        "machine": "; ".join(filter(None, (f"{cpu_model()}, {os.cpu_count()} cores", given.remark))),
        "python": platform.python_version(),
        "versions": versions(("medllm", "pydantic", "llguidance", "httpx")),
        "notes": given.notes,
        "notes_in_the_result": len(lines),
        "notes_in_the_result_twice": len(lines) - len({line["note_id"] for line in lines}),
        "notes_neither_whole_nor_in_the_ledger": given.notes - len(whole | in_ledger),
        "notes_whole": len(whole),
        "peak_rss_ratio": round(peaks[given.notes] / peaks[1000], 3) if 1000 in peaks else None,
        "runs": runs,
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
