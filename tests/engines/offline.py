"""Choices decoded by vLLM in the process: ``python offline.py MODEL JSON`` in its own environment; prints what came of them."""

import asyncio
import json
import sys

from medllm.engines.base import Message, Request
from medllm.engines.vllm_offline import VllmOfflineEngine
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar, choice

CHAT = (Message("system", "You are brief."), Message("user", "Name a fruit."))


async def main(model: str, choices: list[list[str]]) -> None:
    engine = VllmOfflineEngine(model, dtype="float32", context_tokens=1024, parallel=4, eager=True)
    requests = [Request(CHAT, Constraint(Grammar({"root": choice(*texts)})), 32, logprobs=True) for texts in choices]
    answers = await asyncio.gather(*map(engine.complete, requests))
    await engine.aclose()
    print(json.dumps([[a.text, a.finish_reason, a.usage.prompt_tokens, "".join(t.token for t in a.logprobs)] for a in answers]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
