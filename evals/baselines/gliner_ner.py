"""GLiNER: a small model that finds any entity type by its name, in windows of lines.

    /path/of/its/venv/bin/python evals/baselines/gliner_ner.py FOLDS.jsonl OUT.jsonl --model FOLDER [--threshold 0.5]

Its weights are on the model hub only; without ``--model`` this skips. GLiNER cuts longer texts off, so it gets a few lines at a time.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from adapter import Fold, Found, Skip, main, require, windows

WORDS = 200
"""Words of a window; the models read 384 pieces."""


def predict(fold: Fold, options: argparse.Namespace) -> Iterator[tuple[str, list[Found]]]:
    if options.model is None:
        raise Skip("its weights are on the model hub: give --model FOLDER")
    require("gliner", "pip install gliner")
    from gliner import GLiNER

    if not Path(options.model).is_dir():
        raise Skip(f"there is no folder {options.model}")
    model = GLiNER.from_pretrained(options.model, local_files_only=True)
    for note_id, text in fold.notes:
        found = []
        for start, end in windows(text, WORDS):
            for e in model.predict_entities(text[start:end], fold.labels, threshold=options.threshold):
                found.append(Found(start + e["start"], start + e["end"], e["label"], {}, round(float(e["score"]), 4)))
        yield note_id, found


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model")
    parser.add_argument("--threshold", type=float, default=0.5)


if __name__ == "__main__":
    main("gliner", predict, ["gliner"], add_options)
