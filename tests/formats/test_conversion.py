"""``medllm convert``: between any two formats, and what the second cannot hold is counted."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from medllm.document import Extraction, LedgerEntry, Note, Vote, any_entity, any_relation
from medllm.errors import FormatError, UsageError
from medllm.formats import jsonl, registry
from medllm.formats.conversion import convert
from medllm.formats.holding import HELD, Feature, features, held

TEXT = "Ms Qwyzzk  took aspirin\ndaily\nfor her severe chest pain ."


def rich() -> Extraction:
    """Something of every feature, in a form that the formats of corpora admit too."""

    def at(phrase: str) -> tuple[int, int]:
        return TEXT.index(phrase), TEXT.index(phrase) + len(phrase)

    votes = (Vote(reader="llm", model="m", score=0.5),)
    drug = any_entity("medication").at(TEXT, *at("aspirin"), id="T1", codes=("MESH:D001241",), confidence=0.75, votes=votes)
    often = any_entity("frequency").at(TEXT, *at("daily"), id="T2", codes=("MESH:D000001",))
    long = any_entity("reason").at(TEXT, *at("severe chest pain"), id="T3", codes=("MESH:D002637",), assertion="absent")
    parted = any_entity("reason").at(TEXT, *at("severe"), *at("pain"), id="T4", codes=("MESH:D010146",))
    alone = any_entity("subject").at(TEXT, *at("her"), id="T5")
    relations = (any_relation("frequency")(id="R1", head=drug, tail=often), any_relation("reason")(id="R2", head=drug, tail=parted))
    ledger = (LedgerEntry(note_id="n", reader="llm", reason="context", start=0, end=2),)
    note = Note(id="n", text=TEXT, meta={"ward": "B2"})
    return Extraction(note=note, entities=(drug, often, alone, long, parted), relations=relations, ledger=ledger)


@pytest.fixture
def source(tmp_path: Path) -> str:
    jsonl.write(tmp_path / "in.jsonl", [rich()])
    return f"jsonl:{tmp_path / 'in.jsonl'}"


def test_the_sample_has_everything() -> None:
    assert features(rich()).keys() == set(Feature)


@pytest.mark.parametrize("name", sorted(registry.WRITERS))
def test_what_a_format_holds_is_what_comes_back(name: str, source: str, tmp_path: Path) -> None:
    result = convert(source, f"{name}:{tmp_path / 'out'}")
    assert (result.notes, result.mentions, result.relations, result.faults) == (1, 5, 2, 0)
    assert result.lost == {what: n for what, n in features(rich()).items() if what not in HELD[name]}
    (back,) = [p.extraction for p in registry.reader(name)(tmp_path / "out", None)]
    found = features(back)
    rich_has = features(rich())
    same_text = back.note.text == TEXT
    assert same_text == (Feature.TEXT in HELD[name])
    exceptions = {
        "cmeie": {Feature.VOTES, Feature.OVERLAPS},  # it says of its own mentions how they were placed
        "i2b2-2009": {Feature.ATTRIBUTES, Feature.MENTIONS, Feature.OVERLAPS},  # entries of a medication, and what they name
        "medmentions": {Feature.RELATIONS},
    }.get(name, set())
    for what in set(Feature) - {Feature.TEXT, Feature.MENTIONS} - exceptions:
        if what in HELD[name]:
            assert found[what] >= min(1, rich_has[what]), what
        else:
            assert found[what] == 0, what


def test_every_format_that_is_written_says_what_it_holds() -> None:
    assert HELD.keys() == registry.WRITERS.keys()
    assert registry.WRITERS.keys() <= registry.READERS.keys()


@pytest.mark.parametrize("middle", ["spacy", "label-studio", "fhir", "rdf", "graphml", "neo4j", "csv", "web-annotation", "omop", "doccano"])
def test_a_way_there_and_back_keeps_the_offsets(middle: str, source: str, tmp_path: Path) -> None:
    convert(source, f"{middle}:{tmp_path / 'middle'}")
    convert(f"{middle}:{tmp_path / 'middle'}", f"jsonl:{tmp_path / 'out.jsonl'}")
    (back,) = jsonl.read(tmp_path / "out.jsonl")
    wanted = rich()
    assert back.note.text == TEXT
    assert {(e.label, e.span) for e in back.entities} == {(e.label, e.span) for e in wanted.entities}
    if Feature.PARTS in HELD[middle]:
        assert {e.spans for e in back.entities} == {e.spans for e in wanted.entities}


def test_notes_without_annotations_can_be_converted(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Fever.")
    (tmp_path / "notes" / "b.txt").write_bytes(b"\0\1")
    result = convert(f"txt:{tmp_path / 'notes'}", f"jsonl:{tmp_path / 'out.jsonl'}")
    assert [x.note.id for x in jsonl.read(tmp_path / "out.jsonl")] == ["a"]
    assert (result.notes, result.faults) == (1, 1)
    assert not result.whole


def test_a_table_of_notes_can_be_converted(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,ward\nFever.,B2\n")
    convert(f"csv:{tmp_path / 't.csv'}", f"jsonl:{tmp_path / 'out.jsonl'}")
    assert [x.note for x in jsonl.read(tmp_path / "out.jsonl")] == [Note(id="t/1", text="Fever.", meta={"ward": "B2"})]


def test_a_schema_tells_what_it_does_not_admit(source: str, tmp_path: Path) -> None:
    from medllm.schema import Schema

    convert(source, f"brat:{tmp_path / 'brat'}")
    result = convert(f"brat:{tmp_path / 'brat'}", f"csv:{tmp_path / 'csv'}", Schema.load("clinical"))
    assert {p.kind for p in result.problems} >= {"unknown-label"}
    assert result.faults == len(result.problems)


@pytest.mark.parametrize(("source", "target"), [("brat", "csv:x"), ("brat:", "csv:x"), ("brat:x", "out.csv"), (":x", "csv:y")])
def test_what_is_no_format_and_path(source: str, target: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert(source, target)
    assert "such as" in caught.value.hint


def test_the_source_is_not_written_over(source: str) -> None:
    with pytest.raises(UsageError):
        convert(source, source)


@pytest.mark.parametrize(("source", "target"), [("nonesuch:x", "csv:y"), ("brat:nowhere", "csv:y"), ("brat:nowhere", "nonesuch:y")])
def test_formats_and_paths_that_are_not_there(source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError):
        convert(source, target)


def test_formats_of_others_may_tell_what_they_hold(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def __init__(self, path: Path, schema: object) -> None: ...
        def write(self, extraction: Extraction) -> None: ...
        def close(self) -> None: ...

    entries = importlib.metadata.EntryPoints([importlib.metadata.EntryPoint("mine", "x:y", registry.GROUP)])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **kwargs: entries.select(**kwargs))
    plugin = SimpleNamespace(Writer=Nothing)
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: plugin)
    silent = convert(source, f"mine:{tmp_path / 'out'}")
    assert (silent.told, silent.whole) == (False, False)
    plugin.holds = {Feature.TEXT}
    assert held("mine") == {Feature.TEXT}
    assert convert(source, f"mine:{tmp_path / 'out'}").lost[Feature.RELATIONS] == 2


def test_from_the_command_line(source: str, tmp_path: Path) -> None:
    def medllm(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", "from medllm.cli import main; main()", "convert", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    done = medllm(source, "doccano:out", "--strict")
    assert done.returncode == 3
    assert "doccano cannot hold codes of mentions: 4" in done.stderr
    assert "1 notes, 5 mentions, 2 relations: doccano:out" in done.stderr
    assert "Qwyzzk" not in done.stderr + done.stdout
    assert json.loads((tmp_path / "out" / "doccano.jsonl").read_text())["note_id"] == "n"
    assert medllm(source, "doccano:out").returncode == 0
    assert medllm(source, "jsonl:again.jsonl", "--strict").returncode == 0
    wrong = medllm(source, "somewhere")
    assert wrong.returncode == 2
    assert "hint: such as" in wrong.stderr
