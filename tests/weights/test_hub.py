from pathlib import Path

import pytest

from medllm.errors import ModelError
from medllm.weights import hub as hub_module
from medllm.weights import locate, pull, status

from .conftest import CONTENT, HUB, Hub, card

CARD = card(HUB)


def refusal(caught: pytest.ExceptionInfo[ModelError]) -> str:
    assert "tiny could not be fetched" in str(caught.value)
    return caught.value.hint


def test_pull_writes_the_file_and_nothing_else(hub: Hub, cache: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = pull(CARD, progress=lambda *each: seen.append(each))
    assert path == cache / "models" / "tiny-q4.gguf"
    assert path.read_bytes() == CONTENT
    assert {each.name for each in path.parent.iterdir()} <= {"tiny-q4.gguf", "tiny-q4.gguf.lock"}
    assert [label for label, done, total in seen if done == total] == ["model hub", "checking"]
    seen.clear()
    assert locate(CARD, progress=lambda *each: seen.append(each)) == path
    assert not seen


def test_a_second_pull_asks_nobody(hub: Hub) -> None:
    assert pull(CARD) == pull(CARD) == locate(CARD)
    assert hub.asked == [None]


def test_a_cut_connection_is_taken_up_where_it_broke(hub: Hub) -> None:
    hub.cuts = [100_000, 50_000]
    assert pull(CARD).read_bytes() == CONTENT
    assert hub.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_server_that_ignores_ranges_gives_the_whole_file_again(hub: Hub) -> None:
    hub.ranges = False
    hub.cuts = [100_000]
    assert pull(CARD).read_bytes() == CONTENT
    assert hub.asked == [None, "bytes=100000-"]


def test_a_connection_that_brings_nothing_new_is_given_up(hub: Hub) -> None:
    hub.cuts = [100_000, 0]
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert "the connection broke" in refusal(caught)
    assert status(CARD).state == "partial"
    assert status(CARD).present == 100_000


def test_an_interrupted_pull_goes_on_where_it_stopped(hub: Hub) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if done >= 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(CARD, progress=interrupt)
    stopped = status(CARD)
    assert stopped.state == "partial"
    assert locate(CARD) is None
    assert pull(CARD).read_bytes() == CONTENT
    assert hub.asked == [None, f"bytes={stopped.present}-"]


def test_a_pull_interrupted_while_checking_downloads_nothing_again(hub: Hub) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "checking":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(CARD, progress=interrupt)
    assert pull(CARD).read_bytes() == CONTENT
    assert hub.asked == [None]


def test_a_file_with_another_hash_is_refused_and_deleted(hub: Hub, cache: Path) -> None:
    hub.content = CONTENT[:-1] + b"\0"
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert "model hub: the file it gave is not the pinned one" in refusal(caught)
    assert status(CARD).state == "absent"
    assert {each.name for each in (cache / "models").iterdir()} <= {"tiny-q4.gguf.lock"}


@pytest.mark.parametrize("content", [b"<html>Please log in</html>", CONTENT + b"more"])
def test_a_file_of_another_size_is_refused_unread(hub: Hub, content: bytes) -> None:
    hub.content = content
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert f"the file there has {len(content)} bytes and not {len(CONTENT)}" in refusal(caught)
    assert status(CARD).present == 0


def test_a_missing_file_is_told_with_its_status_and_the_other_way_out(hub: Hub, cache: Path) -> None:
    hub.status = 404
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert "model hub: it answered with HTTP status 404." in refusal(caught)
    assert f"Or place tiny-q4.gguf, fetched by any other way, in {cache / 'models'}" in refusal(caught)


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://user:secret@127.0.0.1:1")
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert "model hub: it cannot be reached (ConnectError)" in refusal(caught)
    assert "secret" not in refusal(caught)


def test_a_hub_that_never_answers(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "OPEN_SECONDS", 0.05)
    hub.silent = True
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert "no answer within 0.05 seconds" in refusal(caught)


@pytest.mark.parametrize("endpoint", ["http://user:secret@host:port", "ftp://user:secret@host"])
def test_an_endpoint_that_cannot_be_used(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert "model hub: " in refusal(caught)
    assert "secret" not in refusal(caught)


def test_offline_asks_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError) as caught:
        pull(CARD)
    assert "HF_HUB_OFFLINE is set" in refusal(caught)
    assert hub.asked == []
