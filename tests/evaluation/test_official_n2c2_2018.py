"""The rules of the n2c2 2018 track 2 scorer on small files written for the project (also checked by test_official_parity)."""

from pathlib import Path

import pytest

from medllm.errors import FormatError, InputError
from medllm.evaluation.official import n2c2_2018
from medllm.evaluation.official.result import OfficialResult

DRUG, ADE = "T1\tDrug 0 9\tmetformin\n", "T2\tADE 15 21\tnausea\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(tmp_path: Path, gold: str | dict[str, str], pred: str | dict[str, str], rows: str = "task") -> OfficialResult:
    golds, preds = ({"n.ann": side} if isinstance(side, str) else side for side in (gold, pred))
    return n2c2_2018.score(write(tmp_path / "gold", golds), write(tmp_path / "pred", preds), rows=rows)  # type: ignore[arg-type]


def counts(result: OfficialResult, table: str, row: str = "Overall (micro)") -> tuple[int, int, int]:
    found = result.row(table, row).counts
    return found["tp"], found["fp"], found["fn"]


def spans(*items: str) -> str:
    """``"Drug 0 5"`` -> an entity line."""
    return "".join(f"T{i}\t{item}\tw\n" for i, item in enumerate(items, 1))


@pytest.mark.parametrize(
    ("gold", "pred", "strict", "lenient"),
    [
        (["Drug 0 9"], ["Drug 0 9"], (1, 0, 0), (1, 0, 0)),
        (["Drug 0 9"], ["Drug 8 12"], (0, 1, 1), (1, 0, 0)),
        (["Drug 0 9"], ["Drug 9 12"], (0, 1, 1), (0, 1, 1)),  # touching is not overlapping
        (["Drug 0 9"], ["drug 0 9"], (0, 1, 1), (0, 1, 1)),
        (["Drug 0 9"], ["Drug 0 9", "Drug 0 9"], (1, 0, 0), (1, 0, 0)),  # a repeated prediction costs nothing
        (["Drug 0 9", "Drug 0 9"], ["Drug 0 9", "Drug 0 9"], (1, 0, 1), (1, 0, 1)),  # repeated gold costs even a copy
        (["Drug 0 20"], ["Drug 0 9", "Drug 11 20"], (0, 2, 1), (1, 0, 0)),
        (["Drug 0 9", "Drug 11 20"], ["Drug 0 20"], (0, 1, 2), (1, 0, 1)),
        (["Drug 0 9", "Drug 11 20"], ["Drug 0 20", "Drug 11 20"], (1, 1, 1), (1, 0, 1)),  # dropped although exact
        (["Drug 0 9", "Drug 11 20"], ["Drug 11 20", "Drug 0 20"], (1, 1, 1), (1, 0, 1)),
        (["ADE 0 4;8 12"], ["ADE 0 12"], (1, 0, 0), (1, 0, 0)),  # a discontinuous entity is its cover
        (["ADE 0 4;8 12"], ["ADE 5 7"], (0, 1, 1), (1, 0, 0)),
        (["ADE 0 4;8 12;16 20"], ["ADE 0 20"], (1, 0, 0), (1, 0, 0)),
        (["Device 0 9"], ["Device 0 9"], (1, 0, 0), (1, 0, 0)),  # no row, but in the overall figures
    ],
)
def test_entities(tmp_path: Path, gold: list[str], pred: list[str], strict: tuple[int, int, int], lenient: tuple[int, int, int]) -> None:
    result = run(tmp_path, spans(*gold), spans(*pred))
    assert (counts(result, "entities strict"), counts(result, "entities lenient")) == (strict, lenient)


def test_four_parts_take_the_line_before(tmp_path: Path) -> None:
    result = run(tmp_path, DRUG + "T2\tADE 10 12;14 16;18 20;22 24\tw\n", DRUG + "T2\tADE 10 24\tw\n")
    assert counts(result, "entities strict", "ADE") == (0, 1, 0)
    assert counts(result, "entities strict", "Drug") == (1, 0, 1)
    assert result.problems[0].startswith(f"{tmp_path}/gold/n.ann:2: ")


def test_a_line_without_text_repeats_the_line_before(tmp_path: Path) -> None:
    assert counts(run(tmp_path, DRUG + ADE, DRUG + "T2\tADE 15 21\n"), "entities strict") == (1, 0, 1)


def test_the_later_of_two_ids_counts(tmp_path: Path) -> None:
    assert counts(run(tmp_path, DRUG + ADE, DRUG + "T1\tADE 15 21\tw\n"), "entities strict") == (1, 0, 1)


