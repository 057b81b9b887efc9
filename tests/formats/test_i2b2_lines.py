"""i2b2 2009 and 2010: files with ``line:token`` positions, written for the project."""

from pathlib import Path

import pytest

from medllm.document import Assertion
from medllm.errors import FormatError
from medllm.formats import i2b2_2009, i2b2_2010
from medllm.formats.base import Parsed
from medllm.formats.line_tokens import LineTokens
from medllm.schema import Schema

TEXT = "HISTORY :\nHe  has dull\tknee pain and no fever .\r\nIbuprofen 400 mg by mouth twice daily for the\npain , Qwyzzk .\n"
CON = [
    'c="dull knee pain" 2:2 2:4||t="problem"',
    'c="fever" 2:7 2:7||t="problem"',
    'c="ibuprofen" 3:0 3:0||t="treatment"',
    'c="the pain" 3:8 4:0||t="problem"',
]
AST = [
    'c="dull knee pain" 2:2 2:4||t="problem"||a="present"',
    'c="fever" 2:7 2:7||t="problem"||a="absent"',
    'c="the pain" 3:8 4:0||t="problem"||a="present"',
]
REL = ['c="ibuprofen" 3:0 3:0||r="TrAP"||c="the pain" 3:8 4:0', 'c="fever" 2:7 2:7||r="PIP"||c="dull knee pain" 2:2 2:4']


def lay(root: Path, files: dict[str, str | list[str]]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((content if isinstance(content, str) else "".join(f"{line}\n" for line in content)).encode())
    return root


def told(parsed: Parsed) -> list[tuple[str, int | None, str, bool]]:
    assert not any("Qwyzzk" in problem.detail for problem in parsed.problems)
    return [(Path(p.path).name, p.line, p.kind, p.dropped) for p in parsed.problems]


# --- positions -------------------------------------------------------------------------------------------------------


def test_tokens_are_what_stands_between_white_space():
    text = " a  b\tc\u00a0d\r\n\n\x0be\x85f g"
    tokens = LineTokens(text)
    found = [tokens.offsets(p, p) or (0, 0) for p in ((1, 0), (1, 1), (1, 2), (3, 0), (3, 1))]
    words = [text[start:end] for start, end in found]
    assert words == ["a", "b", "c\u00a0d", "e\x85f", "g"]
    assert [tokens.offsets(p, p) for p in ((0, 0), (1, 3), (2, 0), (4, 0))] == [None] * 4
    assert tokens.offsets((1, 1), (1, 0)) is None
    assert tokens.offsets((1, 2), (3, 0)) == (6, 16)
    assert tokens.positions(0, 1) is None
    assert tokens.positions(4, 5) == ((1, 1), (1, 1))


# --- 2010 ------------------------------------------------------------------------------------------------------------


LAYOUTS: list[dict[str, str | list[str]]] = [
    {"n.txt": TEXT, "n.con": CON, "n.ast": AST, "n.rel": REL},
    {"n.txt": TEXT, "concept/n.con": CON, "ast/n.ast": AST, "rel/n.rel": REL},
    {"txt/n.txt": TEXT, "concepts/n.con": CON, "ast/n.ast": AST, "rel/n.rel": REL},
]


@pytest.mark.parametrize("files", LAYOUTS)
def test_2010(tmp_path, files):
    (parsed,) = i2b2_2010.read(lay(tmp_path, files))
    assert told(parsed) == []
    note = parsed.extraction.note
    assert (note.id, note.text) == ("n", TEXT)
    found = [(e.id, e.label, e.text, e.attributes.get("assertion")) for e in parsed.extraction.entities]
    assert found == [
        ("T1", "problem", "dull\tknee pain", "present"),
        ("T2", "problem", "fever", "absent"),
        ("T3", "treatment", "Ibuprofen", None),
        ("T4", "problem", "the\npain", "present"),
    ]
    ends = [(r.id, r.label, r.head.id, r.tail.id) for r in parsed.extraction.relations]
    assert ends == [("R1", "TrAP", "T3", "T4"), ("R2", "PIP", "T2", "T1")]


def test_2010_with_the_pack(tmp_path):
    (parsed,) = i2b2_2010.read(lay(tmp_path, LAYOUTS[0]), Schema.load("i2b2-2010"))
    assert told(parsed) == []
    assert [getattr(e, "assertion", None) for e in parsed.extraction.entities] == [
        Assertion.PRESENT,
        Assertion.ABSENT,
        None,
        Assertion.PRESENT,
    ]


def test_2010_is_written_back_byte_for_byte(tmp_path):
    lay(tmp_path / "in", LAYOUTS[0])
    writer = i2b2_2010.Writer(tmp_path / "out")
    for parsed in i2b2_2010.read(tmp_path / "in"):
        writer.write(parsed.extraction)
    assert {p.name: p.read_bytes() for p in (tmp_path / "in").iterdir()} == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}


