"""brat standoff: what is held, what is told, and what never leaves the folder."""

import stat
from enum import StrEnum
from pathlib import Path

import pytest

from medllm.document import Entity, Extraction, Note, Relation, any_entity, any_relation
from medllm.errors import FormatError
from medllm.formats import brat
from medllm.formats.base import Parsed
from medllm.formats.standoff import Event, Link, Standoff, TextBound, Unparsed
from medllm.schema import Schema

TEXT = "No chest pain.\r\nQwyzzk took aspirin 81 mg \U0001f48a daily."


class Severity(StrEnum):
    LOW = "low"
    HIGH = "high"


class Problem(Entity):
    """A problem."""

    severity: Severity = Severity.LOW
    negated: bool = False


class Drug(Entity):
    """A drug."""


class Dose(Entity):
    """A dose: how is always to be said."""

    how: Severity


class Causes(Relation[Drug, Problem]):
    """The drug causes the problem."""


SCHEMA = Schema("brat-test", entities=[Problem, Drug, Dose], relations=[Causes])


def parse(*lines: str, schema: Schema | None = None) -> Parsed:
    parsed = brat.to_extraction(Standoff.loads("".join(f"{line}\n" for line in lines)), Note(id="n", text=TEXT), schema, path="n.ann")
    assert not any("Qwyzzk" in str(problem) for problem in parsed.problems)
    return parsed


def told(parsed: Parsed) -> list[tuple[int | None, str, bool]]:
    return [(p.line, p.kind, p.dropped) for p in parsed.problems]


PAIN = "T1\tproblem 3 13\tchest pain"
ASPIRIN = "T2\tdrug 28 35\taspirin"


# --- what is held ----------------------------------------------------------------------------------------------------


def test_mentions_relations_attributes_and_codes_without_a_schema():
    parsed = parse(
        ASPIRIN,
        PAIN,
        "R1\tCauses Arg1:T2 Arg2:T1\t",
        "A1\tNegated T1",
        "M1\tSeverity T1 very high",
        "N1\tReference T2 MeSH:D001241\tAspirin",
    )
    pain, aspirin = parsed.extraction.entities
    assert parsed.problems == ()
    assert (pain.id, pain.label, pain.text, pain.attributes) == ("T1", "problem", "chest pain", {"Negated": "yes", "Severity": "very high"})
    assert (aspirin.label, aspirin.codes) == ("drug", ("MESH:D001241",))
    (relation,) = parsed.extraction.relations
    assert (relation.id, relation.label) == ("R1", "Causes")
    assert relation.head is aspirin
    assert relation.tail is pain


def test_with_a_schema_names_are_mapped():
    lines = (
        "T1\tPROBLEM 3 13\tchest pain",
        "T2\tDrug 28 35\taspirin",
        "A1\tSeverity T1 High",
        "A2\tNEGATED T1",
        "R1\tcauses Arg2:T1 Arg1:T2",
    )
    parsed = parse(*lines, schema=SCHEMA)
    assert parsed.problems == ()
    (pain,) = parsed.extraction.of(Problem)
    assert (pain.severity, pain.negated) == (Severity.HIGH, True)
    assert parsed.extraction.relations_of(Causes)[0].tail is pain


def test_offsets_count_code_points_and_carriage_returns():
    start = TEXT.index("daily")
    parsed = parse(f"T1\tfrequency {start} {start + 5}\tdaily", "T2\tx 13 22\t.  Qwyzzk")
    assert parsed.problems == ()
    assert [e.text for e in parsed.extraction.entities] == [".\r\nQwyzzk", "daily"]


def test_discontinuous_mentions():
    parsed = parse("T1\tx 3 8;28 35\tchest aspirin", "T2\tx 28 35;3 8\taspirin chest", "T3\tx 3 8;5 13\tchest est pain")
    assert [[(s.start, s.end) for s in e.spans] for e in parsed.extraction.entities] == [[(3, 13)], [(3, 8), (28, 35)], [(3, 8), (28, 35)]]
    assert told(parsed) == [(2, "span-order", False), (3, "span-order", False)]


def test_events_are_their_triggers_and_arguments_relations():
    parsed = parse(
        PAIN,
        ASPIRIN,
        "T3\tdose 36 41\t81 mg",
        "E1\tproblem:T1 Cause:T2 Theme2:E2",
        "E2\tdose:T3 ",
        "A1\tSpeculated E1",
        "N1\tReference E2 UMLS:C1",
        "R1\tnear Arg1:E1 Arg2:E2",
        "*\tOVERLAP E1 E2",
        "#1\tAnnotatorNotes E1\tsee above",
    )
    pain, aspirin, dose = parsed.extraction.entities
    assert parsed.problems == ()
    assert pain.attributes == {"Speculated": "yes"}
    assert dose.codes == ("UMLS:C1",)
    assert [(r.id, r.label, r.head, r.tail) for r in parsed.extraction.relations] == [
        ("R1", "near", pain, dose),
        ("E1.1", "Cause", pain, aspirin),
        ("E1.2", "Theme", pain, dose),
    ]


