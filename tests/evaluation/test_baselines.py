"""The baselines' dictionary, and that no note's own gold is ever used for it."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from medllm.document import Extraction, Note, any_entity
from medllm.formats import jsonl
from medllm.schema import Schema

FOLDER = Path(__file__).parents[2] / "evals" / "baselines"
LABELS = ["problem", "test", "treatment", "drug"]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(FOLDER))
    names = ("adapter", "dictionary", "folds")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


def note(note_id: str, text: str, **found: str) -> Extraction:
    entities = [any_entity(label).at(text, text.index(t), text.index(t) + len(t)) for label, t in found.items()]
    return Extraction(note=Note(id=note_id, text=text), entities=tuple(entities))


GOLD = {
    x.note.id: x
    for x in (
        note("a", "Takes zumibol daily.\nHas a fever today.\n", drug="zumibol", problem="fever"),
        note("b", "Had an X-ray of the chest.\nHas a fever today.\n", test="X-ray", problem="fever"),
        note("c", "Reports dull pain.\n", problem="dull pain"),
        note("d", "Reports  DULL pain.", problem="DULL pain"),
        note("e", "Given oxygen for hypoxia.", treatment="oxygen", problem="hypoxia"),
    )
}


def test_longest_term_first_with_its_commonest_label(scripts: dict[str, ModuleType]) -> None:
    found, sentence = scripts["adapter"].Found, scripts["adapter"].Sentence
    train = [
        sentence("chest pain", (found(0, 10, "problem"),)),
        sentence("pain control", (found(0, 4, "problem"), found(0, 12, "treatment"))),
        sentence("PAIN", (found(0, 4, "test"),)),
        sentence("pain", (found(0, 4, "problem"),)),
    ]
    dictionary = scripts["dictionary"].Dictionary.learn(train)
    text = "No Chest pain, pain-free, painless; pain."
    assert [(text[m.start : m.end], m.label) for m in dictionary.find(text)] == [
        ("Chest pain", "problem"),
        ("pain", "problem"),
        ("pain", "problem"),
    ]


def test_terms_that_are_seldom_mentions_can_be_left_out(scripts: dict[str, ModuleType]) -> None:
    found, sentence = scripts["adapter"].Found, scripts["adapter"].Sentence
    train = [sentence("T 98", (found(0, 1, "test"),)), sentence("t and t", ()), sentence("gout", (found(0, 4, "problem"),))]
    learn = scripts["dictionary"].Dictionary.learn
    assert {label for label in learn(train).terms.values()} == {"test", "problem"}
    assert list(learn(train, least=0.5).written.values()) == ["gout"]


def test_every_note_is_scored_once(scripts: dict[str, ModuleType]) -> None:
    split = scripts["folds"].split(GOLD, 3)
    assert sorted(n for fold in split for n in fold) == sorted(GOLD)
    assert split == scripts["folds"].split(dict(reversed(GOLD.items())), 3)


def test_notes_of_one_text_are_in_one_fold(scripts: dict[str, ModuleType]) -> None:
    same = {f"n{i}": note(f"n{i}", "No  fever." if i % 2 else "no fever.") for i in range(6)} | {"other": note("other", "Fine.")}
    assert sorted(map(len, scripts["folds"].split(same, 2))) == [1, 6]


def test_no_note_sees_its_own_gold(scripts: dict[str, ModuleType]) -> None:
    schema = Schema.load("clinical")
    for note_id in GOLD:
        record = scripts["folds"].fold_record(GOLD, [note_id], schema, LABELS)
        own = {scripts["folds"].squeezed(line) for line in GOLD[note_id].note.text.splitlines()}
        trained = [s["text"] for s in record["train"]]
        assert not own & {scripts["folds"].squeezed(text) for text in trained}
        assert [n["id"] for n in record["notes"]] == [note_id]
        assert set(record["notes"][0]) == {"id", "text"}
    text = json.dumps(scripts["folds"].fold_record(GOLD, ["a"], schema, LABELS)["train"])
    assert "zumibol" not in text
    assert "fever" not in text  # the sentence stands in b as well, and is left out there
    assert "hypoxia" in text


def test_a_term_of_one_note_is_not_found_in_it(scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts["folds"].write_folds(tmp_path / "folds.jsonl", GOLD, Schema.load("clinical"), LABELS, folds=5)
    monkeypatch.setattr(sys, "argv", ["dictionary.py", str(tmp_path / "folds.jsonl"), str(tmp_path / "out.jsonl")])
    dictionary = scripts["dictionary"]
    scripts["adapter"].main("dictionary", dictionary.predict, [], dictionary.add_options)
    pred = {x.note.id: x for x in jsonl.read(tmp_path / "out.jsonl")}
    assert pred.keys() == GOLD.keys()
    assert all(pred[n].note.text == GOLD[n].note.text for n in GOLD)
    assert [(e.text, e.label) for e in pred["a"].entities] == []
    assert [e.text for e in pred["e"].entities] == []


def test_positions_survive_the_sentences(scripts: dict[str, ModuleType]) -> None:
    record = scripts["folds"].fold_record(GOLD, ["e"], Schema.load("clinical"), LABELS)
    mentions = [s["text"][start:end] for s in record["train"] for start, end, _ in s["mentions"]]
    assert sorted(mentions) == ["DULL pain", "X-ray", "dull pain", "fever", "fever", "zumibol"]


def test_windows_are_whole_lines(scripts: dict[str, ModuleType]) -> None:
    text = "one two\nthree four\n\nfive six seven eight\nnine"
    found = [text[a:b] for a, b in scripts["adapter"].windows(text, 4)]
    assert "".join(found) == text
    assert all(len(part.split()) <= 4 for part in found)


def test_a_system_that_cannot_run_says_why(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scripts["folds"].write_folds(tmp_path / "folds.jsonl", GOLD, Schema.load("clinical"), LABELS, folds=2)
    monkeypatch.setattr(sys, "argv", ["x.py", str(tmp_path / "folds.jsonl"), str(tmp_path / "out.jsonl")])

    def predict(fold: object, options: object) -> Iterator[object]:
        scripts["adapter"].require("no-such-package-of-medllm", "it is made up")
        yield fold

    with pytest.raises(SystemExit) as ended:
        scripts["adapter"].main("x", predict, [])
    assert ended.value.code == 77
    assert "no-such-package-of-medllm is not installed" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()
