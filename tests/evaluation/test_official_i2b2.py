"""The rules of the i2b2 2010 and 2014 scorers on small files written for the project (also checked by test_official_parity)."""

import math
from pathlib import Path

import pytest

from medllm.errors import FormatError, InputError
from medllm.evaluation.official import i2b2_2010, i2b2_2014
from medllm.evaluation.official.result import OfficialResult


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


# --- 2010 --------------------------------------------------------------------------------------------------------------


def con(*mentions: str, label: str = "problem") -> str:
    """``"1:2 1:4"`` or ``"1:2 1:4 test"`` -> .con lines."""
    lines = []
    for mention in mentions:
        start, end, kind = [*mention.split(), label][:3]
        lines.append(f'c="made up" {start} {end}||t="{kind}"\n')
    return "".join(lines)


def rel(*relations: tuple[str, str, str]) -> str:
    return "".join(f'c="a" {head}||r="{label}"||c="b" {tail}\n' for head, label, tail in relations)


def score_2010(tmp_path: Path, gold: dict[str, str], pred: dict[str, str]) -> OfficialResult:
    return i2b2_2010.score(write(tmp_path / "gold", gold), write(tmp_path / "pred", pred))


def counts(result: OfficialResult, table: str, row: str) -> tuple[int, int, int]:
    found = result.row(table, row).counts
    return found["tp"], found["fn"], found["fp"]


@pytest.mark.parametrize(
    ("gold", "pred", "exact", "inexact"),
    [
        ("1:1 1:3", "1:1 1:3", (1, 0, 0), (1, 0, 0)),
        ("1:1 1:3", "1:3 1:4", (0, 1, 1), (1, 0, 0)),  # one shared token
        ("1:1 1:3", "1:4 1:5", (0, 1, 1), (0, 1, 1)),
        ("1:1 1:3", "1:1 1:3,1:1 1:3", (1, 0, 1), (1, 0, 1)),  # nothing is removed as a duplicate
        ("1:1 1:3,1:1 1:3", "1:1 1:3", (1, 1, 0), (1, 1, 0)),
        ("1:1 1:2,1:4 1:5", "1:1 1:5", (0, 2, 1), (1, 1, 0)),  # one prediction over two gold
        ("1:1 1:5", "1:1 1:2,1:4 1:5", (0, 1, 2), (1, 0, 1)),  # two predictions in one gold
        ("1:1 1:2,1:4 1:5", "1:1 1:5,1:1 1:2", (1, 1, 1), (1, 1, 1)),  # greedy in file order: the wide one takes the first
        ("1:1 1:2,1:4 1:5", "1:1 1:2,1:1 1:5", (1, 1, 1), (2, 0, 0)),  # the same lines swapped
        ("1:1002 1:1002", "2:2 2:2", (0, 1, 1), (1, 0, 0)),  # line * 1000 + token
        ("1:8 2:0", "1:7 2:1", (0, 1, 1), (1, 0, 0)),  # a span may cross lines
    ],
)
def test_2010_spans(tmp_path: Path, gold: str, pred: str, exact: tuple[int, int, int], inexact: tuple[int, int, int]) -> None:
    result = score_2010(tmp_path, {"n.con": con(*gold.split(","))}, {"n.con": con(*pred.split(","))})
    assert counts(result, "1.1", "Class Exact Span") == counts(result, "1.1", "Concept Exact Span") == exact
    assert counts(result, "1.3", "Concept Inexact Span") == inexact
    assert counts(result, "1.4", "Inexact Span With Matching Class for Problem") == inexact


def test_2010_classes_match_with_case_and_have_rows_without(tmp_path: Path) -> None:
    result = score_2010(tmp_path, {"n.con": con("1:1 1:1")}, {"n.con": con("1:1 1:1 Problem")})
    assert counts(result, "1.1", "Concept Exact Span") == (1, 0, 0)
    assert counts(result, "1.2", "Exact Span for Problem") == (1, 0, 0)
    assert counts(result, "1.2", "Exact Span With Matching Class for Problem") == (0, 1, 1)


def test_2010_rows_of_a_class_take_hits_of_another(tmp_path: Path) -> None:
    result = score_2010(tmp_path, {"n.con": con("1:1 1:1")}, {"n.con": con("1:1 1:1 test", "1:1 1:1")})
    assert counts(result, "1.2", "Exact Span for Problem") == (1, 0, 1)
    assert counts(result, "1.2", "Exact Span With Matching Class for Test") == (0, 0, 1)


