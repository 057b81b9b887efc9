"""``--readers both``, end to end: the shipped tagger and a scripted language model over one note."""

import asyncio
import json
from pathlib import Path

import pytest

from medllm.document import Extraction, Note
from medllm.ensemble.calibration import Calibrator
from medllm.errors import ModelError, UsageError
from medllm.formats import jsonl
from medllm.pipeline import Extractor
from medllm.runs.directory import RunDirectory, read_run
from medllm.runs.run import configuration, run
from medllm.schemas.clinical import schema
from medllm.training.calibrator import train_ensemble
from tests.scripted import Reader, Scripted

TEXT = "He has severe chest pain and no fever.\nAspirin 81 mg daily was given.\nThen we talked.\n"
LEXICON = {"fever": "problem", "talked": "test", "chest": "problem", "Aspirin": "treatment"}


def read(readers: str, **options: object) -> Extraction:
    engine = Scripted(Reader(schema, LEXICON, {}))
    with Extractor(
        schema, engine=engine, readers=readers, relations=False, boundary="off", **({"calibrator": "off"} | options)
    ) as extractor:  # type: ignore[arg-type]
        return extractor.extract(Note(id="n", text=TEXT))


def said(extraction: Extraction) -> dict[str, dict[str, str]]:
    found = (*extraction.entities, *extraction.rejected)
    return {e.text: {v.reader: v.about for v in e.votes if not v.about.startswith("assertion=")} for e in found}


def test_both_readers_vote_on_every_mention() -> None:
    alone, both = read("tagger"), read("both")
    assert [(e.label, e.spans) for e in both.entities] == [(e.label, e.spans) for e in alone.entities]
    votes = said(both)
    assert votes["fever"] == {"tagger": "", "llm": ""}
    assert votes["severe chest pain"]["llm"] == "edges=14-19"
    assert votes["Aspirin"]["llm"] == "label=treatment"
    assert [(e.text, e.id) for e in both.rejected] == [("talked", "X1")]
    assert votes["talked"] == {"tagger": "nothing", "llm": ""}
    again = jsonl.load(jsonl.dump(both), schema)
    assert (again.rejected, again.entities) == (both.rejected, both.entities)


def test_a_calibrator_has_the_last_word_and_gives_lanes() -> None:
    weights = {f"label={label}": 0.0 for label in ("problem", "test", "drug", "treatment")} | {"llm:same": 3.0, "tagger:same": 1.0}
    calibrator = Calibrator(weights, -2.0, keep=0.5, lanes={0.95: 0.8}, schema="clinical")
    both = read("both", calibrator=calibrator, min_precision=0.9)
    assert {e.text: (e.confidence, e.lane) for e in both.entities if e.label in ("problem", "test", "drug", "treatment")} == {
        "fever": (0.8808, "accepted"),
        "talked": (0.7311, "review"),
    }
    assert "severe chest pain" in {e.text for e in both.rejected}
    of_one = Calibrator(weights, -2.0, keep=0.25, schema="clinical", about={"readers": "tagger"})
    alone = read("tagger", calibrator=of_one)
    assert {e.confidence for e in alone.entities if e.label == "problem"} == {0.2689}
    assert {e.confidence for e in read("tagger", calibrator=calibrator).entities} == {None}  # it was fitted on the votes of two
    again = jsonl.load(jsonl.dump(both), schema)
    assert [e.lane for e in again.entities] == [e.lane for e in both.entities]


def test_the_shipped_calibrator_is_of_the_shipped_tagger() -> None:
    surely = read("tagger", calibrator="auto", min_precision=0.9)
    assert {e.label: (e.lane, (e.confidence or 0) > 0.8) for e in surely.entities if e.text == "fever"} == {"problem": ("accepted", True)}
    everything = {(e.label, e.spans) for e in read("tagger").entities}
    assert {(e.label, e.spans) for e in (*surely.entities, *surely.rejected)} == everything
    both = read("both", calibrator="auto")
    assert everything <= {(e.label, e.spans) for e in (*both.entities, *both.rejected)}
    assert [e.id for e in both.rejected] == [f"X{n}" for n in range(1, len(both.rejected) + 1)]


