"""A language model chooses among candidates: by number, under a grammar of the numbers."""

import re

import pytest

from medllm.document import Entity, Extraction, Note, Relation
from medllm.engines.base import Request
from medllm.errors import EngineError, UsageError
from medllm.lexicons import Concept, Lexicon
from medllm.linking import Linker, Linkers
from medllm.linking.choice import Chooser
from medllm.pipeline import Extractor
from medllm.prompting.render import Prompts
from medllm.schema import Schema
from tests.scripted import Reader, Scripted

LEXICON = Lexicon(
    [
        Concept("MESH", "D007674", "Kidney Diseases", ("Nephropathy",), ("disorder",)),
        Concept("MESH", "D058186", "Acute Kidney Injury", (), ("disorder",)),
        Concept("MESH", "D005334", "Fever", ("Pyrexia",), ("disorder",)),
        Concept("MESH", "D008687", "Metformin", (), ("drug",)),
    ]
)
TEXT = "Fever.\nChronic kidney injuries (CKI) again, and on metformin; CKI stable."
ROW = re.compile(r"^(\d): ([^(\n]+?)(?: \(also .*\))?$", re.MULTILINE)


class Problem(Entity):
    """A problem."""


class Drug(Entity):
    """A drug."""


class For(Relation[Drug, Problem]):
    """The drug is given for the problem."""


def note() -> Extraction:
    spans = {"Fever": Problem, "Chronic kidney injuries": Problem, "metformin": Drug}
    found = [kind.at(TEXT, TEXT.index(text), TEXT.index(text) + len(text), codes=("ICD10CM:X",)) for text, kind in spans.items()]
    again = [Problem.at(TEXT, at.start(), at.end()) for at in re.finditer("CKI", TEXT)]
    return Extraction(note=Note(id="n", text=TEXT), entities=(*found, *again), relations=(For(head=found[2], tail=found[1]),))


def taking(name: str) -> "Scripted":
    """An engine that takes the concept of this name, or none."""

    def answer(request: Request) -> str:
        rows = {found[2]: found[1] for found in ROW.finditer(request.messages[-1].content)}
        return rows.get(name, "0")

    return Scripted(answer)


async def test_only_what_no_name_says_is_asked_about_and_once_a_note() -> None:
    engine, linkers = taking("Kidney Diseases"), Linkers([Linker(LEXICON, near=0.3)])
    linked = linkers.link(note())
    after, requests = await Chooser(engine, Prompts()).choose(linked, linkers)
    assert [e.codes for e in after.entities[:3]] == [
        ("ICD10CM:X", "MESH:D005334"),
        ("ICD10CM:X", "MESH:D007674"),
        ("ICD10CM:X", "MESH:D008687"),
    ]
    assert {e.codes for e in after.entities[3:]} == {("MESH:D007674",)}
    assert after.entities[1].votes[-1].model == "choice"
    assert after.relations[0].tail is after.entities[1]
    assert after.ledger == ()
    assert [(r.task, r.note_id) for r in requests] == [("codes", "n")] * len(engine.calls)
    shown = [call.messages[-1].content for call in engine.calls]
    assert len(shown) == 2
    assert sum('short for "Chronic kidney injuries"' in text for text in shown) == 1
    assert all("Fever" not in text and "D0" not in text for text in shown)


async def test_none_of_these_takes_a_near_code_away_and_leaves_those_of_other_systems() -> None:
    linkers = Linkers([Linker(LEXICON, near=0.3)])
    linked = linkers.link(note())
    assert len(linked.entities[1].codes) == 2
    after, _ = await Chooser(taking("nothing"), Prompts()).choose(linked, linkers)
    assert (after.entities[1].codes, after.entities[1].votes) == (("ICD10CM:X",), ())


@pytest.mark.parametrize("wrong", ["many", EngineError("gone")])
async def test_without_an_answer_the_near_code_stays_and_the_ledger_says_so(wrong: str | EngineError) -> None:
    linkers = Linkers([Linker(LEXICON, near=0.3)])
    linked = linkers.link(note())
    engine = Scripted(lambda _: wrong, strict=False)
    after, _ = await Chooser(engine, Prompts()).choose(linked, linkers)
    assert after.entities == linked.entities
    assert {entry.reason for entry in after.ledger} == {"unanswered" if isinstance(wrong, str) else "engine-error"}
    assert all(TEXT[e.start : e.end] not in e.detail for e in after.ledger)


async def test_servers_without_grammars_answer_in_json() -> None:
    linkers = Linkers([Linker(LEXICON, near=0.3)])
    engine = Scripted(lambda _: '{"answer": "1"}', constrained=False, strict=False)
    after, _ = await Chooser(engine, Prompts(), "zh").choose(linkers.link(note()), linkers)
    assert after.entities[1].votes[-1].model == "choice"
    assert engine.calls[0].constraint is None
    assert engine.calls[0].json_schema is not None
    assert "概念" in engine.calls[0].messages[-1].content


async def test_an_extractor_asks_after_it_has_linked() -> None:
    schema = Schema.load("clinical")
    reader, chosen = Reader(schema, {"kidney trouble": "problem"}), taking("Kidney Diseases")
    engine = Scripted(lambda request: chosen.answer(request) if "terminology" in request.messages[0].content else reader(request))
    linkers = Linkers([Linker(LEXICON, near=0.3)])
    with Extractor(schema, engine=engine, linker=linkers, link_choice="llm", readers="llm", relations=False) as extractor:
        reading = await extractor.read(Note(id="n", text="Has kidney trouble."))
    (found,) = reading.extraction.entities
    assert found.codes == ("MESH:D007674",)
    assert reading.requests[-1].task == "codes"
    assert reading.accounted_for


@pytest.mark.parametrize(
    "options", [{"link_choice": "llm"}, {"link_choice": "dice", "linker": Linkers([])}, {"link_choice": "llm", "deid": "mask"}]
)
def test_a_choice_needs_a_terminology_and_a_model_that_reads_the_note(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="choose codes"):
        Extractor("clinical", engine=Scripted(lambda _: ""), readers="llm", **options)  # type: ignore[arg-type]