def test_2010_class_inexact_span_is_inconsistent(tmp_path: Path) -> None:
    result = score_2010(tmp_path, {"n.con": con("1:1 1:2", "1:5 1:6", "1:8 1:9")}, {"n.con": con("1:2 1:3 test", "1:5 1:6")})
    row = result.row("1.3", "Class Inexact Span")
    assert counts(result, "1.3", "Class Inexact Span") == counts(result, "1.3", "Concept Inexact Span") == (2, 1, 0)
    assert (row.precision, row.recall, row.f1) == (1 / 2, 1 / 2, 2 / 4)
    assert result.row("1.4", "Inexact Span With Matching Class for Problem").recall == 1 / 3


def test_2010_sums_over_files_and_counts_files_of_one_side(tmp_path: Path) -> None:
    gold = {"a.con": con("1:1 1:1"), "b.con": con("1:1 1:1 test")}
    result = score_2010(tmp_path, gold, {"a.con": con("1:1 1:1"), "c.con": con("2:1 2:1")})
    assert counts(result, "1.1", "Class Exact Span") == (1, 1, 1)
    assert counts(result, "1.2", "Exact Span for Test") == (0, 1, 0)
    facts = result.table("1.1").facts
    assert [facts[k] for k in ("reference_files", "system_files", "reference_lines", "system_lines")] == [2, 2, 2, 2]
    assert (result.headline.gold, result.headline.pred, result.headline.macro) == (2, 2, None)


def test_2010_not_a_number(tmp_path: Path) -> None:
    result = score_2010(tmp_path, {"n.con": con("1:1 1:1")}, {"n.con": ""})
    row, nothing = result.row("1.1", "Concept Exact Span"), result.row("1.2", "Exact Span for Test")
    assert math.isnan(row.precision)
    assert (row.recall, row.f1) == (0, 0)
    assert all(map(math.isnan, (nothing.precision, nothing.recall, nothing.f1)))
    assert result.summary()["micro"] == {"precision": None, "recall": 0.0, "f1": 0.0}


@pytest.mark.parametrize(
    "line",
    [
        'c="a b" 1:1 1:2||t="drug"',
        'c="a b" 1:1 1:1,1:3 1:3||t="problem"',
        'c="a||b" 1:1 1:2||t="problem"',
        "",
        "something else",
    ],
)
def test_2010_unreadable_lines_are_skipped_and_told(tmp_path: Path, line: str) -> None:
    result = score_2010(tmp_path, {"n.con": con("1:1 1:2", "2:1 2:1")}, {"n.con": f"{line}\n{con('2:1 2:1')}"})
    assert counts(result, "1.1", "Class Exact Span") == (1, 1, 0)
    (problem,) = result.problems
    assert problem.startswith(f"{tmp_path}/pred/n.con:1: ")
    assert "a b" not in problem


def test_2010_text_is_ignored_quotes_too(tmp_path: Path) -> None:
    result = score_2010(tmp_path, {"n.con": con("1:1 1:2")}, {"n.con": 'c="an "odd" text" 1:1 1:2||t="problem"\n'})
    assert counts(result, "1.1", "Class Exact Span") == (1, 0, 0)


def test_2010_assertions(tmp_path: Path) -> None:
    gold = 'c="a" 1:1 1:1||t="problem"||a="present"\nc="b" 2:1 2:1||t="problem"||a="absent"\n'
    pred = 'c="x" 1:1 1:1||t="test"||a="present"\nc="b" 2:1 2:1||t="problem"||a="Absent"\nc="b" 2:1 2:1||t="problem"||a="denied"\n'
    result = score_2010(tmp_path, {"n.ast": gold}, {"n.ast": pred})
    assert counts(result, "2.1", "Exact Span With Matching Concept") == (2, 0, 0)
    assert counts(result, "2.1", "Exact Span With Matching Assertion") == (1, 1, 1)
    assert counts(result, "2.2", "Absent With Exact Span And Matching Assertion") == (0, 1, 1)
    assert len(result.problems) == 1


