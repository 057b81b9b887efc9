"""Worked examples in a schema pack: a short text with its mentions marked up.

``[LABEL attribute=value #ID <RELATION#ID | text]``: the attributes, the id and the relations that end here are optional.

>>> example = parse_example("No [problem assertion=absent #1|fever] on [drug #2|aspirin] [strength <hasAttr#2|81 mg].")
>>> example.text
'No fever on aspirin 81 mg.'
>>> [(m.label, example.text[m.start:m.end]) for m in example.mentions]
[('problem', 'fever'), ('drug', 'aspirin'), ('strength', '81 mg')]
>>> example.links
(('hasAttr', 1, 2),)
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from medllm.errors import SchemaError

_MARK_UP = "write [label name=value #id <relation#id|text]; a mention cannot stand inside another"
_MARKED = re.compile(r"\[([\w-]+)((?: [^\[\]|]+)?)\|([^\[\]]+)\]")
_BROKEN = re.compile(r"\[[\w-]+(?: [^\[\]|]+)?\|")


class ExampleMention(NamedTuple):
    """A mention of an example: label, half-open offsets in its text, attributes."""

    label: str
    start: int
    end: int
    attributes: dict[str, str]


@dataclass(frozen=True)
class Example:
    """A text, its mentions in order, and relations as (label, head's index, tail's index)."""

    text: str
    mentions: tuple[ExampleMention, ...]
    links: tuple[tuple[str, int, int], ...]


@cache
def parse_example(marked: str) -> Example:
    """Read the mark-up. Raises SchemaError, with the number of the mention that is wrong."""
    text = ""
    mentions: list[ExampleMention] = []
    by_id: dict[str, int] = {}
    pending: list[tuple[str, str, int]] = []
    at = 0
    for match in _MARKED.finditer(marked):
        text += marked[at : match.start()]
        attributes: dict[str, str] = {}
        for word in match[2].split():
            if word.startswith("#"):
                if word[1:] in by_id:
                    raise SchemaError(f"two mentions of an example have the id {word[1:]!r}", hint="number them #1, #2, ...")
                by_id[word[1:]] = len(mentions)
            elif word.startswith("<") and "#" in word:
                label, head = word[1:].split("#", 1)
                pending.append((label, head, len(mentions)))
            elif "=" in word:
                name, value = word.split("=", 1)
                attributes[name] = value
            else:
                raise SchemaError(f"mention {len(mentions) + 1} of an example is not understood", hint=_MARK_UP)
        mentions.append(ExampleMention(match[1], len(text), len(text) + len(match[3]), attributes))
        text += match[3]
        at = match.end()
    text += marked[at:]
    if _BROKEN.search(text):
        raise SchemaError(f"an example has a mention that is not understood, after {len(mentions)} others or between them", hint=_MARK_UP)
    try:
        links = tuple((label, by_id[head], tail) for label, head, tail in pending)
    except KeyError as error:
        raise SchemaError(
            f"no mention of an example has the id {error}", hint="give the relation's first mention an id: [label #1|text]"
        ) from None
    return Example(text, tuple(mentions), links)
