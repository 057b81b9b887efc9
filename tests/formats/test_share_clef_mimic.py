"""ShARe/CLEF pipe files and MIMIC note tables, written for the project."""

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.document import Extraction, Note, any_entity
from medllm.errors import FormatError
from medllm.formats import mimic, share_clef
from medllm.formats.base import Parsed

TEXT = "Left and right atria are dilated. Qwyzzk.\n"
PIPE = "n.txt||Disease_Disorder||C0344720||0||4||15||20||25||32\nn.txt||Disease_Disorder||CUI-less||9||20\n"


def lay(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode())
    return root


def told(parsed: list[Parsed]) -> list[tuple[int | None, str]]:
    assert not any("Qwyzzk" in problem.detail for one in parsed for problem in one.problems)
    return [(p.line, p.kind) for one in parsed for p in one.problems]


@pytest.mark.parametrize("name", ["n.pipe", "n.pipe.txt", "gold/n.pipe", "gold/all.pipe"])
def test_share_clef(tmp_path, name):
    (parsed,) = share_clef.read(lay(tmp_path / "in", {"n.txt": TEXT, name: PIPE}))
    assert told([parsed]) == []
    found = [(e.text, e.codes, len(e.spans)) for e in parsed.extraction.entities]
    assert found == [("Left atria dilated", ("UMLS:C0344720",), 3), ("right atria", (), 1)]
    share_clef.Writer(tmp_path / "out").write(parsed.extraction)
    assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir()} == {"n.txt": TEXT, "n.pipe": PIPE}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Qwyzzk", "malformed-line"),
        ("n.txt||Disease_Disorder||CUI-less", "malformed-line"),
        ("n.txt||Disease_Disorder||CUI-less||3", "malformed-line"),
        ("n.txt||Disease_Disorder||CUI-less||3||4||5", "malformed-line"),
        ("n.txt||Disease_Disorder||CUI-less||3||x", "malformed-line"),
        (f"n.txt||Disease_Disorder||CUI-less||3||{'9' * 5000}", "malformed-line"),
        ("n.txt||Disease_Disorder||CUI-less||3||3", "bad-span"),
        ("n.txt||Disease_Disorder||CUI-less||3||999", "bad-span"),
        ("n.txt||Disease_Disorder||CUI-less||9||20||5||8", "span-order"),
        ("n.txt||||CUI-less||9||20", "unknown-label"),
        ("m.txt||Disease_Disorder||CUI-less||9||20", "unknown-reference"),
    ],
)
def test_share_clef_a_bad_line_is_told_and_moves_nothing(tmp_path, line, kind):
    first, second = PIPE.splitlines()
    parsed = list(share_clef.read(lay(tmp_path, {"n.txt": TEXT, "n.pipe": f"{first}\n{line}\n\n{second}\n"})))
    assert told(parsed) == [(2, kind)]
    assert {"Left atria dilated", "right atria"} <= {e.text for e in parsed[0].extraction.entities}


def test_share_clef_folders_and_texts_of_the_same_name(tmp_path):
    files = {"a/n.txt": TEXT, "b/n.txt": TEXT, "b/n.pipe": PIPE, "c/m.text": TEXT, "c/m.pipe": ""}
    parsed = list(share_clef.read(lay(tmp_path / "x", files)))
    assert [(p.extraction.note.id, len(p.extraction.entities)) for p in parsed] == [("a/n", 0), ("b/n", 2), ("c/m", 0)]
    assert told(parsed) == [(None, "missing-file")]
    (parsed_one,) = share_clef.read(tmp_path / "x" / "b" / "n.pipe")
    assert (parsed_one.extraction.note.id, len(parsed_one.extraction.entities)) == ("n", 2)
    with pytest.raises(FormatError, match=r"no \.pipe"):
        list(share_clef.read(lay(tmp_path / "y", {"n.txt": TEXT})))
    with pytest.raises(FormatError, match="no note can be read"):
        list(share_clef.read(lay(tmp_path / "z", {"n.pipe": PIPE})))


# --- MIMIC -----------------------------------------------------------------------------------------------------------

