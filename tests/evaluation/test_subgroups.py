import pytest

from medllm.document import Extraction, Note, any_entity
from medllm.errors import UsageError
from medllm.evaluation import slices
from medllm.evaluation.score import score
from medllm.evaluation.section_group import NO_HEADING, OTHER, SECTION_GROUPS, section_group
from medllm.evaluation.subgroups import SUBGROUPS, subgroup_tables

PROBLEM = any_entity("problem")


def note(note_id: str, text: str, *found: str, **meta: str) -> Extraction:
    spans = ((text.index(f), text.index(f) + len(f)) for f in found)
    return Extraction(note=Note(id=note_id, text=text, meta=meta), entities=tuple(PROBLEM.at(text, *s) for s in spans))


OLD = "HPI: This is an 80-year-old man with dull chest pain.\nPHYSICAL EXAM:\nLUNGS: wheezes.\n"
YOUNG = "ASSESSMENT: A 20-year-old woman with asthma and rash."
SILENT = "Follow up for gout."
GOLD = {
    "a": note("a", OLD, "dull chest pain", "wheezes"),
    "b": note("b", YOUNG, "asthma", "rash"),
    "c": note("c", SILENT, "gout"),
    "d": note("d", SILENT, "gout", sex="female", age="44"),
}
PRED = {
    "a": note("a", OLD, "chest pain", "wheezes"),
    "b": note("b", YOUNG, "asthma"),
    "c": note("c", SILENT, "gout"),
    "d": note("d", SILENT, sex="female", age="44"),
}


def tables(*names: str, **more: object) -> dict[str, dict[str, tuple[int, int, int]]]:
    found = subgroup_tables(GOLD, PRED, names or SUBGROUPS, **more)  # type: ignore[arg-type]
    return {t.name: {r.name: (r.counts.tp, r.counts.fp, r.counts.fn) for r in t.rows} for t in found}


def test_the_patient_by_meta_and_by_text() -> None:
    found = tables("sex", "age")
    assert found["sex"] == {"female": (1, 0, 2), "male": (1, 1, 1)}
    assert found["age"] == {"18–39": (1, 0, 1), "40–64": (0, 0, 1), "≥65": (1, 1, 1)}


def test_what_is_left_out_is_counted() -> None:
    (table,) = subgroup_tables(GOLD, PRED, ["sex"])
    assert table.left_out == 1


def test_rows_of_a_table_add_up_to_the_score() -> None:
    whole = score(GOLD, PRED).micro
    for table in subgroup_tables(GOLD, PRED, training=["gout"]):
        total = [sum(getattr(r.counts, side) for r in table.rows) for side in ("tp", "fp", "fn")]
        assert sum(total) + table.left_out == whole.tp + whole.fp + whole.fn, table.name


def test_sections_mention_length_and_training() -> None:
    found = tables("section", "mention-length", "seen", training={"Gout", "rash"})
    assert list(found["section"]) == [s for s in SECTION_GROUPS if s in found["section"]]
    assert found["section"]["physical examination"] == (1, 0, 0)
    assert found["mention-length"] == {"1": (3, 0, 2), "2": (0, 1, 0), "3": (0, 0, 1)}
    assert found["seen"] == {"seen": (1, 0, 2), "unseen": (2, 1, 1)}


def test_a_table_of_one_row_tells_nothing() -> None:
    assert tables("language", "shape", "note-type", "seen") == {}


def test_intervals_are_drawn_where_asked_for() -> None:
    (table,) = subgroup_tables(GOLD, PRED, ["sex"], samples=50)
    assert all(r.intervals and r.intervals["f1"].low <= r.counts.f1 <= r.intervals["f1"].high for r in table.rows)


def test_unknown_names_are_told() -> None:
    with pytest.raises(UsageError, match="no slice 'weather'"):
        tables("weather")


def test_scripts() -> None:
    key = slices.language()
    assert [key(Note(id="n", text=t)) for t in ("Fever.", "发热。", "Лихорадка", "12", "ok")] == ["Latin", "CJK", "Cyrillic", None, "Latin"]
    assert key(Note(id="n", text="Fieber", meta={"language": "de"})) == "de"


@pytest.mark.parametrize(
    ("heading", "group"),
    [
        ("HISTORY OF PRESENT ILLNESS", "history of present illness"),
        ("Past Medical History", "past history"),
        ("FAMILY HISTORY", "family history"),
        ("DISCHARGE MEDICATIONS", "medications"),
        ("DISCHARGE DIAGNOSES", "diagnoses and assessment"),
        ("GASTROINTESTINAL", "physical examination"),
        ("LABORATORY DATA", "tests and imaging"),
        ("DISPOSITION", "plan and follow-up"),
        ("KEYWORDS", OTHER),
        ("现病史", "history of present illness"),
    ],
)
def test_headings_fall_into_groups(heading: str, group: str) -> None:
    assert section_group(f"{heading}: x", len(heading) + 2) == group


def test_text_without_a_heading() -> None:
    assert section_group("no heading here", 5) == NO_HEADING
