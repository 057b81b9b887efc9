"""How well medllm uses a vLLM server: against a bare client that does nothing but send, and what the grammars cost.

    python evals/benchmarks/vllm_client.py --model FOLDER --python VENV/bin/python [--client-core 1 --server-core 0] NOTES... -o RESULT.json
    python evals/benchmarks/vllm_client.py --base-url http://localhost:8000 NOTES... -o RESULT.json          (a server that runs, a GPU box)

A first pass of medllm over the notes records what it asks and warms the server's prefix cache. Then rounds, one after the other in
turn, so that all see the same machine:

* *medllm*: the notes from the beginning to extractions, questions that depend on answers included;
* *bare*: the same requests by a saturating client (as many in flight, httpx, nothing read but the number of tokens);
* *free*: the bare client without grammars, each request made to give as many tokens as under its grammar;
* *copy* (``--copy``): medllm with the layout copy-with-tags; *other* (``--other``): the bare client on a server with other options.

Tokens a second are completion tokens over the seconds of a round. Ratios are between the sums of all rounds, with intervals over rounds.
``--gpu-hour`` is the price of the machine, for the cost of 1,000 notes.
"""

import argparse
import asyncio
import datetime
import json
import os
import platform
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from shutil import which
from typing import Any

import httpx
from machine import cpu_model
from vllm_server import server

from medllm.document import Note
from medllm.engines._protocol import body_of
from medllm.engines.base import Completion, Engine, Request
from medllm.engines.vllm import VllmEngine
from medllm.pipeline import Extractor
from medllm.versions import versions


