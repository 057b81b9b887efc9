"""The check of a server, before any note is read: is it up, does it have the model, does it obey."""

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx

from medllm.engines._protocol import Form, body_of, completion_of
from medllm.engines._transport import Failure, Transport, refused
from medllm.engines.base import Completion, Message, Request
from medllm.errors import EngineError
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar, Literal

OLDEST = (0, 12)
"""The first vLLM that knows ``structured_outputs``; those before it ignore the field and decode freely."""

UNKNOWN_CONTEXT = 4096
_NEVER_SAID = "medllm-probe-7f3a"
_SERVE = "medllm models serve NAME starts one with the right flags"
_SAY_HELLO = (Message("user", "Say hello."),)
_PROBE_TOKENS = 32


@dataclass(frozen=True)
class Server:
    """What was found. ``version`` is vLLM's, empty for other software; ``root`` is where the server has the model from."""

    version: str
    model: str
    root: str
    context_tokens: int
    form: Form

    @property
    def software(self) -> str:
        """Name and version."""
        return f"vllm {self.version}" if self.version else "OpenAI-compatible"


async def connect(transport: Transport, model: str | None, context_tokens: int | None, reasoning_tokens: int) -> Server:
    """Check a server. Raises EngineError with the flag or command that mends what is wrong."""
    try:
        version = await _version(transport)
        chosen = _choose(await _models(transport), model)
        named = int(chosen.get("max_model_len") or 0)
        context = min(context_tokens or named or UNKNOWN_CONTEXT, named or 1 << 30)
        form = await _form(transport, str(chosen["id"]), version, reasoning_tokens)
    except httpx.HTTPError as error:
        where = f"{transport.address.host}:{transport.address.port or transport.address.scheme}"
        raise EngineError(
            f"no server answers at {where} ({type(error).__name__})", hint=f"start it, or compare --base-url; {_SERVE}"
        ) from None
    except (ValueError, KeyError, TypeError, IndexError, Failure):
        raise EngineError("the server's answers are not of the OpenAI protocol", hint=f"compare --base-url; {_SERVE}") from None
    return Server(version, str(chosen["id"]), str(chosen.get("root") or ""), context, form)


async def _version(transport: Transport) -> str:
    """vLLM's version; empty for other software."""
    health = await transport.get("/health")
    if health.status_code in (502, 503, 504):
        raise EngineError("the server is not ready yet", hint="wait until it has loaded its model")
    response = await transport.get("/version")
    if response.status_code != httpx.codes.OK or "json" not in response.headers.get("content-type", ""):
        return ""
    found = response.json()
    version = str(found.get("version", "")) if isinstance(found, dict) and set(found) <= {"version"} else ""
    numbers = re.match(r"(\d+)\.(\d+)\.\d", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise EngineError(f"vLLM {version} ignores grammars in the form used now", hint="update the server: pip install -U 'vllm>=0.12'")
    return version if numbers else ""


async def _models(transport: Transport) -> list[dict[str, Any]]:
    response = await transport.get("/v1/models")
    if response.status_code != httpx.codes.OK:
        raise refused(response)
    return [dict(each) for each in response.json()["data"]]


def _choose(models: list[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    served = ", ".join(sorted(str(each["id"]) for each in models)) or "no model"
    if wanted is None:
        bases = [each for each in models if not each.get("parent")]  # a LoRA adapter has its base for a parent
        if len(bases) == 1:
            return bases[0]
        raise EngineError("the server has several models" if bases else "the server has no model", hint=f"give --model; it serves {served}")
    for each in models:
        if wanted in (each["id"], each.get("root")):
            return each
    raise EngineError(f"the server does not serve {wanted}", hint=f"it serves {served}; or start one: medllm models serve {wanted}")


async def _form(transport: Transport, model: str, version: str, reasoning_tokens: int) -> Form:
    """How this server can be held to an answer. A server that ignores a constraint answers it like any other request."""
    probe = Request(_SAY_HELLO, Constraint(Grammar({"root": Literal(_NEVER_SAID)})), _PROBE_TOKENS)
    forms: tuple[Form, ...] = ("lark", "gbnf")
    for form in forms:
        answer = await _probed(transport, body_of(probe, model, form, reasoning_tokens), probe, form)
        if answer is not None and answer.text == _NEVER_SAID:
            return form
        if answer is not None and answer.finish_reason == "length" and not answer.text:
            raise EngineError(
                "the model reasons first, and came to no answer", hint="give --reasoning-tokens, as many as it may take: 2048, say"
            )
    if version:
        raise EngineError(
            f"this vLLM {version} does not obey grammars", hint=f"start it with --structured-outputs-config.backend guidance; {_SERVE}"
        )
    only = {"type": "object", "properties": {"say": {"enum": [_NEVER_SAID]}}, "required": ["say"], "additionalProperties": False}
    probe = Request(_SAY_HELLO, None, _PROBE_TOKENS, json_schema=only)
    answer = await _probed(transport, body_of(probe, model, "json", reasoning_tokens), probe, "json")
    if answer is not None and _obeys(answer.text):
        return "json"
    raise EngineError("the server obeys neither grammars nor JSON schemas", hint=f"use vLLM; {_SERVE}")


async def _probed(transport: Transport, body: dict[str, Any], probe: Request, form: Form) -> Completion | None:
    """The answer to a probe; None where the server refuses it."""
    response = await transport.send("/v1/chat/completions", body)
    if response.status_code in (401, 403, 404, 429) or response.status_code >= 502:
        raise refused(response)
    if response.status_code != httpx.codes.OK:
        return None
    return completion_of(response.json(), probe, form, 0.0)


def _obeys(text: str) -> bool:
    try:
        return bool(json.loads(text) == {"say": _NEVER_SAID})
    except ValueError:
        return False
