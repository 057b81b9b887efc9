"""Suites: the shipped ones hold together, and their gold standard is found, mapped and cut as they say."""

from pathlib import Path

import pytest

from medllm.errors import FormatError, InputError, UsageError
from medllm.evaluation import suite as suites
from medllm.evaluation.from_files import OFFICIAL
from medllm.evaluation.gold import find, read_gold, read_training_texts
from medllm.evaluation.metrics import metric
from medllm.evaluation.subgroups import SUBGROUPS
from medllm.evaluation.suite import Corpus, Suite
from medllm.formats import labelmap, registry
from medllm.schema import Schema
from tests.evaluation.i2b2 import hand_out

SHIPPED = suites.shipped_suites()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_suite_holds_together(name: str) -> None:
    suite = suites.load(name)
    schema = Schema.load(suite.pack_name)
    assert suite.name == name
    assert suite.about
    assert suite.source
    assert registry.reader(suite.corpus.format)
    assert set(suite.labels or ()) <= set(schema.labels)
    assert set(suite.slices) <= set(SUBGROUPS)
    assert all(metric(m) for m in suite.metrics)
    assert suite.official is None or suite.official in OFFICIAL
    assert suite.corpus.split == suites.ALL or suite.corpus.split in suite.corpus.splits
    assert suite.label_map
    rules = labelmap.load(suite.file(suite.label_map))
    labelmap.check(rules, schema)
    assert rules.schema_name == schema.name
    assert set(suite.labels or ()) <= set(rules.entities.values())
    assert suite.corpus.notes is None or suite.file(suite.corpus.notes).is_file()


def test_the_suites_that_are_promised() -> None:
    assert {"kiwi-mtsamples", "kiwi-20", "gpt-mtsamples-valid", "i2b2-2010", "n2c2-2018", "bc5cdr-dev"} <= set(SHIPPED)


