"""The calibrator that a training leaves beside the tagger: how far its probabilities can be trusted, from the notes that it held out."""

from collections.abc import Sequence
from pathlib import Path

from medllm.document import Vote, any_entity
from medllm.schema import Schema
from medllm.taggers.reader import TAGGER
from medllm.taggers.tagger import Tagger
from medllm.training.calibrator import FOLDS, Judged, fit_calibrator, write_calibrator
from medllm.training.tagger.data import TrainingNote

LEAST = 200
"""So many mentions of held-out notes are needed: with fewer, what the calibrator says is its prior."""


def judge_tagger(tagger: Tagger, held_out: Sequence[TrainingNote], schema: Schema) -> list[Judged]:
    """What a tagger finds in notes with gold, of the labels that they are annotated with; empty where that is too little to fit on."""
    judged = []
    for note, mentions in zip(held_out, tagger.tag_many([note.text for note in held_out]), strict=True):
        gold = {(m.start, m.end, m.label) for m in note.mentions}
        for found in mentions:
            if found.label in note.labels and found.label in schema.labels:
                vote = Vote(reader=TAGGER, model=tagger.config.name, placed="tags", score=round(found.probability, 4))
                entity = any_entity(found.label).at(note.text, found.start, found.end, votes=(vote,))
                judged.append(Judged(note.id, entity, (found.start, found.end, found.label) in gold))
    enough = len(judged) >= LEAST and len({j.note for j in judged}) >= FOLDS and len({j.right for j in judged}) == 2
    return judged if enough else []


def leave_calibrator(judged: Sequence[Judged], tagger: Tagger, schema: Schema, folder: Path, *, command: str) -> str:
    """Fit and write it; returns what the tagger's card says of it."""
    about = {"tagger": tagger.config.name, "tagger_sha256": tagger.fingerprint, "data": "the notes that the training held out"}
    calibrator, scores = fit_calibrator(judged, schema=schema.name, about=about)
    write_calibrator(calibrator, scores, folder, command=command)
    return (
        f"`{folder.name}` was fitted on what the tagger finds in the {scores.notes} held-out notes ({scores.mentions:,} mentions), "
        f"and is used unless `--calibrator off`: its calibration error is {scores.ece:.3f} in folds over them, and mentions stay "
        f"from {calibrator.keep:.2f} on."
    )
