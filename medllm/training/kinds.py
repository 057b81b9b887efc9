"""Training the classifiers of sections and of note types on notes whose headings say what they are: ``python -m medllm.training.kinds``."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medllm.evaluation.section_group import NO_HEADING, OTHER, section_group
from medllm.formats.registry import reader
from medllm.text.kinds import LEAST
from medllm.text.linear import BUCKETS, LinearClassifier, features
from medllm.text.sections import split_sections

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

TYPES = {
    "discharge": ("dc", "discharge"),
    "consultation": ("consult", "cons"),
    "letter": ("letter",),
    "emergency": ("er", "ed", "urgent"),
    "history and physical": ("hp",),
    "clinic or progress": ("clinic", "soap", "progress", "followup", "fu", "pn"),
    "radiology": ("mri", "ct", "cxr", "xray", "ultrasound", "us", "mammogram", "petct", "radiology", "rad", "mammo"),
    "pathology": ("path", "pathology", "marrow"),
    "operation": ("op",),
}
"""Note types by the words of the notes' file names; a name with words of two types tells nothing."""


class Labelled(NamedTuple):
    """A text to learn from, what it is, and the note that it is from."""

    note: str
    text: str
    label: str


def sections_of(note: str, text: str) -> list[Labelled]:
    """The sections with telling headings, without those: the text after a heading in the group that the heading falls into."""
    found = []
    for section in split_sections(text):
        group = section_group(text, section.start)
        whole = text[section.start : section.end]
        body = whole[whole.find(section.title) + len(section.title) :].lstrip(" \t:#*-\n")
        if section.title and group not in (OTHER, NO_HEADING) and len(body) >= LEAST:
            found.append(Labelled(note, body, group))
    return found


def type_of(note: str, text: str) -> Labelled | None:
    """The note without its headings, with the type that its file name tells."""
    words = set(note.lower().split("-"))
    types = [name for name, known in TYPES.items() if words & set(known)]
    if len(types) != 1:
        return None
    bodies = []
    for section in split_sections(text):
        whole = text[section.start : section.end]
        bodies.append(whole[whole.find(section.title) + len(section.title) :].lstrip(" \t:#*-"))
    return Labelled(note, "\n".join(bodies), types[0])


def read_own(folder: Path) -> list[tuple[str, str]]:
    """The (name, text) of annotated notes, without their tags."""
    return [(Path(p.extraction.note.id).name, p.extraction.note.text) for p in reader("inline")(folder, None)]


def fit(examples: Sequence[Labelled], *, strength: float = 20.0) -> LinearClassifier:
    """Multinomial logistic regression; ``strength`` is the inverse of its regularisation."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=60, class_weight="balanced")
    model.fit(matrix(examples), [e.label for e in examples])
    return LinearClassifier(
        tuple(map(str, model.classes_)), np.asarray(model.coef_.T, np.float32), np.asarray(model.intercept_, np.float32)
    )


def folds(examples: Sequence[Labelled], number: int = 5) -> Iterable[tuple[list[Labelled], list[Labelled]]]:
    """Pairs of (training, held out), whole notes held out together."""
    names = sorted({e.note for e in examples})
    part = {name: i % number for i, name in enumerate(names)}
    for i in range(number):
        yield [e for e in examples if part[e.note] != i], [e for e in examples if part[e.note] == i]


def threshold_for(probabilities: NDArray[np.float64], right: NDArray[np.bool_], precision: float) -> float:
    """The lowest probability from which on answers are right with this precision, 1 where there is none."""
    order = np.argsort(-probabilities)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(share >= precision)
    return float(probabilities[order[enough[-1]]]) if len(enough) else 1.0


def matrix(examples: Sequence[Labelled]) -> "csr_matrix":
    """The features of each example [examples, BUCKETS]."""
    from scipy.sparse import csr_matrix

    rows = [_features(example.text) for example in examples]
    indices = [bucket for row in rows for bucket in row]
    values = [value for row in rows for value in row.values()]
    return csr_matrix((values, indices, np.cumsum([0, *map(len, rows)])), shape=(len(rows), BUCKETS))


_features = lru_cache(maxsize=1 << 14)(features)


def counts(examples: Sequence[Labelled]) -> dict[str, int]:
    """How many there are of each label."""
    return dict(Counter(e.label for e in examples).most_common())
