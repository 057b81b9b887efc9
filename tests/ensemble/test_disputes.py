"""Disputes: what two readers do not agree on is asked again, in closed questions, and the answer is one more vote."""

import asyncio
import re
from pathlib import Path

import pytest

from medllm.document import Entity, Note, Vote
from medllm.engines.base import Completion, Request
from medllm.ensemble.calibration import Calibrator, features
from medllm.ensemble.disputes import find_disputes, with_votes
from medllm.ensemble.reconcile import join
from medllm.errors import EngineError, UsageError
from medllm.pipeline import Extractor
from medllm.reading import Reading
from medllm.runs.directory import RunDirectory
from medllm.runs.run import configuration, run
from medllm.schemas.clinical import schema
from tests.scripted import Reader, Scripted

TEXT = "He has severe chest pain and no fever.\nAspirin 81 mg daily was given.\nThen we talked.\n"
LEXICON = {"chest": "problem", "Aspirin": "treatment", "talked": "test"}
NOTE = Note(id="n", text=TEXT)


class Judge:
    """Reads with a lexicon, and answers disputes alike: ``yes`` or ``no``, ``A`` or ``B`` or ``neither``."""

    def __init__(self, one: str, two: str) -> None:
        self.reader, self.one, self.two = Reader(schema, LEXICON, {}), one, two
        self.questions: list[str] = []

    def __call__(self, request: Request) -> str | Completion | Exception:
        if "do not agree" not in request.messages[0].content:
            return self.reader(request)
        asked = request.messages[-1].content.partition("Questions:\n")[2].split("\n")
        self.questions += asked
        return "\n".join(f"{n}: {self.two if ' | A: ' in question else self.one}" for n, question in enumerate(asked, 1))


class Silent(Judge):
    def __call__(self, request: Request) -> str | Completion | Exception:
        answer = super().__call__(request)
        return EngineError("gone") if re.fullmatch(r"1: (yes|A)[\s\S]*", str(answer)) else answer


def read(judge: Judge, **options: object) -> tuple[Reading, Scripted]:
    engine = Scripted(judge)
    given = {"relations": False, "boundary": "off", "calibrator": "off", "disputes": True, "readers": "both"} | options
    with Extractor(schema, engine=engine, **given) as extractor:  # type: ignore[arg-type]
        return asyncio.run(extractor.read(NOTE)), engine


def answers(reading: Reading) -> dict[str, str]:
    found = (*reading.extraction.entities, *reading.extraction.rejected)
    return {e.text: v.about for e in found for v in e.votes if v.reader == "llm-disputes"}


def test_each_dispute_is_asked_once_and_its_answer_is_a_vote() -> None:
    judge = Judge("no", "B")
    reading, engine = read(judge)
    assert reading.accounted_for
    assert not reading.extraction.ledger
    asked = [r for r in reading.requests if r.task == "disputes"]
    assert len(engine.calls) == len(reading.requests)
    assert len(asked) == 1  # one chunk, one prompt
    assert 'He has [severe chest pain] and no fever. | A: problem "severe chest pain" | B: problem "chest"' in judge.questions[0]
    assert answers(reading) == {"severe chest pain": "edges=14-19", "fever": "nothing", "Aspirin": "", "talked": "nothing"}
    plain, _ = read(Judge("no", "B"), disputes=False)
    assert [(e.label, e.spans) for e in plain.extraction.entities] == [(e.label, e.spans) for e in reading.extraction.entities]


def test_no_reader_is_always_shown_first() -> None:
    judge = Judge("yes", "A")
    reading, _ = read(judge)
    assert answers(reading) == {"severe chest pain": "", "fever": "", "Aspirin": "label=treatment", "talked": ""}


def test_what_is_not_answered_is_in_the_ledger_and_nothing_is_lost(tmp_path: Path) -> None:
    reading, _ = read(Silent("yes", "A"))
    assert [(e.reader, e.reason) for e in reading.extraction.ledger] == [("llm-disputes", "engine-error")]
    assert reading.accounted_for
    assert answers(reading) == {}
    assert {e.text for e in reading.extraction.entities} >= {"severe chest pain", "fever", "Aspirin"}
    with Extractor(schema, engine=Scripted(Judge("no", "B")), readers="both", relations=False, disputes=True) as extractor:
        directory = RunDirectory(tmp_path / "out", schema, configuration(extractor))
        result = asyncio.run(run(extractor, [NOTE], directory))
        directory.close()
    assert result.exit_code == 0
    assert configuration(extractor)["disputes"] is True


@pytest.mark.parametrize(("budget", "asked"), [(0, 0), (34, 1), (10_000, 4)])
def test_a_budget_counts_what_is_shown_again(budget: int, asked: int) -> None:
    reading, _ = read(Judge("no", "B"), budget=budget)
    assert reading.accounted_for
    assert len(answers(reading)) == asked


def test_an_answer_is_a_feature_of_the_calibrator() -> None:
    vote = {"tagger": Vote(reader="tagger", score=0.4), "llm": Vote(reader="llm", about="nothing")}
    mention = schema.entity("problem").at("fever", 0, 5, votes=tuple(vote.values()))
    answered = mention.model_copy(update={"votes": (*mention.votes, Vote(reader="llm-disputes", score=0.9, about="nothing"))})
    more = {name: value for name, value in features(answered).items() if name not in features(mention)}
    assert more == {"same+nothing again:nothing": 1.0, "same+nothing again:nothing:score": 0.9}


def test_what_both_found_is_asked_about_where_the_tagger_is_unsure() -> None:
    def found(reader: str, score: float) -> Entity:
        return schema.entity("problem").at("fever", 0, 5, votes=(Vote(reader=reader, score=score),))

    unsure = join(([found("tagger", 0.4)], ()), ([found("llm", 0.9)], ()), known=("problem",))
    sure = join(([found("tagger", 0.9)], ()), ([found("llm", 0.2)], ()), known=("problem",))
    unknown = join(([], ()), ([found("llm", 0.2)], ()), known=())
    assert [d.kind for d in find_disputes(unsure).values()] == ["unsure"]
    assert find_disputes(sure) == find_disputes(unknown) == {}
    (voted,) = with_votes(unsure, {0: Vote(reader="llm-disputes", about="nothing")})
    assert [v.about for v in voted[0].votes] == ["", "", "nothing"]


def test_disputes_are_for_two_readers_and_their_calibrator_for_disputes() -> None:
    with pytest.raises(UsageError, match="between the tagger and the language model"):
        read(Judge("no", "B"), readers="tagger")
    with pytest.raises(UsageError, match="between the tagger and the language model"):
        read(Judge("no", "B"), deid="mask")
    fitted = Calibrator({"label=problem": 0.0}, 0.0, 0.5, schema="clinical", about={"readers": "llm,llm-disputes,tagger"})
    with pytest.raises(UsageError, match="answers about disputes"):
        read(Judge("no", "B"), calibrator=fitted, disputes=False)
    without = Calibrator({"label=problem": 0.0}, 0.0, 0.5, schema="clinical")
    for calibrator in (fitted, without):
        reading, _ = read(Judge("no", "B"), calibrator=calibrator)
        assert {e.confidence for e in reading.extraction.entities if e.label == "problem"} == {0.5}