EVENTS = (
    '"ROW_ID","SUBJECT_ID","CATEGORY","ISERROR","TEXT"\n'
    '174,22532,"Discharge summary",,"Admission Date: [**2031-7-16**]\n\n""Stable"", no fever.\n"\n'
    '175,22532,"Nursing",1,"Wrong patient."\n'
)
DISCHARGE = "note_id,subject_id,note_type,text\n10000032-DS-21,10000032,DS,Allergies: none known\n"


def test_mimic_three(tmp_path):
    first, second = mimic.read(lay(tmp_path, {"NOTEEVENTS.csv": EVENTS}) / "NOTEEVENTS.csv")
    assert told([first, second]) == []
    note = first.extraction.note
    assert (note.id, note.text) == ("NOTEEVENTS/174", 'Admission Date: [**2031-7-16**]\n\n"Stable", no fever.\n')
    assert note.meta == {"SUBJECT_ID": "22532", "CATEGORY": "Discharge summary"}
    assert second.extraction.note.meta["ISERROR"] == "1"
    assert first.extraction.entities == ()


def test_mimic_four_in_a_folder_and_compressed(tmp_path):
    lay(tmp_path, {"NOTEEVENTS.csv": EVENTS, "d_items.csv": "ITEMID,LABEL\n1,x\n"})
    (tmp_path / "note").mkdir()
    (tmp_path / "note" / "discharge.csv.gz").write_bytes(gzip.compress(DISCHARGE.encode()))
    found = [p.extraction.note.id for p in mimic.read(tmp_path)]
    assert found == ["NOTEEVENTS/174", "NOTEEVENTS/175", "discharge/10000032-DS-21"]


def test_mimic_bad_rows(tmp_path):
    rows = EVENTS + '176,1\n177,1,x,,""\n178,1,x,,"Qwyzzk \0"\n179,1,x,,fine\n'
    parsed = list(mimic.read(lay(tmp_path, {"NOTEEVENTS.csv": rows}) / "NOTEEVENTS.csv"))
    ids = [p.extraction.note.id for p in parsed]
    assert ids[:2] == ["NOTEEVENTS/174", "NOTEEVENTS/175"]
    assert ids[-1] == "NOTEEVENTS/179"
    assert {kind for _, kind in told(parsed)} == {"malformed-line"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("NOTEEVENTS.csv", b"a,b\n1,2\n", "no columns ROW_ID and TEXT or note_id and text"),
        ("NOTEEVENTS.csv", b"", "empty"),
        ("NOTEEVENTS.csv.gz", b"ROW_ID,TEXT\n", "cannot be read"),
        ("NOTEEVENTS.csv.gz", gzip.compress(b"ROW_ID,TEXT\n" + b"1,abc\n" * 5000)[:-50], "cannot be read"),
    ],
)
def test_mimic_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        list(mimic.read(tmp_path / name))
    with pytest.raises(FormatError, match="no note table"):
        list(mimic.read(lay(tmp_path / "x", {"labs.csv": "a\n"})))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["NOTEEVENTS", "discharge", "radiology"]),
            st.text(st.characters(exclude_categories=("C",)) | st.sampled_from('",\n'), min_size=1),
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(deadline=None)
def test_mimic_is_written_and_read_back(rows):
    notes = [
        Note(id=f"{table}/{n}", text=text, meta={("CATEGORY" if table == "NOTEEVENTS" else "note_type"): "Discharge, summary"})
        for n, (table, text) in enumerate(rows)
    ]
    with tempfile.TemporaryDirectory() as folder:
        writer = mimic.Writer(Path(folder))
        for note in notes:
            writer.write(Extraction(note=note))
        writer.close()
        parsed = list(mimic.read(Path(folder)))
    assert not any(p.problems for p in parsed)
    assert sorted((p.extraction.note for p in parsed), key=lambda n: n.id) == sorted(notes, key=lambda n: n.id)


def test_mimic_tells_what_it_does_not_hold(tmp_path):
    note = Note(id="discharge/1", text="Aspirin.")
    writer = mimic.Writer(tmp_path / "discharge.csv")
    writer.write(Extraction(note=note, entities=(any_entity("drug").at(note.text, 0, 7),)))
    assert writer.left_out == 1
    with pytest.raises(FormatError, match="several tables"):
        writer.write(Extraction(note=Note(id="radiology/1", text="x")))
    writer.close()
    assert (tmp_path / "discharge.csv").stat().st_mode & 0o077 == 0
