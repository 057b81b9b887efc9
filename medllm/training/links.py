"""Fit probabilities of relations and assertions on runs over annotated notes; what they are worth comes of folds over notes."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medllm.document import Entity, Extraction
from medllm.ensemble.links import ASSERTION, Logistic, assertion_features, bounded_logit, has_assertion, relation_features
from medllm.schema import attribute_value

FOLDS = 5
FEWEST = 50
"""Fewer cases give no probabilities."""


@dataclass(frozen=True)
class Case:
    """A relation or an assertion of a note as features, and whether it is right."""

    note: str
    features: Mapping[str, float]
    right: bool


Key = tuple[Any, ...]


def mention_key(note: str, entity: Entity) -> Key:
    """What names a mention in a corpus."""
    return note, entity.label, tuple((s.start, s.end) for s in entity.spans)


def relation_cases(runs: Iterable[Extraction], gold: Mapping[str, Extraction], sure: Mapping[Key, float]) -> list[Case]:
    """The relations of runs whose labels gold has, right where gold has them between the very same mentions.

    ``sure`` holds the confidence of mentions, as models of other notes have it.
    """

    def key(note: str, relation: Any) -> Key:
        return relation.label, mention_key(note, relation.head), mention_key(note, relation.tail)

    truth = {key(note, r) for note, x in gold.items() for r in x.relations}
    known = {label for label, _, _ in truth}
    cases = []
    for x in runs:
        for r in x.relations if x.note.id in gold else ():
            if r.label in known:
                head, tail = (e.model_copy(update={"confidence": sure.get(mention_key(x.note.id, e))}) for e in (r.head, r.tail))
                found = relation_features(r.model_copy(update={"head": head, "tail": tail}))
                cases.append(Case(x.note.id, found, key(x.note.id, r) in truth))
    return cases


def assertion_cases(runs: Iterable[Extraction], gold: Mapping[str, Extraction], sure: Mapping[Key, float]) -> list[Case]:
    """The assertions of the mentions that gold has too."""
    truth = {mention_key(n, e): attribute_value(e.attributes[ASSERTION]) for n, x in gold.items() for e in x.entities if has_assertion(e)}
    cases = []
    for x in runs:
        for e in (*x.entities, *x.rejected):
            key = mention_key(x.note.id, e)
            if has_assertion(e) and key in truth:
                found = assertion_features(e.model_copy(update={"confidence": sure.get(key)}))
                cases.append(Case(x.note.id, found, attribute_value(e.attributes[ASSERTION]) == truth[key]))
    return cases


def enough(cases: Sequence[Case]) -> bool:
    """Whether there is anything to be learnt: enough cases of enough notes, right ones and wrong ones."""
    return len(cases) >= FEWEST and len({c.note for c in cases}) >= FOLDS and len({c.right for c in cases}) == 2


def crossed(cases: Sequence[Case], *, seed: int = 0) -> list[tuple[Case, float]]:
    """Each case with the probability that a regression of the other folds' notes gives it."""
    notes = sorted({c.note for c in cases})
    random.Random(seed).shuffle(notes)
    fold = {note: n % FOLDS for n, note in enumerate(notes)}
    found = []
    for number in range(FOLDS):
        model = fit([c for c in cases if fold[c.note] != number])
        found += [(c, model.probability(c.features)) for c in cases if fold[c.note] == number]
    return found


def fit(cases: Sequence[Case]) -> Logistic:
    """A regression on these cases."""
    return fit_logistic([c.features for c in cases], [c.right for c in cases])


def fit_logistic(features: Sequence[Mapping[str, float]], right: Sequence[bool]) -> Logistic:
    """A logistic regression (L2, C = 1); without features where all are right, or all wrong."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    if len(set(right)) < 2:
        return Logistic({}, bounded_logit(float(right[0])))
    vectors = DictVectorizer()
    matrix = vectors.fit_transform(features)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(matrix, right)
    weights = {name: round(float(w), 5) for name, w in zip(vectors.get_feature_names_out(), model.coef_[0], strict=True)}
    return Logistic(weights, round(float(model.intercept_[0]), 5))
