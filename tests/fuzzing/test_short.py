"""The short form of ``evals/benchmarks/reliability_fuzz.py``: no input crashes, none hangs, no offset is wrong; and what it found once."""

import contextlib
import io
import json
import logging
import random

import pytest

from medllm.document import Extraction, Note, any_entity
from medllm.errors import FormatError
from medllm.formats import rdf, registry
from medllm.formats.decoding import Unreadable
from medllm.formats.inputs import read_inputs
from tests.fuzzing import material
from tests.fuzzing.campaign import Result, one, short
from tests.fuzzing.parts import OffsetError

INPUTS = {
    "readers of annotations": 96,
    "readers of notes": 56,
    "writers": 64,
    "splitter": 40,
    "grammar builder": 16,
    "rules": 30,
    "tagger": 2,
}


@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.parametrize("part", INPUTS)
def test_no_input_is_bad_enough(part: str) -> None:
    result = short(part, range(INPUTS[part]), seed=9)
    assert result.inputs == INPUTS[part]
    assert (result.crashes, result.offset_errors, result.failures) == (0, 0, {})


def test_a_campaign_counts_what_goes_wrong() -> None:
    result = Result()

    def broken(rng: random.Random) -> None:
        raise OffsetError if rng.random() < 0.5 else KeyError("Qwyzzk")

    for seed in range(20):
        one(result, "broken", "kind", broken, str(seed))
    assert result.inputs == 20
    assert result.crashes + result.offset_errors == 20
    assert min(result.crashes, result.offset_errors) > 0
    assert "Qwyzzk" not in str(result.summary())


def test_mutators_reach_what_they_are_for() -> None:
    rng = random.Random(1)
    found = "".join(material.text(rng) for _ in range(300))
    assert all(mark in found for mark in ("\0", "\ud800", "\u202e", "<|im_start|>", "[INST]", "{{", "\u2028", "🤒", "患"))
    data = b"T1\tproblem 0 5\tfever\n" * 5
    assert len({material.mutated(rng, data) for _ in range(50)}) > 40


# --- what fuzzing found ------------------------------------------------------------------------------------------------


def test_an_arrow_file_whose_offsets_lie_is_told_and_never_read_beyond_its_buffers(tmp_path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.ipc

    def offsets(*of: int) -> bytes:
        return b"".join(n.to_bytes(4, "little", signed=True) for n in of)

    out = io.BytesIO()
    table = pa.table({"text": ["No fever.", "Cough."]})
    with pyarrow.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    assert offsets(0, 9, 15) in out.getvalue()
    (tmp_path / "n.arrow").write_bytes(out.getvalue().replace(offsets(0, 9, 15), offsets(0, 9, -5)))
    (told,) = read_inputs([str(tmp_path / "n.arrow")])
    assert isinstance(told, Unreadable)
    assert told.reason == "unreadable"


def test_no_library_logs_what_stands_in_a_file(tmp_path, caplog) -> None:
    pytest.importorskip("hl7")
    pytest.importorskip("rdflib")
    caplog.set_level(logging.DEBUG)
    segments = ["MSH|^~\\&|A|B|C|D|20240101||ORU^R01|1|P|2.3", "OBR|1|||1^Note", "OBX|1|TX|1^x||Mrs Qwyzzk \\X zz\\ \\u{1}\\"]
    (tmp_path / "n.hl7").write_text("\r".join(segments))
    list(read_inputs([str(tmp_path / "n.hl7")]))
    date = '"Mrs Qwyzzk"^^<http://www.w3.org/2001/XMLSchema#date>'
    (tmp_path / "n.ttl").write_text(f"<urn:a b Qwyzzk> <urn:p> {date} .\n<urn:a> <urn:p> {date} .")
    with contextlib.suppress(FormatError):
        list(rdf.read(tmp_path / "n.ttl"))
    assert "Qwyzzk" not in caplog.text


@pytest.mark.parametrize("name", ["csv", "omop", "neo4j", "mimic"])
def test_a_lone_surrogate_does_not_make_a_table_that_cannot_be_read(name: str, tmp_path) -> None:
    text = "No \ud800 fever."
    kind = any_entity("problem")
    extraction = Extraction(note=Note(id="1", text=text), entities=(kind.at(text, 3, 10, id="T1", Severity="\udfff"),))
    writer = registry.writer(name)(tmp_path / "out", None)
    writer.write(extraction)
    writer.close()
    (back,) = registry.reader(name)(tmp_path / "out", None)
    assert back.extraction.note.text == "No \ufffd fever."


def test_a_page_that_the_parser_refuses_is_told_and_not_quoted(tmp_path) -> None:
    (tmp_path / "n.html").write_text("<p>No fever.</p><![\u0367Qwyzzk[ and more", encoding="utf-8")
    (told,) = read_inputs([str(tmp_path / "n.html")])
    assert isinstance(told, Unreadable)
    assert (told.reason, "Qwyzzk" in told.detail) == ("unreadable", False)


def test_an_attachment_in_characters_beyond_ascii_is_told(tmp_path) -> None:
    pytest.importorskip("fhir.resources")
    attachment = {"contentType": "text/plain", "data": "Tm8gZmV2ZXIué"}
    resource = {"resourceType": "DocumentReference", "id": "d", "status": "current", "content": [{"attachment": attachment}]}
    (tmp_path / "n.json").write_text(json.dumps(resource))
    (told,) = read_inputs([f"fhir:{tmp_path / 'n.json'}"])
    assert isinstance(told, Unreadable)
