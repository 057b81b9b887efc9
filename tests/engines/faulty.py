"""A server of the OpenAI protocol in this process whose answers are a reader's, and whose faults are scripted."""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from medllm.engines.base import Message, Request
from medllm.grammar.json_answer import from_notation

PROBE = "medllm-probe-7f3a"

Fault = str | None
"""What goes wrong with a request: refused, reset, slow, trickle, flood, busy, broken, cut, garbage, abort, disobeys, or a status."""


SEVEN_WAYS = ("refused", "reset", "slow", "busy", "broken", "cut", "garbage")


def mixed(share: float, seed: int = 0) -> Callable[[int], Fault]:
    """A share of all requests fails, in one of seven ways."""

    def fault(number: int) -> Fault:
        drawn = Random(f"{seed} {number}")
        return drawn.choice(SEVEN_WAYS) if drawn.random() < share else None

    return fault


@dataclass
class FaultyServer:
    """Listens on a port of this machine. ``fault`` says what goes wrong with the nth request for a note; ``answer`` makes the text.

    ``asked`` are the bodies of those requests, ``peak`` the most of them at a time. ``forms`` are the constraints that it obeys.
    """

    answer: Callable[[Request], str]
    fault: Callable[[int], Fault] = lambda n: None
    forms: tuple[str, ...] = ("lark",)
    version: str = "0.32.0"
    key: str = ""
    models: list[dict[str, Any]] = field(default_factory=lambda: [{"id": "m", "root": "m", "max_model_len": 4096}])
    delay: float = 0.0
    waiting: int = 0
    reasoning: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    peak: int = 0
    running: int = 0
    healthy: bool = True
    port: int = 0

    def __enter__(self) -> "FaultyServer":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Listen, on the port of before where there was one."""

        async def begin() -> None:
            self._tasks: set[asyncio.Task[Any]] = set()
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result()

    def stop(self) -> None:
        """Die: no longer listen, and drop every connection."""

        async def end() -> None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *rest = head.decode().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._respond(first.split()[1], headers, body, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _respond(self, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> bool:
        if path == "/health":
            return await _send(writer, 200 if self.healthy else 503, "")
        if path == "/version":
            return await _send(writer, 200, {"version": self.version}) if self.version else await _send(writer, 404, "")
        if path == "/metrics":
            return await _send(writer, 200, f'vllm:num_requests_waiting{{engine="0"}} {self.waiting}.0\n')
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return await _send(writer, 401, {"error": "no"})
        if path == "/v1/models":
            return await _send(writer, 200, {"data": self.models})
        if path != "/v1/chat/completions":
            return await _send(writer, 404, "")
        given = json.loads(body)
        if "Say hello" in given["messages"][-1]["content"]:
            return await self._probed(given, writer)
        number = len(self.asked)
        self.asked.append(given)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await asyncio.sleep(self.delay)
            return await self._answered(given, self.fault(number), writer)
        finally:
            self.running -= 1

    async def _probed(self, given: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        grammar = given.get("structured_outputs", {}).get("grammar", "")
        form = "json" if "response_format" in given else "lark" if grammar.startswith("%llguidance") else "gbnf" if "::=" in grammar else ""
        if form not in self.forms:
            if form != "json" and self.version and self.forms:
                return await _send(writer, 400, {"error": {"message": f"Invalid grammar specification {grammar}"}})
            return await _send(writer, 200, self._completion(given, "Hello there!"))
        return await _send(writer, 200, self._completion(given, json.dumps({"say": PROBE}) if form == "json" else PROBE))

    async def _answered(self, given: dict[str, Any], fault: Fault, writer: asyncio.StreamWriter) -> bool:
        request = Request(tuple(Message(m["role"], m["content"]) for m in given["messages"]), None, given.get("max_tokens", 1000))
        text = self.answer(request)
        if "response_format" in given:
            text = json.dumps(from_notation(text), ensure_ascii=False)
        if fault is None:
            return await _send(writer, 200, self._completion(given, text))
        if fault == "refused":
            return False
        if fault == "reset":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n" + b'{"choices": [')
            await writer.drain()
            return False
        if fault == "slow":
            await asyncio.sleep(60)
            return False
        if fault in ("trickle", "flood"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n")
            while True:
                writer.write(b" " * (1 if fault == "trickle" else 4096))
                await writer.drain()
                await asyncio.sleep(0.05 if fault == "trickle" else 0)
        if fault == "busy":
            return await _send(writer, 429, {"error": "later"}, "Retry-After: 0\r\n")
        if fault == "garbage":
            return await _send(writer, 200, "<html>proxy error</html>")
        if fault == "cut":
            return await _send(writer, 200, self._completion(given, text[: len(text) // 2], "length"))
        if fault == "abort":
            return await _send(writer, 200, self._completion(given, "", "abort"))
        if fault == "disobeys":
            return await _send(writer, 200, self._completion(given, "The patient is well."))
        status = 500 if fault == "broken" else int(fault)
        return await _send(writer, status, {"error": {"message": f"cannot: {given['messages'][-1]['content']}"}})

    def _completion(self, given: dict[str, Any], text: str, reason: str = "stop") -> dict[str, Any]:
        said = [text[i : i + 3] for i in range(0, len(text), 3)]
        tokens = [{"token": t, "bytes": list(t.encode()), "logprob": -0.1} for t in [self.reasoning, *said, "<|im_end|>"] if t]
        return {
            "choices": [
                {
                    "message": {"role": "assistant", "content": text, "reasoning": self.reasoning or None},
                    "finish_reason": reason,
                    "logprobs": {"content": tokens} if given.get("logprobs") else None,
                }
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": len(tokens), "prompt_tokens_details": {"cached_tokens": 64}},
        }


async def _send(writer: asyncio.StreamWriter, status: int, content: Any, headers: str = "") -> bool:
    text = content if isinstance(content, str) else json.dumps(content)
    kind = "text/plain" if isinstance(content, str) else "application/json"
    body = text.encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    return True
