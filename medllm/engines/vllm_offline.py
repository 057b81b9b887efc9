"""vLLM in this process: for one machine with a GPU and no server. The same grammars, and the same results, as on a server."""

import asyncio
import gc
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from medllm.engines._batching import CHOICE, Batches, closed
from medllm.engines._protocol import grammar_of, tokens_of
from medllm.engines.base import Completion, FinishReason, Message, Request, Usage
from medllm.engines.export import ORIGIN
from medllm.errors import EngineError, ModelError
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar, Literal

if TYPE_CHECKING:
    from vllm import LLM

DEFAULT_CONTEXT = 4096
DEFAULT_BATCH = 128
_NEVER_SAID = "medllm-probe-7f3a"


@dataclass(frozen=True)
class _Work:
    request: Request
    prompt: list[int]


class VllmOfflineEngine:
    """A model of the hub, or a folder. Overlapping calls are run together, up to ``parallel`` at a time.

    ``eager`` starts sooner and answers slower. A cancelled call is decoded to its end all the same, with its batch. Raises EngineError
    and ModelError.
    """

    name = "vllm-offline"
    constrained = True

    def __init__(
        self, model: str, *, dtype: str = "auto", context_tokens: int | None = None, parallel: int | None = None, eager: bool = False
    ) -> None:
        if model.endswith(".gguf"):
            raise ModelError("vLLM does not read this GGUF file", hint=f"export it first: medllm models export {model}")
        self.model = Path(model).name if Path(model).is_dir() else model
        self.fingerprint = _fingerprint(Path(model))
        self.context_tokens = context_tokens or DEFAULT_CONTEXT
        batch = parallel or DEFAULT_BATCH
        self.concurrency = CHOICE * batch
        self._llm: LLM | None = _load(model, dtype, self.context_tokens, batch, eager)
        self._tokenizer: Any = self._llm.get_tokenizer()
        self._tokenizing = threading.Lock()  # tokenizers may not be used from two threads at once
        self._preparing = ThreadPoolExecutor(2, thread_name_prefix="medllm-prompts")
        self._batches: Batches[_Work, Completion] = Batches(self._run, batch)
        self._probe()

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``, without special tokens."""
        with self._tokenizing:
            return len(self._tokenizer.encode(text, add_special_tokens=False))

    async def complete(self, request: Request) -> Completion:
        """Answer one request. ``usage.seconds`` are those of its batch. Raises EngineError."""
        if self._llm is None:
            raise closed()
        with self._batches.expecting():
            work = await asyncio.wrap_future(self._preparing.submit(self._work, request))
            answer = self._batches.put(work, len(work.prompt))
        return await answer

    async def aclose(self) -> None:
        """Wait for the batch that runs, and give back the GPU's memory. Calls that wait get an EngineError."""
        await asyncio.to_thread(self._preparing.shutdown)
        await asyncio.to_thread(self._batches.close)
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None
            gc.collect()

    def _probe(self) -> None:
        request = Request((Message("user", "Say hello."),), Constraint(Grammar({"root": Literal(_NEVER_SAID)})), 32)
        (answer,) = self._run([self._work(request)])
        if isinstance(answer, Exception) or answer.text != _NEVER_SAID:
            raise EngineError("this vLLM does not obey grammars", hint="update it: pip install -U 'vllm>=0.12'")

    def _work(self, request: Request) -> _Work:
        from medllm.engines.transformers import encode_chat

        if request.constraint is not None:
            from llguidance import LLMatcher

            if LLMatcher.validate_grammar(request.constraint.lark):  # its message quotes the grammar, and so the note
                raise EngineError("llguidance refuses this chunk's grammar", hint="please report it, with the schema in use")
        with self._tokenizing:
            prompt = encode_chat(self._tokenizer, request.messages)
        if len(prompt) + request.max_tokens > self.context_tokens:
            raise EngineError(
                f"a prompt of {len(prompt)} tokens and an answer of up to {request.max_tokens} do not fit in {self.context_tokens} tokens",
                hint="give a larger --context, or a smaller --chunk-tokens",
            )
        return _Work(request, prompt)

    def _run(self, batch: Sequence[_Work]) -> list[Completion | Exception]:
        if self._llm is None:
            return [closed()] * len(batch)
        started = perf_counter()
        prompts: Any = [{"prompt_token_ids": work.prompt} for work in batch]
        try:
            answers = self._llm.generate(prompts, [_sampling(work.request) for work in batch], use_tqdm=False)
        except Exception as error:  # of any kind, and it may quote a prompt
            raise EngineError(
                f"vLLM failed while answering ({type(error).__name__})", hint="is the GPU's memory enough? try a smaller --parallel"
            ) from None
        seconds = perf_counter() - started
        return [_completion(answer, seconds) for answer in answers]


def _load(model: str, dtype: str, context_tokens: int, batch: int, eager: bool) -> "LLM":
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        from vllm import LLM
    except ImportError as error:
        raise EngineError(
            f"The vllm-offline engine needs {error.name or 'vllm'}, which is not installed", hint="pip install 'medllm[vllm]'"
        ) from error
    try:
        return LLM(
            model=model,
            dtype=dtype,
            max_model_len=context_tokens,
            max_num_seqs=batch,
            enforce_eager=eager,
            enable_prefix_caching=True,
            structured_outputs_config={"backend": "guidance"},
        )
    except Exception as error:  # whatever vLLM raises for a model, a GPU or a setting that will not do
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise EngineError(
            f"vLLM cannot load {model}: {first}", hint="is it a model that vLLM knows, and does it fit in the GPU's memory?"
        ) from error


def _sampling(request: Request) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    grammar = None if request.constraint is None else StructuredOutputsParams(grammar=grammar_of(request.constraint, "lark"))
    return SamplingParams(
        temperature=request.temperature,
        seed=request.seed,
        max_tokens=request.max_tokens,
        repetition_penalty=1.0,
        logprobs=0 if request.logprobs else None,
        structured_outputs=grammar,
    )


def _completion(answer: Any, seconds: float) -> Completion | Exception:
    output = answer.outputs[0]
    if output.finish_reason not in ("stop", "length"):
        return EngineError("vLLM gave up an answer", hint="the same command tries it again", retryable=True)
    reason: FinishReason = output.finish_reason
    usage = Usage(len(answer.prompt_token_ids), answer.num_cached_tokens or 0, len(output.token_ids), seconds)
    pairs = zip(output.token_ids, output.logprobs or (), strict=False)
    tokens = [((chosen[token].decoded_token or "").encode(), float(chosen[token].logprob)) for token, chosen in pairs]
    return Completion(output.text, reason, usage, tokens_of(output.text, tokens))


def _fingerprint(folder: Path) -> str:
    """The SHA-256 of the file that a folder was exported from; empty for another one, and for a hub name."""
    try:
        return str(json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
