"""What a passage without a telling heading is, by its words: the kind of section, and the type of a whole note.

The classifiers were trained on the project's own invented notes with their headings taken away (``medllm.training.kinds``); below the
probability that they are held to, they say nothing. Their worth is in ``evals/results/sections.json``. English only.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import regex

from medllm.text.language import language_of
from medllm.text.linear import LinearClassifier

MODELS = Path(__file__).parent / "models"
LEAST = 25
"""Characters below which a text tells nothing."""
_PARAGRAPH = regex.compile(r"(?:(?!\n[ \t]*\n).)+", regex.DOTALL)


class Passage(NamedTuple):
    """Half-open offsets in a note, and the kind of section that it seems to be, None where that is not sure."""

    start: int
    end: int
    kind: str | None


def section_kind(text: str) -> str | None:
    """The kind of section whose text (without a heading) this seems to be, in the names of ``medllm.evaluation.section_group``.

    >>> section_kind("Lisinopril 10 mg p.o. daily, metformin 500 mg p.o. b.i.d., aspirin 81 mg daily.")
    'medications'
    """
    return _classify("section_kinds", text)


def note_type(text: str) -> str | None:
    """The type of a whole note (``discharge``, ``consultation``, ``radiology`` …), None where that is not sure."""
    return _classify("note_types", text)


def passages(text: str, start: int, end: int) -> list[Passage]:
    """The paragraphs of a stretch that has no heading, with their kinds; neighbours of one kind are one passage. They cover it."""
    found: list[Passage] = []
    for match in _PARAGRAPH.finditer(text, start, end):
        kind = section_kind(match.group())
        begin = found[-1].end if found else start
        if found and found[-1].kind == kind:
            found[-1] = found[-1]._replace(end=match.end())
        else:
            found.append(Passage(begin, match.end(), kind))
    if found:
        found[-1] = found[-1]._replace(end=end)
    return found


def _classify(name: str, text: str) -> str | None:
    model = _model(name)
    return model.classify(text) if model is not None and len(text.strip()) >= LEAST and language_of(text) == "en" else None


@cache
def _model(name: str) -> LinearClassifier | None:
    path = MODELS / f"{name}.npz"
    return LinearClassifier.load(path) if path.is_file() else None
