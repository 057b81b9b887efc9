"""Help, version, view and doctor."""

import stat
from pathlib import Path

import pytest
import typer.main

import medllm
from medllm.cli import app
from tests.cli.conftest import Command

PACK = '''
from medllm import Entity, Schema

class Device(Entity):
    """An implanted device."""

class Trouble(Entity):
    serious: bool = False

schema = Schema("mine", [Device, Trouble], examples=["The [device|pacemaker] had a [trouble serious=yes|failure]."])
'''


def commands() -> list[list[str]]:
    group = typer.main.get_command(app)
    found: list[list[str]] = [[]]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found += [[name], *([name, sub] for sub in getattr(command, "commands", {}))]
    return found


@pytest.mark.parametrize("verb", commands(), ids=" ".join)
def test_every_verb_explains_itself(medllm: Command, verb: list[str]) -> None:
    done = medllm(*verb, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.lstrip().startswith(f"Usage: {' '.join(['medllm', *verb])}")
    assert len(done.out.split("\n\n")[1].strip()) > 10, "it says what it does"
    assert medllm(*verb, "-h") == done


def test_there_are_at_most_ten_verbs() -> None:
    assert {"extract", "score", "view", "models", "doctor"} <= {v[0] for v in commands() if len(v) == 1}
    assert len([v for v in commands() if len(v) == 1]) <= 10


def test_the_version(medllm: Command) -> None:
    done = medllm("--version")
    assert (done.code, done.out) == (0, f"medllm {medllm_version()}\n")


def medllm_version() -> str:
    return medllm.__version__


def test_view_writes_one_file_that_shows_the_run(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    medllm("extract", folder, "-o", tmp_path / "out", *replay)
    done = medllm("view", tmp_path / "out")
    page = tmp_path / "out" / "view.html"
    assert (done.code, done.out) == (0, f"{page}\n")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    html = page.read_text(encoding="utf-8")
    assert "ward-a/n2" in html
    assert "头痛" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    again = medllm("view", tmp_path / "out", "-o", tmp_path / "page.html")
    assert (again.out, (tmp_path / "page.html").exists()) == (f"{tmp_path / 'page.html'}\n", True)


def test_view_of_a_run_that_was_cut_off(medllm: Command, folder: Path, replay: list[str], tmp_path: Path) -> None:
    medllm("extract", folder, "-o", tmp_path / "out", *replay)
    file = tmp_path / "out" / "extractions.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    (tmp_path / "out" / "run.json").unlink()
    assert medllm("view", tmp_path / "out").code == 0


@pytest.mark.parametrize("spoilt", ["nothing", "schema.json", "extractions.jsonl"])
def test_view_of_what_is_no_run(medllm: Command, folder: Path, replay: list[str], tmp_path: Path, spoilt: str) -> None:
    out = tmp_path / "out"
    if spoilt == "nothing":
        out.mkdir()
    else:
        medllm("extract", folder, "-o", out, *replay)
        (out / spoilt).write_text('{"version": 7}\n')
    done = medllm("view", out)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert "\nhint: " in done.err
    assert "Traceback" not in done.err


def test_doctor_finds_what_is_here(medllm: Command) -> None:
    done = medllm("doctor")
    assert done.code == 0
    assert f"ok    medllm {medllm_version()}, Python 3." in done.out
    assert "ok    engine embedded" in done.out
    assert "model qwen2.5-coder-0.5b" in done.out


def test_doctor_looks_at_a_schema(medllm: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PACK)
    done = medllm("doctor", "--schema", tmp_path / "mine.py")
    assert done.code == 0
    assert "ok    schema mine: device, trouble; 0 relations" in done.out
    assert "note  Trouble has no docstring" in done.out
    assert "Device has no docstring" not in done.out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("class Device", "class Device(", "SyntaxError"),
        ("[device|pacemaker]", "[devise|pacemaker]", "the label 'devise'"),
        ("serious=yes", "serious=very", "the grammar refuses"),
        ("serious: bool = False", "serious: str", "not a closed set"),
    ],
)
def test_doctor_finds_what_is_wrong_with_a_schema(medllm: Command, tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "mine.py").write_text(PACK.replace(old, new))
    done = medllm("doctor", "--schema", tmp_path / "mine.py")
    assert done.code == 1
    (bad,) = [line for line in done.out.splitlines() if line.startswith("BAD")]
    assert said in bad
