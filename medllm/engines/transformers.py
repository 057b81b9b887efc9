"""Any causal language model in this process: Outlines and llguidance over transformers, a grammar for each row of a batch."""

import asyncio
import gc
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from medllm.engines._batching import CHOICE, Batches, closed, deep_stacks
from medllm.engines.base import Completion, Message, Request, Usage
from medllm.errors import EngineError, UsageError

if TYPE_CHECKING:
    from llguidance import LLMatcher

    from medllm.engines._hub import LoadedModel
    from medllm.engines._rows import Row


class TransformersEngine:
    """A model of the hub, a folder, or a GGUF file (unpacked to ``dtype``), on a GPU or the CPU.

    Overlapping calls are run together, up to ``batch_size`` at a time. Decoding is greedy unless a request's temperature says
    otherwise; the model's own sampling settings are not used. A batch changes sums in their last digits, so an answer may differ
    where two tokens are all but equal: for answers that are the same every time, use ``batch_size=1``.

    ``device`` None takes a GPU where there is one, ``auto`` spreads over all GPUs. ``dtype`` is ``auto`` (the model's own on a GPU,
    float32 on a CPU), ``float32``, ``bfloat16`` or ``float16``; bfloat16 takes half the memory, but on a CPU without AMX or AVX512-BF16
    it reads prompts many times slower. ``context_tokens`` stands in for the model's own limit. ``adapter`` is
    the folder of a LoRA adapter, which is merged into the weights. Raises EngineError and ModelError.
    """

    name = "transformers"
    constrained = True

    def __init__(
        self,
        model: str,
        *,
        device: str | None = None,
        dtype: str = "auto",
        batch_size: int = 8,
        context_tokens: int | None = None,
        revision: str | None = None,
        adapter: str | Path | None = None,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}", hint="Use 1 or more.")
        from medllm.engines._hub import load

        self.model = model
        self._loaded: LoadedModel | None = load(model, device=device, dtype=dtype, revision=revision, adapter=adapter)
        self.fingerprint = self._loaded.fingerprint
        if adapter is not None:
            self.model = f"{model}+{Path(adapter).name}"
        self.context_tokens = context_tokens or self._loaded.context_tokens
        self.concurrency = CHOICE * batch_size  # more than a batch, so that rows of like length can be put together
        self._tokenizing = threading.Lock()  # tokenizers may not be used from two threads at once
        self._preparing = ThreadPoolExecutor(2, thread_name_prefix="medllm-prompts")
        self._running: Sequence[Row] = ()
        self._closing = False
        self._batches: Batches[Row, Completion] = Batches(self._run, batch_size)

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``, without special tokens."""
        with self._tokenizing:
            return len(self._open.tokenizer.encode(text, add_special_tokens=False))

    async def complete(self, request: Request) -> Completion:
        """Answer one request. ``usage.seconds`` runs from the start of its batch to its last token. Raises EngineError."""
        if self._closing:
            raise closed()
        with self._batches.expecting():
            with deep_stacks():
                preparing = self._preparing.submit(self._row, request)
            row = await asyncio.wrap_future(preparing)
            answer = self._batches.put(row, len(row.prompt))
        try:
            return await answer
        except asyncio.CancelledError:
            row.abandoned = True
            raise

    async def aclose(self) -> None:
        """Stop at the next token and give back the model's memory. Calls that wait get an EngineError."""
        self._closing = True
        for row in self._running:
            row.abandoned = True
        await asyncio.to_thread(self._preparing.shutdown)
        await asyncio.to_thread(self._batches.close)
        if self._loaded is not None:
            self._loaded = None
            gc.collect()
            _empty_gpu_cache()

    @property
    def _open(self) -> "LoadedModel":
        if self._loaded is None:
            raise closed()
        return self._loaded

    def _row(self, request: Request) -> "Row":
        """A request as token ids and a compiled grammar."""
        from medllm.engines._rows import Row

        loaded = self._open
        if request.max_tokens < 1:
            raise EngineError(f"max_tokens is {request.max_tokens}", hint="Ask for 1 token or more.")
        with self._tokenizing:
            prompt = encode_chat(loaded.tokenizer, request.messages)
        if len(prompt) + request.max_tokens > self.context_tokens:
            raise EngineError(
                f"A prompt of {len(prompt)} tokens and an answer of up to {request.max_tokens} do not fit in the model's context of "
                f"{self.context_tokens} tokens",
                hint="Use smaller chunks, fewer examples or a smaller max_tokens, or a model with a longer context.",
            )
        matcher = None if request.constraint is None else compile_grammar(loaded.grammar_tokenizer, request.constraint.lark)
        return Row(prompt, request.max_tokens, matcher, request.temperature, request.seed, request.logprobs)

    def _run(self, rows: "Sequence[Row]") -> list[Completion | Exception]:
        """Run a batch, in two halves where it does not fit in the GPU's memory."""
        import torch

        self._running = rows
        if self._closing:
            return [closed()] * len(rows)
        start = perf_counter()
        try:
            self._generate(rows)
        except torch.OutOfMemoryError as error:
            full: Exception = error
        except RuntimeError as error:
            raise EngineError(
                f"The model failed while answering ({type(error).__name__})", hint="Try another dtype, device or a smaller batch_size."
            ) from error
        else:
            return [self._completion(row, start) for row in rows]
        finally:
            self._running = ()
        _empty_gpu_cache()
        if len(rows) == 1:
            raise EngineError(
                "The GPU's memory is too small for this prompt", hint="Use smaller chunks or a smaller model, or dtype bfloat16."
            ) from full
        for row in rows:
            row.restart()
        half = len(rows) // 2
        return self._run(rows[:half]) + self._run(rows[half:])

    def _generate(self, rows: "Sequence[Row]") -> None:
        """Decode until every row is done. Prompts are padded on the left."""
        import torch

        from medllm.engines._rows import RowDecoder

        loaded = self._open
        longest = max(len(row.prompt) for row in rows)
        pad = loaded.network.generation_config.pad_token_id
        ids = torch.tensor([[pad] * (longest - len(row.prompt)) + row.prompt for row in rows], device=loaded.network.device)
        attended = torch.tensor([[0] * (longest - len(row.prompt)) + [1] * len(row.prompt) for row in rows], device=ids.device)
        decoder = RowDecoder(rows, loaded.end_tokens, loaded.grammar_tokenizer.vocab_size)
        loaded.network.generate(
            input_ids=ids,
            attention_mask=attended,
            max_new_tokens=max(row.max_tokens for row in rows),
            logits_processor=[decoder],
            stopping_criteria=[decoder.advance],
        )

    def _completion(self, row: "Row", start: float) -> Completion | Exception:
        from medllm.engines._rows import answer

        if row.abandoned:
            return closed()
        if row.failed:
            return EngineError(
                f"The grammar gave up after {len(row.tokens)} tokens ({row.failed})", hint="Use smaller chunks: their grammars are smaller."
            )
        text, logprobs = answer(row, self._open.grammar_tokenizer, self._open.end_tokens)
        usage = Usage(len(row.prompt), 0, len(row.tokens), row.finished_at - start)
        return Completion(text, row.finish_reason or "length", usage, logprobs)


