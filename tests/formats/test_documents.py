"""Notes in documents (PDF, Word, HTML, RTF), HL7 v2 messages, FHIR resources, OMOP tables, Arrow files and databases."""

import base64
import contextlib
import csv
import io
import json
import logging
import os
import sqlite3
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm.document import Note
from medllm.errors import InputError, MedllmError, UsageError
from medllm.formats import documents
from medllm.formats.decoding import Refusal
from medllm.formats.inputs import Unreadable, read_inputs
from medllm.formats.sql import read_query

SECRET = "Mrs Qwyzzk has fever"


def read(*paths: Path | str, **options: Any) -> list[Note | Unreadable]:
    return list(read_inputs([str(p) for p in paths], **options))


def told(items: list[Note | Unreadable]) -> list[tuple[str, str]]:
    return [(i.id, i.reason if isinstance(i, Unreadable) else i.text) for i in items]


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- PDF -------------------------------------------------------------------------------------------------------------


def pdf(*pages: str, password: str = "") -> bytes:
    """A PDF file with a line of text on each page."""
    pypdf = pytest.importorskip("pypdf")
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {NameObject(k): NameObject(v) for k, v in {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}.items()}
    )
    for text in pages:
        page = writer.add_blank_page(612, 792)
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})})
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() if text else b"")
        page[NameObject("/Contents")] = writer._add_object(content)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def test_pdf_pages_are_kept(tmp_path: Path) -> None:
    (note,) = read(put(tmp_path / "a.pdf", pdf("No fever today.", "", "Chest pain.")))
    assert isinstance(note, Note)
    assert note.text == "No fever today.\n\n\n\nChest pain."
    starts = [int(n) for n in note.meta["page_starts"].split()]
    assert [note.text[s:].partition("\n")[0] for s in starts] == ["No fever today.", "", "Chest pain."]
    assert (note.meta["pages"], note.meta["pages_without_text"]) == ("3", "2")


def test_an_encrypted_pdf_that_opens_without_a_password(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    writer = pypdf.PdfWriter(io.BytesIO(pdf("No fever.")))
    writer.encrypt("", owner_password="x", algorithm="RC4-128")
    stream = io.BytesIO()
    writer.write(stream)
    assert told(read(put(tmp_path / "a.pdf", stream.getvalue()))) == [("a", "No fever.")]


def test_pdf_files_that_cannot_be_read_and_the_rest_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = pdf(SECRET)
    put(tmp_path / "cut.pdf", whole[: len(whole) // 2])
    put(tmp_path / "empty.pdf", b"")
    put(tmp_path / "locked.pdf", pdf(SECRET, password="secret"))
    put(tmp_path / "no.pdf", SECRET)
    put(tmp_path / "ok.pdf", pdf("Fever."))
    put(tmp_path / "scan.pdf", pdf("", ""))
    with caplog.at_level(logging.DEBUG):
        items = read(tmp_path)
    assert told(items) == [
        ("cut", "unreadable"),
        ("empty", "empty"),
        ("locked", "unreadable"),
        ("no", "unreadable"),
        ("ok", "Fever."),
        ("scan", "empty"),
    ]
    details = {i.id: i.detail for i in items if isinstance(i, Unreadable)}
    assert "password" in details["locked"]
    assert "OCR" in details["scan"]
    assert "Qwyzzk" not in "".join(details.values()) + caplog.text


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 700), st.integers(0, 40), st.binary(max_size=8))
def test_no_pdf_is_bad_enough_to_crash(at: int, length: int, garbage: bytes) -> None:
    data = pdf("Fever.", "Pain.")
    with contextlib.suppress(Refusal):
        assert documents.extract("pdf", data[:at] + garbage + data[at + length :], "utf-8").text.strip()


# --- Word ------------------------------------------------------------------------------------------------------------


def docx(*paragraphs: str, rows: list[list[str]] | None = None) -> bytes:
    document = pytest.importorskip("docx").Document()
    for text in paragraphs:
        document.add_paragraph(text)
    if rows:
        table = document.add_table(len(rows), len(rows[0]))
        for row, texts in zip(table.rows, rows, strict=True):
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text
    document.add_paragraph("End.")
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def test_docx_paragraphs_and_tables_in_order(tmp_path: Path) -> None:
    content = docx("History", "No fever\tor pain.", rows=[["Sodium", "138"], ["Potassium\nserum", "4.1"]])
    (note,) = read(put(tmp_path / "a.docx", content))
    assert isinstance(note, Note)
    assert note.text == "History\nNo fever\tor pain.\nSodium\t138\nPotassium serum\t4.1\nEnd.".replace(
        "Potassium serum", "Potassium\nserum"
    )


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx("x"))) as source, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for item in source.infolist():
            target.writestr(item.filename, source.read(item))
        with target.open("word/media/image1.xml", "w", force_zip64=True) as part:
            for _ in range(300):
                part.write(b"\0" * (1 << 20))
    return stream.getvalue()


