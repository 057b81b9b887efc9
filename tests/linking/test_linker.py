"""Mentions linked to the concepts of a small terminology."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.document import Entity, Extraction, Note, Relation, Vote
from medllm.errors import UsageError
from medllm.lexicons import Concept, Lexicon
from medllm.linking import Link, Linker, defined_abbreviations, linkers
from medllm.linking.linker import expanded
from medllm.linking.vocabularies import borrowed

LEXICON = Lexicon(
    [
        Concept("MESH", "D006333", "Heart Failure", ("Cardiac Failure",), ("disorder",)),
        Concept("MESH", "D051437", "Renal Insufficiency", ("Kidney Failure",), ("disorder",)),
        Concept("MESH", "D004827", "Epilepsy", (), ("disorder",)),
        Concept("MESH", "D017719", "Diabetic Foot", (), ("disorder",)),
        Concept("MESH", "D003920", "Diabetes Mellitus", (), ("disorder",)),
        Concept("MESH", "D008687", "Metformin", (), ("drug",)),
        Concept("MESH", "D004317", "Doxorubicin", (), ("drug",)),
        Concept("MESH", "D007674", "Kidney Diseases", (), ("disorder",)),
        Concept("MESH", "D014635", "Valproic Acid", (), ("drug",)),
        Concept("MESH", "D002122", "Calcium Chloride", ("CaCl2",), ("drug",)),
        Concept("MESH", "D005452", "Fluoresceins", (), ("drug",)),
        Concept("MESH", "D019793", "Fluorescein", (), ("drug",)),
        Concept("MESH", "D002945", "Cold", (), ("drug",)),
        Concept("MESH", "D003139", "Cold", (), ("disorder",)),
    ]
)


class Problem(Entity):
    """A problem."""


class Drug(Entity):
    """A drug."""


class Place(Entity):
    """A place."""


class For(Relation[Drug, Problem]):
    """The drug is given for the problem."""


@pytest.mark.parametrize(
    ("text", "label", "code", "step"),
    [
        ("cardiac failures", "problem", "D006333", "exact"),
        ("heart (LV) failure", "problem", "D006333", "exact"),
        ("failure of the kidney", "problem", "D051437", "loose"),
        ("epileptic", "problem", "D004827", "loose"),
        ("renal dysfunction", "problem", "D007674", "loose"),
        ("valproate", "drug", "D014635", "exact"),
        ("CaCl(2)", "drug", "D002122", "exact"),
        ("fluorescein", "drug", "D019793", "exact"),
        ("diabetes melitus", "problem", "D003920", "near"),
        ("metformyn", "drug", "D008687", "near"),
        ("cold", "drug", "D002945", "exact"),
        ("cold", "problem", "D003139", "exact"),
    ],
)
def test_each_step_finds_what_those_before_it_do_not(text: str, label: str, code: str, step: str) -> None:
    found = Linker(LEXICON).link_mention(text, label)
    assert found is not None
    assert (found.code, found.step) == (f"MESH:{code}", step)
    assert (found.score == 1) == (step != "near")


@pytest.mark.parametrize(
    ("text", "label"), [("metformin", "problem"), ("fractured rib", "problem"), ("metformin", "place"), ("of the", "problem")]
)
def test_no_code_is_an_answer(text: str, label: str) -> None:
    assert Linker(LEXICON).link_mention(text, label) is None


def test_the_least_score_decides_over_near_names() -> None:
    assert Linker(LEXICON, near=0.99).link_mention("metformyn", "drug") is None
    assert [c.code for c in Linker(LEXICON).candidates("diabetes melitus", ["disorder"], 1)] == ["MESH:D003920"]


def test_a_users_own_names_win_and_aliases_give_way() -> None:
    own = Lexicon([Concept("MESH", "D004317", "Cold")])
    aliases = Lexicon([Concept("MESH", "D003920", "sugar sickness", ("Epilepsy",))])
    linker = Linker(LEXICON, own=own, aliases=aliases)
    assert linker.link_mention("cold", "drug") == Link("MESH:D004317", "exact", 1.0)
    assert linker.link_mention("sugar sickness", "problem") == Link("MESH:D003920", "exact", 1.0)
    assert linker.link_mention("epilepsy", "problem") == Link("MESH:D004827", "exact", 1.0)
    assert Linker(LEXICON).with_names(own).link_mention("cold", "drug") == Link("MESH:D004317", "exact", 1.0)


def test_names_are_borrowed_over_shared_codes_and_from_salts_of_a_drug() -> None:
    diseases = Lexicon([Concept("MONDO", "1", "kidney failure", ("renal shutdown",), ("disorder",), ("MESH:D051437", "MESH:D0"))])
    drugs = Lexicon(
        [Concept("UNII", "8", "Doxorubicin hydrochloride", ("Adriamycin",), ("drug",)), Concept("UNII", "9", "Sodium", (), ("drug",))]
    )
    assert list(borrowed(LEXICON, (diseases, drugs))) == [
        Concept("MESH", "D051437", "kidney failure", ("renal shutdown",), ("disorder",)),
        Concept("MESH", "D004317", "Doxorubicin hydrochloride", ("Adriamycin",), ("drug",)),
    ]


def test_linking_keeps_everything_else_and_says_who_linked() -> None:
    note = Note(id="n", text="Metformin for cardiac failure (CF). CF resolved in Rome.")
    drug = Drug.at(note.text, 0, 9, id="T1", codes=("ATC:A10BA02", "MESH:OLD"), votes=(Vote(reader="tagger"),))
    problem = Problem.at(note.text, 36, 38, id="T2")
    place = Place.at(note.text, 51, 55, codes=("GEO:1",))
    before = Extraction(note=note, entities=(drug, problem, place), relations=(For(head=drug, tail=problem),))
    linker = Linker(LEXICON)
    after = linker.link(before)
    assert [e.codes for e in after.entities] == [("ATC:A10BA02", "MESH:D008687"), ("MESH:D006333",), ("GEO:1",)]
    assert after.entities[0].votes == (Vote(reader="tagger"), Vote(reader="linker", model="exact", score=1.0, about="code=MESH:D008687"))
    assert after.entities[1].votes[0].model == "abbreviation"
    assert (after.relations[0].head, after.relations[0].tail) == after.entities[:2]
    assert after.entities[2] is place
    assert linker.link(after) == after


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Acute renal failure ( ARF ) and RF (renal failure).", {"ARF": "Acute renal failure", "RF": "renal failure"}),
        ("Ten patients (n = 10) were seen (Table 1).", {}),
        ("interleukin-2 (IL-2; Proleukin)", {"IL-2": "interleukin-2"}),
        ("He left. Heparin (HL)", {}),
        ("The myotonic dystrophy (DM) gene", {"DM": "myotonic dystrophy"}),
        ("Heart failure, severe (SHF)", {}),
        ("patients with MI (MI is common)", {}),
    ],
)
def test_abbreviations_that_a_note_defines(text: str, found: dict[str, str]) -> None:
    assert defined_abbreviations(text) == found


def test_a_short_form_stands_for_another_mention_of_its_kind_in_the_note() -> None:
    lexicon = Lexicon([Concept("X", "1", "Pendred Syndrome"), Concept("X", "2", "PDS"), Concept("X", "3", "Goiter")])
    note = Note(id="n", text="PDS mutations in Pendred syndrome and goiter")
    mentions = tuple(
        Problem.at(note.text, start, start + len(t)) for t in ("PDS", "Pendred syndrome", "goiter") for start in [note.text.index(t)]
    )
    assert [e.codes for e in Linker(lexicon).link(Extraction(note=note, entities=mentions)).entities] == [("X:1",), ("X:1",), ("X:3",)]
    alone = Extraction(note=note, entities=mentions[:1])
    assert Linker(lexicon).link(alone).entities[0].codes == ("X:2",)


def test_a_defined_short_form_is_not_what_else_is_called_so() -> None:
    lexicon = Lexicon([Concept("X", "1", "CAN"), Concept("X", "2", "Graft nephropathy, chronic allograft")])
    note = Note(id="n", text="chronic allograft nephropathy (CAN)")
    (found,) = Linker(lexicon).link(Extraction(note=note, entities=(Problem.at(note.text, 31, 34),))).entities
    assert found.codes == ("X:2",)
    assert Linker(lexicon).link_mention("CAN", "problem", {"CAN": "unheard of"}) == Link("X:1", "exact", 1.0)


def test_short_forms_are_replaced_as_whole_words() -> None:
    assert expanded("severe HF-related HFs", {"HF": "heart failure"}) == "severe HF-related HFs"
    assert expanded("HFs", {"HF": "heart failure"}) == "heart failure"


@given(st.text(max_size=80))
def test_long_forms_stand_in_the_text(text: str) -> None:
    for short, long in defined_abbreviations(text).items():
        assert short in text
        assert "".join(long.split()) in "".join(text.split())


def test_terminologies_by_name_and_tables_that_lend_names(tmp_path: Path) -> None:
    onto = tmp_path / "o.obo"
    onto.write_text("format-version: 1.2\n\n[Term]\nid: X:1\nname: heart failure\n", "utf-8")
    own = tmp_path / "own.csv"
    own.write_text("system,id,name\nX,1,pump trouble\nX,2,nothing\n", "utf-8")
    note = Note(id="n", text="pump trouble")
    extraction = Extraction(note=note, entities=(Problem.at(note.text, 0, 12),))
    assert linkers([f"obo:{onto}"]).link(extraction).entities[0].codes == ()
    both = linkers([f"obo:{onto}", f"table:{own}"])
    assert both.link(extraction).entities[0].codes == ("X:1",)
    assert [len(digest) for digest in both.fingerprint.values()] == [64, 64]
    assert linkers([f"table:{own}"]).link(extraction).entities[0].codes == ("X:1",)
    with pytest.raises(UsageError, match="no terminology is named"):
        linkers([])
