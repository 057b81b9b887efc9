"""Columns of tokens and tags, and CEHRNER's characters: files written for the project."""

import pytest

from medllm.document import Extraction, Note, any_entity
from medllm.errors import FormatError
from medllm.formats import cehrner, conll
from medllm.formats.base import Parsed
from medllm.formats.bio_tags import chunks, is_iob1

BIO = "HISTORY\tO\nof\tO\nchest\tB-problem\npain\tI-problem\n.\tO\n\nAspirin\tB-treatment\n81\tB-treatment\n"


def read(tmp_path, content: str, name: str = "n.bio") -> list[Parsed]:
    (tmp_path / name).write_bytes(content.encode())
    parsed = list(conll.read(tmp_path / name))
    assert not any("Qwyzzk" in problem.detail for one in parsed for problem in one.problems)
    return parsed


def told(parsed: Parsed) -> list[tuple[int | None, str, bool]]:
    return [(p.line, p.kind, p.dropped) for p in parsed.problems]


@pytest.mark.parametrize(
    ("tags", "expected", "opened"),
    [
        ("B-x I-x O B-x", [("x", 0, 2), ("x", 3, 4)], []),
        ("B-x B-x I-y", [("x", 0, 1), ("x", 1, 2), ("y", 2, 3)], [2]),
        ("O I-x I-x", [("x", 1, 3)], [1]),
        ("S-x B-x E-x S-x", [("x", 0, 1), ("x", 1, 3), ("x", 3, 4)], []),
        ("U-x B-x I-x L-x B-x", [("x", 0, 1), ("x", 1, 4), ("x", 4, 5)], []),
        ("B-x M-x E-x I-x", [("x", 0, 3), ("x", 3, 4)], [3]),
        ("E-x E-x", [("x", 0, 1), ("x", 1, 2)], [0, 1]),
        ("B_a-b I_a-b", [("a-b", 0, 2)], []),
        ("B-x O I-x", [("x", 0, 1), ("x", 2, 3)], [2]),
    ],
)
def test_tags(tags, expected, opened):
    found = chunks(tags.split())
    assert ([tuple(chunk) for chunk in found.found], found.opened, found.bad) == (expected, opened, [])


def test_tags_that_are_none():
    found = chunks(["B-x", "Q", "I-x", "b-x", "B-"])
    assert ([tuple(c) for c in found.found], found.bad) == ([("x", 0, 1), ("x", 2, 3)], [1, 3, 4])
    assert is_iob1([["I-x", "B-x", "O"], ["I-y"]])
    assert not is_iob1([["B-x", "I-x"], ["I-y"]])


def test_a_file(tmp_path):
    (parsed,) = read(tmp_path, BIO)
    assert told(parsed) == []
    assert parsed.extraction.note.text == "HISTORY of chest pain .\nAspirin 81"
    assert [(e.label, e.text, e.span.start) for e in parsed.extraction.entities] == [
        ("problem", "chest pain", 11),
        ("treatment", "Aspirin", 24),
        ("treatment", "81", 32),
    ]
    assert conll.from_extraction(parsed.extraction) == (BIO, 0)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (BIO.replace("\n", "\r\n"), "HISTORY of chest pain .\nAspirin 81"),
        (BIO.replace("\t", " "), "HISTORY of chest pain .\nAspirin 81"),
        (BIO.replace("\t", "  NN  X "), "HISTORY of chest pain .\nAspirin 81"),
        (BIO.replace("\n\n", "\n\n\n \n"), "HISTORY of chest pain .\nAspirin 81"),
        (BIO.replace("chest", "chest wall"), "HISTORY of chest wall pain .\nAspirin 81"),
    ],
)
def test_other_spellings(tmp_path, content, text):
    (parsed,) = read(tmp_path, content)
    assert told(parsed) == []
    assert parsed.extraction.note.text == text
    assert len(parsed.extraction.entities) == 3


def test_documents_of_one_file(tmp_path):
    first, second = read(tmp_path, f"-DOCSTART- -X- O\n\n{BIO}\n-DOCSTART- O\n\nfever B-problem\n")
    assert [p.extraction.note.id for p in (first, second)] == ["n/1", "n/2"]
    assert second.extraction.note.text == "fever"
    assert told(second) == []


@pytest.mark.parametrize(
    ("line", "kind", "dropped", "text"),
    [
        ("Qwyzzk", "malformed-line", False, "Qwyzzk fever"),
        ("\tB-problem", "malformed-line", True, "fever"),
        ("Qwyzzk\tB", "malformed-line", True, "Qwyzzk fever"),
        ("Qwyzzk\tI-problem", "malformed-line", False, "Qwyzzk fever"),
        ("Qwyzzk\t", "malformed-line", False, "Qwyzzk fever"),
    ],
)
def test_a_bad_line_is_told_and_moves_nothing(tmp_path, line, kind, dropped, text):
    (parsed,) = read(tmp_path, f"No\tO\nrash\tB-problem\n\n{line}\nfever\tB-problem\n")
    assert told(parsed) == [(4, kind, dropped)]
    assert parsed.extraction.note.text == f"No rash\n{text}"
    assert [e.text for e in parsed.extraction.entities if "Qwyzzk" not in e.text] == ["rash", "fever"]