def encode_chat(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The prompt's tokens by the tokenizer's chat template, ending where the assistant's turn begins.

    A template that takes no system turn gets it at the head of the first user turn. Without a template the turns follow one another
    as plain text. Raises EngineError.
    """
    from jinja2 import TemplateError

    turns = [message._asdict() for message in messages]
    if not tokenizer.chat_template:
        return list(tokenizer("\n\n".join(message.content for message in messages) + "\n\n")["input_ids"])
    options = {"add_generation_prompt": True, "enable_thinking": False, "return_dict": True}
    try:
        return list(tokenizer.apply_chat_template(turns, **options)["input_ids"])
    except TemplateError as error:
        if len(turns) < 2 or turns[0]["role"] != "system" or turns[1]["role"] != "user":
            raise _no_prompt() from error
    turns[:2] = [{"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}]
    try:
        return list(tokenizer.apply_chat_template(turns, **options)["input_ids"])
    except TemplateError as error:
        raise _no_prompt() from error


def compile_grammar(tokenizer: Any, lark: str) -> "LLMatcher":
    """A matcher for one row. Raises EngineError, without llguidance's own message, which quotes the grammar and so the note."""
    import llguidance

    matcher = llguidance.LLMatcher(tokenizer, llguidance.grammar_from("lark", lark), log_level=0)
    if matcher.is_error():
        raise EngineError(
            f"llguidance refused a grammar of {len(lark)} characters ({matcher.stop_reason()})", hint="Use smaller chunks, or report it."
        )
    return matcher


def _no_prompt() -> EngineError:
    return EngineError("The model's chat template refused the turns of the prompt", hint="Use an instruction-tuned model.")


def _empty_gpu_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
