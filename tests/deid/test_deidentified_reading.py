"""Notes read by an engine that never sees who they are about: what is found is that of the original note, and nothing else is told."""

import asyncio
import json
import logging
from pathlib import Path

import pytest

from medllm.deid.deidentifier import Deidentifier
from medllm.deid.findings import Finding
from medllm.document import Note
from medllm.engines.base import Completion, Request, Usage
from medllm.errors import UsageError
from medllm.pipeline import Extractor
from medllm.reading import Reading
from medllm.runs.directory import RunDirectory
from medllm.runs.run import configuration, run
from medllm.schemas.clinical import Problem, schema
from tests.scripted import Reader, Scripted

NAME, DATE = "Okafor", "3/14/2021"
TEXT = f"Mr. {NAME} denies fever.\nOn {DATE} a severe rash; {NAME} took aspirin.\n"


class Known:
    """Finds the name and the date of the text above."""

    def find(self, text: str) -> list[Finding]:
        kinds = {NAME: "PATIENT", DATE: "DATE"}
        found = [
            Finding(at, at + len(word), kind, 1.0) for word, kind in kinds.items() for at in range(len(text)) if text.startswith(word, at)
        ]
        return sorted(found)


def deidentifier(mode: str, salt: bytes = b"secret") -> Deidentifier:
    return Deidentifier(mode, salt=salt, finder=Known())


def read(engine: Scripted, mode: str, text: str = TEXT) -> Reading:
    extractor = Extractor(schema, engine=engine, deid=deidentifier(mode), boundary="off")
    try:
        return asyncio.run(extractor.read(Note(id="n", text=text)))
    finally:
        extractor.close()


@pytest.mark.parametrize("mode", ["mask", "surrogate"])
def test_the_engine_sees_no_name_and_the_mentions_are_of_the_original(mode: str) -> None:
    engine = Scripted(Reader(schema, {"fever": "problem", "rash": "problem", "aspirin": "drug"}, near={"severe": "severity"}))
    reading = read(engine, mode)
    seen = "".join(message.content for request in engine.calls for message in request.messages)
    assert NAME not in seen
    assert DATE not in seen
    extraction = reading.extraction
    assert extraction.note.text == TEXT
    assert [e.text for e in extraction.entities] == ["fever", "severe", "rash", "aspirin"]
    assert all(e.span.of(TEXT) == e.text for e in extraction.entities)
    assert [(r.head.text, r.tail.text) for r in extraction.relations] == [("rash", "severe")]
    assert reading.accounted_for
    assert reading.read == {"llm": len(TEXT)}


def test_a_mention_that_holds_what_was_replaced_holds_the_original_of_it() -> None:
    reading = read(Scripted(Reader(schema, {"[PATIENT] denies": "problem", "[DATE": "problem"})), "mask")
    assert [e.text for e in reading.extraction.of(Problem)] == [f"{NAME} denies", DATE]


def test_what_is_not_read_is_told_in_offsets_of_the_original() -> None:
    def cut_second_line(request: Request) -> Completion:
        return Completion("", "length", Usage(9, 0, 0, 0.1))

    reading = read(Scripted(cut_second_line, strict=False), "mask")
    assert reading.accounted_for
    assert {(e.start, e.end) for e in reading.extraction.ledger if e.reason == "output-limit"}
    assert sum((e.end or 0) - (e.start or 0) for e in reading.extraction.ledger) + reading.read["llm"] == len(TEXT)


def test_no_file_of_a_run_and_no_log_has_a_surrogate_and_the_ledger_no_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    deid = deidentifier("surrogate")
    surrogate = deid.replace(Note(id="n", text=TEXT)).note.text.split()[1]
    with Extractor(
        schema, engine=Scripted(Reader(schema, {"fever": "problem", surrogate: "problem"})), deid=deid, boundary="off"
    ) as extractor:
        settings = configuration(extractor)
        directory = RunDirectory(tmp_path, schema, settings)
        asyncio.run(run(extractor, [Note(id="n", text=TEXT)], directory))
        directory.close()
    assert settings["deid"] == {"mode": "surrogate", "ner": "none"}
    files = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if path.suffix in (".json", ".jsonl")}
    assert not [name for name, content in files.items() if surrogate in content or "secret" in content]
    assert not [name for name, content in files.items() if NAME in content and name != "extractions.jsonl"]
    assert surrogate not in caplog.text
    assert NAME not in caplog.text
    assert [e["text"] for e in json.loads(files["extractions.jsonl"])["entities"]] == [NAME, "fever", NAME]


