"""A second voice of the language model: what it says otherwise is voted, agreement is the confidence, and the accounts hold for both."""

import asyncio

import pytest

from medllm.document import Note
from medllm.engines.base import Request
from medllm.ensemble.calibration import Calibrator
from medllm.errors import SchemaError, UsageError
from medllm.pipeline import Extractor
from medllm.reading import Reading
from medllm.schema import Schema
from medllm.schemas.clinical import schema
from tests.scripted import Reader, Scripted

NOTE = Note(id="n", text="He has severe chest pain and no fever.\nAspirin 81 mg daily was given.\nThen we talked.\n")
FIRST = {"severe chest pain": "problem", "fever": "problem", "Aspirin": "drug"}
AGAIN = {"chest pain": "problem", "fever": "problem", "Aspirin": "treatment", "talked": "test"}


def answer(request: Request) -> str:
    """In lines, and with the examples as they stand, the first lexicon; otherwise the other one."""
    order = request.messages[1].content < request.messages[-3].content
    for layout, lexicon in (("lines", FIRST if order == ORDER else AGAIN), ("copy", AGAIN)):
        text = Reader(schema, lexicon, {}, layout=layout)(request)
        if request.constraint is not None and request.constraint.grammar.accepts(text):
            return text
    raise AssertionError("no layout fits")


def read(**options: object) -> Reading:
    given = {"relations": False, "boundary": "off", "readers": "llm"} | options
    with Extractor(schema, engine=Scripted(answer), **given) as extractor:  # type: ignore[arg-type]
        return asyncio.run(extractor.read(NOTE))


def _order() -> bool:
    with Extractor(schema, engine=Scripted(lambda _: ""), readers="llm") as extractor:
        messages = extractor.prompted.questions_for(NOTE).entities(extractor.prompted.split(NOTE)[0]).messages
    return messages[1].content < messages[-3].content


ORDER = _order()


@pytest.mark.parametrize("voice", ["layout", "examples"])
def test_agreement_is_the_confidence(voice: str) -> None:
    reading = read(second_voice=voice)
    assert reading.accounted_for
    assert set(reading.read.values()) == {len(NOTE.text)}
    assert set(reading.read) == {"llm", "llm-second"}
    found = reading.extraction
    said = {e.text: {v.reader: v.about for v in e.votes if not v.about.startswith("assertion=")} for e in found.entities}
    assert said == {
        "severe chest pain": {"llm": "", "llm-second": "edges=14-24"},
        "fever": {"llm": "", "llm-second": ""},
        "Aspirin": {"llm": "", "llm-second": "label=treatment"},
    }
    (talked,) = found.rejected
    assert {v.reader: v.about for v in talked.votes} == {"llm": "nothing", "llm-second": ""}
    sure = {e.text: e.confidence or 0 for e in (*found.entities, *found.rejected)}
    assert sure["fever"] > max(sure["severe chest pain"], sure["Aspirin"], sure["talked"])
    assert max(sure["severe chest pain"], sure["Aspirin"], sure["talked"]) <= 0.5
    once = read()
    assert [(e.label, e.spans) for e in once.extraction.entities] == [(e.label, e.spans) for e in found.entities]
    assert len(reading.requests) == 2 * len(once.requests)


def test_a_calibrator_has_the_last_word() -> None:
    weights = {f"label={label}": 0.0 for label in schema.labels} | {"absent+same second:same": 3.0}
    fitted = Calibrator(weights, -1.0, keep=0.5, schema="clinical", about={"readers": "llm,llm-second"})
    found = read(second_voice="layout", calibrator=fitted).extraction
    assert [(e.text, e.confidence) for e in found.entities] == [("fever", 0.8808)]
    with pytest.raises(UsageError, match="second voice"):
        read(calibrator=fitted)


def test_a_second_voice_is_for_the_language_model_alone() -> None:
    for options in ({"readers": "both"}, {"readers": "tagger"}, {"second_voice": "tenor"}):
        with pytest.raises(UsageError, match="second voice"):
            read(**({"second_voice": "layout"} | options))
    one = Schema.load("clinical").restrict(["problem"])
    bare = Schema(entities=one.entities, name="bare")
    with (
        pytest.raises(SchemaError, match="fewer than two examples"),
        Extractor(bare, engine=Scripted(lambda _: ""), readers="llm", second_voice="examples"),
    ):
        pass
