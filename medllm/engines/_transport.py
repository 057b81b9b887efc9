"""HTTP to a server of the OpenAI protocol: what may be tried again is, with growing pauses; nothing a server says is repeated.

Servers quote requests in their error messages, and requests hold notes: errors here name status codes and kinds alone.
"""

import asyncio
import json
import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from medllm.errors import EngineError, ServerLostError, UsageError

ATTEMPTS = 4
"""How often one request is sent that the server fails at while it is up."""

MAX_ANSWER = 64 * 1024 * 1024
"""The most bytes of one answer: log probabilities of 100,000 tokens take a tenth of it."""

LONGEST_PAUSE = 20.0
_OF_TRANSFER = {"content-encoding", "content-length", "transfer-encoding"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_AWAY = {408, 429, 502, 503, 504}
_CONTEXT = ("maximum context length", "context_length_exceeded", "max_model_len", "longer than the maximum model length")

_T = TypeVar("_T")


@dataclass(frozen=True)
class ServerOptions:
    """Where a server is, and how to talk to it.

    ``base_url`` with or without ``/v1``. ``timeout``: seconds to wait for one answer, from sending to its last byte. ``patience``: seconds
    to wait for a server that is away, before the run is stopped. ``ca_file`` and ``client_certificate`` are PEM files, the latter with its
    key.
    """

    base_url: str
    api_key: str | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    timeout: float = 600.0
    patience: float = 120.0


class Failure(Exception):
    """A try that came to nothing.

    ``away``: the server was not there or had no room; ``slow``: it did not answer in time; ``after``: seconds it asked to wait.
    """

    def __init__(self, what: str, *, away: bool = False, slow: bool = False, after: float | None = None) -> None:
        super().__init__(what)
        self.away = away
        self.slow = slow
        self.after = after


class Transport:
    """One connection pool. ``overloaded`` is called when the server asks for less."""

    def __init__(self, options: ServerOptions, connections: int) -> None:
        self.options = options
        self.address = server_address(options.base_url)
        self.overloaded: Callable[[], None] = lambda: None
        headers = {"Content-Type": "application/json"}
        if options.api_key:
            headers["Authorization"] = f"Bearer {options.api_key}"
        self._client = httpx.AsyncClient(
            base_url=self.address,
            headers=headers,
            timeout=httpx.Timeout(options.timeout, connect=10.0, pool=None),
            limits=httpx.Limits(max_connections=connections + 2, max_keepalive_connections=connections + 2),
            verify=_tls(options) if self.address.scheme == "https" else False,
            trust_env=self.address.host not in _LOOPBACK,  # a proxy of the company is no way to this very machine
        )

    async def get(self, path: str) -> httpx.Response:
        """One try. Raises httpx.HTTPError."""
        return await self._client.get(path, timeout=15.0)

    async def send(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """One try, whatever the status. Raises httpx.HTTPError."""
        return await self._client.post(path, content=json.dumps(body))

    async def post(self, path: str, body: Mapping[str, Any], read: Callable[[dict[str, Any], float], _T]) -> _T:
        """The answer as ``read`` understands it, given with the seconds it took; ``read`` raises ValueError, KeyError or TypeError.

        Raises EngineError where the server is up and cannot answer, ServerLostError where it is not up any more.
        """
        content = json.dumps(body).encode()
        failed = 0
        began: float | None = None
        while True:
            started = time.perf_counter()
            try:
                return read(_json(await self._answer(path, content)), time.perf_counter() - started)
            except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout):
                failure = Failure(f"no answer within {self.options.timeout:g} s (--timeout)", slow=True)
            except (httpx.HTTPError, Failure) as error:
                failure = error if isinstance(error, Failure) else _of_connection(error)
            except (ValueError, KeyError, TypeError, IndexError):
                failure = Failure("an answer that is not of the protocol")
            if failure.away or failure.slow:
                self.overloaded()
            if failure.away:
                began = began or time.monotonic()
                over = time.monotonic() - began > self.options.patience
            else:
                over = failed + 1 >= ATTEMPTS
            failed += 1
            if over:
                raise await self._given_up(failure)
            await asyncio.sleep(_pause(failed, failure.after, self.options.patience))

    async def _answer(self, path: str, content: bytes) -> httpx.Response:
        """One try: a server may neither trickle an answer for longer than the timeout nor fill the memory with it."""
        async with asyncio.timeout(self.options.timeout), self._client.stream("POST", path, content=content) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER:
                    raise Failure(f"an answer of more than {MAX_ANSWER} bytes")
            headers = {name: value for name, value in response.headers.items() if name.lower() not in _OF_TRANSFER}
            return httpx.Response(response.status_code, headers=headers, content=bytes(body))

    async def healthy(self) -> bool:
        """Whether the server says that it is up."""
        try:
            response = await self.get("/health")
            if response.status_code == httpx.codes.NOT_FOUND:
                response = await self.get("/v1/models")
        except httpx.HTTPError:
            return False
        return response.status_code < 500

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _given_up(self, failure: Failure) -> EngineError | ServerLostError:
        if await self.healthy():
            return EngineError(
                f"the server failed at a request: {failure}", hint="the same command tries it again; see the server's log", retryable=True
            )
        return ServerLostError(
            f"the server at {self.address.host} does not answer any more: {failure}",
            hint="start it again; the same command then goes on where it stopped",
        )


def server_address(base_url: str) -> httpx.URL:
    """The server's root. Raises UsageError.

    >>> str(server_address("gpu:8000/hospital/v1/"))
    'http://gpu:8000/hospital'
    """
    try:
        url = httpx.URL(base_url if "://" in base_url else f"http://{base_url}")
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError("--base-url is no address of a server", hint="such as http://localhost:8000/v1")
    return url.copy_with(path=url.path.rstrip("/").removesuffix("/v1") or "/", query=None, fragment=None)


def _tls(options: ServerOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca_file) if options.ca_file else httpx.create_ssl_context()
        if options.client_certificate:
            context.load_cert_chain(options.client_certificate)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"a certificate cannot be read: {type(error).__name__}", hint="give PEM files") from None
    return context


