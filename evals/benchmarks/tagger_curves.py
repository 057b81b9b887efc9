"""What helps a tagger that has few notes: the same training with and without each help, on 5 to 100 % of a small corpus.

    MEDLLM_DATA=corpora python evals/benchmarks/tagger_curves.py --base FOLDER --base-name NAME --work WORK [--help-with NAME ...] [-o FILE]

Trained on sentences of gpt-mtsamples/train (problem, treatment, test), scored on gpt-mtsamples/valid; sentences that share a line with
those are left out. Every training takes the same number of steps, so that more text never means more computation. Nothing was tuned:
the settings are those of the shipped tagger's training. Each training is recorded alone in WORK and never made twice; differences to
the plain training of the same size are paired, with bootstrap intervals over sentences.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu_model
from numpy.typing import NDArray

from medllm.lexicons import load
from medllm.training.augmentation import augmented
from medllm.training.tagger import TrainingOptions, fit, read_corpus
from medllm.training.tagger.data import TrainingNote, overlapping

SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
STEPS, BATCH = 150, 16
SETTINGS = TrainingOptions(rate=1.5e-4, head_rate=1e-3, batch=BATCH, window=128, average=0.97)
SAMPLES = 2000


@dataclass(frozen=True)
class Help:
    """One way to help: augmentation, names from lexicons for it, options of the training, another encoder to begin with."""

    augment: tuple[str, ...] = ()
    names_from: Mapping[str, tuple[str, ...]] | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    encoder: str = ""


HELPS = {
    "none": Help(),
    "mentions": Help(("mentions",)),
    "mentions-of-mesh": Help(("mentions",), {"problem": ("disorder",), "treatment": ("drug", "procedure"), "test": ("test",)}),
    "words-of-label": Help(("words-of-label",)),
    "synonyms": Help(("synonyms",)),
    "insert-delete-swap": Help(("insert", "delete", "swap")),
    "coordinations-voices": Help(("coordinations", "voices")),
    "negations": Help(("negations",)),
    "mesh-features": Help(options={"lexicons": ("mesh",)}),
    "crf": Help(options={"crf": True}),
    "balance": Help(options={"balance": True}),
    "lora": Help(options={"lora": 16, "rate": 1e-3}),
    "pretrained": Help(encoder="pretrained"),
    "annotated": Help(encoder="annotated"),
}
"""``pretrained`` and ``annotated`` begin with encoders that were adapted to raw notes, and trained on other annotated notes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="the encoder: a folder or a hub name")
    parser.add_argument("--base-name", required=True, help="what the record calls it")
    parser.add_argument(
        "--encoder", action="append", default=[], metavar="NAME=FOLDER", help="an adapted encoder, for the help of this name"
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--help-with", action="append", choices=HELPS, help="only these")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no training after so many minutes")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    root = os.environ.get("MEDLLM_DATA")
    if not root:
        sys.exit("MEDLLM_DATA is not set: it names the folder with the corpora")
    encoders = dict(each.split("=", 1) for each in options.encoder) | {"": options.base}
    held_out = read_corpus(f"conll:{root}/gpt-mtsamples/valid").notes
    training = read_corpus(f"conll:{root}/gpt-mtsamples/train").notes
    shared = overlapping(training, held_out, least=20)
    training = tuple(note for note in training if note.id not in shared)
    options.work.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    for seed in range(options.seeds):
        for name, how in HELPS.items():
            for share in SHARES:
                if (options.help_with and name not in options.help_with) or how.encoder not in encoders:
                    continue
                record = options.work / f"{name}-{share:g}-{seed}.json"
                if not record.is_file() and time.monotonic() - begun < options.minutes * 60:
                    one(how, share, seed, training, held_out, encoders[how.encoder], options.work / "training", record)
    summary = summarise(options.work, options, len(training), len(held_out))
    if options.output:
        options.output.write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    for name, row in summary["f1"].items():
        print(f"{name:22}", " ".join(f"{share} {cell['f1']:.3f} {cell.get('gain', 0):+.3f}" for share, cell in row.items()))