def test_iob1_is_not_told(tmp_path):
    (parsed,) = read(tmp_path, "Chest I-problem\npain I-problem\nfever B-problem\n\nrash I-problem\n")
    assert told(parsed) == []
    assert [e.text for e in parsed.extraction.entities] == ["Chest pain", "fever", "rash"]


def test_a_folder_and_files_without_tokens(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "7.bio").write_text("fever\tB-problem\n")
    (tmp_path / "notes.txt").write_text("fever B-problem\n")
    assert [p.extraction.note.id for p in conll.read(tmp_path)] == ["a/7"]
    assert [p.extraction.note.id for p in conll.read(tmp_path / "notes.txt")] == ["notes"]
    with pytest.raises(FormatError, match="no line with a token"):
        read(tmp_path, "\n\n")


def test_overlapping_mentions_are_left_out_and_counted(tmp_path):
    text = "chest pain, fever"
    entities = tuple(
        any_entity(label).at(text, *where) for label, where in {"a": (0, 5), "b": (0, 10), "c": (6, 17), "d": (12, 17)}.items()
    )
    assert conll.from_extraction(Extraction(note=Note(id="n", text=text), entities=entities)) == (
        "chest\tB-a\npain,\tB-c\nfever\tI-c\n",
        2,
    )
    writer = conll.Writer(tmp_path)
    writer.write(Extraction(note=Note(id="n", text=text), entities=entities[:2]))
    writer.write(Extraction(note=Note(id="m", text="  \n "), entities=()))
    assert writer.left_out == 1
    assert (tmp_path / "n.conll").read_text() == "chest\tB-b\npain\tI-b\n,\tO\nfever\tO\n"


def test_a_mention_over_line_ends_is_one_a_line():
    text = "chest\npain"
    entity = any_entity("x").at(text, 0, 10)
    assert conll.from_extraction(Extraction(note=Note(id="n", text=text), entities=(entity,))) == ("chest\tB-x\n\npain\tB-x\n", 0)


# --- CEHRNER ---------------------------------------------------------------------------------------------------------

RECORDS = """\
{"text": "因肺炎,吸烟。", "mention_data": [{"mention": "肺炎", "label": "疾病和诊断", "offset": "1"}]}
{"text": "好", "mention_data": []}
"""
TAGS = "因 O\n肺 B_疾病和诊断\n炎 I_疾病和诊断\n, O\n吸 O\n烟 O\n。 O\n\n好 O\n\n"


def test_cehrner(tmp_path):
    (tmp_path / "train.json").write_text(RECORDS)
    (tmp_path / "train.txt").write_text(TAGS)
    records = list(cehrner.read(tmp_path))
    tagged = list(cehrner.read(tmp_path / "train.txt"))
    assert [p.problems for p in records + tagged] == [()] * 4
    assert [p.extraction for p in records] == [p.extraction for p in tagged]
    assert records[0].extraction.note.id == "train/1"
    assert [(e.text, e.span.start) for e in records[0].extraction.entities] == [("肺炎", 1)]
    for name, content in (("x.json", RECORDS), ("x.txt", TAGS)):
        writer = cehrner.Writer(tmp_path / name)
        for parsed in records:
            writer.write(parsed.extraction)
        writer.close()
        assert (tmp_path / name).read_text() == content


@pytest.mark.parametrize(
    ("mention", "kind"),
    [
        ('{"mention": "Qwyzzk", "label": "x", "offset": "0"}', "text-mismatch"),
        ('{"mention": "因", "label": "x", "offset": "99"}', "bad-span"),
        ('{"mention": "因", "label": "x", "offset": "-1"}', "malformed-line"),
        ('{"mention": "因", "label": "x"}', "malformed-line"),
        ('{"mention": 7, "label": "x", "offset": "0"}', "malformed-line"),
        ('{"mention": "", "label": "x", "offset": "0"}', "bad-span"),
        ('"Qwyzzk"', "malformed-line"),
    ],
)
def test_cehrner_bad_mentions(tmp_path, mention, kind):
    first, second = RECORDS.splitlines()
    (tmp_path / "x.json").write_text(f"{second}\n{first.replace('[', f'[{mention}, ')}\n")
    parsed = list(cehrner.read(tmp_path / "x.json"))
    assert [(p.line, p.kind) for one in parsed for p in one.problems] == [(2, kind)]
    assert parsed[1].extraction.entities[-1].text == "肺炎"


def test_cehrner_bad_records(tmp_path):
    first, second = RECORDS.splitlines()
    (tmp_path / "x.json").write_text(f'{first[:-1]}\n{{"mention_data": []}}\n7\n{{"text": "Qwyzzk", "mention_data": 7}}\n{second}\n')
    parsed = list(cehrner.read(tmp_path / "x.json"))
    assert [(p.line, p.kind) for one in parsed for p in one.problems] == [
        (4, "malformed-line"),
        (1, "malformed-line"),
        (2, "malformed-line"),
        (3, "malformed-line"),
    ]
    assert [p.extraction.note.id for p in parsed] == ["x/4", "x/5"]
    (tmp_path / "x.txt").write_text("因 O\n肺\n\n B_x\n好 Q\n")
    parsed = list(cehrner.read(tmp_path / "x.txt"))
    assert [(p.line, p.kind) for one in parsed for p in one.problems] == [
        (2, "malformed-line"),
        (4, "malformed-line"),
        (5, "malformed-line"),
    ]
    assert [p.extraction.note.text for p in parsed] == ["因肺", "好"]
