"""CMeEE, Chinese medical entities: a JSON array of texts with nested mentions <-> Extraction (Zhang et al. 2022, ACL, CBLUE).

::

    [{"text": "房室结消融", "entities": [{"start_idx": 0, "end_idx": 4, "type": "pro", "entity": "房室结消融"}]}]

``end_idx`` is the index of the last character (CMeEE and CMeEE-V2 as they were handed out). Copies exist where it is the one after it:
the copied text decides, for a whole file, which of the two fits more of its mentions; where it is the second, a problem says so.
A text's id is the file's path and its number: ``CMeEE_train/1``. The types are ``dis sym dru equ pro bod ite mic dep``.

Not held by the format: ids, attributes, codes, relations, parts of a discontinuous mention (written from start to end).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medllm.document import Extraction, Note
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, attach
from medllm.formats.corpus_files import OneFile, id_of, named_or_below
from medllm.formats.placed_json import Placed, objects
from medllm.schema import Schema

ENDINGS = (".json", ".jsonl")


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The texts of a file, or of the ``.json`` files of a folder. Raises FormatError."""
    for name, file in named_or_below(path, ENDINGS):
        yield from attach(_read(file, id_of(name), schema))


def json_object(extraction: Extraction) -> str:
    """The JSON of a text."""
    text = extraction.note.text
    entities = [
        {"start_idx": e.span.start, "end_idx": e.span.end - 1, "type": e.label, "entity": e.span.of(text)} for e in extraction.entities
    ]
    return json.dumps({"text": text, "entities": entities}, ensure_ascii=False)


class Writer:
    """Writes an array, a text a line; a path without the ending ``.json`` is a folder, which gets ``extractions.json``."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._file = OneFile(path, (".json",), "extractions.json")
        self._before = "[\n"

    def write(self, extraction: Extraction) -> None:
        """Add a text. Raises FormatError."""
        self._file.add(self._before + json_object(extraction))
        self._before = ",\n"

    def close(self) -> None:
        """Finish and close the file. Raises FormatError."""
        self._file.close("[]\n" if self._before == "[\n" else "\n]\n")


@dataclass(frozen=True)
class _Mention:
    line: int
    start: int
    last: int
    label: str
    written: str | None


@dataclass(frozen=True)
class _Text:
    """A text, its mentions, and the lines of what is none."""

    text: str
    mentions: Sequence[_Mention]
    bad: Sequence[int]

    def fitting(self, beyond: int) -> int:
        """How many mentions have their copied text where ``end_idx`` is so far before the end."""
        return sum(self.text[m.start : m.last + beyond] == m.written for m in self.mentions)


def _read(path: Path, name: str, schema: Schema | None) -> Iterator[Parsed | Problem]:
    texts = [item if isinstance(item, Problem) else _text(item, str(path)) for item in objects(path)]
    included, excluded = (sum(one.fitting(beyond) for one in texts if isinstance(one, _Text)) for beyond in (1, 0))
    beyond = int(included >= excluded)
    for count, one in enumerate(texts, 1):
        if isinstance(one, Problem):
            yield one
            continue
        found = Collector(Note(id=f"{name}/{count}", text=one.text), schema, str(path))
        for line in one.bad:
            found.report(line, "malformed-line", "a mention without start_idx, end_idx or type", dropped=True)
        for mention in one.mentions:
            spans = [(mention.start, mention.last + beyond)]
            found.entity(mention.line, mention.label, spans, name=f"T{len(found.entities) + 1}", written=mention.written)
        yield found.parsed()
    if not beyond:
        detail = f"end_idx is one after the last character in {excluded} mentions, and that is how the file is read"
        yield Problem(str(path), None, "text-mismatch", detail, dropped=False)


def _text(item: Placed, path: str) -> _Text | Problem:
    text, entities = item.get("text"), item.get("entities", [])
    if not isinstance(text, str):
        return Problem(path, item.line, "malformed-line", "an object without text", dropped=True)
    found, bad = [], []
    for entity in entities if isinstance(entities, list) else [entities]:
        one = entity if isinstance(entity, Placed) else Placed()
        start, last, label, written = (one.get(key) for key in ("start_idx", "end_idx", "type", "entity"))
        if type(start) is int and type(last) is int and isinstance(label, str):
            found.append(_Mention(one.line, start, last, label, written if isinstance(written, str) else None))
        else:
            bad.append(one.line or item.line)
    return _Text(text, found, bad)