# --- what is told ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "kind", "dropped"),
    [
        ("5", "malformed-line", True),
        ("T9", "malformed-line", True),
        ("T9\tproblem 3\tQwyzzk", "malformed-line", True),
        ("T9\tproblem 3 x\tQwyzzk", "malformed-line", True),
        ("T9\tproblem -3 5\tQwyzzk", "malformed-line", True),
        ("T9 problem 3 5 Qwyzzk", "malformed-line", True),
        ("T9\tproblem 3 " + "9" * 5000 + "\tQwyzzk", "malformed-line", True),
        ("Qwyzzk took aspirin", "malformed-line", True),
        ("R9\tCauses Arg1:T2", "malformed-line", True),
        ("R9\tCauses Arg1:T2 Arg2:T1 Arg3:T1", "malformed-line", True),
        ("E9\tproblem", "malformed-line", True),
        ("A9\tNegated", "malformed-line", True),
        ("N9\tReference T1 D001241", "malformed-line", True),
        ("T1\tdrug 28 35\taspirin", "duplicate-id", True),
        ("T9\tproblem 5 5\t", "bad-span", True),
        ("T9\tproblem 8 3\tQwyzzk", "bad-span", True),
        ("T9\tproblem 3 999\tQwyzzk", "bad-span", True),
        ("T9\tproblem 3 8\tQwyzzk", "text-mismatch", False),
        ("T9\tproblem 3 8", "text-mismatch", False),
        ("T9\ttest 3 8\tchest", "unknown-label", True),
        ("T9\tdose 36 41\t81 mg", "attribute", True),
        ("R9\tCauses Arg1:T2 Arg2:T77", "unknown-reference", True),
        ("A9\tNegated T77", "unknown-reference", True),
        ("N9\tReference T77 MESH:D1", "unknown-reference", True),
        ("E9\tproblem:T77", "unknown-reference", True),
        ("E9\tdrug:T1", "not-held", False),
        ("A9\tNegated R1", "not-held", True),
        ("A9\tQuality T1 Qwyzzk", "attribute", True),
        ("A9\tSeverity T1 Qwyzzk", "attribute", True),
        ("A9\tSeverity T1", "attribute", True),
        ("R9\tCauses Arg1:T1 Arg2:T2", "relation", True),
        ("R9\tTreats Arg1:T2 Arg2:T1", "relation", True),
        ("E9\tproblem:T1 Theme:T2", "relation", True),
    ],
)
def test_a_bad_line_is_told_and_never_moves_its_neighbours(line, kind, dropped):
    clean = parse(PAIN, ASPIRIN, "R1\tCauses Arg1:T2 Arg2:T1", "A1\tNegated T1", schema=SCHEMA)
    assert clean.problems == ()
    parsed = parse(PAIN, ASPIRIN, "R1\tCauses Arg1:T2 Arg2:T1", line, "A1\tNegated T1", schema=SCHEMA)
    assert told(parsed) == [(4, kind, dropped)]
    assert str(parsed.problems[0]).startswith(f"n.ann:4: {kind}: ")
    kept = tuple(e for e in parsed.extraction.entities if e.id != "T9")
    assert (kept, parsed.extraction.relations) == (clean.extraction.entities, clean.extraction.relations)


def test_what_hangs_on_a_dropped_mention_is_told_too():
    parsed = parse("T1\tproblem 3 999\tx", ASPIRIN, "R1\tCauses Arg1:T2 Arg2:T1")
    assert told(parsed) == [(1, "bad-span", True), (3, "unknown-reference", True)]


def test_two_values_for_one_attribute():
    assert told(parse(PAIN, "A1\tSeverity T1 high", "A2\tSeverity T1 low", "A3\tSeverity T1 high")) == [(3, "attribute", True)]


def test_blank_lines_and_windows_line_ends():
    text = f"{PAIN}\r\n\r\n \r\n{ASPIRIN}"
    parsed = brat.to_extraction(Standoff.loads(text), Note(id="n", text=TEXT))
    assert parsed.problems == ()
    assert [e.text for e in parsed.extraction.entities] == ["chest pain", "aspirin"]
    assert Standoff.loads(text).dumps() == text


# --- the lossless model ----------------------------------------------------------------------------------------------


