from pathlib import Path

import pytest
from typer.testing import CliRunner

from medllm.cli.models import app
from medllm.errors import ModelError

from .conftest import CONTENT, HUB, Hub, card

CARD = card(HUB)
SIZE = str(len(CONTENT))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("medllm.weights", "medllm.weights.registry"):
        monkeypatch.setattr(f"{module}.MODELS", (CARD,))
        monkeypatch.setattr(f"{module}.LEXICON_FILES", ())


def run(*arguments: str) -> tuple[str, str]:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout, done.stderr


def test_list_names_each_state(hub: Hub, cache: Path) -> None:
    assert run("list")[0] == f"tiny\t{SIZE}\tCC0-1.0\tabsent\t\n"
    hub.cuts = [1000, 0]
    with pytest.raises(ModelError):
        run("pull", "tiny")
    assert run("list")[0] == f"tiny\t{SIZE}\tCC0-1.0\tpartial\t\n"
    run("pull", "tiny")
    assert run("list")[0] == f"tiny\t{SIZE}\tCC0-1.0\tready\t{cache / 'models' / 'tiny-q4.gguf'}\n"


def test_pull_prints_the_path_and_tells_its_progress_on_stderr(hub: Hub, cache: Path) -> None:
    data, progress = run("pull", "t")
    assert data == f"{cache / 'models' / 'tiny-q4.gguf'}\n"
    assert "model hub: 0 of 0 MB" in progress
    assert "checking: " in progress


def test_verify_one_or_all(hub: Hub) -> None:
    with pytest.raises(ModelError, match="no model is on this machine"):
        run("verify")
    path = run("pull", "tiny")[0]
    assert run("verify")[0] == run("verify", "tiny")[0] == path


def test_verify_all_does_not_pass_over_a_damaged_file(cache: Path) -> None:
    cache.mkdir()
    (cache / "tiny-q4.gguf").write_bytes(b"x")
    with pytest.raises(ModelError, match="is not tiny"):
        run("verify")
