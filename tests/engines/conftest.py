"""A real vLLM server for the tests marked vllm: started once, and stopped with the session."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

READY_SECONDS = 600
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """The Python that has vLLM."""
    python = os.environ.get("MEDLLM_VLLM") or "none"
    if python == "none" or python.startswith("http"):
        pytest.skip("MEDLLM_VLLM does not name the Python of an environment with vLLM; .ci/vllm FOLDER makes one")
    return python


@pytest.fixture(scope="session")
def tiny_model(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of random weights."""
    pytest.importorskip("transformers", reason="the tiny model is made with transformers")
    folder = tmp_path_factory.mktemp("tiny") / "model"
    script = Path(__file__).with_name("tiny_model.py")
    subprocess.run([sys.executable, str(script), str(model_path.resolve()), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def vllm_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server. MEDLLM_VLLM may name one that runs already, which is left alone."""
    running = os.environ.get("MEDLLM_VLLM") or "none"
    if running.startswith("http"):
        yield running
        return
    python, model = request.getfixturevalue("vllm_python"), request.getfixturevalue("tiny_model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-c", "from medllm.cli import main; main()", "models", "serve", str(model), "--python", python]
    line += ["--port", str(port), "--dtype", "float32", "--", "--enforce-eager", "--max-num-seqs", "16"]
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"VLLM_CPU_KVCACHE_SPACE": "1", "PYTHONPATH": str(ROOT)}
    with log.open("wb") as output:
        server = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=log.parent, start_new_session=True)
    try:
        _wait(server, f"http://127.0.0.1:{port}", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _wait(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    pytest.fail(f"the vLLM server did not start:\n{log.read_text(errors='replace')[-3000:]}")
