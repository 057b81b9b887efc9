"""The command that starts a server, and the files that start one on a GPU box."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from medllm.cli.models import app
from medllm.engines.serving import SERVER, Serving, command, environment, start
from medllm.errors import MedllmError

DOCS = Path(__file__).parents[2] / "docs" / "serving"


def served(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["serve", "--print", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture(autouse=True)
def no_other_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDLLM_VLLM", raising=False)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 24}))
    return tmp_path


def test_the_command_has_what_extraction_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDLLM_CACHE", str(tmp_path))
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    line = served("0.5b", "--python", "/opt/vllm/bin/python", "--quantization", "fp8", "--tensor-parallel", "2", "--context", "8192")
    assert f"/opt/vllm/bin/python -m {SERVER} --model {tmp_path}/models/exported/" in line
    for words in (
        "--served-model-name qwen2.5-coder-0.5b",
        "--structured-outputs-config.backend guidance",
        "--enable-prefix-caching",
        "--max-model-len 8192",
        "--quantization fp8",
        "--tensor-parallel-size 2",
        "VLLM_NO_USAGE_STATS=1",
    ):
        assert words in line
    assert "secret" not in line
    assert not list(tmp_path.rglob("exported")), "--print makes nothing"


def test_a_hub_name_and_a_folder_go_as_they_are(tmp_path: Path) -> None:
    assert "--model org/model --served-model-name org/model" in served("org/model")
    assert "HF_HUB_OFFLINE" not in served("org/model")
    assert f"HF_HUB_OFFLINE=1 {sys.executable}" in served(str(tmp_path)).replace("'", "")


def test_adapters_speculation_and_further_options(adapter: Path) -> None:
    line = served("org/m", "--lora", f"mine={adapter}", "--speculate", "4", "--", "--max-num-seqs", "64")
    assert f"--enable-lora --max-lora-rank 32 --lora-modules mine={adapter}" in line
    assert '"num_speculative_tokens": 4' in line
    assert line.strip().endswith("--max-num-seqs 64")


@pytest.mark.parametrize("arguments", [("0.5b", "--lora", "x"), ("0.5b", "--lora", "x=/nowhere")])
def test_what_cannot_be_served_is_told(arguments: tuple[str, ...]) -> None:
    with pytest.raises(MedllmError) as caught:
        CliRunner().invoke(app, ["serve", "--print", *arguments], catch_exceptions=False)
    assert caught.value.hint


def test_a_python_that_is_not_there_is_told() -> None:
    with pytest.raises(MedllmError) as caught:
        start(Serving("m", "m", python="/nowhere/python"))
    assert "MEDLLM_VLLM" in caught.value.hint


def test_serve_becomes_the_server(tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\necho "$VLLM_NO_USAGE_STATS $*"\nexit 7\n')
    fake.chmod(0o755)
    code = "from medllm.cli import main; main()"
    line = [sys.executable, "-c", code, "models", "serve", str(tmp_path), "--python", str(fake)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 7
    assert f"1 -m {SERVER} --model {tmp_path}" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", ["compose.yaml", "medllm-vllm.service"])
def test_the_files_for_a_gpu_box_start_the_same_server(name: str) -> None:
    text = (DOCS / name).read_text()
    if name.endswith("yaml"):
        service = yaml.safe_load(text)["services"]["vllm"]
        words = [word for flag in service["command"] for word in flag.split("=", 1)]
        given = service["environment"]
    else:
        words = re.search(r"^ExecStart=(.*?[^\\])$", text, re.MULTILINE | re.DOTALL)[1].replace("\\\n", " ").split()  # type: ignore[index]
        given = dict(pair.split("=") for row in re.findall(r"^Environment=(.*)$", text, re.MULTILINE) for pair in row.split())
    wanted = command(Serving("m", "m"))[3:]
    flags = {flag for flag in wanted if flag.startswith("--")}
    assert flags <= {word for word in words if word.startswith("--")}
    for flag in flags - {"--model", "--served-model-name", "--host", "--max-model-len"}:
        value = wanted[wanted.index(flag) + 1 : wanted.index(flag) + 2]
        if value and not value[0].startswith("--"):
            assert words[words.index(flag) + 1] == value[0], flag
    assert environment(Serving("m", "m")).items() <= given.items()
