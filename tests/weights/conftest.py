"""A small invented model, a model hub on this machine, and a package index that is a folder of tiny wheels."""

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import pytest

from medllm.weights import HubFile, ModelCard, RegistryParts, WheelMember

CONTENT = b"GGUF" + random.Random(1).randbytes(400_000)
HUB = HubFile("org/tiny-GGUF", "tiny.gguf")
PARTS = RegistryParts(("medllm-test-part1==1.0", "medllm-test-part2==1.0"))
PIECES = (CONTENT[:150_000], CONTENT[150_000:])


def card(*sources: HubFile | RegistryParts | WheelMember) -> ModelCard:
    return ModelCard(
        name="tiny",
        aliases=("t",),
        file="tiny-q4.gguf",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="CC0-1.0",
        description="Noise.",
        sources=sources,
    )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a hub that nobody answers for, and a package index that holds nothing."""
    for name in [each for each in os.environ if each.upper().endswith("_PROXY") or each.startswith(("PIP_", "UV_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MEDLLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path / "cache"


@dataclass
class Hub:
    """What the hub serves, how it behaves, and the ``Range`` header of each request it got."""

    content: bytes = CONTENT
    status: int = 200
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    silent: bool = False
    asked: list[str | None] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.headers["Range"])
            if state.silent:
                state.released.wait(30)
                return
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if state.ranges and self.headers["Range"] else 0
            if self.path != "/org/tiny-GGUF/resolve/main/tiny.gguf" or state.status >= 400:
                self.send_error(max(state.status, 404))
                return
            body = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            self.end_headers()
            self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield state
    state.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(frozen=True)
class Index:
    """A folder of wheels that pip looks into."""

    folder: Path

    def add(self, part: int, data: bytes, member: str = "data/part.bin") -> None:
        name, info = f"medllm_test_part{part}", f"medllm_test_part{part}-1.0.dist-info"
        with ZipFile(self.folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", "raise SystemExit('imported')")
            wheel.writestr(f"{name}/{member}", data)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: medllm-test-part{part}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")

    def remove(self, part: int) -> None:
        (self.folder / f"medllm_test_part{part}-1.0-py3-none-any.whl").unlink()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Index(folder)
