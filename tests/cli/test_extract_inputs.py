"""``medllm extract`` on what is no plain text: a database, documents, messages; the ledger tells what was not read."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from medllm.document import Note
from medllm.engines.replay import Recorder
from medllm.pipeline import Extractor
from medllm.schema import Schema
from tests.scripted import Reader, Scripted

MARKER = "zanzibar"
TEXT = f"Patient {MARKER} has fever."


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "recording.jsonl"
    schema = Schema.load("clinical")
    with Extractor(schema, engine=Recorder(Scripted(Reader(schema, {"fever": "problem"})), path)) as extractor:
        asyncio.run(extractor.read(Note(id="a", text=TEXT)))
    return str(path)


def extract(recording: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        "from medllm.cli import main; main()",
        "extract",
        "--engine",
        "replay",
        "--model",
        recording,
    ]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.fixture
def database(tmp_path: Path) -> str:
    pytest.importorskip("sqlalchemy")
    connection = sqlite3.connect(tmp_path / "hunter2.db")
    connection.execute("create table note (note_id integer, note_text text)")
    connection.executemany("insert into note values (?, ?)", [(7, TEXT), (8, None)])
    connection.commit()
    connection.close()
    return f"sqlite:///{tmp_path / 'hunter2.db'}"


QUERY = ("--query", "select note_id, note_text from note order by note_id", "--id-column", "note_id")


@pytest.mark.parametrize("by_environment", [False, True])
def test_the_notes_of_a_database(recording: str, database: str, tmp_path: Path, by_environment: bool) -> None:
    out = tmp_path / "out"
    given = () if by_environment else ("--from", database)
    done = extract(recording, *given, *QUERY, "-o", str(out), **({"MEDLLM_DATABASE": database} if by_environment else {}))
    assert done.returncode == 3, done.stderr
    (found,) = map(json.loads, (out / "extractions.jsonl").read_text().splitlines())
    assert (found["note_id"], [m["text"] for m in found["entities"]]) == ("query/7", ["fever"])
    (missed,) = map(json.loads, (out / "ledger.jsonl").read_text().splitlines())
    assert (missed["note_id"], missed["reason"]) == ("query/8", "no-text")
    kept = "".join(path.read_text() for path in out.rglob("*") if path.is_file() and path.name != "extractions.jsonl")
    assert "hunter2" not in kept + done.stderr + done.stdout
    assert MARKER not in kept + done.stderr + done.stdout


@pytest.mark.parametrize(
    "arguments", [(), ("--from", "DATABASE"), QUERY[:2], ("notes/", "--from", "DATABASE", *QUERY), ("notes/", "--from", "DATABASE")]
)
def test_inputs_and_a_database_exclude_each_other(recording: str, database: str, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = extract(recording, *(database if a == "DATABASE" else a for a in arguments), "-o", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "hint: such as notes/" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_folder_of_all_kinds_of_files(recording: str, tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    notes = tmp_path / "notes"
    notes.mkdir()
    document = docx.Document()
    document.add_paragraph(TEXT)
    document.save(notes / "word.docx")
    (notes / "page.html").write_text(f"<html><body><p>{TEXT}</p></body></html>")
    (notes / "rich.rtf").write_text(rf"{{\rtf1\ansi {TEXT}}}")
    (notes / "cut.docx").write_bytes((notes / "word.docx").read_bytes()[:-100])
    (notes / "broken.pdf").write_bytes(b"%PDF-1.4\n" + TEXT.encode())
    out = tmp_path / "out"
    done = extract(recording, str(notes), "-o", str(out), "--format", "fhir,spacy,rdf")
    assert done.returncode == 3, done.stderr
    found = [json.loads(line) for line in (out / "extractions.jsonl").read_text().splitlines()]
    assert {x["note_id"]: x["text"] for x in found} == dict.fromkeys(("word", "page", "rich"), TEXT)
    ledger = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
    assert {(e["note_id"], e["reason"]) for e in ledger} == {("cut", "unreadable"), ("broken", "unreadable")}
    assert MARKER not in done.stderr + (out / "ledger.jsonl").read_text()
    assert (out / "fhir" / "word.json").exists()
    assert (out / "rdf" / "page.ttl").exists()
    assert (out / "spacy" / "docs-0001.spacy").exists()


def test_bad_input_costs_a_line_each_and_the_rest_is_read(recording: str, tmp_path: Path) -> None:
    pytest.importorskip("docx")
    pytest.importorskip("fhir.resources.R4B")
    from tests.formats.test_documents import attachment, bomb, pdf, reference

    notes = tmp_path / "notes"
    notes.mkdir()
    whole = pdf(TEXT)
    (notes / "cut.pdf").write_bytes(whole[: len(whole) // 2])
    (notes / "locked.pdf").write_bytes(pdf(TEXT, password="secret"))
    (notes / "bomb.docx").write_bytes(bomb())
    for name in ("giant.txt", "huge.pdf"):
        (notes / name).touch()
        os.truncate(notes / name, 1 << 30)
    (notes / "latin.txt").write_bytes(f"{TEXT} Fièvre.".encode("latin-1"))
    (notes / "rows.csv").write_bytes(f"id,text\n1,{TEXT}\n2,Fi\xe8vre\n3,{TEXT}\n".encode("latin-1"))
    (notes / "ok.txt").write_text(TEXT)
    bad = {"resourceType": "DocumentReference", "id": "bad", "status": MARKER}
    entries = [{"resource": r} for r in (bad, reference("good", attachment(TEXT)))]
    (tmp_path / "bundle.json").write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    out = tmp_path / "out"
    done = extract(recording, str(notes), f"fhir:{tmp_path / 'bundle.json'}", "--id-column", "id", "-o", str(out))
    assert done.returncode == 3, done.stderr
    read = [json.loads(line)["text"] for line in (out / "extractions.jsonl").read_text().splitlines()]
    assert read == [TEXT] * 4
    ledger = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
    reasons = sorted(entry["reason"] for entry in ledger)
    assert reasons == sorted(["unreadable", "unreadable", "too-large", "too-large", "too-large", "encoding", "encoding", "malformed-row"])
    assert all(entry["detail"] for entry in ledger)
    assert MARKER not in done.stderr + (out / "ledger.jsonl").read_text()


def test_a_column_that_is_not_there_stops_before_work_begins(recording: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(f"id,text\n1,{TEXT}\n")
    done = extract(recording, str(tmp_path / "rows.csv"), "--text-column", "report", "-o", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "report" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "extractions.jsonl").exists() or not (tmp_path / "out" / "extractions.jsonl").read_text()
