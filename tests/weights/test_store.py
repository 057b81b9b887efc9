import hashlib
import os
import threading
from pathlib import Path

import pytest

from medllm.errors import ModelError
from medllm.weights import checksum, locate, pull, status, verify

from .conftest import CONTENT, HUB, Hub, card

CARD = card(HUB)
DAMAGED = CONTENT[:-1] + b"\0"


def swap_unnoticed(path: Path, content: bytes) -> None:
    """Other bytes, with the size and the time of change of those before."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_unknown_names_are_errors_everywhere() -> None:
    for function in (pull, locate, verify, status):
        with pytest.raises(ModelError, match="no model named"):
            function("nobody")


def test_an_empty_cache(cache: Path) -> None:
    assert locate(CARD) is None
    assert status(CARD).state == "absent"
    with pytest.raises(ModelError, match="tiny is not on this machine"):
        verify(CARD)
    assert not cache.exists()


@pytest.mark.parametrize("place", ["cache/tiny-q4.gguf", "cache/models/tiny-q4.gguf", "shared/tiny-q4.gguf", "shared/models/tiny-q4.gguf"])
def test_a_file_placed_in_any_cache_folder_is_used(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDLLM_CACHE", os.pathsep.join([str(tmp_path / "cache"), str(tmp_path / "shared")]))
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert locate(CARD) == pull(CARD) == verify(CARD) == path


def test_the_system_cache_folder_is_used_without_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDLLM_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **options: tmp_path / name)
    path = tmp_path / "medllm" / "models" / "tiny-q4.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert locate(CARD) == path


@pytest.mark.parametrize("content", [DAMAGED, CONTENT[:1000]])
def test_a_damaged_file_is_never_used_and_a_pull_sets_it_aside(content: bytes, hub: Hub, cache: Path) -> None:
    path = cache / "models" / "tiny-q4.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert locate(CARD) is None
    assert status(CARD).state == "damaged"
    assert pull(CARD).read_bytes() == CONTENT
    assert (cache / "models" / "tiny-q4.gguf.rejected").read_bytes() == content


def test_a_checked_file_is_not_read_again_until_it_changes(hub: Hub) -> None:
    path = pull(CARD)
    swap_unnoticed(path, DAMAGED)
    assert locate(CARD) == path
    path.write_bytes(DAMAGED)
    os.utime(path, ns=(0, 0))
    assert locate(CARD) is None


def test_verify_always_reads_the_file_and_sets_a_damaged_one_aside(hub: Hub) -> None:
    path = pull(CARD)
    assert verify(CARD) == path
    swap_unnoticed(path, DAMAGED)
    actual = hashlib.sha256(DAMAGED).hexdigest()
    with pytest.raises(ModelError, match=f"is not tiny: its SHA-256 begins with {actual[:12]} and not") as caught:
        verify(CARD)
    assert "renamed" in caught.value.hint
    assert not path.exists()


def test_verify_leaves_a_damaged_file_of_another_folder_where_it_is(cache: Path) -> None:
    cache.mkdir()
    (cache / "tiny-q4.gguf").write_bytes(DAMAGED)
    with pytest.raises(ModelError) as caught:
        verify(CARD)
    assert f"Delete {cache / 'tiny-q4.gguf'}" in caught.value.hint
    assert (cache / "tiny-q4.gguf").exists()


def test_the_path_of_a_gguf_file_is_used_as_it_is(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "mine" / "own.GGUF"
    path.parent.mkdir()
    path.write_bytes(b"GGUF and more")
    assert pull(str(path)) == locate(str(path)) == verify(str(path)) == path
    assert checksum(path) == hashlib.sha256(b"GGUF and more").hexdigest()
    assert list(path.parent.iterdir()) == [path]


def test_a_path_to_nothing_or_to_something_else(tmp_path: Path) -> None:
    assert locate(str(tmp_path / "none.gguf")) is None
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        pull(str(tmp_path / "none.gguf"))
    (tmp_path / "pointer.gguf").write_text("version https://git-lfs")
    with pytest.raises(ModelError, match="is not a GGUF file"):
        pull(str(tmp_path / "pointer.gguf"))


def test_a_cache_that_cannot_be_written(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MEDLLM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelError, match="cannot be read or written") as caught:
        pull(CARD)
    assert "MEDLLM_CACHE" in caught.value.hint
    own = tmp_path / "own.gguf"
    own.write_bytes(CONTENT)
    assert checksum(own) == CARD.sha256


def test_a_full_disk_is_told_before_anything_is_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    with pytest.raises(ModelError, match="the disk is full"):
        pull(CARD)
    assert hub.asked == []


def test_pulls_at_the_same_time_fetch_once(hub: Hub) -> None:
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(pull(CARD))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 3
    assert hub.asked == [None]


def test_without_sources_the_error_says_where_to_place_the_file(cache: Path) -> None:
    with pytest.raises(ModelError) as caught:
        pull(CARD, sources=())
    assert str(cache / "models") in caught.value.hint