class Noted:
    """An engine, with a list of what it was asked and how many tokens came."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.asked: list[tuple[Request, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    async def complete(self, request: Request) -> Completion:
        completion = await self.engine.complete(request)
        self.asked.append((request, completion.usage.completion_tokens))
        return completion


async def through_medllm(notes: list[Note], url: str, parallel: int, layout: str, relations: bool) -> tuple[Noted, dict[str, float]]:
    engine = Noted(VllmEngine(url, parallel=parallel))
    with Extractor("clinical", engine=engine, layout=layout, relations=relations) as extractor:
        started = time.perf_counter()
        usage = [request.usage async for reading in extractor.stream(notes) for request in reading.requests]
        seconds = time.perf_counter() - started
    counts = {name: sum(getattr(u, name) for u in usage) for name in ("prompt_tokens", "cached_tokens", "completion_tokens")}
    return engine, counts | {"seconds": seconds, "requests": len(usage)}


async def bare(bodies: list[dict[str, Any]], url: str, parallel: int) -> dict[str, float]:
    waiting = list(enumerate(bodies))
    tokens = [0] * len(bodies)
    async with httpx.AsyncClient(base_url=url, timeout=None, trust_env=False, limits=httpx.Limits(max_connections=parallel)) as client:

        async def send() -> None:
            while waiting:
                number, body = waiting.pop(0)
                response = await client.post("/v1/chat/completions", json=body)
                response.raise_for_status()
                tokens[number] = response.json()["usage"]["completion_tokens"]

        started = time.perf_counter()
        await asyncio.gather(*(send() for _ in range(parallel)))
        return {"completion_tokens": sum(tokens), "seconds": time.perf_counter() - started, "requests": len(bodies)}


def rate(rounds: list[dict[str, float]]) -> float:
    return sum(r["completion_tokens"] for r in rounds) / sum(r["seconds"] for r in rounds)


def ratio(one: list[dict[str, float]], other: list[dict[str, float]]) -> dict[str, Any]:
    """One rate over another with a 95 % interval: rounds are drawn in pairs, as they were run."""
    draws, generator = [], random.Random(0)
    for _ in range(2000):
        chosen = [generator.randrange(len(one)) for _ in one]
        draws.append(rate([one[i] for i in chosen]) / rate([other[i] for i in chosen]))
    draws.sort()
    return {"value": round(rate(one) / rate(other), 3), "interval": [round(draws[49], 3), round(draws[1949], 3)], "rounds": len(one)}


def measure(notes: list[Note], url: str, other: str | None, given: argparse.Namespace) -> dict[str, Any]:
    def ours(layout: str) -> tuple[Noted, dict[str, float]]:
        return asyncio.run(through_medllm(notes, url, given.parallel, layout, given.relations))

    noted, first = ours("lines")
    bodies = [body_of(request, noted.model, noted.server.form) for request, _ in noted.asked]
    free = []
    for body, (_, tokens) in zip(bodies, noted.asked, strict=True):
        without = {k: v for k, v in body.items() if k != "structured_outputs"}
        free.append(without | {"max_tokens": tokens, "min_tokens": tokens, "ignore_eos": True})
    kinds: dict[str, Callable[[], dict[str, float]]] = {
        "medllm": lambda: ours("lines")[1],
        "bare": lambda: asyncio.run(bare(bodies, url, given.parallel)),
        "free": lambda: asyncio.run(bare(free, url, given.parallel)),
    }
    if given.copy:
        kinds["copy"] = lambda: ours("copy")[1]
    if other is not None:
        kinds["other"] = lambda: asyncio.run(bare(bodies, other, given.parallel))
    for kind in kinds.keys() & {"copy", "other"}:
        kinds[kind]()  # their prefix caches are to be warm too
    rounds: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for number in range(given.rounds):
        for kind in list(kinds)[:: 1 if number % 2 == 0 else -1]:
            done = kinds[kind]()
            rounds[kind].append(done)
            print(f"round {number + 1}, {kind}: {done['completion_tokens'] / done['seconds']:.1f} tokens/s", file=sys.stderr)
    seconds = sum(r["seconds"] for r in rounds["medllm"])
    result: dict[str, Any] = {
        "server": noted.about,
        "first_pass": first | {"cached_share": round(first["cached_tokens"] / first["prompt_tokens"], 3)},
        "notes_a_second": {
            kind: round(given.rounds * len(notes) / sum(r["seconds"] for r in found), 4) for kind, found in rounds.items() if kind != "free"
        },
        "tokens_a_second": {kind: round(rate(found), 1) for kind, found in rounds.items()},
        "medllm_over_bare": ratio(rounds["medllm"], rounds["bare"]),
        "grammar_over_free": ratio(rounds["bare"], rounds["free"]),
        "rounds": rounds,
    }
    if other is not None:
        result["other_over_bare"] = ratio(rounds["other"], rounds["bare"])
    if given.gpu_hour:
        result["cost_of_1000_notes"] = round(given.gpu_hour * seconds / given.rounds / len(notes) * 1000 / 3600, 4)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", nargs="+", type=Path)
    parser.add_argument("--base-url", help="a server that runs; else one is started")
    parser.add_argument("--model", help="the model's folder, for a server to be started")
    parser.add_argument("--python", default=os.environ.get("MEDLLM_VLLM"), help="the Python that has vLLM")
    parser.add_argument("--serve", default="", help="further options of the server, such as '--speculate 4'")
    parser.add_argument("--vllm", default="", help="further options of vLLM, such as --enforce-eager")
    parser.add_argument("--server-core", type=int)
    parser.add_argument("--client-core", type=int)
    parser.add_argument("--parallel", type=int, default=32)
    parser.add_argument("--copy", action="store_true", help="also medllm with the layout copy-with-tags")
    parser.add_argument("--other", help="also the bare client on a second server with these options, such as '--speculate 4'")
    parser.add_argument("--relations", action="store_true", help="ask for modifiers too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gpu-hour", type=float, help="price of an hour of the machine")
    parser.add_argument("--remark", default="", help="what else is to be known, such as that the machine was shared")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    notes = [Note(id=path.stem, text=path.read_text(encoding="utf-8")) for path in given.notes]
    if given.client_core is not None:
        os.sched_setaffinity(0, {given.client_core})
    with tempfile.TemporaryDirectory() as folder:
        started = []
        for number, serve in enumerate([given.serve, given.other]):
            if serve is None or (number == 0 and given.base_url):
                started.append(nullcontext(given.base_url if number == 0 else None))
            else:
                options = {"core": given.server_core, "serve": shlex.split(serve), "more": shlex.split(given.vllm)}
                started.append(server(given.model, given.python, Path(folder) / f"{number}.log", **options))
        with started[0] as url, started[1] as other:
            found = measure(notes, url, other, given)
    result = {
        "benchmark": "vllm_client",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": shlex.join(["python", "evals/benchmarks/vllm_client.py", *_shown(sys.argv[1:])]),
        "data": f"{len(notes)} notes, {sum(len(n.text) for n in notes)} characters: {', '.join(n.id for n in notes[:10])}",
        "machine": "; ".join(filter(None, (f"{cpu_model()}, {os.cpu_count()} cores", gpus(), given.remark))),
        "python": platform.python_version(),
        "versions": versions(),
        "model": Path(given.model).name if given.model else None,
        **found,
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "rounds"}, ensure_ascii=False, indent=1))


def gpus() -> str:
    """The names of the GPUs, where there are any."""
    if which("nvidia-smi") is None:
        return ""
    line = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return ", ".join(subprocess.run(line, capture_output=True, text=True).stdout.split("\n")).strip(", ")


def _shown(arguments: list[str]) -> list[str]:
    """The arguments without this machine's folders."""
    return [Path(a).name if a.startswith("/") else a for a in arguments]


if __name__ == "__main__":
    main()
