"""Cross-validation folds of annotated notes for systems that learn: whole notes apart, and no sentence on both sides.

Notes go to folds by a fixed shuffle; notes of one text go together. A training sentence whose text (without case and white space)
also stands in a note that is scored with it is left out with its mentions, since templates repeat sentences between notes.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medllm.document import Extraction
from medllm.formats.files import open_private
from medllm.schema import Schema, guideline
from medllm.text.lines import split_lines


def split(gold: Mapping[str, Extraction], folds: int = 5, seed: int = 0) -> list[list[str]]:
    """Note ids by fold."""
    by_text: dict[str, list[str]] = {}
    for note_id in sorted(gold):
        by_text.setdefault(squeezed(gold[note_id].note.text), []).append(note_id)
    groups = list(by_text.values())
    random.Random(seed).shuffle(groups)
    return [sorted(note_id for group in groups[k::folds] for note_id in group) for k in range(folds)]


def fold_record(gold: Mapping[str, Extraction], scored: Sequence[str], schema: Schema, labels: Sequence[str]) -> dict[str, Any]:
    """What an adapter may know of one fold: the texts of its notes, and sentences of the others."""
    seen = {squeezed(line.view) for note_id in scored for line in split_lines(gold[note_id].note.text)}
    train = [s for note_id in sorted(gold.keys() - set(scored)) for s in sentences(gold[note_id], labels, seen)]
    return {
        "notes": [{"id": note_id, "text": gold[note_id].note.text} for note_id in scored],
        "train": train,
        "guidelines": {label: guideline(schema.entity(label)) for label in labels},
    }


def sentences(extraction: Extraction, labels: Sequence[str], without: set[str]) -> Iterator[dict[str, Any]]:
    """The sentences of a note with their mentions, but for those whose squeezed text is in ``without``."""
    text = extraction.note.text
    for line in split_lines(text):
        if squeezed(line.view) in without:
            continue
        inside = (e for e in extraction.entities if line.start <= e.span.start and e.span.end <= line.end and e.label in labels)
        mentions = [[e.span.start - line.start, e.span.end - line.start, e.label] for e in inside if len(e.spans) == 1]
        yield {"text": text[line.start : line.end], "mentions": mentions}


def squeezed(text: str) -> str:
    """The text without case and white space."""
    return "".join(text.split()).casefold()


def write_folds(path: Path, gold: Mapping[str, Extraction], schema: Schema, labels: Sequence[str], folds: int = 5) -> None:
    with open_private(path) as file:
        for scored in split(gold, folds):
            file.write(json.dumps(fold_record(gold, scored, schema, labels)) + "\n")
