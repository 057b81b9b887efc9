from typing import Any

import pytest

from medllm.document import Entity, Extraction, Note, Relation, any_entity, any_relation
from medllm.errors import UsageError
from medllm.evaluation.counts import Counts, macro, micro
from medllm.evaluation.metrics import METRICS, metric, relation_counts

TEXT = "Aspirin gave her a rash; no fever. 无发热。"
DRUG, PROBLEM = any_entity("drug"), any_entity("problem")
ASPIRIN, RASH = DRUG.at(TEXT, 0, 7, codes=("MESH:D001241",)), PROBLEM.at(TEXT, 17, 23, codes=("MESH:D005076", "MESH:D003875"))
FEVER = PROBLEM.at(TEXT, 28, 33, assertion="absent")


def note(*entities: Entity, relations: tuple[Relation[Any, Any], ...] = ()) -> Extraction:
    return Extraction(note=Note(id="n", text=TEXT), entities=entities, relations=relations)


def relation(label: str, head: Entity, tail: Entity) -> Relation[Any, Any]:
    return any_relation(label)(head=head, tail=tail)


def tuples(counts: dict[str, Counts]) -> dict[str, tuple[int, int, int]]:
    return {label: (c.tp, c.fp, c.fn) for label, c in counts.items()}


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_is_perfect_on_a_copy_and_empty_on_nothing(name: str) -> None:
    gold = note(ASPIRIN, RASH, FEVER, relations=(relation("causes", ASPIRIN, RASH),))
    counts = micro(metric(name)(gold, gold))
    assert counts.tp > 0
    assert (counts.fp, counts.fn, counts.f1) == (0, 0, 1.0)
    assert metric(name)(note(), note()) == {}
    missed = micro(metric(name)(gold, note()))
    assert (missed.precision, missed.recall, missed.f1, missed.fp) == (0, 0, 0, 0)


def test_scores_of_nothing_are_zero() -> None:
    assert Counts().scores.to_json() == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert macro({}) == macro({"drug": Counts()})


def test_macro_is_over_labels_of_either_side() -> None:
    counts = {"drug": Counts(1, 0, 0), "problem": Counts(0, 2, 0), "test": Counts()}
    assert macro(counts).recall == 0.5
    assert macro(counts).f1 == 0.5


def test_tokens_of_every_script() -> None:
    gold = note(PROBLEM.at(TEXT, 17, 23), PROBLEM.at(TEXT, 36, 38))
    pred = note(PROBLEM.at(TEXT, 19, 24), PROBLEM.at(TEXT, 37, 38))
    assert tuples(metric("token")(gold, pred)) == {"problem": (2, 1, 2)}


def test_a_token_of_two_labels_is_two_items() -> None:
    gold = note(PROBLEM.at(TEXT, 19, 23), DRUG.at(TEXT, 19, 23))
    assert tuples(metric("token")(gold, note(PROBLEM.at(TEXT, 19, 23)))) == {"drug": (0, 0, 1), "problem": (1, 0, 0)}


def test_relations_need_label_and_both_arguments_in_order() -> None:
    gold = note(ASPIRIN, RASH, FEVER, relations=(relation("causes", ASPIRIN, RASH),))

    def against(*relations: Relation[Any, Any]) -> dict[str, tuple[int, int, int]]:
        return tuples(metric("relations")(gold, note(ASPIRIN, RASH, FEVER, relations=relations)))

    assert against(relation("causes", ASPIRIN, RASH)) == {"causes": (1, 0, 0)}
    assert against(relation("causes", RASH, ASPIRIN)) == {"causes": (0, 1, 1)}
    assert against(relation("treats", ASPIRIN, RASH)) == {"causes": (0, 0, 1), "treats": (0, 1, 0)}
    assert against(relation("causes", ASPIRIN, FEVER)) == {"causes": (0, 1, 1)}
    assert against(*[relation("causes", ASPIRIN, RASH)] * 2) == {"causes": (1, 1, 0)}