def _json(response: httpx.Response) -> dict[str, Any]:
    """The body of an answer. Raises Failure for what may be tried again, EngineError for what may not."""
    status = response.status_code
    if status == httpx.codes.OK:
        try:
            return dict(response.json())
        except (ValueError, TypeError):
            raise Failure("an answer that is no JSON") from None
    if status in _AWAY or status >= 500:
        raise Failure(f"status {status}", away=status in _AWAY, after=_retry_after(response))
    raise refused(response)


def refused(response: httpx.Response) -> EngineError:
    """What a status that no further try would change means."""
    status = response.status_code
    if status in (401, 403):
        return EngineError(f"the server refuses the API key (status {status})", hint="set MEDLLM_API_KEY to the server's key")
    if status == 404:
        return EngineError("the server does not know the model, or is none of the OpenAI protocol", hint="compare --base-url and --model")
    if status in (400, 413, 422) and any(words in response.text for words in _CONTEXT):
        return EngineError(
            "the prompt and its answer are longer than the server's context",
            hint="start the server with a larger --max-model-len, or give a smaller --chunk-tokens",
        )
    return EngineError(f"the server refuses a request (status {status})", hint="see the server's log")


def _of_connection(error: httpx.HTTPError) -> Failure:
    return Failure(type(error).__name__, away=isinstance(error, httpx.ConnectError | httpx.ConnectTimeout))


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, where the server names them; a date is not looked at."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None


def _pause(failed: int, after: float | None, patience: float) -> float:
    """Seconds before the next try: what the server asked for, else longer every time, and never in step with others."""
    if after is not None:
        return min(after, patience) + random.random() * 0.1
    return min(LONGEST_PAUSE, patience / 4, 0.5 * 2.0 ** (failed - 1)) * (0.5 + random.random() / 2)
