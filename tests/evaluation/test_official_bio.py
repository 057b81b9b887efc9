"""The rules of conlleval, seqeval and nervaluate on small files written for the project (also checked by test_official_parity)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.errors import FormatError
from medllm.evaluation.official import conll, sequence
from medllm.evaluation.official.result import OfficialResult


def write(path: Path, tags: str) -> Path:
    """``"B-X O / I-X"`` -> one token a line, sentences divided at ``/``."""
    path.write_text("".join("\n" if t == "/" else f"w{i} {t}\n" for i, t in enumerate(tags.split())), encoding="utf-8")
    return path


def phrases(result: OfficialResult, row: str = "overall") -> tuple[int, int, int]:
    found = result.row("phrases", row).counts
    return found["tp"], found["fp"], found["fn"]


@pytest.mark.parametrize(
    ("gold", "pred", "expected"),
    [
        ("B-X I-X O", "B-X I-X O", (1, 0, 0)),
        ("O B-X I-X O", "O I-X I-X O", (1, 0, 0)),  # I- after O opens
        ("O B-X / B-X O", "O B-X / I-X O", (2, 0, 0)),  # and at the start of a sentence
        ("B-X I-X I-X O", "B-X I-Y I-X O", (0, 3, 1)),  # so does another type
        ("B-X I-X O", "B-X B-X O", (0, 2, 1)),
        ("B-X B-X O", "B-X I-X O", (0, 1, 2)),
        ("O B-X I-X", "O B-Y I-Y", (0, 1, 1)),
        ("B-a-b I-a-b", "B-a-b I-a-c", (0, 2, 1)),
        ("B-X O", "b-X O", (1, 0, 0)),
        ("O I B I O", "O I I I O", (0, 1, 2)),  # tags without a type
        ("O O", "O O", (0, 0, 0)),
    ],
)
def test_conlleval(tmp_path: Path, gold: str, pred: str, expected: tuple[int, int, int]) -> None:
    result = conll.score(write(tmp_path / "gold", gold), write(tmp_path / "pred", pred))
    assert phrases(result) == expected


def test_conlleval_figures(tmp_path: Path) -> None:
    result = conll.score(write(tmp_path / "gold", "B-X I-X O B-Y"), write(tmp_path / "pred", "B-X I-X B-Z O"))
    table = result.table("phrases")
    assert [r.name for r in table.rows] == ["X", "Y", "Z", "overall"]
    assert (table.unit, table.facts["accuracy"], table.row("overall").f1) == ("percent", 50.0, 50.0)
    assert (result.headline.micro.f1, result.headline.macro, result.headline.gold) == (0.5, None, 2)


def columns(tmp_path: Path, text: str) -> OfficialResult:
    path = tmp_path / "columns"
    path.write_bytes(text.encode())
    return conll.score_columns(path)


def test_conlleval_sentence_breaks(tmp_path: Path) -> None:
    assert phrases(columns(tmp_path, "a B-X B-X\n\n\nb I-X B-X\n")) == (2, 0, 0)
    assert phrases(columns(tmp_path, "a B-X B-X\n-X- O O\nb I-X B-X\n")) == (2, 0, 0)
    assert columns(tmp_path, "a B-X B-X\n-X- O O\n\nb O O\n").table("phrases").facts["tokens"] == 2


def test_conlleval_takes_a_carriage_return_for_a_part_of_the_tag(tmp_path: Path) -> None:
    result = columns(tmp_path, "a B-X B-X\r\nb O O\r\n")
    assert (result.headline.micro.f1, result.table("phrases").facts["accuracy"]) == (0, 0)
    with pytest.raises(FormatError) as caught:
        columns(tmp_path, "a B-X B-X\r\n\r\nb O O\r\n")
    assert caught.value.line == 2


@pytest.mark.parametrize(("text", "line"), [("a\tB-X\tB-X\n", 1), ("a B-X B-X\nb  O O\n", 2), ("a B-X B-X\nb O\n", 2)])
def test_where_conlleval_stops(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(FormatError) as caught:
        columns(tmp_path, text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("gold", "pred", "line"),
    [
        ("a B-X\nb O\n", "a B-X\n", None),
        ("a B-X\nb O\n", "a B-X\nc O\n", 2),
        ("a B-X\r\n", "a B-X\r\n", 1),
        ("a\tB-X\n", "a\tB-X\n", 1),
    ],
)
def test_files_that_do_not_pair_up(tmp_path: Path, gold: str, pred: str, line: int | None) -> None:
    (tmp_path / "gold").write_bytes(gold.encode())
    (tmp_path / "pred").write_bytes(pred.encode())
    with pytest.raises(FormatError) as caught:
        conll.score(tmp_path / "gold", tmp_path / "pred")
    assert caught.value.line == line


def score_seqeval(tmp_path: Path, gold: str, pred: str, strict: bool = False) -> OfficialResult:
    pytest.importorskip("seqeval")
    return sequence.seqeval(write(tmp_path / "gold", gold), write(tmp_path / "pred", pred), strict=strict)


def test_seqeval_strict_ignores_what_does_not_start_with_b(tmp_path: Path) -> None:
    gold, pred = "O B-X I-X O", "O I-X I-X O"
    assert score_seqeval(tmp_path, gold, pred).headline.micro.f1 == 1
    assert score_seqeval(tmp_path, gold, pred, strict=True).headline.micro.f1 == 0
    result = score_seqeval(tmp_path, "B-X I-X I-X", "B-X I-Y I-X", strict=True)
    assert [r.name for r in result.tables[0].rows] == ["X", "micro avg", "macro avg", "weighted avg"]


def test_seqeval_macro_counts_types_of_the_prediction(tmp_path: Path) -> None:
    result = score_seqeval(tmp_path, "B-X O O", "B-X O B-Z")
    assert (result.headline.micro.recall, result.headline.macro and result.headline.macro.recall) == (1, 0.5)
    assert (result.headline.gold, result.headline.pred) == (1, 2)


@pytest.mark.parametrize("tag", ["E-X", "X", "b-X", "B-"])
def test_seqeval_strict_knows_only_bio(tmp_path: Path, tag: str) -> None:
    with pytest.raises(FormatError) as caught:
        score_seqeval(tmp_path, "B-X / O O", f"B-X / O {tag}", strict=True)
    assert (caught.value.path, caught.value.line) == (str(tmp_path / "pred"), 4)


def test_seqeval_default_reads_other_schemes(tmp_path: Path) -> None:
    assert score_seqeval(tmp_path, "B-X I-X O B-X", "B-X E-X O b-X").headline.micro.f1 == 1


def test_seqeval_stops_where_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no entity"):
        score_seqeval(tmp_path, "O O", "O O")
    with pytest.raises(FormatError, match="sentence 2 has 1 tokens, in gold 2"):
        score_seqeval(tmp_path, "O / O O", "O / O")


def test_nervaluate(tmp_path: Path) -> None:
    pytest.importorskip("nervaluate")
    result = sequence.nervaluate(
        write(tmp_path / "gold", "B-X I-X O B-X I-X / B-X I-X O O"), write(tmp_path / "pred", "B-X I-X I-X I-X I-X / B-Y I-Y O B-X")
    )
    strict, exact, partial, types = (dict(result.row(t, "overall").counts) for t in ("strict", "exact", "partial", "ent_type"))
    assert (strict["correct"], strict["incorrect"], strict["missed"], strict["spurious"]) == (0, 2, 1, 1)
    assert (exact["correct"], partial["correct"], partial["partial"], types["correct"], types["incorrect"]) == (1, 1, 1, 1, 1)
    assert result.row("strict", "X").counts["missed"] == 2
    with pytest.raises(FormatError) as caught:
        sequence.nervaluate(tmp_path / "gold", write(tmp_path / "pred", "E-X I-X I-X I-X I-X / B-Y I-Y O B-X"))
    assert caught.value.line == 1


@given(st.lists(st.tuples(*[st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])] * 2), min_size=1, max_size=12))
def test_conlleval_agrees_with_seqeval(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    pytest.importorskip("seqeval")
    folder = tmp_path_factory.mktemp("bio")
    gold, pred = (write(folder / name, " ".join(tags)) for name, tags in zip(("gold", "pred"), zip(*pairs, strict=True), strict=True))
    if all(tag == "O" for pair in pairs for tag in pair):
        return
    ours, theirs = conll.score(gold, pred).headline, sequence.seqeval(gold, pred).headline
    assert ours.micro.f1 == pytest.approx(theirs.micro.f1)
    assert (ours.gold, ours.pred) == (theirs.gold, theirs.pred)
