"""Probabilities of relations and assertions: fitted on annotated notes, and those of the shipped calibrator."""

import json
import shutil
from pathlib import Path

import pytest

from medllm.document import Entity, Extraction, Note, Relation, Vote
from medllm.ensemble.calibration import Calibrator
from medllm.formats import jsonl
from medllm.formats.annotated import read_annotated
from medllm.pipeline import Extractor
from medllm.schemas.clinical import schema
from medllm.training.calibrator import train_ensemble

ANNOTATED = Path(__file__).parents[2] / "examples" / "annotated"
TAGGER = Vote(reader="tagger", model="m", placed="tags", score=0.9)


def as_if_read(gold: Extraction) -> Extraction:
    """The gold with a wrong relation beside every second one, which joins the head to a modifier elsewhere, and some wrong assertions.

    Every mention is right but the doubled ones: a calibrator needs wrong ones too.
    """
    entities = []
    for n, e in enumerate(gold.entities):
        votes = (TAGGER.model_copy(update={"score": 0.95}),)
        if (said := e.attributes.get("assertion")) is not None:
            wrong = n % 4 == 0
            value = type(said)("absent" if said == "present" else "present") if wrong else said
            votes += (TAGGER.model_copy(update={"about": f"assertion={value.value}", "score": 0.6 if wrong else 0.97}),)
            e = e.model_copy(update={"assertion": value})
        entities.append(e.model_copy(update={"votes": votes}))
    spoilt = [e.model_copy(update={"spans": e.spans[:1], "votes": (TAGGER.model_copy(update={"score": 0.2}),)}) for e in entities[::5]]
    short = [e for e in spoilt if len(e.span) > 4]
    wrong_mentions = [type(e).at(gold.note.text, e.span.start, e.span.end - 2, votes=e.votes, **e.attributes) for e in short]
    by_place = {(e.label, e.spans): e for e in entities}

    def joined(r: Relation, tail: Entity | None = None) -> Relation:  # type: ignore[type-arg]
        head, own = (by_place[e.label, e.spans] for e in (r.head, r.tail))
        return type(r)(head=head, tail=tail or own, votes=(TAGGER,))

    links = [joined(r) for r in gold.relations]
    for one, other in zip(gold.relations[::2], gold.relations[6::2], strict=False):
        tail = by_place[other.tail.label, other.tail.spans]
        if other.tail.label == one.tail.label and other.tail.spans != one.tail.spans:
            links.append(joined(one, tail))
    return gold.model_copy(update={"entities": (*entities, *wrong_mentions), "relations": tuple(links)})


def test_probabilities_are_fitted_where_the_gold_has_relations_and_assertions(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    (tmp_path / "gold").mkdir()
    for file in sorted(ANNOTATED.iterdir())[:15]:
        shutil.copy(file, tmp_path / "gold")
    data = f"inline:{tmp_path / 'gold'}"
    corpus, _ = read_annotated(data, schema)
    run = tmp_path / "run"
    run.mkdir()
    read = [as_if_read(x) for x in corpus]
    (run / "extractions.jsonl").write_text("\n".join(map(jsonl.dump, read)) + "\n", encoding="utf-8")
    (run / "schema.json").write_text(json.dumps(schema.to_json()), encoding="utf-8")
    scores = train_ensemble(data, [run], tmp_path / "out", boundary=False)
    assert scores is not None
    assert [name for name, *_ in scores.links] == ["relations", "assertions"]
    assert all(ece < 0.1 for *_, ece in scores.links)
    calibrator = Calibrator.load(tmp_path / "out")
    assert "expected calibration error" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8").partition("Share of")[2]

    right, wrong = [], []
    for gold, one in zip(corpus, read, strict=True):
        for n, r in enumerate(one.relations):
            (right if n < len(gold.relations) else wrong).append(calibrator.judge_relation(r).confidence or 0)
    assert len(wrong) > 20
    assert sum(right) / len(right) > 0.75 > 0.5 > sum(wrong) / len(wrong)

    problem = next(e for x in read for e in x.entities if e.label == "problem")
    said = {"placed": "tags", "about": f"assertion={problem.attributes['assertion'].value}"}
    votes = [(TAGGER, TAGGER.model_copy(update={**said, "score": score})) for score in (0.97, 0.6)]
    sure, unsure = (calibrator.judge(problem.model_copy(update={"votes": v})).votes[-1] for v in votes)
    assert (sure.reader, sure.about) == ("calibrator", said["about"])
    assert (sure.score or 0) > 0.9 > 0.5 > (unsure.score or 1)
    stranger = read[0].relations[0].model_copy(update={"votes": (Vote(reader="llm", placed="grammar"),)})
    assert calibrator.judge_relation(stranger).confidence is None  # it was fitted on no such votes


def test_the_shipped_calibrator_has_them() -> None:
    text = "She denies fever. Aspirin 81 mg daily was given for severe chest pain.\n"
    with Extractor("clinical", readers="tagger") as extractor:
        found = extractor.extract(Note(id="n", text=text))
    dose = next(r for r in found.relations if r.tail.text == "81 mg")
    assert (dose.confidence or 0) > 0.8
    assert all(r.confidence is not None and r.head.confidence is not None for r in found.relations)
    fever = next(e for e in found.entities if e.text == "fever")
    said = [(v.reader, v.about) for v in fever.votes if v.about]
    assert said == [("tagger", "assertion=absent"), ("calibrator", "assertion=absent")]
    assert jsonl.load(jsonl.dump(found), schema).relations[0].confidence == found.relations[0].confidence
