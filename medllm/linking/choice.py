"""The last step of linking: a language model chooses among numbered candidates. The grammar admits their numbers alone: it writes no id."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from medllm.background import together
from medllm.document import Entity, Extraction, LedgerEntry
from medllm.engines.base import Engine, Request, Usage
from medllm.errors import EngineError
from medllm.grammar.constraint import Constraint
from medllm.grammar.description import Grammar, choice
from medllm.linking.linker import LINKER, Link, Linker, expanded, with_code, without_code
from medllm.linking.vocabularies import Linkers
from medllm.prompting.render import Prompts
from medllm.reading import RequestUsage
from medllm.text.lines import split_lines

TASK = "codes"
LIMIT = 8
"""Candidates that are shown: one digit each, with 0 for none."""
ALSO = 2
"""Synonyms shown with a candidate."""
_NONE = "0"
_ROOM = 16
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class Chooser:
    """Asks ``engine`` about the mentions that no name says exactly. One question a name, label and note for each terminology."""

    engine: Engine
    prompts: Prompts
    language: str = "en"

    async def choose(
        self, extraction: Extraction, linkers: Linkers, turns: asyncio.Semaphore | None = None
    ) -> tuple[Extraction, tuple[RequestUsage, ...]]:
        """The linked extraction with the concepts chosen in the place of near ones, and what asking cost. Questions wait for their turns.

        "None of these" takes a near code away; a mention whose question was not answered keeps it, and is in the ledger.
        """
        requests: list[RequestUsage] = []
        ledger: list[LedgerEntry] = []
        changed = {id(entity): entity for entity in extraction.entities}
        for linker in linkers:
            open_ = await asyncio.to_thread(_open, linker, extraction)
            asked = [self._ask(extraction, entity, shown, linker, turns or nullcontext()) for entity, shown in open_.values()]
            answers = dict(zip(open_, await together(asked), strict=True))
            for answer in answers.values():
                requests += answer.requests
                ledger += answer.ledger
            for entity in extraction.entities:
                said = answers.get(_key(entity))
                if said is not None and said.given:
                    now = changed[id(entity)]
                    changed[id(entity)] = without_code(now, linker.systems) if said.link is None else with_code(now, said.link)
        relations = tuple(
            r.model_copy(update={"head": changed.get(id(r.head), r.head), "tail": changed.get(id(r.tail), r.tail)})
            for r in extraction.relations
        )
        update = {"entities": tuple(changed.values()), "relations": relations, "ledger": (*extraction.ledger, *ledger)}
        return extraction.model_copy(update=update), tuple(requests)

    async def _ask(
        self, extraction: Extraction, entity: Entity, shown: "_Shown", linker: Linker, turn: AbstractAsyncContextManager[None]
    ) -> "_Answer":
        note, span = extraction.note, entity.span
        messages = self.prompts.messages(
            TASK,
            self.language,
            static={},
            variables={
                "line": next((line.view for line in split_lines(note.text) if line.start <= span.start < line.end), entity.text).strip(),
                "label": entity.label,
                "text": entity.text,
                "long": shown.long,
                "concepts": [_concept(linker, link) for link in shown.links],
            },
        )
        numbers = [str(n) for n in range(len(shown.links) + 1)]
        free = not self.engine.constrained
        constraint = None if free else Constraint(Grammar({"root": choice(*numbers)}))
        schema = {"type": "object", "properties": {"answer": {"type": "string", "enum": numbers}}, "required": ["answer"]} if free else None
        where: Mapping[str, Any] = {"note_id": note.id, "start": span.start, "end": span.end}
        try:
            async with turn:
                completion = await self.engine.complete(Request(messages, constraint, _ROOM, json_schema=schema))
        except EngineError as error:
            return _Answer(None, False, (), (LedgerEntry(reader=LINKER, reason="engine-error", detail=str(error), **where),))
        cost = Usage() if completion.from_cache else completion.usage
        used = RequestUsage(note.id, TASK, span.start, span.end, completion.finish_reason, cost, completion.from_cache)
        digit = _DIGIT.search(completion.text)
        if digit is None or digit[0] not in numbers:
            return _Answer(None, False, (used,), (LedgerEntry(reader=LINKER, reason="unanswered", detail="one question", **where),))
        return _Answer(None if digit[0] == _NONE else shown.links[int(digit[0]) - 1], True, (used,), ())


@dataclass(frozen=True)
class _Shown:
    long: str
    links: tuple[Link, ...]


@dataclass(frozen=True)
class _Answer:
    link: Link | None
    given: bool
    requests: Sequence[RequestUsage]
    ledger: Sequence[LedgerEntry]


def _key(entity: Entity) -> tuple[str, str]:
    return entity.text, entity.label


def _open(linker: Linker, extraction: Extraction) -> dict[tuple[str, str], tuple[Entity, _Shown]]:
    """The mentions that only near names can be found for, each text and label once, with what to choose from."""
    abbreviations = linker.abbreviations(extraction)
    found: dict[tuple[str, str], tuple[Entity, _Shown]] = {}
    for entity in extraction.entities:
        if _key(entity) not in found and (near := linker.choices(entity.text, entity.label, abbreviations, LIMIT)):
            links = tuple(Link(c.code, "choice", max(0.0, min(1.0, c.score))) for c in near)
            found[_key(entity)] = (entity, _Shown(expanded(entity.text, abbreviations), links))
    return found


def _concept(linker: Linker, link: Link) -> dict[str, Any]:
    concept = linker.lexicon[link.code]
    return {"name": concept.name, "also": concept.synonyms[:ALSO]}
