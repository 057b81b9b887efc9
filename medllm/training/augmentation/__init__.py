"""More training notes out of few, with offsets right by construction: ``augmented`` makes them, ``OPERATORS`` names the ways."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from medllm.errors import UsageError
from medllm.training.augmentation import operators
from medllm.training.augmentation.operators import Operator, Pools
from medllm.training.tagger.data import TrainingNote

OPERATORS = ("mentions", "words-of-label", "synonyms", "insert", "delete", "swap", "coordinations", "voices", "negations")


def augmented(
    notes: Sequence[TrainingNote],
    names: Sequence[str],
    *,
    copies: int = 1,
    seed: int = 0,
    lexicons: Mapping[str, Sequence[str]] | None = None,
) -> list[TrainingNote]:
    """``copies`` changed notes for each note and each of the named operators, without those that came out unchanged.

    ``lexicons`` are further names that may stand for mentions, by label. Raises UsageError for a name that is none of OPERATORS.
    """
    chosen = _operators(Pools.of(notes, lexicons))
    if unknown := [name for name in names if name not in chosen]:
        raise UsageError(f"{unknown[0]!r} is no way to augment", hint=f"there are {', '.join(OPERATORS)}")
    found = []
    for name in names:
        for copy in range(copies):
            for note in notes:
                made = chosen[name](note, random.Random(f"{seed}/{name}/{copy}/{note.id}"))
                if made.text != note.text:
                    found.append(replace(made, id=f"{note.id}~{name}{copy}"))
    return found


def _operators(pools: Pools) -> dict[str, Operator]:
    return {
        "mentions": operators.replace_mentions(pools),
        "words-of-label": operators.replace_words_of_label(pools),
        "synonyms": operators.synonyms,
        "insert": operators.insert_words,
        "delete": operators.delete_words,
        "swap": operators.swap_words,
        "coordinations": operators.turn_coordinations,
        "voices": operators.turn_voices,
        "negations": operators.negate,
    }