def test_docx_files_that_cannot_be_read_and_the_rest_goes_on(tmp_path: Path) -> None:
    whole = docx(SECRET)
    put(tmp_path / "bomb.docx", bomb())
    put(tmp_path / "cut.docx", whole[: len(whole) // 2])
    put(tmp_path / "empty.docx", b"")
    put(tmp_path / "locked.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)
    put(tmp_path / "ok.docx", docx("Fever."))
    put(tmp_path / "zip.docx", b"PK\x05\x06" + b"\0" * 18)
    items = read(tmp_path)
    assert told(items) == [
        ("bomb", "too-large"),
        ("cut", "unreadable"),
        ("empty", "empty"),
        ("locked", "unreadable"),
        ("ok", "Fever.\nEnd."),
        ("zip", "unreadable"),
    ]
    details = {i.id: i.detail for i in items if isinstance(i, Unreadable)}
    assert "zip bomb" in details["bomb"]
    assert "password" in details["locked"]
    assert "Qwyzzk" not in "".join(details.values())


@pytest.mark.parametrize("name", ["a.pdf", "a.docx", "a.html", "a.rtf", "a.hl7"])
def test_a_file_of_a_gigabyte_is_not_read(tmp_path: Path, name: str) -> None:
    import tracemalloc

    path = put(tmp_path / name, b"")
    os.truncate(path, 1 << 30)
    tracemalloc.start()
    try:
        assert told(read(path)) == [("a", "too-large")]
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


# --- HTML and RTF ----------------------------------------------------------------------------------------------------


def test_html(tmp_path: Path) -> None:
    page = """<!DOCTYPE html><html><head><title>Not this</title><style>p {}</style><script>var x = "<p>nor this</p>";</script></head>
    <body><h1>History</h1><p>No  fever<br>or <b>chest</b>
    pain &amp; cough.</p><ul><li>aspirin<li>81&nbsp;mg</ul><table><tr><td>Sodium</td><td> 138 </td></tr></table><pre>a
  b</pre><!-- not this --></body></html>"""
    (note,) = read(put(tmp_path / "a.html", page))
    assert isinstance(note, Note)
    assert note.text == "History\nNo fever\nor chest pain & cough.\naspirin\n81\xa0mg\nSodium\t138\na\nb"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ('<meta charset="latin-1"><p>Fièvre'.encode("latin-1"), "Fièvre"),
        ('<meta http-equiv=x content="text/html; charset=windows-1252"><p>Fièvre'.encode("cp1252"), "Fièvre"),
        ("<p>Fièvre".encode("utf-16"), "Fièvre"),
        ("<p>Fièvre".encode("latin-1"), "encoding"),
        (b'<meta charset="nonesuch"><p>x', "encoding"),
        (b"<script>x</script>", "empty"),
        (b"\0\0\0", "binary"),
    ],
)
def test_the_encoding_of_html(tmp_path: Path, content: bytes, wanted: str) -> None:
    assert told(read(put(tmp_path / "a.htm", content))) == [("a", wanted)]


@settings(deadline=None)
@given(st.text(st.sampled_from("<>/=\"' &;!-abptrdh\n"), max_size=60))
def test_no_html_is_bad_enough_to_crash(page: str) -> None:
    documents.extract("html", page.encode(), "utf-8")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 No fi\'e8vre\par Pain\tab now.}", "No fièvre\nPain\tnow."),
        (rb"{\rtf1\ansi\uc1 \u21457?\u28909?}", "发热"),
        (b"", "empty"),
        (b"plain", "unreadable"),
        (rb"{\rtf1 }", "empty"),
    ],
)
def test_rtf(tmp_path: Path, content: bytes, wanted: str) -> None:
    pytest.importorskip("striprtf")
    (item,) = read(put(tmp_path / "a.rtf", content))
    assert (item.reason if isinstance(item, Unreadable) else item.text.strip()) == wanted


