r"""Answers as JSON, for servers that can be held to a JSON schema but not to a grammar.

The same answer as in the line-pinned notation, one array a numbered line::

    {"1": [{"label": "problem", "text": "chest pain", "assertion": "absent"}], "2": [], "3": ["TrAP 4"]}

A schema bounds labels, attributes and links; it cannot bound texts, so what comes back is placed by the aligner.

>>> to_notation({"1": [{"label": "problem", "text": "pain", "assertion": "absent"}], "2": ["TrAP 4"], "3": []})
'1: problem "pain" (assertion: absent)\n2: TrAP 4\n3: -'
>>> from_notation('1: problem "pain" (assertion: absent)\n2: TrAP 4\n3: -')
{'1': [{'label': 'problem', 'text': 'pain', 'assertion': 'absent'}], '2': ['TrAP 4'], '3': []}
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from medllm.grammar.choices import ChoiceSlot
from medllm.grammar.layout import Label, Slot, escape, unescape
from medllm.grammar.links import LinkSlot

INSTRUCTION = (
    'Write the answer as JSON: for each number the list of what it has, such as {"1": [{"label": "...", "text": "..."}], "2": []}.'
)
"""To be added to a prompt that describes the notation."""

_NOTHING = "-"
_ROW = re.compile(r"(\d{1,9}): ?(.*)")
_ITEM = re.compile(r'([\w-]+) "((?:[^"\\\n]|\\.)*)"[^"(,]*(?:\(([^()\n]*)\))?')


def answer_schema(slots: Sequence[Slot], links: Sequence[LinkSlot] = (), choices: Sequence[ChoiceSlot] = ()) -> dict[str, Any]:
    """The JSON schema of the answers to ``slots``, to ``links`` or to ``choices``."""
    lists = {str(s.number): _list({"anyOf": [_mention(label) for label in s.labels]}, 2 * len(s.line.pieces), s.labels) for s in slots}
    lists |= {str(s.number): _list({"enum": [_written(link) for link in s.links]}, len(s.links), s.links) for s in links}
    lists |= {str(c.number): _list({"enum": list(c.options)}, 1, c.options) | {"minItems": 1} for c in choices}
    return _object(lists)


def to_notation(answer: Mapping[str, Any]) -> str:
    """An answer in the line-pinned notation. Raises ValueError, KeyError, TypeError or AttributeError for what is none."""
    return "\n".join(f"{int(number)}: {', '.join(map(_item, items)) or _NOTHING}" for number, items in answer.items())


def from_notation(text: str) -> dict[str, list[Any]]:
    """The reverse, for the worked examples of a prompt."""
    return {row[1]: _items(row[2]) for row in map(_ROW.fullmatch, text.split("\n")) if row}


def _list(item: dict[str, Any], most: int, kinds: Sequence[Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "maxItems": most} if kinds else {"type": "array", "items": {"type": "null"}, "maxItems": 0}


def _mention(label: Label) -> dict[str, Any]:
    fields: dict[str, Any] = {"label": {"type": "string", "enum": [label.name]}, "text": {"type": "string"}}
    return _object(fields | {a.name: {"type": "string", "enum": list(a.values)} for a in label.attributes})


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _written(link: Any) -> str:
    return f"{link.label} {link.target}"


def _item(item: Any) -> str:
    if isinstance(item, str):
        return item
    given = ", ".join(f"{name}: {value}" for name, value in item.items() if name not in ("label", "text"))
    return f'{item["label"]} "{escape(" ".join(item["text"].split()))}"' + (f" ({given})" if given else "")


def _items(row: str) -> list[Any]:
    if row == _NOTHING:
        return []
    if '"' not in row:
        return row.split(", ")
    found = []
    for label, text, given in _ITEM.findall(row):
        attributes = dict(pair.split(": ", 1) for pair in given.split(", ") if ": " in pair)
        found.append({"label": label, "text": unescape(text), **attributes})
    return found
