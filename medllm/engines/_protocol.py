"""The OpenAI chat protocol: a request as its body, an answer as a Completion."""

import codecs
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from medllm.engines._transport import Failure
from medllm.engines.base import Completion, FinishReason, Message, Request, TokenLogprob, Usage
from medllm.errors import EngineError
from medllm.grammar.constraint import Constraint
from medllm.grammar.json_answer import INSTRUCTION, from_notation, to_notation

Form = Literal["lark", "gbnf", "json"]
"""How a server is held to an answer: a grammar for its ``guidance`` backend, one for ``xgrammar``, or a JSON schema."""

LLGUIDANCE = "%llguidance {}\n"
"""First line of a Lark grammar that only llguidance is to read: xgrammar reads other Lark, by other rules."""

_ENDS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


def grammar_of(constraint: Constraint, form: Form) -> str:
    """The grammar as a server takes it."""
    return constraint.gbnf if form == "gbnf" else LLGUIDANCE + constraint.lark


def body_of(request: Request, model: str, form: Form, reasoning_tokens: int = 0) -> dict[str, Any]:
    """What is sent for a request. ``reasoning_tokens`` are added to its budget; with none, a model that can is told not to think."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [m._asdict() for m in (_in_json(request) if form == "json" else request.messages)],
        "max_tokens": request.max_tokens + reasoning_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    if form == "json":
        if request.json_schema is not None:
            format_ = {"name": "answer", "strict": True, "schema": request.json_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": format_}
        return body
    body["repetition_penalty"] = 1.0  # a model's own settings, which vLLM takes for defaults, keep it from copying a note
    body["chat_template_kwargs"] = {"enable_thinking": reasoning_tokens > 0}
    if request.constraint is not None:
        body["structured_outputs"] = {"grammar": grammar_of(request.constraint, form)}
    if request.logprobs:
        body["logprobs"] = True
    return body


def completion_of(answer: Mapping[str, Any], request: Request, form: Form, seconds: float) -> Completion:
    """An answer's first choice. Raises KeyError, TypeError, ValueError, IndexError or Failure for what is none, and EngineError."""
    choice = answer["choices"][0]
    reason = choice["finish_reason"]
    if reason not in _ENDS:
        if reason == "content_filter":
            raise EngineError("the server's filter withholds the answer", hint="use a server of your own")
        raise Failure(f"an answer that ends by {reason if reason in ('abort', 'error') else 'something unknown'}")
    message = choice["message"]
    text = message.get("content") or ""
    if not isinstance(text, str):
        raise TypeError
    completion = Completion(text, _ENDS[reason], _usage(answer.get("usage") or {}, seconds))
    if form == "json" and request.json_schema is not None:
        return replace(completion, text=_notation(text))
    found = (choice.get("logprobs") or {}).get("content") if request.logprobs else None
    return replace(completion, logprobs=tokens_of(text, [(_bytes(t), float(t["logprob"])) for t in found])) if found else completion


def tokens_of(text: str, tokens: list[tuple[bytes, float]]) -> tuple[TokenLogprob, ...]:
    """The tokens that make up ``text``: without those of a reasoning before it and of the end of the turn. None if they do not."""
    pieces = list(_pieces(tokens))
    joined = "".join(p.token for p in pieces)
    start = joined.rfind(text) if text else -1
    at, kept = 0, []
    for piece in pieces:
        if start <= at < start + len(text):
            kept.append(piece)
        at += len(piece.token)
    return tuple(kept) if start >= 0 and "".join(p.token for p in kept) == text else ()


def _pieces(tokens: list[tuple[bytes, float]]) -> Iterator[TokenLogprob]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for raw, logprob in tokens:
        yield TokenLogprob(decoder.decode(raw), logprob)


def _bytes(token: Mapping[str, Any]) -> bytes:
    return bytes(token["bytes"]) if token.get("bytes") is not None else str(token["token"]).encode()


def _usage(usage: Mapping[str, Any], seconds: float) -> Usage:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(int(usage.get("prompt_tokens", 0)), int(cached), int(usage.get("completion_tokens", 0)), seconds)


def _in_json(request: Request) -> tuple[Message, ...]:
    """The messages with the worked examples' answers in JSON, and told to answer in it."""
    if request.json_schema is None:
        return request.messages
    shown = [m._replace(content=_json(m.content)) if m.role == "assistant" else m for m in request.messages]
    first = shown[0]
    return (Message(first.role, f"{first.content}\n\n{INSTRUCTION}"), *shown[1:])


def _json(answer: str) -> str:
    return json.dumps(from_notation(answer), ensure_ascii=False)


def _notation(text: str) -> str:
    """A JSON answer in the notation; as it is where it is none, for the reader to make what it can of it."""
    try:
        return to_notation(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        return text
