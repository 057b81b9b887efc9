"""Learn a boundary policy from annotated notes: a logistic regression on the gaps of their mentions (scikit-learn)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain

from medllm.document import Span
from medllm.ensemble.boundary import BoundaryPolicy, gaps_of
from medllm.errors import InputError

LEAST = 3
"""What stands around fewer gaps than this is not learnt."""
SMALLEST = 0.1
"""Weights nearer to nothing are dropped."""


def learn_boundaries(
    notes: Iterable[tuple[str, Iterable[tuple[Span, str]]]], *, about: Mapping[str, str] | None = None, strength: float = 0.3
) -> BoundaryPolicy:
    """The policy of annotated notes, each a text and its mentions with their labels. ``strength`` is the inverse of the L2 penalty.

    Raises InputError where nothing can be learnt.
    """
    import numpy as np
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    annotated = [(text, list(mentions)) for text, mentions in notes]
    gaps = [gap for text, mentions in annotated for gap in gaps_of(text, mentions)]
    if len({ends for _, ends in gaps}) < 2:
        raise InputError("there is nothing to learn boundaries from", hint="give notes with mentions of more than one word")
    seen = Counter(chain.from_iterable(names for names, _ in gaps))
    columns = {name: n for n, name in enumerate(sorted(name for name, times in seen.items() if times >= LEAST))}
    rows = [[columns[name] for name in names if name in columns] for names, _ in gaps]
    indices = np.fromiter(chain.from_iterable(rows), dtype=np.int32)
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int32)
    matrix = csr_matrix((np.ones(len(indices)), indices, starts), shape=(len(rows), len(columns)))
    model = LogisticRegression(C=strength, solver="liblinear", max_iter=200).fit(matrix, [ends for _, ends in gaps])
    weights = dict(zip(columns, map(float, model.coef_[0]), strict=True))
    labels = frozenset(label for _, mentions in annotated for _, label in mentions)
    kept = {name: weight for name, weight in weights.items() if abs(weight) >= SMALLEST}
    return BoundaryPolicy(kept, float(model.intercept_[0]), labels, dict(about or {}))
