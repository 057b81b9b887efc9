"""OpenMed: token classifiers for diseases and drugs, through transformers, in windows of lines.

    /path/of/its/venv/bin/python evals/baselines/openmed_ner.py FOLDS.jsonl OUT.jsonl --model problem=FOLDER --model drug=FOLDER

Its weights are on the model hub only; without ``--model LABEL=FOLDER`` this skips. All entities of a model get the label given for it.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from adapter import Fold, Found, Skip, main, require, windows

WORDS = 200


def predict(fold: Fold, options: argparse.Namespace) -> Iterator[tuple[str, list[Found]]]:
    if not options.model:
        raise Skip("its weights are on the model hub: give --model LABEL=FOLDER for each model")
    require("transformers", "pip install transformers torch")
    from transformers import pipeline

    models = []
    for given in options.model:
        label, equals, folder = given.partition("=")
        if not equals or not Path(folder).is_dir():
            raise Skip(f"there is no folder {folder or given}")
        models.append((label, pipeline("token-classification", model=folder, aggregation_strategy="first")))
    for note_id, text in fold.notes:
        found = []
        for start, end in windows(text, WORDS):
            for label, model in models:
                found += [
                    Found(start + e["start"], start + e["end"], label, {}, round(float(e["score"]), 4)) for e in model(text[start:end])
                ]
        yield note_id, found


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", action="append")


if __name__ == "__main__":
    main("openmed", predict, ["transformers"], add_options)
