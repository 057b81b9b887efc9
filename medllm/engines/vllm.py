"""A vLLM server, or another of the OpenAI protocol: many requests in flight, each held to its own grammar.

A small transport of its own over httpx, because the usual clients drop what is needed here: usage with cached tokens, the reason why
an answer ended, log probabilities.
"""

import asyncio
import os
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medllm.background import BackgroundLoop
from medllm.engines._connecting import Server, connect
from medllm.engines._counting import counter_of
from medllm.engines._in_flight import InFlight
from medllm.engines._protocol import body_of, completion_of
from medllm.engines._transport import ServerOptions, Transport
from medllm.engines.base import Completion, Request
from medllm.errors import EngineError, UsageError

DEFAULT_PARALLEL = 128
API_KEY = "MEDLLM_API_KEY"
BASE_URL = "MEDLLM_BASE_URL"
_WAITING = "vllm:num_requests_waiting"


class VllmEngine:
    """Asks a server at ``base_url``, with or without ``/v1``, for the model of that name (its only one, if None).

    Up to ``parallel`` requests are in flight; how many, the server's load decides. ``api_key`` is by default what MEDLLM_API_KEY holds.
    ``timeout``: seconds to wait for one answer. ``patience``: seconds to wait for a server that has gone away in the middle of a run.
    ``reasoning_tokens``: tokens in which a reasoning model may think before its answer; with none it is told not to. Calls may come
    from several event loops.

    Raises EngineError if the server is not up, is too old, has not the model or does not obey; the hint has the command that
    mends it. ``constrained`` is False for a server that takes JSON schemas and no grammars, ``remote`` for one on this machine.
    """

    name = "vllm"
    fingerprint = ""

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        *,
        api_key: str | None = None,
        ca_file: Path | None = None,
        client_certificate: Path | None = None,
        timeout: float = 600.0,
        patience: float = 120.0,
        parallel: int = DEFAULT_PARALLEL,
        context_tokens: int | None = None,
        reasoning_tokens: int = 0,
    ) -> None:
        if parallel < 1:
            raise UsageError(f"parallel is {parallel}", hint="Use 1 or more.")
        key = api_key or os.environ.get(API_KEY)
        self.remote = not _is_here(base_url)
        options = ServerOptions(base_url, key, ca_file, client_certificate, timeout, patience)
        self._transport = Transport(options, parallel)
        self._reasoning_tokens = reasoning_tokens
        self._in_flight = InFlight(parallel, self._server_is_full)
        self._transport.overloaded = self._in_flight.overloaded
        self._loop = BackgroundLoop()  # connections belong to one loop; callers have their own
        self._closed = False
        try:
            self.server: Server = self._loop.run(connect(self._transport, model, context_tokens, reasoning_tokens))
        except BaseException:
            self._loop.close(last=self._transport.aclose)
            raise
        self.model = self.server.model
        self.context_tokens = self.server.context_tokens
        self.constrained = self.server.form != "json"
        self.concurrency = parallel
        count, self.counts_exactly = counter_of(self.server.root)
        self._count = lru_cache(maxsize=4096)(count)

    @property
    def address(self) -> str:
        """The server's root."""
        return str(self._transport.address)

    @property
    def about(self) -> dict[str, Any]:
        """What is worth keeping of the server with what it wrote: software, the form of its constraints, how tokens were counted."""
        return {"server": self.server.software, "held_to": self.server.form, "exact_token_counts": self.counts_exactly}

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``: exact where the model's tokenizer is on this machine, else a little more than it is."""
        return self._count(text)

    async def complete(self, request: Request) -> Completion:
        """Answer one request; cancelling the call stops the decoding. Raises EngineError, or ServerLostError."""
        if self._closed:
            raise EngineError("the engine has been closed", hint="make a new one for further requests")
        return await self._loop.call(self._complete(request))

    async def _complete(self, request: Request) -> Completion:
        body = body_of(request, self.model, self.server.form, self._reasoning_tokens)

        def read(answer: dict[str, Any], seconds: float) -> Completion:
            return completion_of(answer, request, self.server.form, seconds)

        async with self._in_flight.turn():
            completion = await self._transport.post("/v1/chat/completions", body, read)
        if completion.finish_reason == "stop" and not _admitted(request, completion.text):
            hint = "was it started anew with other flags?"
            raise EngineError("the server's answer breaks its grammar: it has stopped obeying", hint=hint, retryable=True)
        await self._in_flight.went_well()
        return completion

    async def _server_is_full(self) -> bool:
        """Whether requests wait in the server for their turn, as its own metrics say; not, where it has none."""
        try:
            metrics = (await self._transport.get("/metrics")).text
        except Exception:  # a figure for pacing is not worth an error
            return False
        return any(float(line.rpartition(" ")[2]) > 0 for line in metrics.splitlines() if line.startswith(_WAITING + "{"))

    async def aclose(self) -> None:
        """Close the connections; what is being decoded is stopped by the server. May be called twice."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._loop.close, self._transport.aclose)


def _admitted(request: Request, text: str) -> bool:
    return request.constraint is None or request.constraint.grammar.accepts(text)


def _is_here(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