def test_relations_may_be_undirected() -> None:
    gold, pred = note(relations=(relation("PIP", RASH, FEVER),)), note(relations=(relation("PIP", FEVER, RASH),))
    assert relation_counts(gold, pred, undirected={"PIP"})["PIP"].tp == 1


def test_relation_arguments_may_overlap() -> None:
    near = PROBLEM.at(TEXT, 19, 23)
    gold = note(ASPIRIN, RASH, relations=(relation("causes", ASPIRIN, RASH),))
    pred = note(ASPIRIN, near, relations=(relation("causes", ASPIRIN, near),))
    assert tuples(metric("relations")(gold, pred)) == {"causes": (0, 1, 1)}
    assert tuples(metric("relations-overlap")(gold, pred)) == {"causes": (1, 0, 0)}
    wrong_label = note(relations=(relation("causes", ASPIRIN, DRUG.at(TEXT, 17, 23)),))
    assert tuples(metric("relations-overlap")(gold, wrong_label)) == {"causes": (0, 1, 1)}


def test_relations_between_given_mentions() -> None:
    gold = note(ASPIRIN, RASH, FEVER, relations=(relation("causes", ASPIRIN, RASH), relation("causes", ASPIRIN, FEVER)))
    near = PROBLEM.at(TEXT, 19, 23)
    pred = note(ASPIRIN, near, FEVER, relations=(relation("causes", ASPIRIN, near), relation("causes", ASPIRIN, FEVER)))
    assert tuples(metric("relations")(gold, pred)) == {"causes": (1, 1, 1)}
    assert tuples(metric("relations-given")(gold, pred)) == {"causes": (1, 0, 0)}
    assert tuples(metric("relations-given-overlap")(gold, pred)) == {"causes": (2, 0, 0)}


def test_document_relations_are_sets_of_codes() -> None:
    elsewhere = DRUG.at(TEXT, 35, 36, codes=("MESH:D001241",))
    gold = note(relations=(relation("CID", ASPIRIN, RASH),))
    pred = note(relations=(relation("CID", elsewhere, RASH), relation("CID", ASPIRIN, RASH), relation("CID", ASPIRIN, FEVER)))
    assert tuples(metric("document-relations")(gold, pred)) == {"CID": (2, 0, 0)}


def test_concepts_are_sets_of_codes() -> None:
    gold = note(ASPIRIN, DRUG.at(TEXT, 24, 25, codes=("MESH:D001241",)), RASH)
    assert tuples(metric("concepts")(gold, note(ASPIRIN))) == {"drug": (1, 0, 0), "problem": (0, 0, 2)}


def test_attributes_end_to_end_and_over_matched_mentions() -> None:
    present = {"assertion": "present"}
    gold = note(PROBLEM.at(TEXT, 17, 23, **present), FEVER, PROBLEM.at(TEXT, 36, 38, assertion="absent"), ASPIRIN)
    pred = note(PROBLEM.at(TEXT, 17, 23, **present), PROBLEM.at(TEXT, 28, 33, **present), PROBLEM.at(TEXT, 37, 38, assertion="absent"))
    assert tuples(metric("attribute:assertion")(gold, pred)) == {"absent": (0, 1, 2), "present": (1, 1, 0)}
    matched = metric("attribute-matched:assertion")(gold, pred)
    assert tuples(matched) == {"absent": (0, 0, 1), "present": (1, 1, 0)}
    assert micro(matched).recall == 0.5
    assert tuples(metric("attribute-overlap:assertion")(gold, pred)) == {"absent": (1, 0, 1), "present": (1, 1, 0)}


def test_attribute_on_one_side_only() -> None:
    gold, pred = note(PROBLEM.at(TEXT, 17, 23)), note(PROBLEM.at(TEXT, 17, 23, assertion="absent"))
    assert tuples(metric("attribute:assertion")(gold, pred)) == {"absent": (0, 1, 0)}
    assert tuples(metric("attribute:assertion")(pred, gold)) == {"absent": (0, 0, 1)}


@pytest.mark.parametrize("name", ["fuzzy", "attribute", "attribute:", "exact:x"])
def test_unknown_metric(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        metric(name)
    assert "attribute:NAME" in caught.value.hint
