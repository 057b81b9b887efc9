"""Notes made of a few words, for trainings of seconds."""

import random

from medllm.formats import inline
from medllm.schema import Schema
from medllm.training.tagger import TrainingOptions
from medllm.training.tagger.data import Corpus, of_extractions

DRUGS = ["aspirin", "insulin", "heparin", "warfarin"]
PROBLEMS = ["fever", "cough", "pain", "rash"]
QUICK = TrainingOptions(epochs=12, rate=3e-3, head_rate=3e-3, batch=8, window=64, dropout=0.0, weight_decay=0.0)


def marked_notes(number: int, seed: int) -> list[str]:
    """Notes in which drugs and problems stand among filler words, some denied."""
    chooser = random.Random(seed)
    notes = []
    for _ in range(number):
        lines = []
        for _ in range(6):
            drug, problem = chooser.choice(DRUGS), chooser.choice(PROBLEMS)
            if chooser.random() < 0.5:
                lines.append(f"He takes <drug>{drug}</drug> for <problem>{problem}</problem>.")
            else:
                lines.append(f'<negation of="1">No</negation> <problem id="1" a="absent">{problem}</problem>.')
            lines[-1] = lines[-1].replace('"1"', f'"{len(lines)}"')
        notes.append("\n".join(lines))
    return notes


def corpus(number: int, seed: int = 0) -> Corpus:
    parsed = [inline.parse(text, f"n{seed}-{i}", Schema.load("clinical")) for i, text in enumerate(marked_notes(number, seed))]
    assert not any(p.problems for p in parsed)
    return of_extractions([p.extraction for p in parsed], name="made")
