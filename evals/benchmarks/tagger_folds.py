"""Train a tagger on each part of a corpus and score it on what was held out, fold by fold, or on the corpus' own development part.

    MEDLLM_DATA=corpora python evals/benchmarks/tagger_folds.py kiwi --base FOLDER --work WORK [--fold N] [-o evals/results/NAME.json]

Every fold is trained, scored and recorded alone in WORK (a broken one goes on from its checkpoint), so that folds can be made on
different days; the figures of all are pooled, with intervals over notes. Training notes that share a line with a held-out note are
left out of that fold. No setting was chosen on the folds unless the record says so.

Each fold's scores of the held-out units are kept beside it. ``--with WORK`` averages them with those of another tagger of the same folds
(a committee: the mean of the log-probabilities of the tags, decoded once), and trains nothing that is not there.

*Calibrated* is what a calibrator leaves of a fold's mentions (``medllm.training.calibrator``, as the product has it) that was fitted, with
its threshold, on the mentions found in the other folds' held-out notes alone; the fold's gold takes no part in it, but for having trained
the taggers of the other folds.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu_model

from medllm.document import Entity, Extraction, Note, Vote, any_entity
from medllm.evaluation.score import score
from medllm.formats import jsonl
from medllm.schema import Schema
from medllm.taggers.config import TaggerConfig
from medllm.taggers.decoding import decode
from medllm.taggers.tagger import Tagger, log_softmax
from medllm.training.calibrator import Judged, calibration_error, fit_calibrator
from medllm.training.tagger import TrainingOptions, fit, read_corpus
from medllm.training.tagger.card import as_extraction
from medllm.training.tagger.data import TrainingNote, folds, overlapping

PROMISE = 0.95
MAIN = ("problem", "test", "treatment", "drug")
CORPORA: dict[str, dict[str, Any]] = {
    "kiwi": {"train": "brat:kiwi-mtsamples/train", "schema": "clinical", "labels": MAIN, "folds": 5},
    "bc5cdr": {"train": "pubtator:bc5cdr/train.PubTator.txt", "dev": "pubtator:bc5cdr/dev.PubTator.txt"},
    "ncbi-disease": {"train": "brat:ncbi-disease/train", "dev": "brat:ncbi-disease/dev"},
    "maccrobat": {"train": "brat:maccrobat/train", "folds": 5},
    "cehrner": {"train": "cehrner:cehrner/train.json", "dev": "cehrner:cehrner/dev.json"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=CORPORA)
    parser.add_argument("--base", required=True, help="the encoder: a folder or a hub name")
    parser.add_argument("--base-name", help="what the record calls it")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--fold", type=int, action="append", help="only these folds, from 0")
    parser.add_argument("--all-labels", action="store_true", help="learn all labels of the corpus; scored are the same")
    parser.add_argument("--remark", default="", help="what a reader of the record must know")
    parser.add_argument("--with", dest="committee", type=Path, action="append", default=[], help="the WORK of another tagger")
    parser.add_argument("--predictions", type=Path, help="what was found, as JSON lines that ensemble.py reads; they hold the notes")
    parser.add_argument("-o", "--output", type=Path)
    for field in dataclasses.fields(TrainingOptions):
        if field.type in ("int", "float", int, float):
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    options = parser.parse_args()
    root = os.environ.get("MEDLLM_DATA")
    if not root:
        sys.exit("MEDLLM_DATA is not set: it names the folder with the corpora")
    chosen = CORPORA[options.corpus]
    settings = TrainingOptions(
        **{f.name: getattr(options, f.name) for f in dataclasses.fields(TrainingOptions) if hasattr(options, f.name)}
    )
    parts = divide(chosen, root, all_labels=options.all_labels)
    for number, (training, held_out) in enumerate(parts):
        record = options.work / f"fold-{number}.json"
        if record.is_file() or (options.fold is not None and number not in options.fold):
            continue
        one_fold(training, held_out, options.base, options.work / f"fold-{number}", settings, chosen, record)
    done = [json.loads(p.read_text()) for n in range(len(parts)) if (p := options.work / f"fold-{n}.json").is_file()]
    if options.committee:
        works = [options.work, *options.committee]
        numbers = [n for n in range(len(parts)) if all((work / f"fold-{n}.npz").is_file() for work in works)]
        done = [together([work / f"fold-{n}" for work in works], parts[n][1], chosen) for n in numbers]
    else:
        numbers = [n for n in range(len(parts)) if (options.work / f"fold-{n}.json").is_file()]
    if options.predictions:
        write_predictions(options.predictions, [(parts[n][1], fold["found"]) for n, fold in zip(numbers, done, strict=True)])
    summary = {
        "benchmark": "tagger_folds",
        "corpus": options.corpus,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/tagger_folds.py {options.corpus} --base {options.base_name or Path(options.base).name}",
        "remark": options.remark,
        "settings": dataclasses.asdict(settings),
        "labels_learnt": "all" if options.all_labels or not chosen.get("labels") else ", ".join(chosen["labels"]),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("medllm", "torch", "transformers")},
        "folds": [{k: v for k, v in fold.items() if k not in ("gold", "found", "lengths")} for fold in done],
        "folds_done": f"{len(done)} of {len(parts)}",
        "scores": pooled(done, chosen.get("labels")),
    }
    if len(done) > 1:
        texts = [[note.text for note in parts[n][1]] for n in numbers]
        summary["calibrated"] = calibrated(done, texts, chosen.get("labels"))
    if options.output:
        options.output.write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    print(json.dumps({k: summary[k] for k in ("folds_done", "scores", "calibrated") if k in summary}, indent=1))


def divide(chosen: dict[str, Any], root: str, *, all_labels: bool) -> list[tuple[list[TrainingNote], list[TrainingNote]]]:
    schema = Schema.load(chosen["schema"]) if "schema" in chosen else None
    labels = None if all_labels else chosen.get("labels")

    def read(location: str) -> tuple[TrainingNote, ...]:
        name, _, path = location.partition(":")
        return read_corpus(f"{name}:{Path(root) / path}", schema, labels=labels).notes

    training = read(chosen["train"])
    parts = folds(training, chosen["folds"]) if "folds" in chosen else [(list(training), list(read(chosen["dev"])))]
    kept = []
    for train, held_out in parts:
        shared = overlapping(train, held_out)
        kept.append(([note for note in train if note.id not in shared], held_out))
    return kept


def one_fold(
    training: list[TrainingNote],
    held_out: list[TrainingNote],
    base: str,
    folder: Path,
    settings: TrainingOptions,
    chosen: dict[str, Any],
    record: Path,
) -> None:
    started = time.monotonic()
    schema = Schema.load(chosen["schema"]) if "schema" in chosen else None
    fitted = fit(training, base, folder, settings, schema=schema, report=lambda row: print(json.dumps(row), file=sys.stderr, flush=True))
    tagger = fitted.tagger()
    texts = [note.text for note in held_out]
    wanted = set(chosen.get("labels") or held_out[0].labels)
    found = [[[m.start, m.end, m.label, round(m.probability, 5)] for m in ms if m.label in wanted] for ms in tagger.tag_many(texts)]
    own = {"minutes": round((time.monotonic() - started) / 60, 1), "training_notes": len(training), "held_out_notes": len(held_out)}
    record.parent.mkdir(parents=True, exist_ok=True)
    keep_scores(tagger, texts, record.with_suffix(".npz"))
    record.write_text(json.dumps(own | scored(held_out, found, chosen)), "utf-8")


def scored(held_out: list[TrainingNote], found: list[list[list[Any]]], chosen: dict[str, Any]) -> dict[str, Any]:
    wanted = set(chosen.get("labels") or held_out[0].labels)
    gold = [[[m.start, m.end, m.label] for m in note.mentions if m.label in wanted] for note in held_out]
    fold = {"lengths": [len(note.text) for note in held_out], "gold": gold, "found": found}
    return {"exact": pooled([fold], chosen.get("labels"))["exact"]["micro"]} | fold


def keep_scores(tagger: Tagger, texts: list[str], path: Path) -> None:
    """The scores of each unit, where it stands and its segment: enough to decode again, and no text."""
    kept: dict[str, Any] = {"config": np.array(tagger.config.to_json())}
    for number, (encoded, scores) in enumerate(tagger.scores(texts)):
        kept[f"units-{number}"] = np.array([[unit.start, unit.end] for unit in encoded.units], np.int32)
        kept[f"segments-{number}"] = encoded.segment
        kept[f"scores-{number}"] = scores
    np.savez_compressed(path, **kept)


def together(paths: list[Path], held_out: list[TrainingNote], chosen: dict[str, Any]) -> dict[str, Any]:
    """The fold as a committee reads it."""
    members = [np.load(path.with_suffix(".npz")) for path in paths]
    configs = [TaggerConfig.from_json(str(member["config"])) for member in members]
    records = [json.loads(path.with_suffix(".json").read_text()) for path in paths]
    assert len({config.layers for config in configs}) == 1, "the taggers have different layers"
    wanted = set(chosen.get("labels") or held_out[0].labels)
    found: list[list[list[Any]]] = []
    for number in range(len(held_out)):
        units = members[0][f"units-{number}"]
        mentions = []
        for layer, tags in enumerate(configs[0].layers):
            logs = [log_softmax(m[f"scores-{number}"][:, c.slices()[0][layer]]) for m, c in zip(members, configs, strict=True)]
            for start, end, label, probability in decode(np.mean(logs, axis=0), tags, members[0][f"segments-{number}"]):
                if label in wanted:
                    mentions.append([int(units[start, 0]), int(units[end - 1, 1]), label, round(probability, 5)])
        found.append(sorted(mentions))
    own = {"minutes": sum(r["minutes"] for r in records), "training_notes": records[0]["training_notes"], "held_out_notes": len(held_out)}
    return own | {"members": [r["exact"]["f1"] for r in records]} | scored(held_out, found, chosen)


def voted(text: str, start: int, end: int, label: str, probability: float) -> Entity:
    return any_entity(label).at(text, start, end, votes=(Vote(reader="tagger", model="fold", placed="tags", score=probability),))


def write_predictions(path: Path, folds_found: list[tuple[list[TrainingNote], list[list[list[Any]]]]]) -> None:
    jsonl.write(
        path,
        (
            Extraction(note=Note(id=note.id, text=note.text), entities=tuple(voted(note.text, *mention) for mention in mentions))
            for held_out, found in folds_found
            for note, mentions in zip(held_out, found, strict=True)
        ),
    )


def calibrated(done: list[dict[str, Any]], texts: list[list[str]], labels: tuple[str, ...] | None) -> dict[str, Any]:
    """Scores of what calibrators of the other folds keep, for each fold and pooled; calibration error; what a promise of 0.95 kept."""
    judged: list[list[Judged]] = []
    for number, fold in enumerate(done):
        right = [{tuple(mention) for mention in gold} for gold in fold["gold"]]
        mentions = [(n, mention) for n, found in enumerate(fold["found"]) for mention in found]
        judged.append([Judged(f"{number}/{n}", voted(texts[number][n], *m), tuple(m[:3]) in right[n]) for n, m in mentions])
    kept_folds, probabilities, was_right, lane = [], [], [], []
    for number, fold in enumerate(done):
        model, _ = fit_calibrator([j for n, each in enumerate(judged) if n != number for j in each], schema="", about={})
        kept: list[list[list[Any]]] = [[] for _ in fold["found"]]
        for j in judged[number]:
            probability = model.probability(j.entity)
            probabilities.append(probability)
            was_right.append(j.right)
            if PROMISE in model.lanes and probability >= model.lanes[PROMISE]:
                lane.append(j.right)
            if probability >= model.keep:
                kept[int(j.note.partition("/")[2])].append([j.entity.span.start, j.entity.span.end, j.entity.label])
        kept_folds.append(fold | {"found": kept})
    ece, bins = calibration_error(probabilities, was_right)
    count = sum(len(mentions) for fold in kept_folds for mentions in fold["found"])
    return {
        "scores": pooled(kept_folds, labels),
        "folds": [round(pooled([fold], labels)["exact"]["micro"]["f1"], 4) for fold in kept_folds],
        "ece": round(ece, 4),
        "bins": bins,
        "lane": {"promised": PROMISE, "precision": round(sum(lane) / max(1, len(lane)), 4), "share_of_kept": round(len(lane) / count, 4)},
    }


def pooled(done: list[dict[str, Any]], labels: tuple[str, ...] | None) -> dict[str, Any]:
    """Scores over the notes of all folds that are done: offsets and labels are enough for them, no text is kept."""
    gold, found = {}, {}
    for fold_number, fold in enumerate(done):
        for number, (length, want, have) in enumerate(zip(fold["lengths"], fold["gold"], fold["found"], strict=True)):
            name = f"{fold_number}/{number}"
            gold[name], found[name] = (as_extraction(name, "x" * length, [m[:3] for m in mentions]) for mentions in (want, have))
    return {metric: score(gold, found, metric, labels, 1000).summary() for metric in ("exact", "overlap")} if done else {}


if __name__ == "__main__":
    main()
