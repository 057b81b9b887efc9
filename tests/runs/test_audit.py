"""What a run leaves for an audit: who, when, with what, from which text, and the sums of the files; the page shows it."""

import getpass
import hashlib
import json
import platform
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from medllm.document import Note, sha256
from medllm.report.view import write_view
from medllm.runs.directory import read_run
from medllm.schemas.clinical import schema
from tests.runs.conftest import cut_long_lines, go, notes
from tests.scripted import Scripted


def manifest(out: Path) -> dict[str, object]:
    return json.loads((out / "run.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_every_start_is_kept_with_who_and_when(tmp_path: Path) -> None:
    go(notes(3), tmp_path / "out")
    with pytest.raises(RuntimeError):
        go([*notes(4), Note(id="stop", text="stop")], tmp_path / "out", engine=Scripted(_stop))
    go(notes(5), tmp_path / "out")
    runs = manifest(tmp_path / "out")["runs"]
    assert isinstance(runs, list)
    assert [(run["state"], run["notes"]) for run in runs] == [("finished", 3), ("stopped: RuntimeError", 0), ("finished", 2)]
    for run in runs:
        assert (run["user"], run["host"]) == (getpass.getuser(), platform.node())
        assert timedelta(0) <= datetime.fromisoformat(run["finished"]) - datetime.fromisoformat(run["started"]) < timedelta(hours=1)
        assert run["versions"]["pydantic"]


def _stop(request: object) -> str:
    raise RuntimeError


def test_a_run_is_known_by_hashes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(notes(4), out)
    found = manifest(out)
    configuration = found["configuration"]
    assert isinstance(configuration, dict)
    assert configuration["schema"] == {"name": schema.name, "digest": schema.digest}
    assert configuration["model_sha256"] == Scripted.fingerprint
    assert len(configuration["prompts"]) == 64
    files = found["files"]
    assert isinstance(files, dict)
    assert set(files) == {"extractions.jsonl", "ledger.jsonl", "usage.jsonl", "schema.json"}
    for name, sums in files.items():
        data = (out / name).read_bytes()
        assert sums == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    for line in map(json.loads, (out / "extractions.jsonl").read_text(encoding="utf-8").splitlines()):
        assert line["sha256"] == sha256(line["text"])
        assert all(vote["reader"] and vote["model"] for mention in line["entities"] for vote in mention["votes"][:1])


def test_the_page_shows_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(notes(2), out, cut_long_lines)
    run = read_run(out)
    path = write_view(
        run.extractions, schema=run.schema, title="t", run_info=run.summary, ledger=run.ledger, out=tmp_path / "v.html", audit=run.manifest
    )
    page = path.read_text(encoding="utf-8")
    shown = page[page.index('id="audit"') : page.index('id="keys"')]
    files = run.manifest["files"]
    expected = [getpass.getuser(), schema.digest, Scripted.fingerprint, run.manifest["runs"][0]["started"], files["ledger.jsonl"]["sha256"]]
    assert [text for text in [*expected, *(note.sha256 for note in notes(2))] if text not in shown] == []