def test_2010_folders_of_two_hospitals_and_one_file(tmp_path):
    for place in ("beth", "partners"):
        lay(tmp_path / place, LAYOUTS[2])
    assert [p.extraction.note.id for p in i2b2_2010.read(tmp_path)] == ["beth/n", "partners/n"]
    for one in ("txt/n.txt", "concepts/n.con"):
        (parsed,) = i2b2_2010.read(tmp_path / "beth" / one)
        assert (parsed.extraction.note.id, len(parsed.extraction.entities), len(parsed.extraction.relations)) == ("n", 4, 2)


@pytest.mark.parametrize(
    ("file", "line", "kind", "dropped"),
    [
        ("n.con", "Qwyzzk", "malformed-line", True),
        ("n.con", 'c="x" 2:2||t="problem"', "malformed-line", True),
        ("n.con", 'c="x" 2:2 2:2,2:4 2:4||t="problem"', "malformed-line", True),
        ("n.con", 'c="x" 2:2 2:99||t="problem"', "bad-span", True),
        ("n.con", 'c="x" 9:0 9:0||t="problem"', "bad-span", True),
        ("n.con", 'c="x" 0:0 0:0||t="problem"', "bad-span", True),
        ("n.con", 'c="x" 2:4 2:2||t="problem"', "bad-span", True),
        ("n.con", f'c="x" 2:2 2:{"9" * 5000}||t="problem"', "bad-span", True),
        ("n.con", 'c="Qwyzzk" 2:1 2:1||t="problem"', "text-mismatch", False),
        ("n.con", 'c="has" 2:1 2:1||t="finding"', "unknown-label", True),
        ("n.ast", 'c="has" 2:1 2:1||t="problem"||a="present"', "unknown-reference", True),
        ("n.ast", 'c="fever" 2:7 2:7||t="problem"||a="gone"', "attribute", True),
        ("n.ast", 'c="fever" 2:7 2:7||t="problem"||a="possible"', "attribute", True),
        ("n.ast", 'c="fever" 2:7 2:7||t="problem"', "malformed-line", True),
        ("n.ast", 'c="ibuprofen" 3:0 3:0||t="treatment"||a="present"', "attribute", True),
        ("n.rel", 'c="has" 2:1 2:1||r="PIP"||c="fever" 2:7 2:7', "unknown-reference", True),
        ("n.rel", 'c="fever" 2:7 2:7||r="TrAP"||c="the pain" 3:8 4:0', "relation", True),
        ("n.rel", 'c="fever" 2:7 2:7||r="PIP"||c="the pain" 3:8 4:9', "bad-span", True),
        ("n.rel", 'c="fever" 2:7 2:7||r="PIP"', "malformed-line", True),
    ],
)
def test_2010_a_bad_line_is_told_and_moves_nothing(tmp_path, file, line, kind, dropped):
    schema = Schema.load("i2b2-2010")
    (clean,) = i2b2_2010.read(lay(tmp_path / "a", LAYOUTS[0]), schema)
    content = [*LAYOUTS[0][file], line, ""]
    (parsed,) = i2b2_2010.read(lay(tmp_path / "b", LAYOUTS[0] | {file: content}), schema)
    assert told(parsed) == [(file, len(content) - 1, kind, dropped)]
    kept = tuple(e for e in parsed.extraction.entities if e.id != "T5")
    assert (kept, parsed.extraction.relations) == (clean.extraction.entities, clean.extraction.relations)


