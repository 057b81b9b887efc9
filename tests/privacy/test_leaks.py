"""Whatever the command line says, in any mode and whatever goes wrong, holds no note text, no name of a file or note, and no secret."""

import os
import re
import stat
from pathlib import Path

import pytest

from tests.engines.faulty import FaultyServer
from tests.privacy.leaks import NAME, NOTE, SECRET, TEXT, Said, medllm, notes

MARKS = (TEXT, NAME, SECRET)
TAGGER = ("--readers", "tagger")


def clean(said: Said, code: int | None = None) -> Said:
    assert said.holds(*MARKS) == [], said.stderr
    assert SECRET not in said.stdout
    assert "Traceback" not in said.stderr
    assert said.temporary == []
    if code is not None:
        assert said.code == code, said.stderr
    return said


def test_a_run_over_good_and_bad_files(tmp_path: Path) -> None:
    said = clean(medllm(tmp_path, "extract", str(notes(tmp_path)), "-o", "out", *TAGGER), 3)
    assert "ledger.jsonl" in said.stderr
    ledger = (tmp_path / "out" / "ledger.jsonl").read_text()
    assert NAME in ledger  # it is patients' data, and owner-only
    assert not any(mark in ledger for mark in (TEXT, SECRET))
    manifest = (tmp_path / "out" / "run.json").read_text() + (tmp_path / "out" / "usage.jsonl").read_text()
    assert not any(mark in manifest for mark in MARKS)
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (tmp_path / "out").rglob("*")}
    assert modes == {0}


def test_to_standard_output_and_back_from_a_pseudonym_to_the_note(tmp_path: Path) -> None:
    folder = notes(tmp_path)
    said = clean(medllm(tmp_path, "extract", "notes", "-o", "-", *TAGGER), 3)
    assert TEXT in said.stdout
    pseudonyms = re.findall(r"note-[0-9a-f]{12}", said.stderr)
    assert len(set(pseudonyms)) > 3
    found = medllm(tmp_path, "doctor", "--find", pseudonyms[0], "--in", "notes")
    assert found.code == 0
    assert (tmp_path / found.stdout.strip()).is_relative_to(folder)
    key = next((tmp_path / ".home").rglob("names.key"))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert medllm(tmp_path, "doctor", "--find", "note-000000000000", "--in", "notes").code == 1
    key.unlink()
    assert medllm(tmp_path, "doctor", "--find", pseudonyms[0], "--in", "notes").code == 1  # under another key it is another name


def test_a_path_that_was_typed_is_said_as_it_was_typed(tmp_path: Path) -> None:
    said = medllm(tmp_path, "extract", "no-such-folder", "-o", "out", *TAGGER)
    assert (said.code, "no-such-folder" in said.stderr) == (1, True)


def test_files_that_a_pattern_of_the_shell_stood_for_were_not_typed(tmp_path: Path) -> None:
    (tmp_path / "ward").mkdir()
    files = [tmp_path / "ward" / f"{NAME}-{n}.pdf" for n in range(5)]
    for file in files:
        file.write_bytes(b"%PDF-1.4 broken")
    names = [f"ward/{file.name}" for file in files]
    said = clean(medllm(tmp_path, "extract", *names, "-o", "-", *TAGGER), 3)
    assert len(set(re.findall(r"note-[0-9a-f]{12}", said.stderr))) == 5
    assert NAME in medllm(tmp_path, "extract", names[0], "-o", "-", *TAGGER).stderr


def test_a_short_name_changes_no_other_word(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("b", "e"):
        (tmp_path / "in" / f"{name}.pdf").write_bytes(b"%PDF-1.4 broken")
    said = clean(medllm(tmp_path, "extract", "in", "-o", "-", *TAGGER), 3)
    assert all(
        re.fullmatch(r"not read: in/note-[0-9a-f]{12}\.pdf: [a-z -]+: .*", line) for line in said.stderr.splitlines() if "not read" in line
    )
    assert "note-" not in re.sub(r"in/note-[0-9a-f]{12}\.pdf", "", said.stderr)


def test_a_schema_file_that_quotes_a_note_is_told_by_class_and_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"x = 1\nraise ValueError('cannot use {TEXT}')\n")
    said = clean(medllm(tmp_path, "extract", str(notes(tmp_path)), "--schema", "mine.py", "-o", "out"), 1)
    assert "mine.py: ValueError in line 2" in said.stderr


def test_files_of_no_kind_are_counted(tmp_path: Path) -> None:
    folder = notes(tmp_path)
    for name in ("old.doc", "new.doc", f"x.{NAME}"):
        (folder / name).write_text(TEXT)
    said = clean(medllm(tmp_path, "extract", "notes", "-o", "out", *TAGGER), 3)
    assert "3 files of other kinds are passed over (.doc 2, ? 1)" in said.stderr


CRASHES = {
    "the tagger": "import medllm.taggers.tagger as t\ndef tag(self, text): raise ValueError('cannot read ' + text)\nt.Tagger.tag = tag",
    "a writer": "import medllm.formats.brat as b\ndef write(self, e): raise KeyError(e.note.text, e.note.id)\nb.Writer.write = write",
    "a thread": (
        "import threading, medllm.taggers.tagger as t\n"
        "def work(text): raise ValueError(text)\n"
        "def tag(self, text):\n"
        "    thread = threading.Thread(target=work, args=(text,)); thread.start(); thread.join(); return ()\n"
        "t.Tagger.tag = tag"
    ),
    "a library's log and warnings": (
        "import logging, warnings, medllm.taggers.tagger as t\n"
        "def tag(self, text):\n"
        "    warnings.warn(text); logging.getLogger('x.y').error('cannot read %s', text); logging.warning(text); return ()\n"
        "t.Tagger.tag = tag"
    ),
    "a forgotten task": (
        "import asyncio, medllm.pipeline as p\n"
        "async def fail(note): raise ValueError(note.text + note.id)\n"
        "before = p.Extractor._read_tagged\n"
        "async def read(self, note, tagger):\n"
        "    asyncio.ensure_future(fail(note)); await asyncio.sleep(0); await asyncio.sleep(0); return await before(self, note, tagger)\n"
        "p.Extractor._read_tagged = read"
    ),
}


