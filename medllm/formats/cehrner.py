"""CEHRNER, Chinese electronic health records: JSON lines, or characters with tags <-> Extraction.

::

    {"text": "因直肠癌手术。", "mention_data": [{"mention": "直肠癌", "label": "疾病和诊断", "offset": "1"}]}

    直 B_疾病和诊断
    肠 I_疾病和诊断

Offsets count code points, and are written as strings. The ``.json`` and the ``.txt`` of a part hold the same records, one a line or
divided by blank lines; of a folder the ``.json`` are read where there are any. A record's id is the file's path and its number:
``train/1``.

Written is JSON, or the tags where the path ends in ``.txt``. Not held by the format: ids, attributes, codes, relations, parts of a
discontinuous mention (written from start to end); by the tags also overlaps (as in ``medllm.formats.conll``) and white space, which is
left out of the text.
"""

import json
import sys
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

from medllm.document import Extraction, Note
from medllm.formats import conll
from medllm.formats.base import Parsed, Problem
from medllm.formats.bio_tags import Chunk, iob2
from medllm.formats.collecting import Collector, attach, number
from medllm.formats.corpus_files import OneFile, below, id_of, named_or_below, read_text
from medllm.formats.placed_json import Placed, objects
from medllm.schema import Schema

JSON_ENDINGS = (".json", ".jsonl")
TAGS_ENDING = ".txt"


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The records of a file or of the files of a folder. Raises FormatError."""
    tags = not any(below(path, JSON_ENDINGS)) if path.is_dir() else path.suffix.lower() == TAGS_ENDING
    for name, file in named_or_below(path, (TAGS_ENDING,) if tags else JSON_ENDINGS):
        yield from attach((_read_tags if tags else _read_json)(file, id_of(name), schema))


def json_line(extraction: Extraction) -> str:
    """The JSON of a record, with its line end."""
    text = extraction.note.text
    mentions = [{"mention": e.span.of(text), "label": e.label, "offset": str(e.span.start)} for e in extraction.entities]
    return json.dumps({"text": text, "mention_data": mentions}, ensure_ascii=False) + "\n"


def tag_lines(extraction: Extraction) -> str:
    """The characters of a record with their tags, and a blank line."""
    places = [n for n, c in enumerate(extraction.note.text) if not c.isspace()]
    found = []
    for entity in conll.flat(extraction.entities)[0]:
        span = entity.span
        first, after = bisect_left(places, span.start), bisect_left(places, span.end)
        found += [Chunk("_".join(entity.label.split()), first, after)] if first < after else []
    tags = iob2(found, len(places), "_")
    return "".join(f"{extraction.note.text[n]} {tag}\n" for n, tag in zip(places, tags, strict=True)) + "\n"


class Writer:
    """Writes JSON, or tags where the path ends in ``.txt``; a path without such an ending is a folder, which gets a ``.json``."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._file = OneFile(path, (*JSON_ENDINGS, TAGS_ENDING), "extractions.json")
        self._lines = tag_lines if path.suffix.lower() == TAGS_ENDING else json_line

    def write(self, extraction: Extraction) -> None:
        """Add the record of a note. Raises FormatError."""
        self._file.add(self._lines(extraction))

    def close(self) -> None:
        """Close the file. Raises FormatError."""
        self._file.close()


def _read_json(path: Path, name: str, schema: Schema | None) -> Iterator[Parsed | Problem]:
    for count, item in enumerate(objects(path), 1):
        yield item if isinstance(item, Problem) else _record(item, f"{name}/{count}", schema, str(path))


def _record(item: Placed, note_id: str, schema: Schema | None, path: str) -> Parsed | Problem:
    text, mentions = item.get("text"), item.get("mention_data", [])
    if not isinstance(text, str):
        return Problem(path, item.line, "malformed-line", "a record without text", dropped=True)
    found = Collector(Note(id=note_id, text=text), schema, path)
    if not isinstance(mentions, list):
        found.report(item.line, "malformed-line", "mention_data is not a list", dropped=True)
        mentions = []
    for mention in mentions:
        line = mention.line if isinstance(mention, Placed) else item.line
        written, label, offset = (mention.get(key) for key in ("mention", "label", "offset")) if isinstance(mention, Placed) else ("",) * 3
        start = number(str(offset))
        if not isinstance(written, str) or not isinstance(label, str) or start is None:
            found.report(line, "malformed-line", "a mention without text, label or offset", dropped=True)
            continue
        found.entity(line, label, [(start, start + len(written))], name=f"T{len(found.entities) + 1}", written=written)
    return found.parsed()


def _read_tags(path: Path, name: str, schema: Schema | None) -> Iterator[Parsed]:
    (document, *_) = conll.parse(read_text(path))
    ends = [*(sentence.lines[-1] for sentence in document.sentences[:-1]), sys.maxsize]
    for count, (sentence, after, end) in enumerate(zip(document.sentences, [0, *ends], ends, strict=False), 1):
        record = conll.Columns([sentence], [fault for fault in document.faults if after < fault[0] <= end])
        yield conll.to_extraction(record, f"{name}/{count}", schema, path=str(path), between=("", ""))
