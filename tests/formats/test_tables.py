"""CSV and Parquet of mentions and relations; the registry; private files."""

import csv
import importlib.metadata
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from medllm.document import Assertion, Entity, Extraction, Note, Relation, any_entity
from medllm.errors import FormatError
from medllm.formats import registry
from medllm.formats.base import Writer
from medllm.formats.files import open_private
from medllm.schema import Schema


class Problem(Entity):
    """A problem."""

    assertion: Assertion = Assertion.PRESENT


class Drug(Entity):
    """A drug."""


class Treats(Relation[Drug, Problem]):
    """The drug is given for the problem."""


SCHEMA = Schema("table-test", entities=[Problem, Drug], relations=[Treats])
TEXT = 'aspirin, for\r\n"pain" here'


def extraction() -> Extraction:
    drug = Drug.at(TEXT, 0, 7, codes=("MESH:D1", "X:2"))
    pain = Problem.at(TEXT, 9, 20, 21, 25, id="T7", assertion=Assertion.ABSENT, confidence=0.25)
    return Extraction(note=Note(id="a/b", text=TEXT), entities=(drug, pain), relations=(Treats(head=drug, tail=pain),))


def save(name: str, path: Path, *extractions: Extraction, schema: Schema | None = None) -> None:
    writer: Writer = registry.writer(name)(path, schema)
    for one in extractions:
        writer.write(one)
    writer.close()
    writer.close()  # a second time does no harm


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


MENTIONS = [
    {
        "note_id": "a/b",
        "id": "T1",
        "label": "drug",
        "start": "0",
        "end": "7",
        "spans": "0 7",
        "text": "aspirin",
        "codes": "MESH:D1;X:2",
        "assertion": "",
        "confidence": "",
    },
    {
        "note_id": "a/b",
        "id": "T7",
        "label": "problem",
        "start": "9",
        "end": "25",
        "spans": "9 20;21 25",
        "text": 'for\r\n"pain" here',
        "codes": "",
        "assertion": "absent",
        "confidence": "0.25",
    },
]


@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_csv(tmp_path, schema):
    save("csv", tmp_path / "out", extraction(), schema=schema)
    assert rows(tmp_path / "out" / "mentions.csv") == MENTIONS
    (relation,) = rows(tmp_path / "out" / "relations.csv")
    assert relation == {
        "note_id": "a/b",
        "id": "R1",
        "label": "Treats",
        "head": "T1",
        "tail": "T7",
        "head_label": "drug",
        "tail_label": "problem",
        "head_text": "aspirin",
        "tail_text": 'for\r\n"pain" here',
        "confidence": "",
    }
    assert sorted(os.listdir(tmp_path / "out")) == ["mentions.csv", "notes.csv", "relations.csv"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "out").iterdir()} == {0o600}


def test_columns_of_all_notes_are_found_and_kept_apart(tmp_path):
    note = Note(id="n", text="abc")
    first = any_entity("x").at("abc", 0, 1, severity="high", start="early")
    second = any_entity("y").at("abc", 1, 2, negated=True)
    save("csv", tmp_path, Extraction(note=note, entities=(first,)), Extraction(note=note, entities=(second,)))
    one, two = rows(tmp_path / "mentions.csv")
    assert list(one)[-4:] == ["severity", "attribute_start", "negated", "confidence"]
    assert (one["start"], one["attribute_start"], two["negated"], two["severity"]) == ("0", "early", "yes", "")


def test_no_notes_make_empty_tables_with_all_columns(tmp_path):
    save("csv", tmp_path, schema=SCHEMA)
    assert (tmp_path / "mentions.csv").read_bytes() == b"note_id,id,label,start,end,spans,text,codes,assertion,confidence\r\n"


def test_parquet(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    odd = any_entity("x").at("a\ud800\0", 0, 3)
    save("parquet", tmp_path, extraction(), Extraction(note=Note(id="o", text="a\ud800\0"), entities=(odd,)))
    table = pq.read_table(tmp_path / "mentions.parquet")
    assert [(n, str(t)) for n, t in zip(table.schema.names, table.schema.types, strict=True) if str(t) != "string"] == [
        ("start", "int64"),
        ("end", "int64"),
        ("confidence", "double"),
    ]
    first, second, third = table.to_pylist()
    assert (first["assertion"], first["confidence"], second["end"], third["text"]) == (None, None, 25, "a\ufffd\0")
    assert len(pq.read_table(tmp_path / "relations.parquet")) == 1
    assert stat.S_IMODE((tmp_path / "mentions.parquet").stat().st_mode) == 0o600


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FormatError) as caught:
        registry.writer("parquet")(tmp_path, None)
    assert caught.value.hint == "pip install medllm[parquet]"


def test_the_tables_are_three_files(tmp_path):
    with pytest.raises(FormatError) as caught:
        registry.writer("csv")(tmp_path / "out.csv", None)
    assert "folder" in caught.value.hint


@pytest.mark.parametrize("name", sorted(registry.WRITERS))
def test_writers_that_cannot_write(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(FormatError, match="cannot be written"):
        save(name, tmp_path / "file" / "below", extraction())


# --- the registry ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["brat", "jsonl"])  # corpus formats hold less: test_corpus_round_trips.py
def test_what_a_writer_writes_its_reader_reads(tmp_path, name):
    save(name, tmp_path / "out", extraction())
    (parsed,) = registry.reader(name)(tmp_path / "out", SCHEMA)
    assert [e.text for e in parsed.extraction.entities] == ["aspirin", 'for\r\n"pain" here']
    assert parsed.extraction.relations_of(Treats)
    assert parsed.problems == ()
    (path,) = [p for p in (tmp_path / "out").rglob("*") if p.suffix in (".ann", ".jsonl")]
    (again,) = registry.reader(name)(path, SCHEMA)
    assert again.extraction.entities == parsed.extraction.entities


@pytest.mark.parametrize("find", [registry.reader, registry.writer])
def test_an_unknown_format_lists_the_names(find):
    with pytest.raises(FormatError) as caught:
        find("xlsx")
    assert "brat, " in caught.value.hint
    assert "jsonl" in caught.value.hint


def test_formats_from_entry_points(monkeypatch):
    entry = importlib.metadata.EntryPoint("mine", "no_such_module:x", registry.GROUP)
    entries = importlib.metadata.EntryPoints([entry])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **kwargs: entries.select(**kwargs))
    with pytest.raises(FormatError, match="cannot be loaded"):
        registry.reader("mine")
    with pytest.raises(FormatError) as caught:
        registry.reader("other")
    assert "mine" in caught.value.hint
    plugin = SimpleNamespace(read=lambda path, schema: iter(()))
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: plugin)
    assert registry.reader("mine") is plugin.read
    with pytest.raises(FormatError, match="can be written"):
        registry.writer("mine")


# --- files -----------------------------------------------------------------------------------------------------------


def test_private_files(tmp_path):
    path = tmp_path / "a" / "b" / "x.txt"
    with open_private(path) as file:
        file.write("é\r\n\n")
    with open_private(path, "a") as file:
        file.write("\ud800")
    assert path.read_bytes() == b"\xc3\xa9\r\n\n\xed\xa0\x80"
    with pytest.raises(FileExistsError):
        open_private(path, "x")
    path.chmod(0o644)
    with open_private(path, "wb") as binary:
        binary.write(b"\0")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path.parent.parent)} == {0o700}


def test_privacy_does_not_depend_on_the_umask(tmp_path):
    before = os.umask(0)
    try:
        open_private(tmp_path / "x" / "y").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "x" / "y").stat().st_mode) == 0o600
