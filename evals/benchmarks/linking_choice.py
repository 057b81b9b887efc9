"""Whether a language model chooses better among near names than the nearest name: gold mentions that no name says exactly.

    MEDLLM_DATA=corpora python evals/benchmarks/linking_choice.py [--model 0.5b] [--mentions 60] [-o evals/results/linking_choice.json]

A sample of the mentions of the development parts of BC5CDR and NCBI Disease that come to the linker's fourth step with candidates, drawn
once a name, label and abstract, with a fixed seed. ``nearest`` takes the first candidate, ``choice`` what the model takes of the first
eight, ``among``: the gold code is one of them. Nothing was tuned on them. Intervals: 95 % bootstrap over mentions, and of the difference.
"""

import argparse
import asyncio
import datetime
import json
import os
import platform
import random
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from linking import CORPORA, KINDS, RESAMPLES, mesh, notes
from machine import cpu_model

from medllm.document import Extraction
from medllm.engines import EngineOptions, create_engine
from medllm.lexicons import Lexicon, load
from medllm.linking import Linker, Linkers
from medllm.linking.choice import LIMIT, Chooser
from medllm.linking.vocabularies import VOCABULARIES, borrowed
from medllm.prompting.render import Prompts


def drawn(linker: Linker, extractions: list[Extraction], count: int) -> list[tuple[Extraction, list[str]]]:
    """Abstracts with one mention each that comes to the fourth step, and the codes that are near it."""
    keys = sorted({(number, e.text, e.label) for number, x in enumerate(extractions) for e in x.entities if len(mesh(e.codes)) == 1})
    random.Random(0).shuffle(keys)
    found: list[tuple[Extraction, list[str]]] = []
    for number, text, label in keys:
        extraction = extractions[number]
        near = linker.choices(text, label, linker.abbreviations(extraction), LIMIT)
        if near:
            entity = next(e for e in extraction.entities if (e.text, e.label) == (text, label))
            found.append((extraction.model_copy(update={"entities": (entity,), "relations": ()}), [c.code for c in near]))
        if len(found) == count:
            break
    return found


def interval(values: np.ndarray) -> list[float]:
    picked = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    return [round(float(q), 4) for q in np.quantile(values[picked].mean(axis=1), [0.025, 0.975])]


async def choices(chooser: Chooser, linkers: Linkers, sample: list[tuple[Extraction, list[str]]]) -> list[list[str]]:
    found = []
    for extraction, _ in sample:
        bare = extraction.model_copy(update={"entities": tuple(e.model_copy(update={"codes": ()}) for e in extraction.entities)})
        chosen, _ = await chooser.choose(bare, linkers)
        found.append(list(chosen.entities[0].codes))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="0.5b")
    parser.add_argument("--mentions", type=int, default=60)
    parser.add_argument("--threads", type=int)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    if "MEDLLM_DATA" not in os.environ:
        sys.exit("MEDLLM_DATA must name the folder of the corpora")
    vocabulary = VOCABULARIES["mesh"]
    lexicon = load(*vocabulary.lexicons)
    linker = Linker(lexicon, aliases=Lexicon(borrowed(lexicon, map(load, vocabulary.lenders))), kinds=KINDS)
    extractions = [x for corpus in CORPORA for x in notes(Path(os.environ["MEDLLM_DATA"]), corpus, "dev")]
    sample = drawn(linker, extractions, given.mentions)
    engine = create_engine("embedded", given.model, EngineOptions(threads=given.threads))
    started = time.perf_counter()
    chosen = asyncio.run(choices(Chooser(engine, Prompts()), Linkers([linker]), sample))
    seconds = time.perf_counter() - started
    gold = [mesh(x.entities[0].codes)[0] for x, _ in sample]
    right = {
        "nearest": np.array([near[0] == code for (_, near), code in zip(sample, gold, strict=True)], float),
        "choice": np.array([codes == [code] for codes, code in zip(chosen, gold, strict=True)], float),
        "among": np.array([code in near for (_, near), code in zip(sample, gold, strict=True)], float),
    }
    record: dict[str, Any] = {
        "benchmark": "linking_choice",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/linking_choice.py --model {given.model} --mentions {given.mentions}",
        "data": "gold mentions of the dev parts of BC5CDR and NCBI Disease that no name says exactly",
        "model": f"{engine.model}, {engine.fingerprint}",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, busy with other work",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("medllm", "rapidfuzz", "xllamacpp")},
        "mentions": len(sample),
        "accuracy": {name: {"accuracy": round(float(hits.mean()), 4), "interval": interval(hits)} for name, hits in right.items()},
        "choice_less_nearest": {
            "difference": round(float((right["choice"] - right["nearest"]).mean()), 4),
            "interval": interval(right["choice"] - right["nearest"]),
        },
        "none_of_these": sum(not codes for codes in chosen),
        "seconds_a_mention": round(seconds / len(sample), 2),
    }
    text = json.dumps(record, indent=1)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
