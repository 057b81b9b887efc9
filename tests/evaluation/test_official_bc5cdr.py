"""The rules of the BC5CDR scorer on small files written for the project (also checked by test_official_parity)."""

import math
from pathlib import Path

import pytest

from medllm.errors import FormatError
from medllm.evaluation.official import bc5cdr
from medllm.evaluation.official.result import OfficialResult

DRUG, RASH, CID = "1\t0\t7\taspirin\tChemical\tD1\n", "1\t12\t16\trash\tDisease\tD2\n", "1\tCID\tD1\tD2\n"


def run(tmp_path: Path, gold: str, pred: str) -> OfficialResult:
    for name, text in (("gold", gold), ("pred", pred)):
        (tmp_path / name).write_text("1|t|A made up title\n1|a|And its text\n" + text, encoding="utf-8")
    return bc5cdr.score(tmp_path / "gold", tmp_path / "pred")


def counts(result: OfficialResult, table: str, row: str) -> tuple[int, int, int]:
    found = result.row(table, row).counts
    return found["tp"], found["fp"], found["fn"]


@pytest.mark.parametrize(
    ("pred", "mention", "concept"),
    [
        (DRUG + RASH, (2, 0, 0), (2, 0, 0)),
        (DRUG * 3 + RASH, (2, 0, 0), (2, 0, 0)),
        ("1\t0\t8\taspirin\tChemical\tD1\n" + RASH, (1, 1, 1), (2, 0, 0)),  # exact offsets; positions of ids do not matter
        ("1\t0\t7\tOTHER\tChemical\tD9\n" + RASH, (2, 0, 0), (1, 1, 1)),
        ("1\t0\t7\taspirin\tchemical\tD1\n" + RASH, (1, 0, 1), (1, 0, 1)),  # another type is no type of the task
        ("1\t0\t7\taspirin\tChemical\tMESH:D1\n" + RASH, (2, 0, 0), (2, 0, 0)),
        ("1\t0\t7\taspirin\tChemical\tOMIM:D1\n" + RASH, (2, 0, 0), (1, 1, 1)),
        ("1\t0\t7\taspirin\tChemical\td1\n" + RASH, (2, 0, 0), (1, 1, 1)),
        ("1\t0\t7\taspirin\tChemical\tD1|D3\n" + RASH, (2, 0, 0), (2, 1, 0)),
        ("1\t0\t7\taspirin\tChemical\tD1+D3\n" + RASH, (2, 0, 0), (1, 1, 1)),
        ("1\t0\t7\taspirin\tChemical\t-1\n" + RASH, (2, 0, 0), (1, 0, 1)),
        ("1\t0\t7\taspirin\tChemical\n" + RASH, (2, 0, 0), (1, 0, 1)),
        ("1\t0\t7\tas|a|pirin\tChemical\tD1\n" + RASH, (1, 0, 1), (1, 0, 1)),  # read as text
        (DRUG + RASH + "9\t0\t3\tnew\tChemical\tD1\n", (2, 0, 0), (2, 0, 0)),  # a document that gold does not have
    ],
)
def test_mentions_and_ids(tmp_path: Path, pred: str, mention: tuple[int, int, int], concept: tuple[int, int, int]) -> None:
    result = run(tmp_path, DRUG + RASH, pred)
    assert counts(result, "mention", "Chemical|Disease") == mention
    assert counts(result, "id", "Chemical|Disease") == concept


def test_predictions_count_only_where_gold_has_items_of_the_type(tmp_path: Path) -> None:
    result = run(tmp_path, RASH, DRUG + RASH)
    assert counts(result, "mention", "Chemical") == (0, 0, 0)
    assert counts(result, "mention", "Chemical|Disease") == (1, 1, 0)


@pytest.mark.parametrize(
    ("gold", "pred", "expected"),
    [
        (CID, CID * 2, (1, 0, 0)),
        (CID, "1\tCID\tD2\tD1\n", (0, 1, 1)),
        (CID, "1\tCID\tMESH:D1\tD2\t0.9\n", (1, 0, 0)),
        (CID, "1\tCID\tD1|D3\tD2\n", (0, 1, 1)),
        (CID, "1\tcid\tD1\tD2\n", (0, 0, 1)),
        ("1\tCID\t-1\tD2\n", "1\tCID\t\tD2\n", (1, 0, 0)),
    ],
)
def test_relations(tmp_path: Path, gold: str, pred: str, expected: tuple[int, int, int]) -> None:
    assert counts(run(tmp_path, gold, pred), "relation", "CID") == expected


def test_not_a_number(tmp_path: Path) -> None:
    wrong, none = run(tmp_path, CID, "1\tCID\tD2\tD1\n").row("relation", "CID"), run(tmp_path, "", "").row("mention", "Disease")
    assert (wrong.precision, wrong.recall, math.isnan(wrong.f1)) == (0, 0, True)
    assert all(map(math.isnan, (none.precision, none.recall, none.f1)))


@pytest.mark.parametrize("line", ["1", "1\t0\t7\taspirin", "1\tCID\tD1"])
def test_where_the_official_scorer_stops(tmp_path: Path, line: str) -> None:
    with pytest.raises(FormatError) as caught:
        run(tmp_path, DRUG, f"{DRUG}{line}\n")
    assert (caught.value.path, caught.value.line) == (str(tmp_path / "pred"), 4)
    assert "aspirin" not in str(caught.value)
