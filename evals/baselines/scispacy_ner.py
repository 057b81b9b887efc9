"""scispaCy: a model trained on BC5CDR (diseases and chemicals), as it comes.

    /path/of/its/venv/bin/python evals/baselines/scispacy_ner.py FOLDS.jsonl OUT.jsonl --model en_ner_bc5cdr_md

Its models are not on the Python package index; without one installed, or given as a folder, this skips.
"""

import argparse
from collections.abc import Iterator

from adapter import Fold, Found, Skip, main, require

LABELS = {"DISEASE": "problem", "CHEMICAL": "drug"}


def predict(fold: Fold, options: argparse.Namespace) -> Iterator[tuple[str, list[Found]]]:
    require("scispacy", "pip install scispacy")
    import spacy

    try:
        nlp = spacy.load(options.model)
    except OSError:
        raise Skip(f"there is no model {options.model}; scispaCy's models are not on the package index, give --model FOLDER") from None
    for note_id, text in fold.notes:
        yield note_id, [Found(e.start_char, e.end_char, LABELS[e.label_]) for e in nlp(text).ents if e.label_ in LABELS]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="en_ner_bc5cdr_md")


if __name__ == "__main__":
    main("scispacy", predict, ["scispacy", "spacy"], add_options)
