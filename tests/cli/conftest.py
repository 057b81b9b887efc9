"""The installed command, and a recording that it can replay."""

import asyncio
import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from medllm.cli import main
from medllm.document import Note
from medllm.engines.replay import Recorder
from medllm.pipeline import Extractor
from medllm.schemas.clinical import schema
from tests.scripted import Reader, Scripted

LEXICON = {"fever": "problem", "rash": "problem", "aspirin": "drug", "头痛": "problem"}
READER = Reader(schema, LEXICON, {"81 mg": "strength", "no": "negation", "denies": "negation"})

TEXTS = {
    "ward-a/n1": "HISTORY:\nHe denies fever.\nPLAN: aspirin 81 mg.\n",
    "ward-a/n2": "主诉：头痛。\n",
    "ward-b/n1": "A rash and no fever.\n",
}


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def medllm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the installed entry point in this process."""

    def run(*arguments: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["medllm", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        assert code is None or isinstance(code, int)
        return Done(code or 0, said.out, said.err)

    return run


def record(path: Path, texts: Iterable[str], *, relations: bool = True) -> Path:
    """What the clinical pack's questions about these texts are answered."""
    with Extractor(schema, engine=Recorder(Scripted(READER), path), relations=relations) as extractor:

        async def read_all() -> None:
            for text in texts:
                await extractor.read(Note(id="x", text=text))

        asyncio.run(read_all())
    return path


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recording") / "calls.jsonl", [*TEXTS.values(), "fever\n"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        file = tmp_path / "notes" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path / "notes"


@pytest.fixture
def replay(recording: Path) -> list[str]:
    """The options that read with the recording."""
    return ["--engine", "replay", "--model", str(recording)]
