"""The pictures of cases: what they count, order and say, and that their pages stand alone."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from medllm.cli import app
from medllm.document import Extraction
from medllm.errors import UsageError
from medllm.formats import jsonl
from medllm.prompting.examples import parse_example
from medllm.report.cases import PICTURES, picture_of
from medllm.report.cases.drug_events import matrix
from medllm.report.cases.eligibility import trials
from medllm.report.cases.page import render_picture
from medllm.report.cases.timeline import START, timelines
from medllm.runs.directory import read_run
from medllm.schema import Schema

EXAMPLES = Path(__file__).parents[2] / "examples"
DEMO = runpy.run_path(str(EXAMPLES / "cases_demo.py"))
CASES = [(pack, note_id, marked) for pack, notes in DEMO["CASES"].items() for note_id, marked in notes.items()]


def marked(pack: str, text: str, note_id: str = "n") -> Extraction:
    found: Extraction = DEMO["extraction"](text, note_id, Schema.load(pack))
    return found


@pytest.mark.parametrize(("pack", "note_id", "text"), CASES)
def test_the_example_notes_are_those_of_the_demo(pack: str, note_id: str, text: str) -> None:
    assert (EXAMPLES / "cases" / f"{note_id}.txt").read_text("utf-8") == parse_example(text).text


def test_the_matrix_counts_notes_by_the_surest_they_say() -> None:
    found = matrix(marked("pharmacovigilance", text, note_id) for note_id, text in DEMO["CASES"]["pharmacovigilance"].items())
    assert found.drugs == ["ceftriaxone", "amiodarone", "vancomycin", "gentamicin"]
    assert found.events[:2] == ["a rash", "acute kidney injury"]
    assert {pair: [cell.count(c) for c in ("asserted", "suspected", "denied")] for pair, cell in found.cells.items()} == {
        ("ceftriaxone", "a rash"): [1, 1, 0],
        ("ceftriaxone", "wheezing"): [1, 0, 0],
        ("vancomycin", "acute kidney injury"): [1, 1, 0],
        ("gentamicin", "hearing loss"): [0, 0, 1],
        ("amiodarone", "hypothyroidism"): [1, 0, 0],
        ("amiodarone", "a rash"): [0, 1, 0],
        ("gentamicin", "acute kidney injury"): [0, 0, 1],
    }
    assert found.most == 2


def test_mentions_of_one_code_are_one_drug_and_a_note_counts_once() -> None:
    text = "[drug #1|ASA] and [drug #2|aspirin]: [effect <causes#1 causality=suspected|rash], [effect <causes#2|Rash]."
    one = marked("pharmacovigilance", text)
    drugs = {e.text: e.model_copy(update={"codes": ("X:1",)}) for e in one.entities if e.label == "drug"}
    relations = tuple(r.model_copy(update={"head": drugs[r.head.text]}) for r in one.relations)
    found = matrix([one.model_copy(update={"relations": relations})])
    assert (found.drugs, found.events) == (["asa"], ["rash"])
    assert [cell.total for cell in found.cells.values()] == [1]


def test_criteria_stand_under_their_heading_with_their_bounds() -> None:
    (trial,) = trials([marked("trial-eligibility", DEMO["CASES"]["trial-eligibility"]["trial-heart-failure"])])
    assert [c.side for c in trial.criteria] == ["inclusion"] * 4 + ["exclusion"] * 4
    assert trial.criteria[1].parts[0].narrowed == (("temporal", "for at least 3 months"),)
    assert [p.text for p in trial.criteria[1].parts] == ["Heart failure", "left ventricular ejection fraction"]
    assert [p.negated for c in trial.criteria for p in c.parts].count(True) == 1
    assert trial.criteria[3].parts[0].negated
    assert [c.side for t in trials([marked("trial-eligibility", "[condition|Asthma]", "NCT1_exc")]) for c in t.criteria] == ["exclusion"]


def test_events_stand_under_their_own_time_else_the_last_one_told() -> None:
    (line,) = timelines(
        [
            marked(
                "case-report",
                "[sign_symptom|Cough]. [date <hasAttr#1|On day 2] [diagnostic_procedure #1|CT]: [disease_disorder assertion=absent|cancer]."
                " [medication #2|Aspirin] was begun [date <hasAttr#2|on  day 9]. [clinical_event|Died].",
            )
        ]
    )
    assert line.times == (START, "On day 2", "on day 9")
    placed = {name: [[e.text for e in cell] for cell in cells] for name, cells in line.lanes}
    assert placed == {
        "Course": [[], [], ["Died"]],
        "Findings": [["Cough"], [], []],
        "Diagnoses": [[], ["cancer"], []],
        "Tests": [[], ["CT"], []],
        "Medication": [[], [], ["Aspirin"]],
    }
    assert [e.assertion for _, cells in line.lanes for cell in cells for e in cell if e.text == "cancer"] == ["absent"]


@pytest.mark.parametrize("picture", PICTURES)
def test_a_page_loads_nothing_and_is_well_formed_whatever_the_notes_hold(picture: str, kit: SimpleNamespace) -> None:
    @given(st.lists(kit.extractions(), max_size=3))
    @settings(max_examples=20, deadline=None)
    def check(extractions: list[Extraction]) -> None:
        page = kit.Page(render_picture(picture, extractions, title="<t>"))
        policy = next(m["content"] for m in page.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
        assert str(policy).startswith("default-src 'none'")
        assert not page.scripts
        assert not [e for _, e in page.elements if "src" in e or "href" in e]

    check()


def test_pictures_by_name_and_by_pack() -> None:
    assert picture_of(Schema.load("case-report")) == "timeline"
    with pytest.raises(UsageError, match="has no picture of its own"):
        picture_of(Schema.load("clinical"))
    with pytest.raises(UsageError, match="no picture 'pie'"):
        render_picture("pie", [], title="t")


@pytest.mark.parametrize(("name", "written"), [("auto", "timeline.html"), ("drug-events", "drug-events.html")])
def test_view_writes_the_picture_of_a_run(tmp_path: Path, name: str, written: str) -> None:
    schema = Schema.load("case-report")
    case = marked("case-report", DEMO["CASES"]["case-report"]["case-pancreatitis"])
    jsonl.write(tmp_path / "extractions.jsonl", [case])
    (tmp_path / "schema.json").write_text(json.dumps(schema.to_json()), "utf-8")
    done = CliRunner().invoke(app, ["view", str(tmp_path), "--picture", name], catch_exceptions=False)
    assert done.stdout == f"{tmp_path / written}\n"
    page = (tmp_path / written).read_text("utf-8")
    assert ("3-day, severe, abdominal" in page) == (name == "auto")
    assert timelines(read_run(tmp_path).extractions) == timelines([case])
