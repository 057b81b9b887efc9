"""medspaCy: its TargetMatcher over the same dictionary, its ConText rules for assertion.

    /path/of/its/venv/bin/python evals/baselines/medspacy_rules.py FOLDS.jsonl OUT.jsonl [--least 0.5]

Its own environment: ``uv pip install medspacy==1.3.1 "numpy<2"`` (with numpy 2 its spaCy does not load). Everything else is the
default pipeline. By default it writes every token of the notes to stderr (loguru, level DEBUG): that is switched off.
"""

import argparse
import warnings
from collections.abc import Iterator

from adapter import Fold, Found, main, require
from dictionary import Dictionary, add_options

# In the order of precedence of the i2b2 2010 guidelines; what none of them says is present.
ASSERTIONS = (
    ("is_family", "associated_with_someone_else"),
    ("is_hypothetical", "hypothetical"),
    ("is_uncertain", "possible"),
    ("is_negated", "absent"),
)


def predict(fold: Fold, options: argparse.Namespace) -> Iterator[tuple[str, list[Found]]]:
    require("medspacy", "pip install medspacy")
    from loguru import logger

    logger.remove()
    warnings.filterwarnings("ignore")
    import medspacy
    from medspacy.ner import TargetRule

    nlp = medspacy.load()
    dictionary = Dictionary.learn(fold.train, options.least)
    nlp.get_pipe("medspacy_target_matcher").add([TargetRule(dictionary.written[term], label) for term, label in dictionary.terms.items()])
    for note_id, text in fold.notes:
        yield note_id, [_found(e) for e in nlp(text).ents]


def _found(entity: object) -> Found:
    assertion = next((value for flag, value in ASSERTIONS if getattr(entity._, flag)), "present")
    attributes = {"assertion": assertion} if entity.label_ == "problem" else {}
    return Found(entity.start_char, entity.end_char, entity.label_, attributes)


if __name__ == "__main__":
    main("medspacy", predict, ["medspacy", "spacy"], add_options)
