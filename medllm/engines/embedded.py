"""The embedded engine: a GGUF model in this process through llama.cpp (xllamacpp), on the CPU, without torch.

llama.cpp's own request loop is used over a Unix socket in a private folder, behind a random key: it gives exact token counts,
the model's chat template, continuous batching, and it stops decoding when a caller goes away. No port is opened.
"""

import asyncio
import os
import secrets
import shutil
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx

from medllm.engines.base import Completion, FinishReason, Request, TokenLogprob, Usage
from medllm.errors import EngineError
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar, Literal

DEFAULT_CONTEXT = 4096
DEFAULT_PARALLEL = 1
_SOCKET = "llama.sock"  # llama.cpp takes a host name with this ending for a socket
_LLGUIDANCE = "%llguidance {}\n"
_NEVER_SAID = "medllm-probe-7f3a"


class EmbeddedEngine:
    """Runs a GGUF file.

    ``context_tokens`` is the room for one prompt and its answer; ``parallel`` prompts are decoded at a time, each with that
    room. ``threads`` defaults to the cores this process may use. Raises EngineError if the file is no model llama.cpp can run.
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
    ) -> None:
        self.model = model or Path(path).stem
        self.fingerprint = fingerprint
        self.context_tokens = context_tokens
        self.concurrency = parallel
        self._lark = grammar_form == "lark"
        self._folder = Path(tempfile.mkdtemp(prefix="medllm-"))
        self._key = secrets.token_hex(16)
        self._server = self._start(Path(path), threads or available_cores())
        headers = {"Authorization": f"Bearer {self._key}"}
        socket = str(self._folder / _SOCKET)
        self._client = httpx.Client(transport=httpx.HTTPTransport(uds=socket), base_url="http://embedded", headers=headers, timeout=60)
        self._async = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=socket, limits=httpx.Limits(max_connections=parallel)),
            base_url="http://embedded",
            headers=headers,
            timeout=None,
        )
        self._slots = asyncio.Semaphore(parallel)
        self.count_tokens = lru_cache(maxsize=4096)(self._count_tokens)  # type: ignore[method-assign]
        self._probe()

    def _start(self, path: Path, threads: int) -> Any:
        import xllamacpp

        if not path.is_file():
            raise EngineError(f"there is no model file {path}", hint="give a .gguf file, or a name that `medllm models list` shows")
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise EngineError(f"{path} is not a GGUF file", hint="use --engine transformers for other models")
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
        params.verbosity = -1
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise EngineError(
                f"llama.cpp cannot load {path.name}", hint="is it whole (`medllm models verify`), and is there memory?"
            ) from error

    def _probe(self) -> None:
        """llama.cpp decodes freely when it does not understand a grammar: make sure that it does, before any note is read."""
        for form in (True, False) if self._lark else (False,):
            self._lark = form
            probe = self._body("Say hello.", Request((), Constraint(Grammar({"root": Literal(_NEVER_SAID)})), 32))
            if self._client.post("/completion", json=probe).json().get("content") == _NEVER_SAID:
                return
        raise EngineError(
            "this build of llama.cpp does not obey grammars", hint="install the pinned xllamacpp: pip install --force-reinstall xllamacpp"
        )

    def _count_tokens(self, text: str) -> int:
        return len(self._client.post("/tokenize", json={"content": text, "parse_special": False}).json()["tokens"])

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text`` by the model's own tokenizer, without special tokens."""
        return self._count_tokens(text)

    async def complete(self, request: Request) -> Completion:
        """Answer one request. Cancelling the call stops the decoding."""
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
            response = await self._async.post(path, json=body)
        except httpx.HTTPError as error:
            raise EngineError(f"llama.cpp stopped answering: {type(error).__name__}", hint="it may have run out of memory") from error
        if response.status_code != httpx.codes.OK:
            kind = response.json().get("error", {}).get("type", "") if "json" in response.headers.get("content-type", "") else ""
            if kind == "exceed_context_size_error":
                raise EngineError(
                    f"the prompt is longer than the context of {self.context_tokens} tokens",
                    hint="give a larger --context, or a smaller --chunk-tokens",
                )
            raise EngineError(f"llama.cpp answered {response.status_code} {kind}".strip())
        return dict(response.json())

    async def aclose(self) -> None:
        """Give back the model's memory and the socket."""
        if self._server is not None:
            await self._async.aclose()
            self._client.close()
            self._server = None
            shutil.rmtree(self._folder, ignore_errors=True)


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