MODULES = {"pdf": "pypdf", "docx": "docx", "rtf": "striprtf.striprtf"}


@pytest.mark.parametrize("kind", MODULES)
def test_a_missing_library_is_named_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setitem(sys.modules, MODULES[kind], None)
    put(tmp_path / f"a.{kind}", b"x")
    put(tmp_path / "b.txt", "Fever.")
    first, second = read(tmp_path)
    assert isinstance(first, Unreadable)
    assert "pip install medllm[documents]" in first.detail
    assert isinstance(second, Note)


# --- HL7 v2 ----------------------------------------------------------------------------------------------------------

ORU = (
    "MSH|^~\\&|LAB|H|EHR|H|20310405103000||ORU^R01|MSG1|P|2.5.1\r"
    "PID|1||12345^^^H^MR||DOE^JANE\r"
    "OBR|1|||XR^Chest X-ray^L\r"
    "OBX|1|FT|a||No infiltrate.\\.br\\Heart \\H\\normal\\N\\ size.||||||F\r"
    "OBX|2|TX|b||A \\T\\ B \\F\\ C~second\r"
    "NTE|1||Read twice.\r"
    "OBR|2|||CBC^Blood count\r"
    "OBX|1|NM|hgb||9.1|g/dL\r"
    "OBR|3|||CT^Head CT\r"
    "OBX|1|ST|c||No bleed.\r"
)
MDM = "MSH|^~\\&|A|B|C|D|20310405||MDM^T02|M7|P|2.5\nTXA|1|CN^Consult note\nOBX|1|TX|||Line one\nOBX|2|TX|||Line two\n"


def test_reports_of_an_oru_and_a_document(tmp_path: Path) -> None:
    pytest.importorskip("hl7")
    first, second, third = read(put(tmp_path / "a.hl7", "\x0b" + ORU + "\x1c\r" + MDM))
    assert first == Note(
        id="a/MSG1/1",
        text="No infiltrate.\nHeart normal size.\nA & B | C\nsecond\nRead twice.",
        meta={"message_type": "ORU", "message_time": "20310405103000", "patient_id": "12345", "service": "Chest X-ray"},
    )
    assert isinstance(second, Note)
    assert (second.id, second.text) == ("a/MSG1/2", "No bleed.")
    assert third == Note(id="a/M7", text="Line one\nLine two", meta={"message_type": "MDM", "message_time": "20310405", "service": "CN"})


def test_messages_without_notes_are_told(tmp_path: Path) -> None:
    pytest.importorskip("hl7")
    adt = "MSH|^~\\&|A|B|C|D|2031||ADT^A01|X1|P|2.5\rPID|1\r"
    broken = f"MSH|^\r{SECRET}\r"
    embedded = "MSH|^~\\&|A|B|C|D|2031||MDM^T02|X2|P|2.5\rOBX|1|ED|||^TEXT^html^Base64^" + base64.b64encode(b"<p>Fever.").decode()
    bad = "\rMSH|^~\\&|A|B|C|D|2031||MDM^T02|X3|P|2.5\rOBX|1|ED|||^image^png^Base64^AAAA\r"
    items = read(put(tmp_path / "a.hl7", adt + broken + embedded + bad))
    assert told(items)[0] == ("a/X1", "no-text")
    assert ("a/X2/document-1", "Fever.") in told(items)
    assert ("a/X3/document-1", "no-text") in told(items)
    assert not any("Qwyzzk" in i.detail for i in items if isinstance(i, Unreadable))


def test_what_is_no_hl7(tmp_path: Path) -> None:
    pytest.importorskip("hl7")
    assert told(read(put(tmp_path / "a.hl7", SECRET))) == [("a", "malformed-row")]
    assert told(read(put(tmp_path / "b.hl7", "MSH|^~\\&|\xe8".encode("latin-1")))) == [("b", "encoding")]


# --- FHIR ------------------------------------------------------------------------------------------------------------


def attachment(content: str | bytes, kind: str = "text/plain") -> dict[str, str]:
    data = content if isinstance(content, bytes) else content.encode()
    return {"contentType": kind, "data": base64.b64encode(data).decode()}


def reference(name: str, *attachments: dict[str, str], **more: Any) -> dict[str, Any]:
    return (
        {"resourceType": "DocumentReference", "id": name, "status": "current"}
        | {"content": [{"attachment": a} for a in attachments]}
        | more
    )


REPORT = {"resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": {"text": "Chest X-ray"}}