def test_notes_of_one_patient_share_their_surrogates_and_those_of_others_do_not() -> None:
    deid = deidentifier("surrogate")
    first, second, other = (
        deid.replace(Note(id=str(n), text=TEXT, meta={"patient_id": who})).note.text for n, who in enumerate(["p", "p", "q"])
    )
    assert first == second != other
    assert deidentifier("surrogate", b"another").replace(Note(id="0", text=TEXT, meta={"patient_id": "p"})).note.text != first


def test_ages_up_to_89_and_occupations_stay() -> None:
    class Ages:
        def find(self, text: str) -> list[Finding]:
            return [Finding(0, 2, "AGE", 1.0), Finding(7, 9, "AGE", 1.0), Finding(15, 20, "PROFESSION", 1.0)]

    note = Note(id="n", text="89 and 97, both baker")
    assert Deidentifier("surrogate", finder=Ages()).replace(note).note.text == "89 and 90, both baker"


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="hide"):
        Deidentifier("hide", finder=Known())


@pytest.mark.parametrize(("remote", "option", "warned"), [(True, [], True), (True, ["--deid", "off"], False), (False, [], False)])
def test_a_server_that_would_see_the_patients_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: bool, option: list[str], warned: bool
) -> None:
    from typer.testing import CliRunner

    from medllm.cli import app

    engine = Scripted(Reader(schema, {"fever": "problem"}))
    engine.remote = remote  # type: ignore[attr-defined]
    monkeypatch.setattr("medllm.pipeline.create_engine", lambda *_: engine)
    (tmp_path / "a.txt").write_text("Fever.")
    done = CliRunner().invoke(app, ["extract", str(tmp_path / "a.txt"), "-o", str(tmp_path / "out"), "--engine", "x", *option])
    assert done.exit_code == 0, done.output
    assert done.output.count("warning: the notes go to a server with all that identifies the patients") == warned
    assert done.output.count("--deid") == 3 * warned


def test_presidio_finds_what_the_finders_find_and_sends_nothing() -> None:
    pytest.importorskip("presidio_analyzer")
    from medllm.deid.analyzer import Analyzer

    text = f"Mr. {NAME} (MRN 4471902), card 4111 1111 1111 1111, was seen on {DATE} by Dr. Foley."
    found = [(text[f.start : f.end], f.type) for f in Analyzer().find(text)]
    assert found == [
        (NAME, "PATIENT"),
        ("4471902", "MEDICALRECORD"),
        ("4111 1111 1111 1111", "ACCOUNT"),
        (DATE, "DATE"),
        ("Foley", "DOCTOR"),
    ]


def test_a_pipeline_of_the_user_s_own_is_asked_too(tmp_path: Path) -> None:
    pytest.importorskip("presidio_analyzer")
    import spacy

    from medllm.deid.analyzer import Analyzer

    pipeline = spacy.blank("en")
    pipeline.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "zorblax"}])  # type: ignore[attr-defined]
    pipeline.to_disk(tmp_path / "pipeline")
    text = f"today zorblax said that {NAME} is well"
    assert ("zorblax", "PATIENT") in [(text[f.start : f.end], f.type) for f in Analyzer(str(tmp_path / "pipeline")).find(text)]
    with pytest.raises(UsageError, match="no_such_pipeline"):
        Analyzer("no_such_pipeline")


def test_without_presidio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "presidio_analyzer", None)
    with pytest.raises(UsageError) as caught:
        Deidentifier("mask")
    assert "medllm[deid]" in caught.value.hint