def write(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


MINE = "name: mine\nschema: clinical\ncorpus: {format: brat, path: notes}\n"


def test_a_suite_of_ones_own(tmp_path: Path) -> None:
    suite = suites.load(write(tmp_path, MINE + "label_map: map.toml\nreading: {model: 1.5b, chunk_tokens: 128}\n"))
    assert (suite.pack, suite.reading.model, suite.bootstrap.samples) == ("clinical", "1.5b", 1000)
    assert suite.file("map.toml") == tmp_path / "map.toml"
    assert "folder" not in suite.to_json()
    assert Suite.model_validate(suite.to_json()).corpus == suite.corpus


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINE + "metric: exact\n", "metric: Extra inputs"),
        (MINE + "bootstrap: {level: 2}\n", "bootstrap.level"),
        (MINE + "reading: {layout: sideways}\n", "reading.layout"),
        (MINE + "folder: /etc\n", "not a suite"),
        ("name: mine\n", "corpus: Field required"),
        ("- a\n", "not a suite"),
        ("a: [\n", "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_suite(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(FormatError) as error:
        suites.load(write(tmp_path, text))
    assert said in str(error.value)
    assert "mine.yaml" in str(error.value)


def test_an_unknown_suite_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        suites.load("nope")
    assert "kiwi-20" in error.value.hint


def test_settings_can_be_changed(tmp_path: Path) -> None:
    suite = suites.load(write(tmp_path, MINE))
    changed = suite.with_settings({"model": "0.5b", "layout": None}, labels=("drug",), metrics=None, samples=0)
    assert (changed.reading.model, changed.reading.layout, changed.labels, changed.bootstrap.samples) == ("0.5b", "lines", ("drug",), 0)
    with pytest.raises(UsageError, match="layout"):
        suite.with_settings({"layout": "sideways"}, labels=None, metrics=None, samples=None)


def test_where_a_corpus_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus(format="brat", path="kiwi/train")
    monkeypatch.delenv("MEDLLM_DATA", raising=False)
    with pytest.raises(InputError, match="MEDLLM_DATA is not set"):
        find(corpus, None)
    (tmp_path / "kiwi" / "train").mkdir(parents=True)
    assert find(corpus, tmp_path) == tmp_path / "kiwi" / "train"
    assert find(corpus, tmp_path / "kiwi" / "train") == tmp_path / "kiwi" / "train"
    monkeypatch.setenv("MEDLLM_DATA", str(tmp_path))
    assert find(corpus, None) == tmp_path / "kiwi" / "train"
    with pytest.raises(InputError, match="is not there"):
        find(Corpus(format="brat", path="other"), None)
    with pytest.raises(InputError, match="no such folder"):
        find(corpus, tmp_path / "other")


@pytest.mark.parametrize("inside", [".", "i2b2-2010"])
def test_i2b2_as_it_is_handed_out(tmp_path: Path, inside: str) -> None:
    hand_out(tmp_path / inside)
    suite = suites.load("i2b2-2010")
    schema = Schema.load(suite.pack_name)
    (note,) = read_gold(suite, schema, data=tmp_path).notes.values()
    assert [(e.text, e.attributes.get("assertion")) for e in note.entities] == [
        ("chest pain", "present"),
        ("fever", "absent"),
        ("aspirin", None),
        ("his pain", "present"),
    ]
    assert [(r.label, r.head.text, r.tail.text) for r in note.relations] == [("TrAP", "aspirin", "his pain")]
    assert len(read_gold(suite, schema, data=tmp_path, split="all").notes) == 2
    assert read_training_texts(suite, schema, data=tmp_path) == {"chest pain"}
    with pytest.raises(UsageError, match="no split 'dev'"):
        read_gold(suite, schema, data=tmp_path, split="dev")


def brat(folder: Path, **texts: str) -> Path:
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
        (folder / f"{name}.ann").write_text(f"T1\tproblem 0 {len(text)}\t{text}\n")
    return folder


def test_a_list_of_notes_and_a_limit(tmp_path: Path) -> None:
    brat(tmp_path / "notes", a="gout", b="rash", c="fever")
    (tmp_path / "list.txt").write_text("# two\nc\na\n")
    suite = suites.load(write(tmp_path, MINE.replace("path: notes", "path: notes, notes: list.txt")))
    schema = Schema.load("clinical")
    assert list(read_gold(suite, schema, data=tmp_path).notes) == ["a", "c"]
    assert list(read_gold(suite, schema, data=tmp_path, limit=1).notes) == ["a"]
    (tmp_path / "list.txt").write_text("a\nz\n")
    with pytest.raises(InputError, match="1 listed notes are not there, such as 'z'"):
        read_gold(suite, schema, data=tmp_path)


def test_no_note_of_the_split(tmp_path: Path) -> None:
    brat(tmp_path / "notes", a="gout")
    corpus = "path: notes, split: test, splits: {test: ['*test/*']}"
    suite = suites.load(write(tmp_path, MINE.replace("path: notes", corpus)))
    with pytest.raises(InputError, match="no annotated note of the split 'test'") as error:
        read_gold(suite, Schema.load("clinical"), data=tmp_path)
    assert "--split all" in error.value.hint


def test_labels_that_the_map_lacks_are_an_error(tmp_path: Path) -> None:
    brat(tmp_path / "notes", a="gout")
    (tmp_path / "map.toml").write_text('corpus = "mine"\nschema = "clinical"\n[entities]\nDrug = "drug"\n')
    suite = suites.load(write(tmp_path, MINE + "label_map: map.toml\n"))
    with pytest.raises(FormatError, match="no entity label 'problem'"):
        read_gold(suite, Schema.load("clinical"), data=tmp_path)


def test_labels_that_the_pack_lacks_are_an_error_where_there_is_no_map(tmp_path: Path) -> None:
    folder = brat(tmp_path / "notes", a="gout", b="rash")
    (folder / "b.ann").write_text("T1\tSign 0 4\trash\nT2\tproblem 0 4\trash\n")
    with pytest.raises(InputError, match=r"1 gold mentions have labels .*b\.ann:1: .*'Sign'") as error:
        read_gold(suites.load(write(tmp_path, MINE)), Schema.load("clinical"), data=tmp_path)
    assert "--label-map" in error.value.hint


def test_a_note_without_its_annotations_is_not_gold(tmp_path: Path) -> None:
    folder = brat(tmp_path / "notes", a="gout", b="rash")
    (folder / "b.ann").unlink()
    found = read_gold(suites.load(write(tmp_path, MINE)), Schema.load("clinical"), data=tmp_path)
    assert list(found.notes) == ["a"]
    (told,) = found.problems
    assert "b.txt: missing-file" in told
    assert told.endswith("the note is not scored")


def test_problems_of_the_files_are_kept(tmp_path: Path) -> None:
    folder = brat(tmp_path / "notes", a="gout")
    (folder / "a.ann").write_text("T1\tproblem 0 4\tgout\nT2\tproblem 2 90\tx\n")
    found = read_gold(suites.load(write(tmp_path, MINE)), Schema.load("clinical"), data=tmp_path)
    assert len(found.problems) == 1
    assert "a.ann:2" in found.problems[0]