def fhir(tmp_path: Path, *resources: object, name: str = "b.json") -> list[Note | Unreadable]:
    pytest.importorskip("fhir.resources.R4B")
    if name.endswith(".json"):
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}
        return read(f"fhir:{put(tmp_path / name, json.dumps(bundle))}")
    return read(f"fhir:{put(tmp_path / name, ''.join(json.dumps(r) + chr(10) for r in resources))}")


def test_the_notes_of_a_bundle(tmp_path: Path) -> None:
    patient = {"resourceType": "Patient", "id": "7"}
    note = reference(
        "d", attachment("No fever."), subject={"reference": "Patient/7"}, type={"text": "Progress note"}, date="2031-04-05T10:00:00Z"
    )
    both = reference("e", attachment(pdf("as pdf"), "application/pdf"), attachment("<p>as html", "text/html; charset=utf-8"))
    report = REPORT | {"conclusion": "No infiltrate.", "effectiveDateTime": "2031-04-05"}
    first, second, third = fhir(tmp_path, patient, note, both, report)
    assert first == Note(
        id="b/DocumentReference/d",
        text="No fever.",
        meta={
            "resource_type": "DocumentReference",
            "status": "current",
            "type": "Progress note",
            "date": "2031-04-05T10:00:00Z",
            "patient_id": "7",
        },
    )
    assert isinstance(second, Note)
    assert second.text == "as html"
    assert isinstance(third, Note)
    assert (third.id, third.text, third.meta["type"]) == ("b/DiagnosticReport/r", "No infiltrate.", "Chest X-ray")


def test_resources_one_a_line(tmp_path: Path) -> None:
    items = fhir(tmp_path, reference("a", attachment("Fever.")), REPORT | {"presentedForm": [attachment("Pain.")]}, name="export.ndjson")
    assert told(items) == [("export/DocumentReference/a", "Fever."), ("export/DiagnosticReport/r", "Pain.")]


def test_resources_that_cannot_be_read_and_the_rest_goes_on(tmp_path: Path) -> None:
    items = fhir(
        tmp_path,
        reference("link", {"contentType": "text/plain", "url": "https://example.org/x"}),
        reference("picture", attachment(b"x", "image/png")),
        reference("latin", attachment("Fièvre".encode("latin-1"))),
        reference("named", attachment("Fièvre".encode("latin-1"), "text/plain; charset=latin-1")),
        reference("damaged", attachment(SECRET, "application/pdf")),
        {"resourceType": "DocumentReference", "id": "bad", "status": SECRET, "description": [SECRET]},
        {"id": "none"},
        REPORT,
        reference("ok", attachment("Fever.")),
    )
    assert [(i.removeprefix("b/"), what) for i, what in told(items)] == [
        ("DocumentReference/link", "no-text"),
        ("DocumentReference/picture", "no-text"),
        ("DocumentReference/latin", "encoding"),
        ("DocumentReference/named", "Fièvre"),
        ("DocumentReference/damaged", "unreadable"),
        ("DocumentReference/bad", "malformed-row"),
        ("7", "malformed-row"),
        ("DiagnosticReport/r", "no-text"),
        ("DocumentReference/ok", "Fever."),
    ]
    details = {i.id: i.detail for i in items if isinstance(i, Unreadable)}
    assert "content" in details["b/DocumentReference/bad"]
    assert "not followed" in details["b/DocumentReference/link"]
    assert "Qwyzzk" not in "".join(details.values())


def test_what_is_no_fhir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.json", f'{{"x": "{SECRET}"')
    pytest.importorskip("fhir.resources.R4B")
    (item,) = read(f"fhir:{path}")
    assert isinstance(item, Unreadable)
    assert (item.reason, "Qwyzzk" in item.detail) == ("malformed-row", False)
    monkeypatch.setitem(sys.modules, "fhir.resources.R4B", None)
    with pytest.raises(InputError) as caught:
        read(f"fhir:{path}")
    assert caught.value.hint == "pip install medllm[standards]"


# --- OMOP, Arrow -----------------------------------------------------------------------------------------------------


