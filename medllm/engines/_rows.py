"""Decoding the rows of a batch side by side, each under its own grammar, budget, temperature and seed.

Outlines' own llguidance processor holds one grammar for a whole batch; this one holds a matcher a row.
"""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from outlines.processors import OutlinesLogitsProcessor

from medllm.engines.base import FinishReason, TokenLogprob
from medllm.errors import EngineError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from torch import Tensor


@dataclass(eq=False)
class Row:
    """One sequence of a batch: what was asked, and what has come so far.

    ``tokens`` are the chosen tokens with the one that ended the turn; ``scores`` are their log probabilities before masking, where
    ``logprobs`` asks for them. ``failed`` holds llguidance's stop reason where its grammar gave up (its messages quote the text).
    ``abandoned`` is set by whoever no longer waits for the row: it then stops at its next token.
    """

    prompt: list[int]
    max_tokens: int
    matcher: "LLMatcher | None" = None
    temperature: float = 0.0
    seed: int = 0
    logprobs: bool = False
    tokens: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    failed: str = ""
    abandoned: bool = False
    finished_at: float = 0.0

    @property
    def done(self) -> bool:
        """Whether no further token is wanted."""
        return bool(self.finish_reason or self.failed or self.abandoned)

    def restart(self) -> None:
        """Forget what has come so far."""
        self.tokens.clear()
        self.scores.clear()
        self.finish_reason, self.failed = None, ""
        if self.matcher is not None:
            self.matcher.reset()


class RowDecoder(OutlinesLogitsProcessor):  # type: ignore[misc]
    """Masks and samples each row by itself; give it to ``generate`` as a logits processor and ``advance`` as a stopping criterion.

    Use it for one batch, with ``do_sample=False`` and no end-of-sequence tokens of ``generate``'s own: a sampled row is left with
    its token alone, so that the greedy choice is that one.
    """

    def __init__(self, rows: Sequence[Row], end_tokens: frozenset[int], vocabulary: int) -> None:
        super().__init__("torch")
        import llguidance
        import llguidance.numpy
        import torch

        self._rows = rows
        self._end_tokens = end_tokens
        self._constrained = [i for i, row in enumerate(rows) if row.matcher is not None]
        self._masks = llguidance.numpy.allocate_token_bitmask(len(rows), vocabulary)
        self._executor = llguidance.LLExecutor() if self._constrained else None
        self._generators = {i: torch.Generator().manual_seed(row.seed) for i, row in enumerate(rows) if row.temperature > 0}
        self._raw: dict[int, Tensor] = {}

    def process_logits(self, input_ids: "Tensor", logits: "Tensor") -> "Tensor":
        """Rule out what a row's grammar does not allow next. ``logits`` is (rows, vocabulary), and is changed in place.

        Raises EngineError where the model has no scores to choose by.
        """
        live = [i for i, row in enumerate(self._rows) if not row.done]
        if bool(logits[live].isnan().any()):
            raise EngineError("The model's scores are not numbers", hint="Use dtype float32 or bfloat16.")
        self._raw = {i: logits[i].log_softmax(-1) for i in live if self._rows[i].logprobs}
        self._mask(logits, [i for i in live if self._rows[i].matcher is not None])
        for i in live:
            if i in self._generators:
                self._sample(i, logits[i])
        return logits

    def advance(self, input_ids: "Tensor", scores: object, **_: object) -> "Tensor":
        """Take each row's newest token; says which rows are done, as a boolean tensor of (rows,)."""
        import torch

        for i, token in enumerate(input_ids[:, -1].tolist()):
            if not self._rows[i].done:
                self._take(i, token)
        return torch.tensor([row.done for row in self._rows], device=input_ids.device)

    def _mask(self, logits: "Tensor", rows: list[int]) -> None:
        import llguidance.numpy
        import torch

        if not rows:
            return
        llguidance.numpy.fill_next_token_bitmask_par(self._executor, [(self._rows[i].matcher, i) for i in rows], self._masks)
        # llguidance.torch would compile a kernel at run time to apply the mask, which takes a C++ compiler on the user's machine.
        bits = np.unpackbits(self._masks[rows].view(np.uint8), axis=1, bitorder="little")
        forbidden = ~torch.from_numpy(bits).view(torch.bool).to(logits.device)
        width = min(forbidden.shape[1], logits.shape[1])
        for i, row_forbidden in zip(rows, forbidden, strict=True):
            logits[i, :width].masked_fill_(row_forbidden[:width], -torch.inf)
            logits[i, width:] = -torch.inf

    def _sample(self, i: int, logits: "Tensor") -> None:
        import torch

        # On the CPU and by one row's own generator, so that a seed means the same in every batch and on every device.
        chances = (logits.float() / self._rows[i].temperature).softmax(-1).cpu()
        token = int(torch.multinomial(chances, 1, generator=self._generators[i]))
        logits.fill_(-torch.inf)
        logits[token] = 0.0

    def _take(self, i: int, token: int) -> None:
        row = self._rows[i]
        if row.matcher is not None and row.matcher.is_error():
            self._fail(row)
            return
        row.tokens.append(token)
        if row.logprobs:
            row.scores.append(float(self._raw[i][token]))
        if token in self._end_tokens:
            row.finish_reason = "stop"
        elif row.matcher is not None:
            row.matcher.consume_token(token)
            if row.matcher.is_error():
                self._fail(row)
            elif row.matcher.is_stopped():
                row.finish_reason = "stop"
        if not row.done and len(row.tokens) >= row.max_tokens:
            row.finish_reason = "length"
        row.finished_at = perf_counter()

    @staticmethod
    def _fail(row: Row) -> None:
        row.failed = str(row.matcher.stop_reason()) if row.matcher is not None else ""
        row.finished_at = perf_counter()


def answer(row: Row, tokenizer: "LLTokenizer", end_tokens: frozenset[int]) -> tuple[str, tuple[TokenLogprob, ...]]:
    """A row's text, and its tokens with their log probabilities. The texts of the tokens join to the text.

    The bytes are those that the grammar saw. A character of several tokens counts to the last of them; one that was cut off is
    dropped, and control tokens have no text.
    """
    tokens = row.tokens[:-1] if row.tokens and row.tokens[-1] in end_tokens else row.tokens
    pieces = list(_pieces(tokens, tokenizer))
    return "".join(pieces), tuple(TokenLogprob(piece, score) for piece, score in zip(pieces, row.scores, strict=False))


def _pieces(tokens: Sequence[int], tokenizer: Any) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in tokens:
        yield "" if tokenizer.is_special_token(token) else decoder.decode(tokenizer.decode_bytes([token]))
