"""What every engine offers: messages and a constraint in, a Completion out. Nothing here knows of medicine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from medllm.grammar.constraint import Constraint

FinishReason = Literal["stop", "length"]


class Message(NamedTuple):
    """One turn of a chat. ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True)
class Request:
    """One prompt. Decoding is greedy unless ``temperature`` says otherwise.

    ``json_schema`` is what an engine without grammars may hold its answers to (``medllm.grammar.json_answer``).
    """

    messages: tuple[Message, ...]
    constraint: Constraint | None
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    logprobs: bool = False
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Usage:
    """What one completion cost: tokens, and seconds from sending to the last token."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.seconds + other.seconds,
        )


class TokenLogprob(NamedTuple):
    """A token of the answer as text, and the natural logarithm of its probability as the model gave it."""

    token: str
    logprob: float


@dataclass(frozen=True)
class Completion:
    """An answer. ``finish_reason`` ``length`` means that it was cut at ``max_tokens`` or at the end of the context.

    ``from_cache``: nothing was decoded; ``usage`` is what the answer cost when it was.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage = Usage()
    logprobs: tuple[TokenLogprob, ...] = ()
    from_cache: bool = False


class Engine(Protocol):
    """A language model. Calls may overlap; an engine decides itself how many it runs at a time.

    ``fingerprint`` identifies the weights: a file's SHA-256 or a hub revision, empty where there is none. ``complete`` raises
    EngineError. ``constrained`` is False for an engine that cannot enforce a grammar: its answers are
    placed in the text afterwards by the aligner.
    """

    name: str
    model: str
    fingerprint: str
    context_tokens: int
    constrained: bool
    concurrency: int

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text`` by the model's own tokenizer, without special tokens."""
        ...

    async def complete(self, request: Request) -> Completion:
        """Answer one request."""
        ...

    async def aclose(self) -> None:
        """Give back memory, sockets and temporary files. May be called twice."""
        ...


def is_remote(engine: Engine) -> bool:
    """True for an engine that sends prompts to a server; such engines have an attribute ``remote``, which is True."""
    return bool(getattr(engine, "remote", False))