@pytest.mark.parametrize("where", CRASHES)
def test_a_crash_tells_its_class_and_its_place_alone(tmp_path: Path, where: str) -> None:
    notes(tmp_path)
    words = ("extract", f"notes/{NAME}-good.txt", "-o", "out", "--format", "jsonl,brat", *TAGGER)
    said = medllm(tmp_path, *words, crash=CRASHES[where])
    assert not any(mark in said.stderr for mark in (TEXT, SECRET))
    assert "Traceback" not in said.stderr
    assert said.temporary == []
    if where in ("the tagger", "a writer"):
        assert said.code == 1
        assert re.search(r"unforeseen (ValueError|KeyError) at ", said.stderr)
        told = medllm(tmp_path, *words, crash=CRASHES[where], env={"MEDLLM_DEBUG": "1"})
        assert "Traceback" in told.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="cores are dumped on POSIX")
def test_no_core_is_dumped(tmp_path: Path) -> None:
    crash = "import atexit, resource\natexit.register(lambda: print('core', resource.getrlimit(resource.RLIMIT_CORE)[0]))"
    assert "core 0" in medllm(tmp_path, "doctor", "--find", "note-0", "--in", ".", crash=crash).stdout


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (("extract", "notes", "-o", "out", "--base-url", f"http://user:{SECRET}@127.0.0.1:9/v1"), {}),
        (("extract", "notes", "-o", "out"), {"MEDLLM_BASE_URL": f"http://user:{SECRET}@127.0.0.1:9/v1"}),
        (("doctor",), {"MEDLLM_BASE_URL": f"http://user:{SECRET}@127.0.0.1:9/v1"}),
        (("extract", "-o", "out", "--from", f"postgresql://user:{SECRET}@127.0.0.1:9/db", "--query", "select 1"), {}),
        (("extract", "-o", "out", "--query", "select 1"), {"MEDLLM_DATABASE": f"mysql+nodriver://user:{SECRET}@127.0.0.1:9/db"}),
        (("extract", "-o", "out", "--query", "select nothing"), {"MEDLLM_DATABASE": f"sqlite:////tmp/{SECRET}/none.db"}),
    ],
)
def test_secrets_of_servers_and_databases(tmp_path: Path, words: tuple[str, ...], env: dict[str, str]) -> None:
    notes(tmp_path)
    said = clean(medllm(tmp_path, *words, env=env))
    assert said.code != 0
    assert not any(SECRET in path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file())


@pytest.mark.parametrize("fault", ["broken", "garbage", "500"])
def test_a_server_that_quotes_what_it_was_asked(tmp_path: Path, fault: str) -> None:
    notes(tmp_path)
    with FaultyServer(lambda request: request.messages[-1].content, fault=lambda n: fault) as server:
        words = ("extract", f"notes/{NAME}-good.txt", "-o", "out", "--base-url", server.url)
        said = medllm(tmp_path, *words, crash="import medllm.engines._transport as t\nt.ATTEMPTS = 1")
    assert not any(mark in said.stderr + said.logs for mark in (TEXT, SECRET))
    assert said.code != 0
    assert TEXT not in (tmp_path / "out" / "ledger.jsonl").read_text()


def annotated(folder: Path, name: str, text: str, annotation: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text(text)
    (folder / f"{name}.ann").write_text(annotation)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Brat folders whose files name patients and are wrong in several ways."""
    mention = f"T1\tproblem 0 4\tMrs \nT2\tproblem 0 9000\t{TEXT}\nT3 {TEXT}\nR1\tx Arg1:T1 Arg2:T9\t{TEXT}\n"
    annotated(tmp_path / "gold", f"{NAME}-1", NOTE, mention)
    annotated(tmp_path / "gold", f"{NAME}-2", NOTE, "")
    annotated(tmp_path / "pred", f"{NAME}-1", NOTE + "x", mention)
    annotated(tmp_path / "pred", f"{NAME}-2", NOTE, "")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("score", "--gold", "brat:gold", "--pred", "brat:pred"),
        ("score", "--gold", "brat:gold", "--pred", "brat:gold", "--labels", "problem"),
        ("convert", "brat:gold", "jsonl:out.jsonl"),
        ("convert", "bioc-xml:notes", "jsonl:out.jsonl"),
        ("convert", "hl7:notes", "conll:out"),
        ("convert", "rdf:notes", "jsonl:out.jsonl"),
        ("eval", "--gold", "brat:gold", "-o", "out", *TAGGER),
        ("train", "tagger", "--data", "brat:gold", "-o", "tagger"),
        ("view", "gold"),
        ("doctor",),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_other_verbs(corpus: Path, words: tuple[str, ...]) -> None:
    notes(corpus)
    (corpus / "notes" / f"{NAME}.ttl").write_text(f'<urn:a {TEXT}> <urn:p> "{TEXT}"^^<http://www.w3.org/2001/XMLSchema#date> .')
    (corpus / "notes" / f"{NAME}.xml").write_text(f"<collection><document><id>{TEXT}</id></document><{TEXT}")
    clean(medllm(corpus, *words))