def test_2010_relations(tmp_path: Path) -> None:
    gold = rel(("1:1 1:1", "TrAP", "1:5 1:6"), ("2:1 2:1", "PIP", "2:5 2:5"), ("3:1 3:1", "TeRP", "3:5 3:5"))
    pred = rel(
        ("1:5 1:6", "TrAP", "1:1 1:1"),  # the order of arguments does not matter
        ("2:1 2:1", "pip", "2:5 2:5"),  # labels count with case
        ("3:1 3:1", "TeRP", "3:5 3:6"),  # both spans exact
        ("3:1 3:1", "Causes", "3:5 3:5"),  # not a relation of the task
    )
    result = score_2010(tmp_path, {"n.rel": gold}, {"n.rel": pred})
    assert counts(result, "3.1", "Exact Span With Matching Concept") == (2, 1, 1)
    assert counts(result, "3.1", "Concept With Matching Span and Relation") == (1, 2, 2)
    assert counts(result, "3.2", "PIP With Exact Span And Matching Relations") == (0, 1, 1)


def test_2010_single_files_and_wrong_folders(tmp_path: Path) -> None:
    gold, pred = write(tmp_path / "gold", {"n.con": con("1:1 1:1")}), write(tmp_path / "pred", {"m.con": con("1:1 1:1")})
    assert i2b2_2010.score(gold / "n.con", pred / "m.con").headline.micro.f1 == 1
    with pytest.raises(InputError, match="no such file or folder"):
        i2b2_2010.score(tmp_path / "nowhere", pred)
    with pytest.raises(InputError, match=r"no \.con"):
        i2b2_2010.score(write(tmp_path / "bare", {"n.txt": "text"}), pred)


# --- 2014 --------------------------------------------------------------------------------------------------------------

NOTE = "Juno Vale came from Osk on 4/5 and saw Dr Ilse Ramo .\n"


def xml(*tags: tuple[str, str, int, int], text: str = NOTE) -> str:
    lines = "".join(f'<{n} id="P{i}" start="{s}" end="{e}" text="x" TYPE="{t}" comment="" />\n' for i, (n, t, s, e) in enumerate(tags))
    return f'<?xml version="1.0" encoding="UTF-8" ?>\n<deIdi2b2>\n<TEXT><![CDATA[{text}]]></TEXT>\n<TAGS>\n{lines}</TAGS>\n</deIdi2b2>\n'


JUNO, OSK, ILSE = ("NAME", "PATIENT", 0, 9), ("LOCATION", "CITY", 20, 23), ("NAME", "DOCTOR", 42, 51)


def score_2014(tmp_path: Path, gold: dict[str, str], pred: dict[str, str]) -> OfficialResult:
    return i2b2_2014.score(write(tmp_path / "gold", gold), write(tmp_path / "pred", pred))


def micro(result: OfficialResult, section: str) -> tuple[int, int, int]:
    found = result.row(section, "micro").counts
    return found["tp"], found["fp"], found["fn"]


@pytest.mark.parametrize(
    ("pred", "expected"),
    [
        ([JUNO], {"Strict": (1, 0, 0), "Relaxed": (1, 0, 0), "Token": (2, 0, 0)}),
        ([JUNO, JUNO], {"Strict": (1, 0, 0), "Token": (2, 0, 0)}),  # sets
        ([("NAME", "PATIENT", 0, 11)], {"Strict": (0, 1, 1), "Relaxed": (1, 0, 0), "Token": (2, 1, 0)}),
        ([("NAME", "PATIENT", 0, 7)], {"Strict": (0, 1, 1), "Relaxed": (1, 0, 0), "Token": (1, 1, 1)}),
        ([("NAME", "PATIENT", 0, 12)], {"Relaxed": (0, 1, 1), "Token": (2, 1, 0)}),
        ([("NAME", "PATIENT", 0, 8), ("NAME", "PATIENT", 0, 10)], {"Strict": (0, 2, 1), "Relaxed": (1, 0, 0)}),
        ([("NAME", "PATIENT", 0, 7), ("NAME", "PATIENT", 0, 11)], {"Relaxed": (1, 0, 0)}),  # both equal gold, but not each other
        (
            [("NAME", "DOCTOR", 0, 9)],
            {"Strict": (0, 1, 1), "Binary Strict": (1, 0, 0), "HIPAA Strict": (0, 0, 1), "NAME Strict": (0, 1, 1)},
        ),
        ([("LOCATION", "CITY", 0, 9)], {"Strict": (0, 1, 1), "Binary Strict": (1, 0, 0), "Binary HIPAA Strict": (1, 0, 0)}),
    ],
)
def test_2014_against_one_name(tmp_path: Path, pred: list[tuple[str, str, int, int]], expected: dict[str, tuple[int, int, int]]) -> None:
    result = score_2014(tmp_path, {"100-01.xml": xml(JUNO)}, {"100-01.xml": xml(*pred)})
    assert {section: micro(result, section) for section in expected} == expected