def one(
    how: Help,
    share: float,
    seed: int,
    training: Sequence[TrainingNote],
    held_out: Sequence[TrainingNote],
    base: str,
    work: Path,
    record: Path,
) -> None:
    """Train once and write the counts of each held-out sentence: right, found, gold."""
    started = time.monotonic()
    chosen = sorted(training, key=lambda note: note.id)
    random.Random(f"{seed}").shuffle(chosen)
    chosen = chosen[: round(share * len(chosen))]
    names = {label: mesh_names(kinds) for label, kinds in (how.names_from or {}).items()}
    notes = [*chosen, *augmented(chosen, how.augment, copies=max(1, 3 // max(1, len(how.augment))), seed=seed, lexicons=names)]
    settings = dataclasses.replace(SETTINGS, epochs=STEPS * BATCH / len(notes), seed=seed, **how.options)
    for old in sorted(work.rglob("*"), reverse=True):
        old.unlink() if old.is_file() else old.rmdir()
    tagger = fit(notes, base, work, settings).tagger()
    counts = []
    for note, found in zip(held_out, tagger.tag_many([n.text for n in held_out]), strict=True):
        gold, mine = {(m.start, m.end, m.label) for m in note.mentions}, {(m.start, m.end, m.label) for m in found}
        counts.append([len(gold & mine), len(mine), len(gold)])
    minutes = round((time.monotonic() - started) / 60, 2)
    record.write_text(
        json.dumps({"sentences": len(chosen), "changed_copies": len(notes) - len(chosen), "minutes": minutes, "counts": counts})
    )


def mesh_names(kinds: Sequence[str]) -> list[str]:
    """Preferred names of MeSH that read as in a note: without commas, of at most four words."""
    found = [c.name for c in load("mesh").only(*kinds) if "," not in c.name and len(c.name.split()) <= 4]  # type: ignore[arg-type]
    return [name.lower() if name[1:].islower() else name for name in found]


def summarise(work: Path, options: argparse.Namespace, training: int, held_out: int) -> dict[str, Any]:
    cells: dict[str, dict[str, Any]] = {}
    chance = np.random.default_rng(0)
    draws = chance.integers(0, held_out, (SAMPLES, held_out))
    for name in HELPS:
        for share in SHARES:
            own, plain = counts_of(work, name, share), counts_of(work, "none", share)
            seeds = sorted(set(own) & set(plain)) if name != "none" else sorted(own)
            if not seeds:
                continue
            mine = np.sum([own[s] for s in seeds], 0)
            cell = {"f1": f1(mine), "interval": interval([f1(mine[d]) for d in draws]), "seeds": len(seeds)}
            if name != "none":
                base = np.sum([plain[s] for s in seeds], 0)
                cell |= {"gain": f1(mine) - f1(base), "gain_interval": interval([f1(mine[d]) - f1(base[d]) for d in draws])}
            cells.setdefault(name, {})[f"{share:g}"] = cell
    return {
        "benchmark": "tagger_curves",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/tagger_curves.py --base {options.base_name}",
        "data": f"gpt-mtsamples/train, {training} sentences, to gpt-mtsamples/valid, {held_out} sentences",
        "encoder": options.base_name,
        "steps": STEPS,
        "settings": dataclasses.asdict(SETTINGS),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("medllm", "torch", "transformers")},
        "f1": cells,
    }


def counts_of(work: Path, name: str, share: float) -> dict[int, NDArray[np.int64]]:
    found = {}
    for path in sorted(work.glob(f"{name}-{share:g}-[0-9]*.json")):
        found[int(path.stem.rsplit("-", 1)[1])] = np.array(json.loads(path.read_text())["counts"], np.int64)
    return found


def f1(counts: NDArray[np.int64]) -> float:
    right, found, gold = counts.sum(0)
    return float(2 * right / max(1, found + gold))


def interval(values: Sequence[float]) -> list[float]:
    return [float(x) for x in np.quantile(values, [0.025, 0.975])]


if __name__ == "__main__":
    main()