def test_2010_two_concepts_of_the_same_tokens(tmp_path):
    con = ['c="pain" 4:0 4:0||t="problem"', 'c="pain" 4:0 4:0||t="test"', 'c="fever" 2:7 2:7||t="problem"']
    ast = ['c="pain" 4:0 4:0||t="problem"||a="possible"', 'c="fever" 2:7 2:7||t="sign"||a="absent"']
    rel = ['c="pain" 4:0 4:0||r="TeRP"||c="fever" 2:7 2:7']
    (parsed,) = i2b2_2010.read(lay(tmp_path, {"n.txt": TEXT, "n.con": con, "n.ast": ast, "n.rel": rel}), Schema.load("i2b2-2010"))
    assert told(parsed) == []
    assert [(e.label, str(e.attributes.get("assertion"))) for e in parsed.extraction.entities] == [
        ("problem", "absent"),
        ("problem", "possible"),
        ("test", "None"),
    ]
    assert parsed.extraction.relations[0].head.label == "test"


def test_2010_files_that_are_missing(tmp_path):
    with pytest.raises(FormatError, match=r"no \.con"):
        i2b2_2010.read(lay(tmp_path / "a", {"n.txt": TEXT}))
    with pytest.raises(FormatError, match=r"no \.txt for m"):
        i2b2_2010.read(lay(tmp_path / "b", {"n.txt": TEXT, "n.con": CON, "m.con": CON}))
    parsed = list(i2b2_2010.read(lay(tmp_path / "c", {"n.txt": TEXT, "m.txt": TEXT, "m.con": CON})))
    assert [(p.extraction.note.id, told(p)) for p in parsed] == [("m", []), ("n", [("n.txt", None, "missing-file", False)])]
    with pytest.raises(FormatError, match=r"a second \.txt"):
        i2b2_2010.read(lay(tmp_path / "d", {"n.txt": TEXT, "txt/n.txt": TEXT, "n.con": CON}))


def test_2010_quoted_bars_are_kept_out_of_the_lines(tmp_path):
    text = 'a||b "x"\n'
    (parsed,) = i2b2_2010.read(lay(tmp_path / "a", {"n.txt": text, "n.con": ['c="a||b "x"" 1:0 1:1||t="problem"']}))
    assert told(parsed) == []
    writer = i2b2_2010.Writer(tmp_path / "b")
    writer.write(parsed.extraction)
    assert (tmp_path / "b" / "n.con").read_text() == 'c="a| |b "x"" 1:0 1:1||t="problem"\n'
    (again,) = i2b2_2010.read(tmp_path / "b")
    assert (told(again), again.extraction) == ([], parsed.extraction)


# --- 2009 ------------------------------------------------------------------------------------------------------------

MEDS = "Meds : Lasix 40 mg po in the morning and\n20 mg at night for swelling of legs .\nAspirin . Qwyzzk\n"
ENTRIES = [
    'm="lasix" 1:2 1:2||do="40 mg" 1:3 1:4||mo="po" 1:5 1:5||f="in the morning" 1:6 1:8'
    '||du="nm"||r="swelling...legs" 2:5 2:5,2:7 2:7||ln="list"',
    'm="lasix" 1:2 1:2||do="20 mg" 2:0 2:1||mo="po" 1:5 1:5||f="at night" 2:2 2:3||du="nm"||r="nm"||ln="list"',
    'm="aspirin" 3:0 3:0||do="nm"||mo="nm"||f="nm"||du="nm"||r="nm"||e="start"||t="past"||c="factual"||ln="narrative"',
]


@pytest.mark.parametrize("names", [("n.txt", "n.i2b2.entries"), ("11995", "gold/11995_gold.entries"), ("text/n.txt", "n.m")])
def test_2009(tmp_path, names):
    (parsed,) = i2b2_2009.read(lay(tmp_path, dict(zip(names, (MEDS, ENTRIES), strict=True))))
    assert told(parsed) == []
    found = [(e.label, e.text, e.attributes) for e in parsed.extraction.entities]
    assert found == [
        ("medication", "Lasix", {"list_narrative": "list"}),
        ("dosage", "40 mg", {}),
        ("mode", "po", {}),
        ("frequency", "in the morning", {}),
        ("dosage", "20 mg", {}),
        ("frequency", "at night", {}),
        ("reason", "swelling legs", {}),
        ("medication", "Aspirin", {"event": "start", "temporal": "past", "certainty": "factual", "list_narrative": "narrative"}),
    ]
    ends = [(r.id, r.label, r.head.text, r.tail.text) for r in parsed.extraction.relations]
    assert ends[:2] == [("E1.do", "dosage", "Lasix", "40 mg"), ("E1.mo", "mode", "Lasix", "po")]
    assert ends[4:] == [
        ("E2.do", "dosage", "Lasix", "20 mg"),
        ("E2.mo", "mode", "Lasix", "po"),
        ("E2.f", "frequency", "Lasix", "at night"),
    ]


