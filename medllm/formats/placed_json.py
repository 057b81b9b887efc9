"""JSON whose objects know the line they begin on, so that a bad annotation can be named by its file and line."""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from json import decoder, scanner
from pathlib import Path
from typing import Any

from medllm.formats.base import Problem
from medllm.formats.corpus_files import read_text

_SPACE = re.compile(r"[\s,]*")


class Placed(dict[str, Any]):
    """A JSON object. ``line`` is where it begins, 1-based."""

    line: int = 0


class _Decoder(json.JSONDecoder):
    def __init__(self, text: str) -> None:
        super().__init__()
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self.parse_object = self._placed
        self.scan_once = scanner.py_make_scanner(self)  # type: ignore[attr-defined]  # the C scanner does not ask parse_object

    def line_of(self, position: int) -> int:
        return bisect_right(self._breaks, position - 1) + 1

    def _placed(self, where: tuple[str, int], *args: Any) -> tuple[Placed, int]:
        value, end = decoder.JSONObject(where, *args)  # type: ignore[attr-defined]
        placed = Placed(value)
        placed.line = self.line_of(where[1] - 1)
        return placed, end


def objects(path: Path) -> Iterator[Placed | Problem]:
    """The objects of a file: JSON lines, one array, or one object. Raises FormatError where the file cannot be read.

    What is no object is a problem. After broken JSON, reading goes on with the next line that begins as the first object's did.
    """
    yield from parse(read_text(path), str(path))


def parse(text: str, path: str = "") -> Iterator[Placed | Problem]:
    r"""``objects`` of a text.

    >>> [item if isinstance(item, Problem) else item.line for item in parse('[{"a": 1},\n{"a": 2}]')]
    [1, 2]
    """
    json_decoder = _Decoder(text)
    position, end = _after_space(text.removeprefix("\ufeff"), 0) + text.startswith("\ufeff"), len(text)
    array = text.startswith("[", position)
    position = _after_space(text, position + array)
    again = re.compile(rf"^{re.escape(_indent(text, position))}\{{", re.MULTILINE)
    if position >= end and not array:
        yield Problem(path, None, "malformed-line", "the file is empty", dropped=False)
    while position < end:
        if array and text[position] == "]":
            return
        line = json_decoder.line_of(position)
        try:
            value, position = json_decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            found = again.search(text, max(position + 1, text.find("\n", position)))
            broken = error.pos if isinstance(error, json.JSONDecodeError) else position
            at = line if found and broken >= found.start() else json_decoder.line_of(broken)
            rest = "" if found else ", and the rest is not read"
            yield Problem(path, at, "malformed-line", f"not JSON, in what begins on line {line}{rest}", dropped=True)
            if found is None:
                return
            position = found.end() - 1
            continue
        if isinstance(value, Placed):
            yield value
        else:
            yield Problem(path, line, "malformed-line", "not a JSON object", dropped=True)
        position = _after_space(text, position)
    if array:
        yield Problem(path, json_decoder.line_of(end), "malformed-line", "the array has no end: is the file cut short?", dropped=False)


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _indent(text: str, position: int) -> str:
    before = text[text.rfind("\n", 0, position) + 1 : position]
    return before if before.isspace() else ""
