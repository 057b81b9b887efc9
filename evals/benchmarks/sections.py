"""What a passage is where no heading says so: a linear model over hashed words, an encoder's mean vectors, and the rules, headings hidden.

    MEDLLM_DATA=corpora python evals/benchmarks/sections.py [--ship] [--base FOLDER] [-o evals/results/sections.json]

Labels are the groups into which headings fall (``medllm.evaluation.section_group``), and for note types the words of the file names. Learnt
from the project's own notes alone, 5-fold over notes; sections also on Kiwi's MTSamples notes, which nothing was learnt from. The rules
know only headings, so with these hidden they answer nothing: what they are compared by is the most frequent kind. ``--ship`` writes the
models of ``medllm.text.kinds`` with the threshold at which the held-out folds are right in 90 of 100 answers. ``--base`` adds logistic
regression over an encoder's mean vectors (frozen), on a part of the same sections.
"""

import argparse
import datetime
import json
import os
import platform
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu_model

from medllm.evaluation.counts import Counts
from medllm.evaluation.statistics import bootstrap
from medllm.formats.registry import reader
from medllm.text.kinds import MODELS
from medllm.text.linear import LinearClassifier
from medllm.training.kinds import Labelled, counts, fit, folds, matrix, read_own, sections_of, threshold_for, type_of

OWN = Path(__file__).parents[2] / "examples" / "annotated"
PRECISION = 0.9
PART = 1500
"""Sections of the project's own notes that the encoder is compared on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--base")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    root = os.environ.get("MEDLLM_DATA")
    if not root:
        sys.exit("MEDLLM_DATA is not set: it names the folder with the corpora")
    own = read_own(OWN)
    sections = [s for name, text in own for s in sections_of(name, text)]
    types = [t for name, text in own if (t := type_of(name, text)) is not None]
    kiwi = (p.extraction.note for p in reader("brat")(Path(root) / "kiwi-mtsamples" / "train", None))
    other = [s for note in kiwi for s in sections_of(note.id, note.text)]
    record: dict[str, Any] = {
        "benchmark": "sections",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/sections.py"
        + (" --ship" if options.ship else "")
        + (" --base ENCODER" if options.base else ""),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("medllm", "numpy", "scikit-learn")},
    }
    for name, examples in (("section_kinds", sections), ("note_types", types)):
        answers = [a for train, held_out in folds(examples) for a in answered(fit(train), held_out)]
        threshold = threshold_for(np.array([p for *_, p in answers]), np.array([e.label == found for e, found, _ in answers]), PRECISION)
        common = Counter(e.label for e in examples).most_common(1)[0]
        record[name] = {
            "examples": len(examples),
            "notes": len({e.note for e in examples}),
            "labels": counts(examples),
            "rules": {"answered": 0, "most frequent": {"label": common[0], "accuracy": round(common[1] / len(examples), 4)}},
            "linear, 5-fold": scores(answers),
            f"linear, 5-fold, held to {PRECISION}": sure(answers, threshold) | {"threshold": round(threshold, 4)},
        }
        whole = fit(examples)
        whole.threshold = threshold
        if name == "section_kinds":
            answers = answered(whole, other)
            record[name]["linear, on Kiwi"] = scores(answers) | {"examples": len(other)}
            record[name]["linear, on Kiwi, held to the same threshold"] = sure(answers, threshold)
        if options.ship:
            whole.save(MODELS / f"{name}.npz")
            record[name]["bytes"] = (MODELS / f"{name}.npz").stat().st_size
    if options.base:
        record["section_kinds"]["encoder against linear, a part"] = with_encoder(sections[:PART], other[: PART // 3], options.base)
    if options.output:
        options.output.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record, indent=1))


Answers = list[tuple[Labelled, str, float]]


def answered(model: LinearClassifier, examples: list[Labelled]) -> Answers:
    raw = matrix(examples) @ model.weights + model.bias
    raised = np.exp(raw - raw.max(1, keepdims=True))
    probabilities = raised / raised.sum(1, keepdims=True)
    best = probabilities.argmax(1)
    return [(e, model.classes[b], float(p[b])) for e, b, p in zip(examples, best, probabilities, strict=True)]


def scores(answers: Answers) -> dict[str, Any]:
    """Accuracy with a 95 % interval over notes, macro F1, and F1 by label."""
    labels = sorted({e.label for e, *_ in answers} | {found for _, found, _ in answers})
    total = {
        label: Counts(
            sum(e.label == found == label for e, found, _ in answers),
            sum(found == label != e.label for e, found, _ in answers),
            sum(e.label == label != found for e, found, _ in answers),
        )
        for label in labels
    }
    by_note: dict[str, Counts] = {}
    for example, found, _ in answers:
        right = example.label == found
        by_note[example.note] = by_note.get(example.note, Counts()) + Counts(int(right), 0, int(not right))
    interval = bootstrap([{"all": c} for c in by_note.values()], ["all"]).micro["recall"]
    present = [c for c in total.values() if c.gold]
    return {
        "accuracy": round(sum(c.tp for c in total.values()) / len(answers), 4),
        "interval": [round(interval.low, 4), round(interval.high, 4)],
        "macro_f1": round(sum(c.f1 for c in present) / len(present), 4),
        "f1": {label: round(c.f1, 3) for label, c in total.items() if c.gold},
    }


def sure(answers: Answers, threshold: float) -> dict[str, float]:
    """How many are answered at a threshold, and how many of those rightly."""
    given = [e.label == found for e, found, p in answers if p >= threshold]
    return {"answered": round(len(given) / len(answers), 4), "right": round(sum(given) / max(1, len(given)), 4)}


def with_encoder(training: list[Labelled], held_out: list[Labelled], base: str) -> dict[str, Any]:
    """The same training and held-out sections for both: the first 64 tokens through the frozen encoder, their mean, logistic regression."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from transformers import AutoTokenizer

    from medllm.training.tagger.network import load_encoder

    encoder, tokenizer = load_encoder(base).eval(), AutoTokenizer.from_pretrained(base)

    def vectors(examples: list[Labelled]) -> np.ndarray:
        found = []
        for start in range(0, len(examples), 32):
            texts = [e.text for e in examples[start : start + 32]]
            batch = tokenizer(texts, truncation=True, max_length=64, padding=True, return_tensors="pt")
            with torch.inference_mode():
                hidden = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            mask = batch["attention_mask"][..., None]
            found.append((hidden * mask).sum(1) / mask.sum(1))
        return torch.cat(found).numpy()

    model = LogisticRegression(C=20.0, max_iter=500, class_weight="balanced").fit(vectors(training), [e.label for e in training])
    answers = [(e, str(found), 1.0) for e, found in zip(held_out, model.predict(vectors(held_out)), strict=True)]
    return {
        "training": len(training),
        "held_out": f"{len(held_out)} of Kiwi's",
        "encoder, frozen": scores(answers),
        "linear": scores(answered(fit(training), held_out)),
    }


if __name__ == "__main__":
    main()
