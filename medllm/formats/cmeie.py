"""CMeIE, Chinese medical relations: JSON lines of texts with triples <-> Extraction (Guan et al. 2020, NLPCC; Zhang et al. 2022, CBLUE).

::

    {"text": "利福平治疗麻风病", "spo_list": [{"Combined": false, "predicate": "药物治疗", "subject": "麻风病", "subject_type": "疾病",
     "object": {"@value": "利福平"}, "object_type": {"@value": "药物"}}]}

**The triples have strings, no offsets.** A subject or an object is held as one mention for its string and type, at the first place where
the string stands in the text, with the vote ``gold``, ``placed="aligned"``; a triple is a relation between these. They are right as
strings, and not made for scoring spans. A triple with a string that the text does not have is dropped and told. ``Combined`` (the triple
joins several sentences) is not held, and written as ``false``. A text's id is the file's path and its number: ``CMeIE_train/1``.

Written are relations as triples of the strings of their mentions. Not held by the format: where mentions stand, mentions without
relations, ids, attributes, codes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medllm.document import Entity, Extraction, Note, Vote
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, attach
from medllm.formats.corpus_files import OneFile, id_of, named_or_below
from medllm.formats.placed_json import Placed, objects
from medllm.schema import Schema

ENDINGS = (".json", ".jsonl")
VALUE = "@value"

_ALIGNED = (Vote(reader="gold", placed="aligned"),)


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The texts of a file, or of the ``.json`` and ``.jsonl`` files of a folder. Raises FormatError."""
    for name, file in named_or_below(path, ENDINGS):
        yield from attach(_read(file, id_of(name), schema))


def json_line(extraction: Extraction) -> str:
    """The JSON of a text, with its line end."""
    text = extraction.note.text
    triples = [
        {
            "Combined": False,
            "predicate": relation.label,
            "subject": relation.head.span.of(text),
            "subject_type": relation.head.label,
            "object": {VALUE: relation.tail.span.of(text)},
            "object_type": {VALUE: relation.tail.label},
        }
        for relation in extraction.relations
    ]
    return json.dumps({"text": text, "spo_list": triples}, ensure_ascii=False) + "\n"


class Writer:
    """Writes JSON lines; a path without the ending ``.json`` or ``.jsonl`` is a folder, which gets ``extractions.jsonl``."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._file = OneFile(path, ENDINGS, "extractions.jsonl")

    def write(self, extraction: Extraction) -> None:
        """Add the line of a text. Raises FormatError."""
        self._file.add(json_line(extraction))

    def close(self) -> None:
        """Close the file. Raises FormatError."""
        self._file.close()


def _read(path: Path, name: str, schema: Schema | None) -> Iterator[Parsed | Problem]:
    for count, item in enumerate(objects(path), 1):
        if isinstance(item, Problem):
            yield item
        elif not isinstance(item.get("text"), str):
            yield Problem(str(path), item.line, "malformed-line", "an object without text", dropped=True)
        else:
            found = Collector(Note(id=f"{name}/{count}", text=item["text"]), schema, str(path))
            _triples(item, found)
            yield found.parsed()


def _triples(item: Placed, found: Collector) -> None:
    mentions: dict[tuple[str, str], Entity | None] = {}
    triples = item.get("spo_list", [])
    for triple in triples if isinstance(triples, list) else [triples]:
        one = triple if isinstance(triple, Placed) else Placed()
        line = one.line or item.line
        predicate, *ends = (_value(one.get(key)) for key in ("predicate", "subject", "subject_type", "object", "object_type"))
        if not predicate or not all(ends):
            found.report(line, "malformed-line", "not a triple of subject, predicate and object with their types", dropped=True)
            continue
        head, tail = (_mention(found, line, string, label, mentions) for string, label in (ends[:2], ends[2:]))
        if head and tail:
            found.relation(line, predicate, head, tail, name=f"R{len(found.relations) + 1}")


def _mention(found: Collector, line: int, string: str, label: str, mentions: dict[tuple[str, str], Entity | None]) -> Entity | None:
    if (string, label) not in mentions:
        start = found.note.text.find(string)
        spans = [(start, start + len(string))]
        name = f"T{len(mentions) + 1}"
        made = found.entity(line, label, spans, name=name, votes=_ALIGNED) if start >= 0 else None
        mentions[string, label] = made
    if mentions[string, label] is None:
        found.report(line, "unknown-reference", f"a string of {len(string)} characters is not in the text, or was dropped", dropped=True)
    return mentions[string, label]


def _value(value: Any) -> str:
    inner = value.get(VALUE) if isinstance(value, dict) else value
    return inner if isinstance(inner, str) else ""
