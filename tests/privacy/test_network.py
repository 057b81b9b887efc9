"""Nothing but the server named is spoken to, no dependency tells its makers anything, and nothing is left behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medllm.telemetry import OFF
from tests.privacy.leaks import medllm, notes

BLOCKED = """
import os, socket
def refuse(*_, **__):
    os.write(2, b"a connection was tried")
    os._exit(77)
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.create_connection = refuse
"""


def test_the_tagger_opens_no_connection(tmp_path: Path) -> None:
    notes(tmp_path)
    said = medllm(tmp_path, "extract", "notes", "-o", "out", crash=BLOCKED)
    assert said.code == 3, said.stderr
    assert (tmp_path / "out" / "extractions.jsonl").stat().st_size > 0
    assert said.temporary == []


def test_the_block_blocks(tmp_path: Path) -> None:
    notes(tmp_path)
    said = medllm(tmp_path, "extract", "notes", "-o", "out", "--base-url", "http://127.0.0.1:9/v1", crash=BLOCKED)
    assert (said.code, said.stderr.endswith("a connection was tried")) == (77, True)


def _may_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _may_unshare(), reason="this system does not let its users make network namespaces")
def test_a_run_in_a_namespace_without_any_network(tmp_path: Path) -> None:
    """The tagger and, by auto, everything around it: there is not even a loopback interface that is up."""
    notes(tmp_path)
    said = medllm(tmp_path, "extract", "notes", "-o", "out", prefix=("unshare", "-rn"))
    assert said.code == 3, said.stderr
    assert (tmp_path / "out" / "extractions.jsonl").stat().st_size > 0


def test_dependencies_are_told_not_to_tell() -> None:
    show = "import os, medllm, medllm.telemetry; print([os.environ.get(name) for name in medllm.telemetry.OFF])"
    known = {name: value for name, value in os.environ.items() if name not in OFF}
    told = subprocess.run([sys.executable, "-c", show], env=known, capture_output=True, text=True, check=True).stdout
    assert told.strip() == str(list(OFF.values()))
    chosen = subprocess.run([sys.executable, "-c", show], env=known | {"DO_NOT_TRACK": "0"}, capture_output=True, text=True, check=True)
    assert chosen.stdout.startswith("['0'")
    assert OFF.keys() >= {"VLLM_NO_USAGE_STATS", "HF_HUB_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY", "DO_NOT_TRACK"}


def test_the_hub_client_heeds_it() -> None:
    pytest.importorskip("huggingface_hub")
    show = "import medllm; from huggingface_hub import constants; print(constants.HF_HUB_DISABLE_TELEMETRY)"
    known = {name: value for name, value in os.environ.items() if name not in OFF}
    assert subprocess.run([sys.executable, "-c", show], env=known, capture_output=True, text=True, check=True).stdout.strip() == "True"


def test_onnx_runtime_keeps_no_device_id_and_no_store_of_events(tmp_path: Path) -> None:
    """From 1.29 on it does on Linux, in the user's cache and in the folder for temporary files, unless it is told not to when loaded."""
    notes(tmp_path)
    known = {name: "" for name in OFF if name not in os.environ}
    run = "import os\nfor name in " + repr(list(known)) + ": os.environ.pop(name, None)"
    said = medllm(tmp_path, "extract", "notes", "-o", "out", "--readers", "tagger", crash=run)
    assert said.code == 3
    assert said.temporary == []
    assert [path for path in (tmp_path / ".home").rglob("*") if "icrosoft" in str(path) or "onnxruntime" in str(path)] == []