@pytest.mark.parametrize("budget", [0, 12, 10_000])
def test_a_budget_sends_the_model_where_the_tagger_is_least_sure(budget: int, tmp_path: Path) -> None:
    text = TEXT * 3
    engine = Scripted(Reader(schema, LEXICON, {}))
    options = {"relations": False, "boundary": "off", "calibrator": "off", "chunk_tokens": 12, "budget": budget}
    with Extractor(schema, engine=engine, readers="both", **options) as extractor:  # type: ignore[arg-type]
        reading = asyncio.run(extractor.read(Note(id="n", text=text)))
        directory = RunDirectory(tmp_path / "out", schema, configuration(extractor))
        result = asyncio.run(run(extractor, [Note(id="n", text=text)], directory))
        directory.close()
    assert reading.accounted_for
    assert result.exit_code == 0
    assert reading.read["tagger"] == len(text)
    assert reading.read["llm"] + reading.left.get("llm", 0) == len(text)
    states = {v.about for e in reading.extraction.entities for v in e.votes if v.reader == "llm"}
    assert ("not asked" in states) == (budget < 10_000)
    assert (reading.read["llm"] == 0) == (budget == 0)
    assert (len(reading.requests) == 0) == (budget == 0)


def test_a_budget_is_for_two_readers() -> None:
    with pytest.raises(UsageError, match="beside the tagger"):
        read("tagger", budget=100)


def test_what_cannot_be_promised_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a calibrator"):
        read("tagger", min_precision=0.95)
    other = Calibrator({"label=disease": 0.0}, 0.0, 0.5, schema="other")
    with pytest.raises(UsageError, match="of the schema 'other'"):
        read("tagger", calibrator=other)
    (tmp_path / "calibrator.json").write_text("{}")
    with pytest.raises(ModelError, match="no calibrator"):
        read("tagger", calibrator=tmp_path)


def test_a_calibrator_is_fitted_on_runs_and_gold(tmp_path: Path) -> None:
    """Mentions of high scores are right, those of low ones wrong: the calibrator must see it, and promise what it can keep."""
    pytest.importorskip("sklearn")
    kind, vote = schema.entity("problem"), {"reader": "tagger", "model": "m", "placed": "tags"}
    run, gold = tmp_path / "run", tmp_path / "gold"
    run.mkdir()
    gold.mkdir()
    lines, annotated = [], []
    for n in range(40):
        text = " ".join(f"pain{k}" for k in range(20))
        places = [(text.index(f"pain{k}"), text.index(f"pain{k}") + len(f"pain{k}")) for k in range(20)]
        votes = [({**vote, "score": 0.97 if k < 12 else 0.3},) for k in range(20)]
        found = [kind.at(text, *place, votes=v) for place, v in zip(places, votes, strict=True)]
        right = [kind.at(text, *place) for k, place in enumerate(places) if (k < 12) != (k == n % 12 and n % 8 == 0)]
        note = Note(id=f"n{n}", text=text)
        lines.append(jsonl.dump(Extraction(note=note, entities=tuple(found))))
        annotated.append(jsonl.dump(Extraction(note=note, entities=tuple(right))))
    (run / "extractions.jsonl").write_text("\n".join(lines) + "\n")
    (run / "schema.json").write_text(json.dumps(schema.to_json()))
    (gold / "gold.jsonl").write_text("\n".join(annotated) + "\n")
    scores = train_ensemble(f"jsonl:{gold / 'gold.jsonl'}", [run], tmp_path / "out", boundary=False)
    assert scores is not None
    assert scores.mentions == 800
    assert scores.ece < 0.02 < (scores.ece_before or 0)
    calibrator = Calibrator.load(tmp_path / "out").promising(0.95)
    sure, unsure = (calibrator.judge(kind.at("pain", 0, 4, votes=({**vote, "score": s},))) for s in (0.97, 0.3))
    assert (sure.lane, unsure.lane) == ("accepted", "review")
    assert (sure.confidence or 0) > 0.9 > 0.1 > (unsure.confidence or 1)
    assert len(read_run(run).extractions) == 40
    assert "Promised precision" in (tmp_path / "out" / "README.md").read_text()
