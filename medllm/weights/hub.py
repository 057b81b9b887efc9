"""Files of the model hub, over HTTPS, with resume.

Honours ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` as the hub's own client does
(https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables), and the usual proxy variables.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from medllm.errors import ModelError
from medllm.weights.source import Report, length

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 10
CONNECT_SECONDS = 5.0
OPEN_SECONDS = 10.0
READ_SECONDS = 30.0


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of the model hub; ``revision`` is a branch, a tag or a commit."""

    repo: str
    file: str
    revision: str = "main"

    label: ClassVar[str] = "model hub"
    slug: ClassVar[str] = "hub"

    @property
    def url(self) -> str:
        """Where the file is, at the hub that ``HF_ENDPOINT`` names, else the public one."""
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        return f"{endpoint.rstrip('/')}/{self.repo}/resolve/{self.revision}/{self.file}"

    def fetch(self, part: Path, size: int, report: Report) -> None:
        """Download to ``part``, going on where it ends. A broken connection is taken up again as long as bytes come.

        Raises ModelError where the hub cannot be reached, or has no such file of ``size`` bytes.
        """
        import httpx

        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise ModelError("HF_HUB_OFFLINE is set")
        for _ in range(ATTEMPTS):
            before = length(part)
            if before == size:
                return
            if before > size:
                part.unlink()
                before = 0
            try:
                _download(self.url, part, size, report)
            except httpx.HTTPError as error:
                if length(part) <= before:
                    raise ModelError(f"the connection broke ({type(error).__name__})") from error
        if length(part) != size:
            raise ModelError(f"the connection broke {ATTEMPTS} times")


def _download(url: str, part: Path, size: int, report: Report) -> None:
    """One connection. Raises httpx.HTTPError where it breaks; what came until then is in ``part``."""
    import httpx

    done = length(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    try:
        client = httpx.Client(timeout=timeout, follow_redirects=True)
        request = client.build_request("GET", url, headers=headers)
    except (httpx.InvalidURL, ValueError, OSError) as error:
        raise ModelError("HF_ENDPOINT, or a proxy or certificate setting, cannot be used") from error
    with client:
        response = _open(client, request)
        try:
            if response.status_code == 416:
                part.unlink(missing_ok=True)
                return
            done = _start(response, done, size)
            with part.open("ab" if done else "wb") as file:
                for block in response.iter_bytes():
                    done += len(block)
                    if done > size:
                        raise ModelError(f"the file there has more than {size} bytes")
                    file.write(block)
                    report(done, size)
        finally:
            response.close()


def _open(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    """Send, and wait for the head of the answer, ``OPEN_SECONDS`` at most.

    The client's own limit is one for each address of the host and leaves out the name look-up; behind a firewall that drops
    packets these sum up to minutes. Hence the thread, which is left behind where it hangs.
    """
    import queue
    import threading

    import httpx

    outcome: queue.SimpleQueue[httpx.Response | Exception] = queue.SimpleQueue()

    def send() -> None:
        try:
            outcome.put(client.send(request, stream=True))
        except Exception as error:
            outcome.put(error)

    threading.Thread(target=send, name="medllm-hub", daemon=True).start()
    try:
        answer = outcome.get(timeout=OPEN_SECONDS)
    except queue.Empty:
        raise ModelError(f"no answer within {OPEN_SECONDS:g} seconds") from None
    if isinstance(answer, httpx.Response):
        return answer
    raise ModelError(f"it cannot be reached ({type(answer).__name__})") from answer


def _start(response: httpx.Response, asked: int, size: int) -> int:
    """The offset of the first byte that the answer brings: ``asked``, or 0 where the server gives the whole file anyway."""
    if response.status_code == 206:
        start, total = _content_range(response.headers.get("Content-Range", ""))
        if start != asked:
            raise ModelError("it answered with another range of bytes than asked for")
    elif response.status_code == 200:
        start, total = 0, _number(response.headers.get("Content-Length", ""))
    else:
        raise ModelError(f"it answered with HTTP status {response.status_code}")
    if total is not None and total != size:
        raise ModelError(f"the file there has {total} bytes and not {size}")
    return start


def _content_range(value: str) -> tuple[int, int | None]:
    """``bytes 5-9/10`` (RFC 9110, 14.4) to the first offset and the size, if it is given; -1 for a value that cannot be read."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", value.strip())
    return (int(match[1]), _number(match[2])) if match else (-1, None)


def _number(value: str) -> int | None:
    return int(value) if value.isdecimal() else None
