"""Worked examples in a schema pack: a short text with its mentions marked up.

``[LABEL attribute=value #ID <RELATION#ID | text]``: the attributes, the id and the relations that end here are optional.

>>> example = parse_example("No [problem assertion=absent #1|fever] on [drug #2|aspirin] [strength <hasAttr#2|81 mg].")
>>> example.text
'No fever on aspirin 81 mg.'
>>> [(m.label, example.text[m.start:m.end]) for m in example.mentions]
[('problem', 'fever'), ('drug', 'aspirin'), ('strength', '81 mg')]
>>> example.links
(('hasAttr', 1, 2),)

Where a pack's mentions may overlap, one can stand inside another: ``[symptom|[anatomy|右上腹]压痛]``.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from medllm.errors import SchemaError

_MARK_UP = "write [label name=value #id <relation#id|text]"
_TOKEN = re.compile(r"\[(?P<label>[\w-]+)(?P<more>(?: [^\[\]|]+)?)\||(?P<close>\])|[^\[\]]+|\[")


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


@dataclass
class _Open:
    """A mention whose end is still to come: its place among the mentions, where it begins, its label and attributes."""

    index: int
    start: int
    label: str
    attributes: dict[str, str]


@cache
def parse_example(marked: str) -> Example:
    """Read the mark-up. Raises SchemaError, with the number of the mention that is wrong."""
    text = ""
    mentions: dict[int, ExampleMention] = {}
    by_id: dict[str, int] = {}
    pending: list[tuple[str, str, int]] = []
    opened: list[_Open] = []
    count = 0
    for token in _TOKEN.finditer(marked):
        if token["label"]:
            opened.append(_Open(count, len(text), token["label"], _head(token["more"], count, by_id, pending)))
            count += 1
        elif token["close"] and opened:
            this = opened.pop()
            if len(text) == this.start:
                raise SchemaError(f"mention {this.index + 1} of an example has no text", hint=_MARK_UP)
            mentions[this.index] = ExampleMention(this.label, this.start, len(text), this.attributes)
        else:
            text += token[0]
    if opened:
        raise SchemaError(f"mention {opened[0].index + 1} of an example does not end", hint=_MARK_UP)
    try:
        links = tuple((label, by_id[head], tail) for label, head, tail in pending)
    except KeyError as error:
        raise SchemaError(
            f"no mention of an example has the id {error}", hint="give the relation's first mention an id: [label #1|text]"
        ) from None
    return Example(text, tuple(mentions[index] for index in range(count)), links)


def _head(words: str, index: int, by_id: dict[str, int], pending: list[tuple[str, str, int]]) -> dict[str, str]:
    """The attributes of a mention; its id and the relations that end here go into ``by_id`` and ``pending``."""
    attributes: dict[str, str] = {}
    for word in words.split():
        if word.startswith("#"):
            if word[1:] in by_id:
                raise SchemaError(f"two mentions of an example have the id {word[1:]!r}", hint="number them #1, #2, ...")
            by_id[word[1:]] = index
        elif word.startswith("<") and "#" in word:
            label, head = word[1:].split("#", 1)
            pending.append((label, head, index))
        elif "=" in word:
            name, value = word.split("=", 1)
            attributes[name] = value
        else:
            raise SchemaError(f"mention {index + 1} of an example is not understood", hint=_MARK_UP)
    return attributes
