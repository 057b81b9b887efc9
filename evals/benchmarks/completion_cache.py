"""What a run with ``--cache`` asks again when something has changed, and what an answer costs to keep.

    PYTHONPATH=. python evals/benchmarks/completion_cache.py -o evals/results/completion_cache.json

The engine is a scripted one. The first run fills the cache; each of the others starts from a copy of it, with one thing changed. The
share is of the requests that the changed run would make without a cache.
"""

import argparse
import asyncio
import datetime
import json
import os
import platform
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from machine import cpu_model

from medllm.document import Note
from medllm.engines.cached import CachedEngine
from medllm.engines.completion_cache import CompletionCache
from medllm.pipeline import Extractor
from medllm.schema import Schema
from medllm.versions import versions
from tests.scripted import Reader, Scripted, task_of

DRUGS = ("aspirin", "metformin", "lisinopril", "warfarin", "ibuprofen", "insulin", "naproxen")
PACK = '''
from medllm import Entity, Modifier, Relation, Schema


class Problem(Entity):
    """A disease or a symptom."""


class Drug(Entity):
    """A drug."""


class Strength(Modifier):
    """How much."""


class Of(Relation[Drug, Strength]):
    """Its strength."""


class For(Relation[Drug, Problem]):
    """What it is given for."""


schema = Schema("mine", entities=[Problem, Drug, Strength], relations=[Of, For])
'''


def texts(count: int) -> list[str]:
    lines = "Bed {n} has had a fever for {m} days.\nTakes {drug} {k} mg for fever.\n"
    return ["".join(lines.format(n=n, m=m, drug=DRUGS[(n + m) % 7], k=10 * n + m) for m in range(4)) for n in range(count)]


def run(folder: Path, cache: Path, pack: str, notes: list[str]) -> dict[str, Any]:
    (folder / "mine.py").write_text(pack)
    schema = Schema.load(folder / "mine.py")
    lexicon = dict.fromkeys(DRUGS, "drug") | {"fever": "problem"}
    strengths = {f"{k} mg": "strength" for k in range(10 * len(notes) + 10)}
    engine = Scripted(Reader(schema, lexicon, strengths, {("drug", "problem"): "For"}), strict=False)

    async def read_all(extractor: Extractor) -> Counter[str]:
        found: Counter[str] = Counter()
        async for reading in extractor.stream(Note(id=f"{n}", text=text) for n, text in enumerate(notes)):
            for request in reading.requests:
                found[request.task] += 1
        return found

    with Extractor(schema, engine=CachedEngine(engine, CompletionCache(cache)), chunk_tokens=32) as extractor:
        asked = asyncio.run(read_all(extractor))
    again = Counter(task_of(request) for request in engine.calls)
    return {
        "requests": dict(asked),
        "asked_of_the_model": dict(again),
        "share": round(again.total() / asked.total(), 4),
    }


def cost(folder: Path, filled: Path) -> dict[str, float]:
    """Microseconds to look up and to keep an answer, and bytes of one on the disk."""
    database = sqlite3.connect(next(filled.glob("*.sqlite")))
    packed = [row[0] for row in database.execute("SELECT packed FROM completions")]
    database.close()
    cache = CompletionCache(folder / "speed")
    keys = [n.to_bytes(32, "big") for n in range(5000)]
    seconds = {}
    for name, work in (("put", lambda n: cache.put(keys[n], packed[n % len(packed)])), ("get", lambda n: cache.get(keys[n]))):
        started = time.process_time()
        for n in range(len(keys)):
            work(n)
        seconds[name] = time.process_time() - started
    cache.close()
    return {
        "answers": len(packed),
        "bytes_an_answer": round(sum(map(len, packed)) / len(packed)),
        **{f"{name}_cpu_microseconds": round(1e6 * value / len(keys), 1) for name, value in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notes", type=int, default=60)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    before = texts(given.notes)
    changes = {
        "nothing": (PACK, before),
        "the guideline of a modifier": (PACK.replace("How much.", "How much, with its unit."), before),
        "the guideline of a relation": (PACK.replace("What it is given for.", "The problem it treats."), before),
        "the guideline of an entity": (PACK.replace("A drug.", "A drug or a vaccine."), before),
        "one line of each note": (PACK, [text.replace("for 3 days", "for 5 days") for text in before]),
        "a tenth of the notes": (PACK, [f"New: {t}" if n % 10 == 0 else t for n, t in enumerate(before)]),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = run(folder, folder / "filled", PACK, before)
        runs = {}
        for what, (pack, notes) in changes.items():
            shutil.rmtree(folder / "cache", ignore_errors=True)
            shutil.copytree(folder / "filled", folder / "cache")
            runs[what] = run(folder, folder / "cache", pack, notes)
        kept = cost(folder, folder / "filled")
    result = {
        "benchmark": "completion_cache",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/completion_cache.py --notes {given.notes}",
        "data": f"{given.notes} invented notes of 8 lines; a schema of 2 entities, a modifier and 2 relations; a scripted engine",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": versions(("medllm", "pydantic")) | {"sqlite": sqlite3.sqlite_version},
        "first_run": first,
        "changed": runs,
        "an_answer": kept,
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
