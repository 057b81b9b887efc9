"""Fit the calibrator that ships with ``clinical-en``, on the project's own notes that the tagger did not learn from.

    python evals/shipped_calibrator.py [--tagger clinical-en]
    MEDLLM_DATA=corpora python evals/shipped_calibrator.py --measure -o evals/results/calibrator_clinical_en.json

The notes are those that the training of the shipped weights held out (``evals/samples/annotated-held-out-39.txt``).
With ``--measure`` nothing is written to the package: the tagger reads Kiwi's training notes with and without the shipped calibrator.
"""

import argparse
import datetime
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from medllm.document import Extraction
from medllm.ensemble.calibration import Calibrator
from medllm.ensemble.reconcile import judged
from medllm.ensemble.shipped import SHIPPED
from medllm.evaluation.score import compare, score
from medllm.formats import labelmap, registry
from medllm.schema import Schema
from medllm.taggers.loading import load_tagger
from medllm.taggers.reader import TaggerReader
from medllm.training.calibrator import calibration_error, fit_calibrator, judge_mentions, write_calibrator

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "evals" / "samples" / "annotated-held-out-39.txt"
MAP = ROOT / "evals" / "labelmaps" / "kiwi-mtsamples-to-clinical.toml"
LABELS = ("problem", "test", "treatment", "drug")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tagger", default="clinical-en")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    schema = Schema.load("clinical")
    reader = TaggerReader(load_tagger(options.tagger, schema), schema, relations=False)
    folder = SHIPPED / f"{schema.name}-{schema.language}"
    if options.measure:
        measure(reader, schema, Calibrator.load(folder), options.samples, options.output)
        return
    ids = set(SAMPLE.read_text(encoding="utf-8").split())
    parsed = registry.reader("inline")(ROOT / "examples" / "annotated", schema)
    gold = {x.note.id: x for each in parsed if (x := each.extraction).note.id in ids}
    assert len(gold) == len(ids)
    about = {"tagger": reader.tagger.config.name, "tagger_sha256": reader.tagger.fingerprint, "data": "examples/annotated, held out"}
    mentions = judge_mentions(read(reader, gold).values(), gold)
    calibrator, scores = fit_calibrator(mentions, schema=schema.name, about=about)
    write_calibrator(calibrator, scores, folder, command="python evals/shipped_calibrator.py")
    print(f"calibration error {scores.ece:.4f}, before {scores.ece_before}, kept from {calibrator.keep}")


def read(reader: TaggerReader, notes: dict[str, Extraction]) -> dict[str, Extraction]:
    return {i: Extraction(note=x.note, entities=reader.read(x.note)[0]) for i, x in notes.items()}


def measure(reader: TaggerReader, schema: Schema, calibrator: Calibrator, samples: int, output: Path | None) -> None:
    root = os.environ.get("MEDLLM_DATA")
    if not root:
        sys.exit("MEDLLM_DATA is not set: it names the folder with the corpora")
    if calibrator.about.get("tagger_sha256") != reader.tagger.fingerprint:
        sys.exit("the shipped calibrator is of another tagger")
    chosen = labelmap.load(MAP)
    parsed = registry.reader("brat")(Path(root) / "kiwi-mtsamples" / "train", None)
    gold = {x.note.id: x for each in parsed for x in [labelmap.apply(each.extraction, chosen, schema)]}
    found = read(reader, gold)
    kept = {i: x.model_copy(update={"entities": judged((x.entities, ()), calibrator).entities}) for i, x in found.items()}
    mentions = judge_mentions(found.values(), gold, LABELS)
    right = [j.right for j in mentions]
    sure = [calibrator.probability(j.entity) for j in mentions]
    record: dict[str, Any] = {
        "benchmark": "shipped_calibrator",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/shipped_calibrator.py --measure",
        "data": f"kiwi-mtsamples/train: {len(gold)} notes; neither tagger nor calibrator learnt from them",
        "tagger": reader.tagger.config.name,
        "tagger_sha256": reader.tagger.fingerprint,
        "calibrator_sha256": calibrator.digest,
        "kept_from": calibrator.keep,
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("medllm", "onnxruntime")},
        "calibration_error": {
            "calibrator": round(calibration_error(sure, right)[0], 4),
            "tagger's own": round(calibration_error([j.entity.votes[0].score or 0.0 for j in mentions], right)[0], 4),
        },
        "lanes": {
            str(promise): {"precision": round(sum(lane) / len(lane), 4), "share": round(len(lane) / len(mentions), 4)}
            for promise, at in calibrator.lanes.items()
            if (lane := [r for r, p in zip(right, sure, strict=True) if p >= at])
        },
    }
    for metric in ("exact", "overlap"):
        before, after = (score(gold, notes, metric, LABELS, samples) for notes in (found, kept))
        record[metric] = {"without": figure(before), "with": figure(after), "p": compare(after, before).p}
    text = json.dumps(record, indent=1) + "\n"
    if output:
        output.write_text(text, encoding="utf-8")
    print(text)


def figure(result: Any) -> dict[str, Any]:
    summary = result.summary()
    micro, interval = summary["micro"], summary["intervals"]["micro"]["f1"]
    return {k: round(micro[k], 4) for k in ("precision", "recall", "f1")} | {"interval": [round(v, 4) for v in interval]}


if __name__ == "__main__":
    main()