def test_the_note_table_of_omop(tmp_path: Path) -> None:
    put(tmp_path / "cdm" / "NOTE.csv", "NOTE_ID,PERSON_ID,NOTE_DATE,NOTE_TEXT\n17,3,2031-04-05,No fever.\n18,3,,\n")
    put(tmp_path / "cdm" / "NOTE_NLP.csv", "NOTE_NLP_ID\n1\n")
    wanted = Note(id="NOTE/17", text="No fever.", meta={"person_id": "3", "note_date": "2031-04-05"})
    for name in (tmp_path / "cdm", tmp_path / "cdm" / "NOTE.csv"):
        first, second = read(f"omop:{name}")
        assert first == wanted
        assert isinstance(second, Unreadable)
    with pytest.raises(InputError, match="no column note_text"):
        read(f"omop:{put(tmp_path / 'x' / 'note.csv', 'note_id,text')}")


def test_the_note_table_as_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"note_id": [17], "note_text": ["No fever."], "person_id": [3]}), tmp_path / "note.parquet")
    assert read(f"omop:{tmp_path}") == [Note(id="note/17", text="No fever.", meta={"person_id": "3"})]


@pytest.mark.parametrize("stream", [False, True])
def test_arrow_files_and_streams(tmp_path: Path, stream: bool) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"text": [f"Fever {n}." for n in range(600)], "ward": ["B"] * 600})
    path = tmp_path / "a.arrow"
    with pa.OSFile(str(path), "wb") as file, (pa.ipc.new_stream if stream else pa.ipc.new_file)(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    items = read(path)
    assert len(items) == 600
    assert items[599] == Note(id="a/600", text="Fever 599.", meta={"ward": "B"})
    with pytest.raises(InputError, match="it has text, ward"):
        read(path, text_column="body")


def test_a_broken_arrow_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    put(tmp_path / "a.arrow", b"ARROW1\0\0nothing")
    put(tmp_path / "b.feather", b"nothing")
    put(tmp_path / "c.txt", "Fever.")
    assert told(read(tmp_path)) == [("a", "unreadable"), ("b", "unreadable"), ("c", "Fever.")]


def test_a_folder_of_parquet_parts(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    for year in (2030, 2031):
        put(tmp_path / f"year={year}" / "x", b"")
        pq.write_table(pa.table({"text": ["Fever.", "Pain."]}), tmp_path / f"year={year}" / "part-0.parquet")
    assert [i.id for i in read(tmp_path)] == [f"year={y}/part-0/{n}" for y in (2030, 2031) for n in (1, 2)]


# --- databases -------------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> str:
    pytest.importorskip("sqlalchemy")
    path = tmp_path / "notes.db"
    connection = sqlite3.connect(path)
    connection.execute("create table notes (id integer, text text, ward text)")
    connection.executemany(
        "insert into notes values (?, ?, ?)", [(7, "No fever.", "B2"), (8, None, "B2"), (7, "Again.", None), (9, "Pain.", "C")]
    )
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


def test_the_rows_of_a_query(database: str) -> None:
    items = list(read_query(database, "select * from notes order by rowid", id_column="id"))
    assert items[0] == Note(id="query/7", text="No fever.", meta={"ward": "B2"})
    assert told(items) == [("query/7", "No fever."), ("query/8", "no-text"), ("query/7", "duplicate-id"), ("query/9", "Pain.")]
    assert told(list(read_query(database, "select ward as x, text as body from notes where id = 9", text_column="body"))) == [
        ("query/1", "Pain.")
    ]


def test_a_query_streams_and_gives_its_connection_back(database: str) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select i as id, 'Fever ' || i as text from n"
    notes = read_query(database, endless, id_column="id")
    assert [next(notes).id for _ in range(3)] == ["query/1", "query/2", "query/3"]
    notes.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("url", "query", "error", "said"),
    [
        ("DATABASE", "select body from notes", InputError, "the query fails"),
        ("DATABASE", "select id, ward from notes", InputError, "no column text"),
        ("DATABASE", f"selekt '{SECRET}'", InputError, "the query fails"),
        ("DATABASE", "delete from notes", UsageError, "no rows"),
        ("sqlite:////nowhere/hunter2/x.db", "select 1", InputError, "no such file"),
        ("sqlite:///hunter2.db", "select 1", InputError, "no such file"),
        ("sqlite:///file:hunter2.db?mode=ro&uri=true", "select 1", InputError, "cannot be reached"),
        ("nonesuch://me:hunter2@host/x", "select 1", UsageError, "no database URL"),
        ("hunter2", "select 1", UsageError, "no database URL"),
        ("postgresql+psycopg://me:hunter2@host:x/db", "select 1", UsageError, "no database URL"),
    ],
)
def test_databases_that_cannot_be_read(
    database: str, url: str, query: str, error: type[MedllmError], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        read_query(database if url == "DATABASE" else url, query)
    assert said in str(caught.value)
    assert caught.value.hint
    shown = str(caught.value) + caught.value.hint
    assert "hunter2" not in shown
    assert "Qwyzzk" not in shown
    assert not (tmp_path / "hunter2.db").exists()
    assert len(list(read_query(database, "select * from notes"))) == 4  # nothing was deleted


def test_a_missing_driver_is_named(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match="psycopg"):
        read_query("postgresql+psycopg://me:hunter2@host/db", "select 1")
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(InputError) as caught:
        read_query(database, "select 1")
    assert caught.value.hint == "pip install medllm[sql]"


def test_two_files_of_one_name_are_refused_before_work_begins(tmp_path: Path) -> None:
    put(tmp_path / "a.txt", "x")
    put(tmp_path / "a.pdf", "y")
    with pytest.raises(InputError, match="would share the note id"):
        read(tmp_path)


def test_mixed_encodings_lose_only_their_own_rows(tmp_path: Path) -> None:
    rows = io.StringIO()
    csv.writer(rows).writerows([["id", "text"], [1, "ok"], [2, "RÈGLE"], [3, "ok"]])
    data = rows.getvalue().encode().replace("È".encode(), b"\xc8")
    assert told(read(put(tmp_path / "t.csv", data))) == [("t/1", "ok"), ("t/2", "encoding"), ("t/3", "ok")]


# --- damage ----------------------------------------------------------------------------------------------------------


def _samples() -> dict[str, bytes]:
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": reference("a", attachment(SECRET))}, {"resource": REPORT | {"conclusion": SECRET}}],
    }
    return {
        "docx": docx(SECRET, rows=[["a", "b"]]),
        "rtf": rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 " + SECRET.encode() + rb" \'e8 \u21457? \par}",
        "hl7": (ORU + MDM).replace("No infiltrate", SECRET).encode(),
        "fhir": json.dumps(bundle, indent=1).encode(),
        "html": f"<html><body><p>{SECRET}</p></body></html>".encode(),
        "csv": f"id,text\n1,{SECRET}\n".encode(),
    }


@pytest.mark.parametrize("kind", ["docx", "rtf", "hl7", "fhir", "html", "csv"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 60), st.binary(max_size=6)), min_size=1, max_size=3))
def test_no_file_is_bad_enough_to_crash(tmp_path: Path, kind: str, changes: list[tuple[float, int, bytes]]) -> None:
    content = _samples()[kind]
    for place, length, garbage in changes:
        at = int(place * len(content))
        content = content[:at] + garbage + content[at + length :]
    put(tmp_path / "a.dat", content)
    details = []
    try:
        for item in read(f"{kind}:{tmp_path / 'a.dat'}"):
            if isinstance(item, Unreadable):
                details.append(item.detail)
            else:
                assert item.text.strip()
    except InputError as error:  # a header without the column
        details.append(str(error) + error.hint)
    assert "Qwyzzk" not in "".join(details)