def test_a_changed_line_is_rewritten_and_the_others_are_not():
    from dataclasses import replace

    standoff = Standoff.loads(f"{PAIN}\nE1\tproblem:T1 \n5\nR1\tx Arg1:T1 Arg2:T1\t")
    first, event, odd, relation = standoff.lines
    assert isinstance(first, TextBound)
    assert isinstance(event, Event)
    assert isinstance(odd, Unparsed)
    assert isinstance(relation, Link)
    changed = Standoff((replace(first, label="sign"), event, odd, replace(relation, label="y"), replace(first, id="T2")))
    assert changed.dumps() == ("T1\tsign 3 13\tchest pain\nE1\tproblem:T1 \n5\nR1\ty Arg1:T1 Arg2:T1\nT2\tproblem 3 13\tchest pain\n")


# --- files -----------------------------------------------------------------------------------------------------------


def put(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".txt").write_bytes(TEXT.encode())
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def test_a_folder(tmp_path):
    put(tmp_path / "b.ann", PAIN)
    put(tmp_path / "a" / "c.1.ann", ASPIRIN)
    put(tmp_path / ".hidden" / "x.ann", ASPIRIN)
    (tmp_path / "notes.txt").write_text("no annotations")
    (tmp_path / "annotation.conf").write_text("[entities]")
    parsed = list(brat.read_folder(tmp_path))
    assert [p.extraction.note.id for p in parsed] == ["a/c.1", "b", "notes"]
    assert [len(p.extraction.entities) for p in parsed] == [1, 1, 0]
    assert [told(p) for p in parsed] == [[], [], [(None, "missing-file", False)]]
    assert parsed[0].extraction.note.text == TEXT


@pytest.mark.parametrize("name", ["n.ann", "n.txt"])
def test_one_note(tmp_path, name):
    put(tmp_path / "n.ann", PAIN)
    assert brat.read(tmp_path / name, SCHEMA).extraction.of(Problem)[0].text == "chest pain"


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FormatError, match=r"no \.ann"):
        brat.read_folder(tmp_path)
    put(tmp_path / "n.ann", PAIN)
    (tmp_path / "n.ann").write_bytes(b"T1\tproblem 3 8\t\xe9")
    with pytest.raises(FormatError, match="not UTF-8"):
        brat.read(tmp_path / "n.ann")
    (tmp_path / "n.txt").unlink()
    with pytest.raises(FormatError, match=r"n\.ann: no \.txt"):
        brat.read_folder(tmp_path)
    with pytest.raises(FormatError, match="cannot be read"):
        brat.read(tmp_path / "n.ann")


def test_ids_that_brat_cannot_have_are_given_anew():
    a, b, c = (any_entity("x y").at("abc", n, n + 1, id=name) for n, name in enumerate(["mention-1", "T1", "T1"]))
    relation = any_relation("r").model_construct(id="", head=a, tail=c)
    extraction = Extraction.model_construct(note=Note(id="n", text="abc"), entities=(a, b, c), relations=(relation,))
    assert brat.from_extraction(extraction).dumps() == ("T2\tx_y 0 1\ta\nT1\tx_y 1 2\tb\nT3\tx_y 2 3\tc\nR1\tr Arg1:T2 Arg2:T3\n")


def test_boolean_attributes_are_binary():
    on, off = (Problem.at(TEXT, 3, 13, negated=value) for value in (True, False))
    lines = brat.from_extraction(Extraction(note=Note(id="n", text=TEXT), entities=(on, off))).dumps().splitlines()
    assert [line for line in lines if line.startswith("A")] == ["A1\tseverity T1 low", "A2\tnegated T1", "A3\tseverity T2 low"]


NASTY = [
    "../x",
    "a/../../x",
    "/etc/x",
    "..",
    ".",
    "a//b",
    "a/",
    "\0",
    "a\\..\\b",
    "C:x",
    ".hidden",
    "%",
    "%2E",
    "a%20b",
    "x\ny",
    "nul\x7f",
    "%25",
]


def test_no_id_leaves_the_folder_and_all_come_back(tmp_path):
    out = tmp_path / "deep" / "out"
    for n, name in enumerate(NASTY):
        path = brat.write(out, Extraction(note=Note(id=name, text=f"text {n}")))
        assert path.resolve().is_relative_to(out.resolve())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep"]
    assert {p.extraction.note.id: p.extraction.note.text for p in brat.read_folder(out)} == {
        name: f"text {n}" for n, name in enumerate(NASTY)
    }


def test_files_and_folders_are_private(tmp_path):
    path = brat.write(tmp_path / "out", Extraction(note=Note(id="ward/n", text="x")))
    assert {stat.S_IMODE(p.stat().st_mode) for p in (path, path.with_suffix(".txt"))} == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path.parent.parent)} == {0o700}