def test_blanks_before_a_line_and_other_lines_are_nothing(tmp_path: Path) -> None:
    other = "#1\tAnnotatorNotes T1\thm\nA1\tNegated T1\nE1\tDrug:T1\n\n"
    assert counts(run(tmp_path, DRUG, "  " + DRUG + other), "entities strict") == (1, 0, 0)


@pytest.mark.parametrize(
    ("pred", "line"),
    [
        ("T1\tADE 0 2;4 6;8 10;12 14\tw\n", 1),
        ("T1\tDrug 0 9\n", 1),
        (DRUG + "T2\tADE zero 9\tw\n", 2),
        (DRUG + "\nR1\tADE-Drug Arg1:T7 Arg2:T1\n", 3),
        (DRUG + "R1\tADE-Drug T1 T1\n", 2),
        (DRUG + "R1 ADE-Drug Arg1:T1 Arg2:T1\n", 2),
    ],
)
def test_where_the_official_scorer_stops(tmp_path: Path, pred: str, line: int) -> None:
    with pytest.raises(FormatError) as caught:
        run(tmp_path, DRUG, pred)
    assert (caught.value.path, caught.value.line) == (f"{tmp_path}/pred/n.ann", line)


LINKED = DRUG + ADE + "R1\tADE-Drug Arg1:T2 Arg2:T1\n"


@pytest.mark.parametrize(
    ("pred", "strict", "lenient"),
    [
        (LINKED, (1, 0, 0), (1, 0, 0)),
        (DRUG + ADE + "R1\tADE-Drug Arg1:T1 Arg2:T2\n", (0, 1, 1), (0, 1, 1)),  # order counts
        (DRUG + "T2\tReason 15 21\tw\nR1\tADE-Drug Arg1:T2 Arg2:T1\n", (0, 1, 1), (0, 1, 1)),  # so do the arguments' types
        (DRUG + "T2\tADE 15 30\tw\nR1\tADE-Drug Arg1:T2 Arg2:T1\n", (0, 1, 1), (1, 0, 0)),
        (LINKED + "R2\tADE-Drug Arg1:T2 Arg2:T1\n", (1, 0, 0), (1, 0, 0)),
        (DRUG + ADE + "R1\tFoo-Drug Arg1:T2 Arg2:T1\n", (0, 1, 1), (0, 1, 1)),
    ],
)
def test_relations(tmp_path: Path, pred: str, strict: tuple[int, int, int], lenient: tuple[int, int, int]) -> None:
    result = run(tmp_path, LINKED, pred)
    assert (counts(result, "relations strict"), counts(result, "relations lenient")) == (strict, lenient)


def test_macro_is_over_documents_and_an_empty_one_is_zero(tmp_path: Path) -> None:
    gold = {"a.ann": spans("Drug 0 1"), "b.ann": spans("Drug 0 1", "Drug 2 3", "Drug 4 5"), "c.ann": ""}
    result = run(tmp_path, gold, {"a.ann": spans("Drug 0 1"), "b.ann": spans("Drug 0 1"), "c.ann": ""})
    row = result.row("entities strict", "Overall (macro)")
    assert (row.precision, row.recall, row.f1) == pytest.approx((2 / 3, (1 + 1 / 3) / 3, (1 + 0.5) / 3))
    assert result.row("entities strict", "Overall (micro)").recall == 0.5


def test_documents_of_one_side_are_skipped(tmp_path: Path) -> None:
    result = run(tmp_path, {"a.ann": DRUG, "b.ann": ADE}, {"a.ann": DRUG, "c.ann": ADE})
    assert counts(result, "entities strict") == (1, 0, 0)
    assert [p.rpartition("/")[2].split(":")[0] for p in result.problems] == ["b.ann", "c.ann"]
    with pytest.raises(InputError, match="in common"):
        n2c2_2018.score(tmp_path / "gold", write(tmp_path / "other", {"z.ann": DRUG}))


def test_rows_of_gold(tmp_path: Path) -> None:
    result = run(tmp_path, spans("Device 0 9", "ADE 10 12"), spans("Gadget 0 9"), "gold")
    assert [r.name for r in result.table("entities strict").rows] == ["ADE", "Device", "Overall (micro)", "Overall (macro)"]


def test_the_headline_is_lenient(tmp_path: Path) -> None:
    headline = run(tmp_path, DRUG, "T1\tDrug 0 4\tw\n").headline
    assert (headline.micro.f1, headline.labels["Drug"].f1, headline.gold, headline.pred) == (1, 1, 1, 1)