def test_entities_of_xml_do_not_grow(tmp_path: Path) -> None:
    entities = "<!ENTITY a 'fever '>" + "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    body = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    xml = f'<!DOCTYPE d [{entities}]><w:document xmlns:w="{body}"><w:body><w:p><w:r><w:t>Pain &i;</w:t></w:r></w:p></w:body></w:document>'
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx("x"))) as source, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for item in source.infolist():
            target.writestr(item.filename, xml if item.filename == "word/document.xml" else source.read(item))
    (item,) = read(put(tmp_path / "a.docx", stream.getvalue()))
    assert len(item.detail if isinstance(item, Unreadable) else item.text) < 1000


def test_a_stream_of_a_pdf_that_grows_is_not_read(tmp_path: Path) -> None:
    import zlib

    pypdf = pytest.importorskip("pypdf")
    from pypdf.generic import EncodedStreamObject, NameObject

    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(612, 792)
    packer = zlib.compressobj(9)
    stream = EncodedStreamObject()
    stream._data = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(400)) + packer.flush()
    stream[NameObject("/Filter")] = NameObject("/FlateDecode")
    page[NameObject("/Contents")] = writer._add_object(stream)
    content = io.BytesIO()
    writer.write(content)
    assert told(read(put(tmp_path / "a.pdf", content.getvalue()))) == [("a", "empty")]  # pypdf stops at its limit
