"""Rows of Parquet through ``medllm extract`` with the replay engine: peak memory and rows a second, 10,000 rows and 100,000.

    PYTHONPATH=. python evals/benchmarks/rows.py --work work/rows -o evals/results/rows.json

The notes are a hundred invented ones, again and again with ids of their own, so that the recording stays small and what is measured is
everything around the model: reading, prompts, grammars, grounding, the run directory. Answers are those of a scripted engine, recorded.
"""

import argparse
import asyncio
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from machine import cpu_model

from medllm.document import Note
from medllm.engines.replay import Recorder
from medllm.pipeline import Extractor
from medllm.schema import Schema
from tests.scripted import Reader, Scripted

SYMPTOMS = ("fever", "cough", "chest pain", "nausea", "headache", "fatigue", "dizziness", "rash", "back pain", "dyspnea")
DRUGS = ("aspirin", "metformin", "lisinopril", "warfarin", "ibuprofen", "insulin", "naproxen", "amoxicillin", "atenolol", "furosemide")
BATCH = 1000


def texts() -> list[str]:
    return [f"Mr. Invented {n} takes {DRUGS[n % 10]} for {SYMPTOMS[n // 10]}.\n" for n in range(100)]


def record(path: Path) -> None:
    schema = Schema.load("clinical").restrict(["problem", "test", "treatment", "drug"])
    lexicon = dict.fromkeys(SYMPTOMS, "problem") | dict.fromkeys(DRUGS, "drug")
    engine = Scripted(Reader(schema, lexicon))
    engine.counting = "characters/4"  # type: ignore[attr-defined]

    async def read_all(extractor: Extractor) -> None:
        for n, text in enumerate(texts()):
            await extractor.read(Note(id=str(n), text=text))

    with Extractor(schema, engine=Recorder(engine, path), relations=False) as extractor:
        asyncio.run(read_all(extractor))


def write_rows(path: Path, rows: int) -> None:
    found = texts()
    schema = pa.schema([("id", pa.int64()), ("text", pa.string()), ("ward", pa.string())])
    with pq.ParquetWriter(path, schema) as table:
        for first in range(0, rows, BATCH):
            ids = range(first, min(first + BATCH, rows))
            table.write_table(pa.table({"id": list(ids), "text": [found[n % 100] for n in ids], "ward": ["B2"] * len(ids)}, schema=schema))


def run(work: Path, rows: int, recording: Path) -> dict[str, object]:
    table, out = work / f"rows-{rows}.parquet", work / f"out-{rows}"
    write_rows(table, rows)
    options = [
        "--engine",
        "replay",
        "--model",
        str(recording),
        "--labels",
        "problem,test,treatment,drug",
        "--no-relations",
        "--id-column",
        "id",
    ]
    command = [sys.executable, "-c", "from medllm.cli import main; main()", "extract", str(table), "-o", str(out), "--fresh", *options]
    started = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    with open(out / "extractions.jsonl", "rb") as file:
        notes = sum(1 for _ in file)
    cpu = usage.ru_utime + usage.ru_stime
    return {
        "rows": rows,
        "exit_code": process.returncode,
        "notes_read": notes,
        "peak_rss_mb": round(usage.ru_maxrss / 1024, 1),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "rows_a_second": round(rows / seconds, 1),
        "rows_a_cpu_second": round(rows / cpu, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs=2, default=[10_000, 100_000])
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    recording = given.work / "recording.jsonl"
    recording.unlink(missing_ok=True)
    record(recording)
    small, large = (run(given.work, rows, recording) for rows in given.rows)
    result = {
        "benchmark": "rows",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": shlex.join(["python", "evals/benchmarks/rows.py", "--work", "WORK", "--rows", *map(str, given.rows)]),
        "data": "100 invented notes of one line, repeated with ids of their own; answers of a scripted engine, replayed",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, shared with other work: compare CPU seconds",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("medllm", "pyarrow", "pydantic", "llguidance")},
        "runs": [small, large],
        "peak_rss_ratio": round(float(str(large["peak_rss_mb"])) / float(str(small["peak_rss_mb"])), 3),
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
