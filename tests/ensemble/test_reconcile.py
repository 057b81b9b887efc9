"""Two readers, one answer: every mention of either is there once, with both votes, kept or rejected."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.document import Entity, Vote
from medllm.ensemble.calibration import Calibrator, features
from medllm.ensemble.reconcile import Reconciled, reconcile
from medllm.errors import UsageError
from medllm.schemas.clinical import schema

TEXT = "Severe chest pain and fever ; given aspirin 81 mg daily ."
LABELS = ("problem", "test", "treatment", "drug")


def mention(part: str, label: str, reader: str, score: float = 0.9) -> Entity:
    start = TEXT.index(part)
    return schema.entity(label).at(TEXT, start, start + len(part), votes=(Vote(reader=reader, model=f"{reader}-1", score=score),))


def joined(tagged: Sequence[Entity], prompted: Sequence[Entity], calibrator: Calibrator | None = None) -> Reconciled:
    return reconcile((tagged, ()), (prompted, ()), known=LABELS[:3] if calibrator is None else LABELS, calibrator=calibrator)


def said(entity: Entity) -> dict[str, str]:
    return {v.reader: v.about for v in entity.votes}


def test_what_both_found_is_one_mention_with_two_votes() -> None:
    answer = joined([mention("fever", "problem", "tagger")], [mention("fever", "problem", "llm", 0.4)])
    (fever,) = answer.entities
    assert said(fever) == {"tagger": "", "llm": ""}
    assert [v.score for v in fever.votes] == [0.9, 0.4]
    assert not answer.rejected


def test_the_tagger_has_the_edges_and_the_label() -> None:
    wide, narrow = mention("Severe chest pain", "problem", "tagger"), mention("chest pain", "problem", "llm")
    answer = joined([wide], [narrow])
    assert [e.text for e in answer.entities] == ["Severe chest pain"]
    assert said(answer.entities[0])["llm"] == "edges=7-17"
    other = joined([mention("fever", "problem", "tagger")], [mention("fever", "test", "llm")])
    assert [(e.label, said(e)["llm"]) for e in other.entities] == [("problem", "label=test")]


def test_without_a_calibrator_the_tagger_decides_what_it_knows() -> None:
    answer = joined([mention("fever", "problem", "tagger")], [mention("chest pain", "problem", "llm"), mention("aspirin", "drug", "llm")])
    assert [(e.id, e.text) for e in answer.entities] == [("T1", "fever"), ("T2", "aspirin")]
    assert [(e.id, e.text, said(e)) for e in answer.rejected] == [("X1", "chest pain", {"tagger": "nothing", "llm": ""})]
    assert said(answer.entities[0])["llm"] == "nothing"
    assert "tagger" not in said(answer.entities[1])


def test_a_calibrator_decides() -> None:
    weights = {f"label={label}": 0.0 for label in LABELS} | {"llm:same": 2.0, "tagger:same": 1.0}
    calibrator = Calibrator(weights, -1.5, keep=0.5, lanes={0.9: 0.8}, schema="clinical")
    answer = joined([mention("fever", "problem", "tagger")], [mention("chest pain", "problem", "llm")], calibrator)
    assert [e.text for e in answer.entities] == ["chest pain"]
    assert [e.text for e in answer.rejected] == ["fever"]
    assert answer.entities[0].confidence == pytest.approx(0.6225, abs=1e-4)
    both = joined([mention("fever", "problem", "tagger")], [mention("fever", "problem", "llm")], calibrator.promising(0.9))
    assert [(e.lane, round(e.confidence or 0, 2)) for e in both.entities] == [("accepted", 0.82)]
    with pytest.raises(UsageError, match=r"0\.95 cannot be promised: the most it can promise is 0\.90"):
        calibrator.promising(0.95)


def test_relations_follow_their_mentions() -> None:
    kind = next(r for r in schema.relations_between("drug", "strength"))
    tagged = [mention("aspirin", "drug", "tagger"), mention("81 mg", "strength", "tagger")]
    prompted = [mention("aspirin", "drug", "llm"), mention("81 mg daily", "strength", "llm")]
    links = [kind(head=m[0], tail=m[1], votes=m[0].votes) for m in (tagged, prompted)]
    answer = reconcile((tagged, links[:1]), (prompted, links[1:]), known=("drug", "strength"))
    (relation,) = answer.relations
    assert (relation.head.text, relation.tail.text, [v.reader for v in relation.votes]) == ("aspirin", "81 mg", ["tagger", "llm"])
    assert relation.head in answer.entities
    assert relation.tail in answer.entities


spans = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12), st.sampled_from(LABELS)), max_size=8, unique=True)


def made(places: Sequence[tuple[int, int, str]], reader: str) -> list[Entity]:
    return [schema.entity(label).at(TEXT, s, s + n, votes=(Vote(reader=reader, score=0.5),)) for s, n, label in places]


@given(spans, spans)
def test_nothing_is_lost_and_nothing_is_invented(first: list[tuple[int, int, str]], second: list[tuple[int, int, str]]) -> None:
    tagged, prompted = made(first, "tagger"), made(second, "llm")
    answer = reconcile((tagged, ()), (prompted, ()), known=LABELS)
    everything = [*answer.entities, *answer.rejected]
    places = {(e.label, e.spans) for e in (*tagged, *prompted)}
    assert {(e.label, e.spans) for e in everything} <= places
    assert {(e.label, e.spans) for e in answer.entities} == {(e.label, e.spans) for e in tagged}
    voted = sum(v.reader == "llm" and v.about != "nothing" for e in everything for v in e.votes)
    assert voted == len(prompted)
    assert len(everything) == len(tagged) + sum(said(e)["tagger"] == "nothing" for e in everything)
    assert [e.sort_key() for e in answer.entities] == sorted(e.sort_key() for e in answer.entities)


def test_evidence_is_read_from_the_votes() -> None:
    votes = Vote(reader="tagger", score=0.5), Vote(reader="llm", score=1.0, about="edges=0-3"), Vote(reader="llm", about="assertion=absent")
    entity = mention("fever", "problem", "tagger").model_copy(update={"votes": votes})
    found = features(entity)
    assert found["tagger:same:logit"] == 0.0
    assert found["llm:edges:logit"] == 7.0
    assert found["same+edges"] == found["label=problem"] == 1.0
