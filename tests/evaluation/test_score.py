import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medllm.document import Extraction, Note, any_entity, any_relation
from medllm.errors import FormatError, InputError, MedllmError, UsageError
from medllm.evaluation import Result, compare, score
from medllm.evaluation.muc import muc
from medllm.evaluation.tables import render

TEXTS = {"a/1": "Aspirin for dull knee pain.", "a/2": "Fever despite paracetamol.", "b": "Nothing to note."}
DRUG, PROBLEM = any_entity("drug"), any_entity("problem")


def note(note_id: str, *spans: tuple[str, int, int]) -> Extraction:
    text = TEXTS[note_id]
    return Extraction(note=Note(id=note_id, text=text), entities=tuple(any_entity(label).at(text, s, e) for label, s, e in spans))


GOLD = {
    "a/1": note("a/1", ("drug", 0, 7), ("problem", 12, 26)),
    "a/2": note("a/2", ("problem", 0, 5), ("drug", 14, 25)),
    "b": note("b"),
}
PRED = {"a/1": note("a/1", ("drug", 0, 7), ("problem", 17, 26)), "a/2": note("a/2", ("problem", 0, 5)), "b": note("b", ("problem", 0, 7))}


def test_a_copy_is_perfect() -> None:
    result = score({"a/1": GOLD["a/1"]}, {"a/1": GOLD["a/1"]}, bootstrap=50)
    assert result.micro.f1 == result.macro.f1 == 1
    assert result.intervals
    assert result.intervals.micro["f1"].low == 1


def test_the_summary_has_the_documented_shape() -> None:
    summary = score(GOLD, PRED).summary()
    assert list(summary) == ["micro", "macro", "labels", "gold", "pred"]
    assert summary["micro"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert summary["labels"]["drug"] == {"precision": 1.0, "recall": 0.5, "f1": 2 / 3}
    assert summary["macro"]["recall"] == 0.5
    assert (summary["gold"], summary["pred"]) == (4, 4)


def test_overlap_and_labels() -> None:
    assert score(GOLD, PRED, "overlap").micro.tp == 3
    only = score(GOLD, PRED, "overlap", labels=["drug"])
    assert (only.labels, only.micro.gold, only.micro.pred) == (("drug",), 2, 1)
    swapped = {**PRED, "b": note("b"), "a/2": note("a/2", ("drug", 0, 5))}
    assert score(GOLD, swapped, "span", labels=["problem"]).micro.tp == 0


def test_results_are_written_and_read_back(tmp_path: Path) -> None:
    result = score(GOLD, PRED, bootstrap=20)
    result.save(tmp_path / "score.json")
    assert Result.load(tmp_path / "score.json") == result
    assert TEXTS["a/1"][:7] not in (tmp_path / "score.json").read_text()
    data = json.loads((tmp_path / "score.json").read_text())
    assert (data["format"], data["version"], data["notes"]["a/1"]["problem"]) == ("medllm-score", 1, [0, 1, 1])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "medllm-score", "version": 2}'])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "score.json").write_text(text)
    with pytest.raises(FormatError) as caught:
        Result.load(tmp_path / "score.json")
    assert caught.value.hint
    with pytest.raises(InputError):
        score(GOLD, PRED).save(tmp_path / "score.json" / "score.json")


def test_a_result_is_scored_again_without_the_notes() -> None:
    result = score(GOLD, PRED)
    assert result.rescore() == result
    assert result.rescore(labels=["drug"]) == score(GOLD, PRED, labels=["drug"])
    assert result.rescore(samples=30, seed=4) == score(GOLD, PRED, bootstrap=30, seed=4)
    with pytest.raises(UsageError, match="device"):
        result.rescore(labels=["device"])


def test_two_systems_are_compared_note_by_note() -> None:
    better, worse = score(GOLD, GOLD), score(GOLD, PRED)
    assert compare(better, worse, samples=200).difference == 0.5
    with pytest.raises(UsageError):
        compare(better, score(GOLD, PRED, "overlap"))
    with pytest.raises(UsageError):
        compare(better, worse.rescore(labels=["drug"]))


def test_missing_notes_count_only_when_allowed() -> None:
    partial = {"a/1": GOLD["a/1"]}
    with pytest.raises(InputError, match="2 gold notes have no prediction: a/2, b"):
        score(GOLD, partial)
    counts = score(GOLD, partial, allow_missing=True).micro
    assert (counts.tp, counts.fp, counts.fn) == (2, 0, 2)


def test_attribute_values_only_predicted_are_spurious_and_no_error() -> None:
    text = TEXTS["a/2"]

    def one(value: str) -> dict[str, Extraction]:
        return {"x": Extraction(note=Note(id="x", text=text), entities=(PROBLEM.at(text, 0, 5, assertion=value),))}

    counts = score(one("present"), one("absent"), "attribute:assertion").counts
    assert {label: (c.tp, c.fp, c.fn) for label, c in counts.items()} == {"absent": (0, 1, 0), "present": (0, 0, 1)}


def test_relations_are_scored_by_their_labels() -> None:
    drug, problem = GOLD["a/1"].entities
    linked = GOLD["a/1"].model_copy(update={"relations": (any_relation("treats")(head=drug, tail=problem),)})
    assert score({"a/1": linked}, {"a/1": linked}, "relations").summary()["labels"]["treats"]["f1"] == 1


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: score({}, {}), "no gold notes"),
        (lambda: score({"b": GOLD["b"]}, PRED), "2 predicted notes are not in gold"),
        (lambda: score(GOLD, PRED, "fuzzy"), "no metric"),
        (lambda: score(GOLD, PRED, labels=["drgu"]), "drgu"),
        (lambda: score(GOLD, {**PRED, "b": note("b", ("Problem", 0, 7))}), "gold does not have: Problem"),
        (lambda: score(GOLD, {**PRED, "b": Extraction(note=Note(id="b", text="Nothing to note"))}), "texts of gold and prediction differ"),
        (lambda: score(GOLD, {**PRED, "b": GOLD["b"].model_copy(update={"entities": (DRUG.at("x" * 99, 3, 98),)})}), "at 3-98 ends past"),
    ],
)
def test_mistakes_are_errors_with_a_hint_and_without_text(run: Callable[[], object], message: str) -> None:
    with pytest.raises(MedllmError, match=message) as caught:
        run()
    assert caught.value.hint
    assert not any(text in str(caught.value) + caught.value.hint for text in TEXTS.values())


def test_muc() -> None:
    pytest.importorskip("nervaluate")
    result = muc(GOLD, PRED)
    counts = {table.name: dict(table.row("overall").counts) for table in result.tables}
    assert [counts["strict"][k] for k in ("correct", "incorrect", "missed", "spurious")] == [2, 1, 1, 1]
    assert [counts["partial"][k] for k in ("correct", "partial", "possible", "actual")] == [2, 1, 4, 4]
    assert counts["ent_type"]["correct"] == 3
    assert muc(GOLD, PRED, ["drug"]).headline.gold == 2
    assert muc(GOLD, {}, allow_missing=True).headline.pred == 0
    with pytest.raises(UsageError, match="drgu"):
        muc(GOLD, PRED, ["drgu"])


def test_the_table() -> None:
    text = render(score(GOLD, PRED, bootstrap=20))
    assert all(word in text for word in ("drug", "problem", "micro", "macro", "95% intervals", "0.5000 ["))
    assert "[" not in render(score(GOLD, PRED))