def test_2014_a_shifted_start_is_never_relaxed_but_may_have_the_same_tokens(tmp_path: Path) -> None:
    result = score_2014(tmp_path, {"100-01.xml": xml(OSK)}, {"100-01.xml": xml(("LOCATION", "CITY", 19, 23))})
    assert (micro(result, "Relaxed"), micro(result, "Token")) == ((0, 1, 1), (1, 0, 0))


def test_2014_hipaa_types(tmp_path: Path) -> None:
    protected = [
        ("ID", "MEDICALRECORD", 0, 1),
        ("DATE", "DATE", 2, 3),
        ("AGE", "AGE", 4, 5),
        ("CONTACT", "FAX", 6, 7),
        ("LOCATION", "ZIP", 8, 9),
    ]
    others = [("ID", "IDNUM", 10, 11), ("PROFESSION", "PROFESSION", 14, 15), ("CONTACT", "URL", 16, 17)]
    result = score_2014(tmp_path, {"100-01.xml": xml(*protected, *others)}, {"100-01.xml": xml()})
    assert micro(result, "HIPAA Strict") == (0, 0, len(protected))
    assert micro(result, "Strict") == (0, 0, len(protected) + len(others))
    assert micro(result, "ID Binary HIPAA Strict") == (0, 0, 1)


def test_2014_macro_f1_is_made_from_the_means_and_empty_documents_are_zero(tmp_path: Path) -> None:
    gold = {"100-01.xml": xml(JUNO, OSK), "100-02.xml": xml(), "100-03.xml": xml(ILSE)}
    pred = {"100-01.xml": xml(JUNO), "100-02.xml": xml(), "100-04.xml": xml(ILSE)}
    result = score_2014(tmp_path, gold, pred)
    macro = result.row("Strict", "macro")
    assert micro(result, "Strict") == (1, 0, 1)  # documents of one side are skipped
    assert (macro.precision, macro.recall, macro.f1, macro.spread) == (0.5, 0.25, 2 * (0.125 / 0.75), (0.5, 0.25))
    assert math.isnan(result.row("AGE Strict", "macro").f1)
    assert result.row("AGE Strict", "micro").f1 == 0
    assert [p.rpartition("/")[2].split(":")[0] for p in result.problems] == ["100-03.xml", "100-04.xml"]


def test_2014_documents_are_known_by_their_numbers(tmp_path: Path) -> None:
    result = score_2014(tmp_path, {"100-01.xml": xml(JUNO)}, {"100-01run2.xml": xml(JUNO)})
    assert micro(result, "Strict") == (1, 0, 0)
    (tmp_path / "pred" / "100-01run1.xml").write_text(xml(JUNO))
    with pytest.raises(InputError, match="second file"):
        i2b2_2014.score(tmp_path / "gold", tmp_path / "pred")


def test_2014_stops(tmp_path: Path) -> None:
    gold = write(tmp_path / "gold", {"100-01.xml": xml(JUNO)})
    for name, text, line in (
        ("other", xml(JUNO, text="Another text .\n"), None),
        ("broken", "<deIdi2b2>\n<TAGS>\n</deIdi2b2>", 3),
        ("offset", xml(JUNO).replace('start="0"', 'start="first"'), 6),
    ):
        with pytest.raises(FormatError) as caught:
            i2b2_2014.score(gold, write(tmp_path / name, {"100-01.xml": text}))
        assert (caught.value.line, "Juno" in str(caught.value)) == (line, False)
    with pytest.raises(InputError, match="no file name in common"):
        i2b2_2014.score(gold, write(tmp_path / "others", {"200-01.xml": xml()}))