def test_2009_is_written_back_byte_for_byte(tmp_path):
    lay(tmp_path / "in", {"n.txt": MEDS, "n.i2b2.entries": ENTRIES})
    (parsed,) = i2b2_2009.read(tmp_path / "in")
    i2b2_2009.Writer(tmp_path / "out").write(parsed.extraction)
    assert (tmp_path / "out" / "n.i2b2.entries").read_text().splitlines() == ENTRIES
    assert (tmp_path / "out" / "n.txt").read_text() == MEDS


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("Qwyzzk", ["malformed-line", "malformed-line"]),
        ('do="40 mg" 1:3 1:4||ln="list"', ["malformed-line"]),
        ('m="x" 9:0 9:0||do="nm"', ["bad-span", "malformed-line"]),
        ('m="aspirin" 3:0 3:0||do="Qwyzzk" 1:3||ln="list"', ["malformed-line", "not-held", "not-held"]),
        ('m="nm"||do="nm"||ln="list"', ["malformed-line"]),
        ('m="meds" 1:0 1:0||do="x" 1:9 1:99||ln="list"', ["bad-span"]),
        ('m="meds" 1:0 1:0||m="meds" 1:0 1:0||ln="list"', ["malformed-line"]),
        ('m="Qwyzzk" 1:0 1:0||ln="list"', ["text-mismatch"]),
        ('m="lasix" 1:2 1:2||do="nm"||ln="list"', ["not-held"]),
        ('m="lasix" 1:2 1:2||do="40 mg" 1:3 1:4||ln="narrative"', ["not-held"]),
    ],
)
def test_2009_a_bad_line_is_told_and_moves_nothing(tmp_path, line, kinds):
    (clean,) = i2b2_2009.read(lay(tmp_path / "a", {"n.txt": MEDS, "n.m": ENTRIES}))
    (parsed,) = i2b2_2009.read(lay(tmp_path / "b", {"n.txt": MEDS, "n.m": [*ENTRIES, line]}))
    assert [(p.line, p.kind) for p in parsed.problems] == [(4, kind) for kind in kinds]
    assert told(parsed)
    assert [e for e in parsed.extraction.entities if e.text != "Meds"] == list(clean.extraction.entities)
    assert parsed.extraction.relations[: len(clean.extraction.relations)] == clean.extraction.relations


def test_2009_blanks_between_fields_and_parts(tmp_path):
    line = 'm="lasix" 1:2 1:2 ||do="40 20 mg" 1:3 1:3 2:0 2:1 ||ln="list"'
    (parsed,) = i2b2_2009.read(lay(tmp_path, {"n.txt": MEDS, "n.entries": [line]}))
    assert told(parsed) == []
    assert [e.text for e in parsed.extraction.entities] == ["Lasix", "40 20 mg"]


def test_2009_files_that_are_missing(tmp_path):
    with pytest.raises(FormatError, match="no text"):
        list(i2b2_2009.read(lay(tmp_path / "a", {"n.m": ENTRIES})))
    with pytest.raises(FormatError, match="2 texts"):
        list(i2b2_2009.read(lay(tmp_path / "b", {"x/n.m": ENTRIES, "y/n.txt": MEDS, "z/n.txt": MEDS})))
    with pytest.raises(FormatError, match="a second file"):
        list(i2b2_2009.read(lay(tmp_path / "c", {"n.m": ENTRIES, "n.entries": ENTRIES, "n.txt": MEDS})))
    parsed = list(i2b2_2009.read(lay(tmp_path / "d", {"n.m": ENTRIES, "n.txt": MEDS, "o.txt": MEDS})))
    assert [told(p) for p in parsed] == [[], [("o.txt", None, "missing-file", False)]]
