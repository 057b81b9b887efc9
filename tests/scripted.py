"""A language model of a few words: an engine in memory whose answers follow from the prompt, in the notation that the layouts write."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from medllm.engines.base import Completion, Request, TokenLogprob, Usage
from medllm.grammar.layout import Found, Layout, Part, Slot, find_text, get_layout
from medllm.prompting.questions import to_label
from medllm.schema import Schema
from medllm.text.lines import Line
from medllm.text.pieces import split_pieces

_LINE = re.compile(r"(\d+): (.*)")
_MENTION = re.compile(r'(\d+): ([\w-]+) "(.*?)" (?:in|见于): (.*)')
_LISTED = re.compile(r'(\d+): ([\w-]+) "(.*)"')
_ASKED = re.compile(r"^- ([\w-]+)(?:: |：)", re.MULTILINE)


def task_of(request: Request) -> str:
    """``entities``, ``modifiers`` or ``relations``."""
    system = request.messages[0].content
    tasks = {"relations": ("are related", "之间的关系"), "modifiers": ("qualify a mention", "修饰某一处")}
    return next((task for task, marks in tasks.items() if any(mark in system for mark in marks)), "entities")


@dataclass
class Reader:
    """Knows words: ``lexicon`` gives the label of a text, ``absent`` texts get the assertion absent. Only what is asked for is answered.

    ``near`` are modifiers: each one found in a line qualifies every mention of that line that it may. ``links`` gives the relation
    between two labels.
    """

    schema: Schema
    lexicon: Mapping[str, str] = field(default_factory=dict)
    near: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[tuple[str, str], str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    layout: str = "lines"

    def __call__(self, request: Request) -> str:
        """The answer to a request."""
        task = task_of(request)
        if task == "relations":
            return self._relations(request)
        if task == "modifiers":
            return _write(get_layout("lines"), self.slots(request), self.near, frozenset())
        return _write(get_layout(self.layout), self.slots(request), self.lexicon, self.absent)

    def slots(self, request: Request) -> list[Slot]:
        """What a request about entities or modifiers asks, read from its last message."""
        rows = _rows(request.messages[-1].content)
        if task_of(request) == "modifiers":
            asked = [m for m in map(_MENTION.fullmatch, rows) if m]
            return [self._slot(int(m[1]), m[4], [kind.label for kind in self._modifiers(m[2])]) for m in asked]
        asked = _ASKED.findall(request.messages[0].content)
        labels = [c.label for c in self.schema.main_entities if c.label in asked]
        return [self._slot(int(m[1]), m[2], labels) for m in map(_LINE.fullmatch, rows) if m]

    def _slot(self, number: int, view: str, labels: list[str]) -> Slot:
        pieces = split_pieces(view, 0, len(view))
        return Slot(number, Line(0, len(view), pieces), tuple(to_label(self.schema.entity(label)) for label in labels))

    def _modifiers(self, head: str) -> list[type]:
        return [m for m in self.schema.modifiers if self.schema.relations_between(head, m.label)]

    def _relations(self, request: Request) -> str:
        mentions = [m for m in map(_LISTED.fullmatch, _rows(request.messages[-1].content, ("\nMentions:", "\n各处："))) if m]
        rows: dict[str, list[str]] = {m[1]: [] for m in mentions}

        def written() -> str:
            return "\n".join(f"{number}: {', '.join(found) or '-'}" for number, found in rows.items())

        for head in mentions:
            for tail in mentions:
                if label := self.links.get((head[2], tail[2])):
                    rows[head[1]].append(f"{label} {tail[1]}")
                    if request.constraint and not request.constraint.grammar.accepts(written()):
                        rows[head[1]].pop()  # too far apart to be asked about
        return written()


def _rows(asked: str, headings: tuple[str, ...] = ("Lines:", "各行：", "Mentions:", "各处：")) -> list[str]:
    """What stands below the first of the headings that there is."""
    heading = next(h for h in headings if re.search(f"^{h.strip()}", asked, re.MULTILINE))
    return asked.rpartition(heading)[2].strip("\n").split("\n")


def _write(layout: Layout, slots: list[Slot], lexicon: Mapping[str, str], absent: frozenset[str]) -> str:
    found: list[Found] = []
    for slot in slots:
        taken: set[int] = set()
        for text in sorted(lexicon, key=len, reverse=True):
            for part in find_text(slot.line.pieces, text):
                label = next((label for label in slot.labels if label.name == lexicon[text]), None)
                pieces = set(range(part.first, part.end))
                if label is not None and not pieces & taken:
                    taken |= pieces
                    values = {a.name: "absent" if text in absent else a.default or a.values[0] for a in label.attributes}
                    found.append(Found(slot.number, label.name, (Part(*part),), values))
    return layout.write(slots, found)


class Scripted:
    """An engine whose answers come from ``answer``: a text, a Completion, or an exception to raise.

    With ``strict`` an answer that its request's grammar refuses is a failed test. A token is up to four characters. ``peak`` is the
    largest number of calls at a time; ``calls`` are the requests.
    """

    name = "scripted"
    model = "scripted-1"
    fingerprint = "0" * 64

    def __init__(
        self,
        answer: Callable[[Request], str | Completion | Exception],
        *,
        context_tokens: int = 4096,
        constrained: bool = True,
        concurrency: int = 2,
        delay: float = 0,
        strict: bool = True,
    ) -> None:
        self.answer = answer
        self.context_tokens = context_tokens
        self.constrained = constrained
        self.concurrency = concurrency
        self.delay = delay
        self.strict = strict
        self.calls: list[Request] = []
        self.running = self.peak = self.closed = self.cancelled = 0

    def count_tokens(self, text: str) -> int:
        return -(-len(text) // 4)

    async def complete(self, request: Request) -> Completion:
        self.calls.append(request)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await asyncio.sleep(self.delay)
            return self._completion(request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    def _completion(self, request: Request) -> Completion:
        answer = self.answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Completion):
            return answer
        if self.strict and request.constraint is not None:
            assert request.constraint.grammar.accepts(answer), f"the grammar refuses {answer!r}"
        prompt = sum(self.count_tokens(m.content) for m in request.messages)
        tokens = tuple(TokenLogprob(answer[i : i + 4], -0.1) for i in range(0, len(answer), 4))
        return cut(answer, request.max_tokens, prompt) or Completion(answer, "stop", Usage(prompt, 0, len(tokens), 0.25), tokens)

    async def aclose(self) -> None:
        self.closed += 1


def cut(answer: str, max_tokens: int, prompt_tokens: int = 0) -> Completion | None:
    """The answer as a model leaves it that may write so many tokens of four characters; None if it fits."""
    if len(answer) <= 4 * max_tokens:
        return None
    return Completion(answer[: 4 * max_tokens], "length", Usage(prompt_tokens, 0, max_tokens, 0.25))
