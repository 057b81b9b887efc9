"""Files of notes in every format that ``medllm extract`` reads, made from a text."""

import base64
import csv
import io
import json


def note_file(name: str, text: str) -> bytes:
    """The bytes of a file with two notes, or one where the format holds one."""
    return _MAKERS[name](text.encode("utf-8", "replace").decode())


def _table(text: str, delimiter: str, *names: str) -> bytes:
    out = io.StringIO()
    rows = csv.writer(out, delimiter=delimiter)
    rows.writerows([names, ["1", text, "B2"], ["2", "No fever.", "B3"]])
    return out.getvalue().encode()


def _columnar(text: str, kind: str) -> bytes:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    table = pa.table({"id": [1, 2], "text": [text, "No fever."], "ward": ["B2", None]})
    out = io.BytesIO()
    pa.parquet.write_table(table, out) if kind == "parquet" else pa.feather.write_feather(table, out, compression="uncompressed")
    return out.getvalue()


def _docx(text: str) -> bytes:
    import docx

    document = docx.Document()
    clean = "".join(c if c.isprintable() else " " for c in text)
    document.add_paragraph(clean)
    document.add_table(rows=1, cols=2).rows[0].cells[0].text = clean[:20]
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _pdf(text: str) -> bytes:
    import pypdf
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    pdf = pypdf.PdfWriter()
    kinds = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = DictionaryObject({NameObject(k): NameObject(v) for k, v in kinds.items()})
    page = pdf.add_blank_page(612, 792)
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})})
    content = DecodedStreamObject()
    plain = "".join(c for c in text[:200] if (c.isascii() and c.isalnum()) or c == " ")
    content.set_data(f"BT /F1 12 Tf 72 720 Td ({plain}) Tj ET".encode())
    page[NameObject("/Contents")] = content
    out = io.BytesIO()
    pdf.write(out)
    return out.getvalue()


def _fhir(text: str) -> bytes:
    attachment = {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}
    reference = {"resourceType": "DocumentReference", "id": "d1", "status": "current", "content": [{"attachment": attachment}]}
    report = {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "code": {"text": "x"}, "conclusion": text[:100]}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": reference}, {"resource": report}]}
    return json.dumps(bundle, ensure_ascii=False).encode()


def _hl7(text: str) -> bytes:
    lines = [line.replace("|", " ").replace("^", " ") for line in text.splitlines()[:30]]
    segments = [
        "MSH|^~\\&|A|B|C|D|20240101||ORU^R01|1|P|2.3",
        "PID|1||123",
        "OBR|1|||1^Note",
        *(f"OBX|{n}|TX|1^x||{v}" for n, v in enumerate(lines, 1)),
    ]
    return "\r".join(segments).encode()


_MAKERS = {
    "txt": str.encode,
    "md": str.encode,
    "html": lambda text: f"<html><head><title>x</title></head><body><p>{text}</p><table><tr><td>a</td></tr></table></body></html>".encode(),
    "rtf": lambda text: ("{\\rtf1\\ansi " + "".join(c if c.isascii() else f"\\u{ord(c) % 32768}?" for c in text) + "}").encode(),
    "docx": _docx,
    "pdf": _pdf,
    "csv": lambda text: _table(text, ",", "id", "text", "ward"),
    "tsv": lambda text: _table(text, "\t", "id", "text", "ward"),
    "parquet": lambda text: _columnar(text, "parquet"),
    "arrow": lambda text: _columnar(text, "arrow"),
    "jsonl": lambda text: b"".join(json.dumps({"id": n, "text": text, "meta": {"a": "b"}}).encode() + b"\n" for n in (1, 2)),
    "hl7": _hl7,
    "fhir": _fhir,
    "omop": lambda text: _table(text, ",", "note_id", "note_text", "note_title"),
}
