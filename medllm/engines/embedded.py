"""The embedded engine: a GGUF model in this process through llama.cpp (xllamacpp), on the CPU, without torch.

llama.cpp's own request loop is used over a Unix socket in a private folder, behind a random key: it gives exact token counts,
the model's chat template, continuous batching, and it stops decoding when a caller goes away. No port is opened.
"""

import asyncio
import json
import os
import secrets
import shutil
import socket
import tempfile
import time
import weakref
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx

from medllm.background import BackgroundLoop
from medllm.engines.adapters import adapter_folder, adapter_gguf
from medllm.engines.adapters import fingerprint as with_adapter
from medllm.engines.base import Completion, FinishReason, Request, TokenLogprob, Usage
from medllm.errors import EngineError
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar, Literal

DEFAULT_CONTEXT = 4096
DEFAULT_PARALLEL = 1
_SOCKET = "llama.sock"  # llama.cpp takes a host name with this ending for a socket
_SOCKET_PATH_BYTES = 103  # what every Unix allows
_LLGUIDANCE = "%llguidance {}\n"
_NEVER_SAID = "medllm-probe-7f3a"


class EmbeddedEngine:
    """Runs a GGUF file.

    ``context_tokens`` is the room for one prompt and its answer; ``parallel`` prompts are decoded at a time, each with that
    room. ``threads`` defaults to the cores this process may use.
    ``adapter`` is the folder of a LoRA adapter that holds ``adapter.gguf``. Calls may come from several event loops. Raises EngineError if
    the file is no model llama.cpp can run.
    """

    name = "embedded"
    constrained = True

    def __init__(
        self,
        path: str | Path,
        *,
        model: str = "",
        fingerprint: str = "",
        context_tokens: int = DEFAULT_CONTEXT,
        parallel: int = 1,
        threads: int | None = None,
        grammar_form: str = "lark",
        adapter: str | Path | None = None,
    ) -> None:
        self.model = (model or Path(path).stem) + (f"+{Path(adapter).name}" if adapter else "")
        self.fingerprint = fingerprint if adapter is None else with_adapter(fingerprint, adapter_folder(adapter))
        self._adapter = None if adapter is None else adapter_gguf(adapter)
        self.context_tokens = context_tokens
        self.concurrency = parallel
        self._lark = grammar_form == "lark"
        _check_file(Path(path))
        self._folder = _private_folder()
        self._remove_folder = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._key = secrets.token_hex(16)
        where: dict[str, Any] = {
            "base_url": "http://embedded",
            "headers": {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            "timeout": None,  # the model is in this process: it answers, however long it takes, or dies with it
        }
        path_of_socket = str(self._folder / _SOCKET)
        limits = httpx.Limits(max_connections=parallel)
        self._client = httpx.Client(transport=httpx.HTTPTransport(uds=path_of_socket), **where)
        self._async = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=path_of_socket, limits=limits), **where)
        self._slots = asyncio.Semaphore(parallel)
        self._loop = BackgroundLoop()  # connections and semaphore belong to one loop; callers have their own
        self._server: Any = None
        self.count_tokens = lru_cache(maxsize=4096)(self._count_tokens)  # type: ignore[method-assign]
        try:
            self._server = self._start(Path(path), threads or available_cores())
            self._probe()
        except BaseException:
            self._close()
            raise

    def _start(self, path: Path, threads: int) -> Any:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = self.context_tokens * self.concurrency
        params.n_parallel = self.concurrency
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.cpuparams.poll = params.cpuparams_batch.poll = 0  # spinning threads stall each other where cores are shared
        params.hostnames = [str(self._folder / _SOCKET)]
        params.api_keys = [self._key]
        params.endpoint_slots = False
        params.ui = False
        params.offline = True
        params.warmup = False
        if self._adapter is not None:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(self._adapter), 1.0)]
        params.verbosity = -1
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"llama.cpp cannot load {path.name}", hint="is it whole (`medllm models verify`), and is there memory?"
            ) from error

    def _probe(self) -> None:
        """llama.cpp decodes freely when it does not understand a grammar: make sure that it does, before any note is read."""
        for form in (True, False) if self._lark else (False,):
            self._lark = form
            probe = self._body("Say hello.", Request((), Constraint(Grammar({"root": Literal(_NEVER_SAID)})), 32))
            try:
                response = self._client.post("/completion", content=json.dumps(probe))
            except httpx.HTTPError as error:
                raise _stopped(error) from error
            if response.status_code == httpx.codes.OK and response.json().get("content") == _NEVER_SAID:
                return
        raise EngineError(
            "this build of llama.cpp does not obey grammars", hint="install the pinned xllamacpp: pip install --force-reinstall xllamacpp"
        )

    def _count_tokens(self, text: str) -> int:
        if self._client.is_closed:
            raise _closed()
        try:
            response = self._client.post("/tokenize", content=json.dumps({"content": text, "parse_special": False}))
        except httpx.HTTPError as error:
            raise _stopped(error) from error
        return len(self._answer(response)["tokens"])

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text`` by the model's own tokenizer, without special tokens."""
        return self._count_tokens(text)

    async def complete(self, request: Request) -> Completion:
        """Answer one request. Cancelling the call stops the decoding."""
        if self._client.is_closed:
            raise _closed()
        return await self._loop.call(self._complete(request))

    async def _complete(self, request: Request) -> Completion:
        async with self._slots:
            started = time.perf_counter()
            messages = [{"role": m.role, "content": m.content} for m in request.messages]
            prompt = (await self._post("/apply-template", {"messages": messages}))["prompt"]
            answer = await self._post("/completion", self._body(prompt, request))
            seconds = time.perf_counter() - started
        cached = int(answer["timings"]["cache_n"])
        usage = Usage(int(answer["tokens_evaluated"]), cached, int(answer["tokens_predicted"]), seconds)
        reason: FinishReason = "length" if answer["stop_type"] == "limit" or answer["truncated"] else "stop"
        logprobs = tuple(TokenLogprob(t["token"], t["logprob"]) for t in answer.get("completion_probabilities", ()))
        return Completion(answer["content"], reason, usage, logprobs)

    def _body(self, prompt: str, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "prompt": prompt,
            "n_predict": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "cache_prompt": True,
        }
        if request.temperature == 0:
            body["samplers"] = ["top_k"]
            body["top_k"] = 1
        if request.constraint:
            body["grammar"] = self._grammar(request.constraint)
        if request.logprobs:
            body["n_probs"] = 1
        return body

    def _grammar(self, constraint: Constraint) -> str:
        if not self._lark:
            return constraint.gbnf
        from llguidance import LLMatcher

        if LLMatcher.validate_grammar(constraint.lark):  # its message quotes the grammar, and so the note
            raise EngineError("llguidance refuses this chunk's grammar", hint="please report it, with the schema in use")
        return _LLGUIDANCE + constraint.lark

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._answer(await self._async.post(path, content=json.dumps(body)))
        except httpx.HTTPError as error:
            raise _stopped(error) from error

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        if response.status_code == httpx.codes.OK:
            return dict(response.json())
        kind = response.json().get("error", {}).get("type", "") if "json" in response.headers.get("content-type", "") else ""
        if kind == "exceed_context_size_error":
            raise EngineError(
                f"the prompt is longer than the context of {self.context_tokens} tokens",
                hint="give a larger --context, or a smaller --chunk-tokens",
            )
        raise EngineError(f"llama.cpp answered {response.status_code} {kind}".strip())

    async def aclose(self) -> None:
        """Give back the model's memory and the socket. What is being decoded is stopped."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._loop.close(last=self._async.aclose)
        self._client.close()
        self._server = None
        self._remove_folder()


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise EngineError(f"there is no model file {path}", hint="give a .gguf file, or a name that `medllm models list` shows") from None
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}", hint="give a .gguf file") from None
    if magic != b"GGUF":
        raise EngineError(f"{path} is not a GGUF file", hint="use --engine transformers for other models")


def _private_folder() -> Path:
    """A folder that only its owner may enter, with a path that leaves room for the name of a socket."""
    if not hasattr(socket, "AF_UNIX"):
        raise EngineError("this Python has no Unix sockets, which the embedded engine needs", hint="use --engine transformers, or WSL")
    for parent in (None, "/tmp"):
        try:
            folder = Path(tempfile.mkdtemp(prefix="medllm-", dir=parent))
        except OSError as error:
            raise EngineError(f"there is no room for temporary files: {error.strerror}", hint="set TMPDIR to a folder of yours") from None
        if len(os.fsencode(folder / _SOCKET)) <= _SOCKET_PATH_BYTES:
            return folder
        folder.rmdir()
    raise EngineError("the path of the folder for temporary files is too long for a socket", hint="set TMPDIR to a shorter one")


def _stopped(error: httpx.HTTPError) -> EngineError:
    return EngineError(f"llama.cpp stopped answering: {type(error).__name__}", hint="it may have run out of memory")


def _closed() -> EngineError:
    return EngineError("the engine has been closed", hint="make a new one for further requests")


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
