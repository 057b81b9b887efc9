"""An engine that asks its cache first, so that a run reads again only what has changed: the notes, the schema, the prompts, the model."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from medllm.engines._recording import request_key
from medllm.engines._wrapping import Wrapper
from medllm.engines.base import Completion, Engine, Request, TokenLogprob, Usage
from medllm.engines.completion_cache import CompletionCache
from medllm.errors import CacheError
from medllm.versions import DECODERS, versions


class CachedEngine(Wrapper):
    """Any engine, with its whole answers kept in ``cache`` and taken from there.

    An answer's key is the SHA-256 of the request (messages, grammar or JSON schema, budget, temperature, seed), the engine, the model and
    the hash of its weights, the server where there is one, and the versions of medllm and of what decodes. What depends on a schema, a
    prompt or a layout stands in the messages and the grammar. Errors and answers that were cut off are not kept.

    A cache that fails is told once through ``warn``, and the engine goes on without it. Closing the engine closes the cache.
    """

    def __init__(self, engine: Engine, cache: CompletionCache, *, warn: Callable[[CacheError], None] = lambda _: None) -> None:
        super().__init__(engine)
        self._cache: CompletionCache | None = cache
        self._warn = warn
        address = getattr(engine, "address", "")
        found = [engine.name, address, engine.model, engine.fingerprint, self.about, versions(("medllm", *DECODERS))]
        self._decided_by = json.dumps(found, sort_keys=True).encode()

    async def complete(self, request: Request) -> Completion:
        """The kept answer, else the engine's own."""
        key = self._key(request)
        if (kept := await self._get(key)) is not None:
            return kept
        completion = await self._engine.complete(request)
        if completion.finish_reason == "stop":
            await self._put(key, completion)
        return completion

    async def aclose(self) -> None:
        """Close the cache and the engine."""
        cache, self._cache = self._cache, None
        if cache is not None:
            await asyncio.to_thread(cache.close)
        await super().aclose()

    def _key(self, request: Request) -> bytes:
        asked = f"{request_key(request)} {request.logprobs} ".encode()
        return hashlib.sha256(asked + self._decided_by).digest()

    async def _get(self, key: bytes) -> Completion | None:
        if (cache := self._cache) is None:
            return None
        try:
            packed = await asyncio.to_thread(cache.get, key)
        except CacheError as error:
            await self._give_up(error)
            return None
        return None if packed is None else _unpack(packed)

    async def _put(self, key: bytes, completion: Completion) -> None:
        if (cache := self._cache) is None:
            return
        try:
            await asyncio.to_thread(cache.put, key, _pack(completion))
        except CacheError as error:
            await self._give_up(error)

    async def _give_up(self, error: CacheError) -> None:
        cache, self._cache = self._cache, None
        if cache is not None:  # several requests may fail at once: one of them tells it
            await asyncio.to_thread(cache.close)
            self._warn(error)


def _pack(completion: Completion) -> bytes:
    parts: list[Any] = [completion.text, astuple(completion.usage), completion.logprobs]
    return json.dumps(parts).encode()


def _unpack(packed: bytes) -> Completion:
    text, usage, logprobs = json.loads(packed)
    return Completion(text, "stop", Usage(*usage), tuple(TokenLogprob(*each) for each in logprobs), from_cache=True)
