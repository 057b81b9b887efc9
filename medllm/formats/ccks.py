"""CCKS clinical entities, as in Yidu-S4K (CCKS 2019 and 2020): JSON lines with start and end offsets <-> Extraction (Han et al. 2020).

::

    {"originalText": "患者胆石症。", "entities": [{"label_type": "疾病和诊断", "overlap": 0, "start_pos": 2, "end_pos": 5}]}

``end_pos`` is one after the last character. A record's id is the file's path and its number: ``subtask1_training_part1/1``. The official
scores are ``exact`` (strict) and ``overlap`` (relaxed).

Read, and not written, is also the form of 2017: of each ``NAME.txtoriginal.txt`` the mentions in ``NAME.txt``, a line each of text, first
character, **last** character and label, with tabs between.

Not held by the format: ids, attributes, codes, relations, parts of a discontinuous mention (written from start to end).
"""

import json
from collections.abc import Iterator
from pathlib import Path

from medllm.document import Extraction, Note
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, attach, number
from medllm.formats.corpus_files import OneFile, below, id_of, named_or_below, numbered_lines, read_text
from medllm.formats.placed_json import Placed, objects
from medllm.schema import Schema

ENDINGS = (".json", ".jsonl", ".txt")
ORIGINAL = ".txtoriginal.txt"


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The records of a file or of the files of a folder. Raises FormatError."""
    if path.is_dir() and any(below(path, (ORIGINAL,))):
        for name, file in named_or_below(path, (ORIGINAL,)):
            yield _read_2017(file, id_of(name), schema)
        return
    for name, file in named_or_below(path, ENDINGS):
        yield from attach(_read(file, id_of(name), schema))


def json_line(extraction: Extraction) -> str:
    """The JSON of a record, with its line end."""
    entities = [{"label_type": e.label, "overlap": 0, "start_pos": e.span.start, "end_pos": e.span.end} for e in extraction.entities]
    return json.dumps({"originalText": extraction.note.text, "entities": entities}, ensure_ascii=False) + "\n"


class Writer:
    """Writes JSON lines; a path without the ending ``.json``, ``.jsonl`` or ``.txt`` is a folder, which gets ``extractions.json``."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._file = OneFile(path, ENDINGS, "extractions.json")

    def write(self, extraction: Extraction) -> None:
        """Add the line of a note. Raises FormatError."""
        self._file.add(json_line(extraction))

    def close(self) -> None:
        """Close the file. Raises FormatError."""
        self._file.close()


def _read(path: Path, name: str, schema: Schema | None) -> Iterator[Parsed | Problem]:
    for count, item in enumerate(objects(path), 1):
        yield item if isinstance(item, Problem) else _record(item, f"{name}/{count}", schema, str(path))


def _record(item: Placed, note_id: str, schema: Schema | None, path: str) -> Parsed | Problem:
    text, entities = item.get("originalText"), item.get("entities", [])
    if not isinstance(text, str):
        return Problem(path, item.line, "malformed-line", "a record without originalText", dropped=True)
    found = Collector(Note(id=note_id, text=text), schema, path)
    for entity in entities if isinstance(entities, list) else [entities]:
        one = entity if isinstance(entity, Placed) else Placed()
        start, end, label = (one.get(key) for key in ("start_pos", "end_pos", "label_type"))
        if type(start) is int and type(end) is int and isinstance(label, str):
            found.entity(one.line, label, [(start, end)], name=f"T{len(found.entities) + 1}")
        else:
            found.report(one.line or item.line, "malformed-line", "a mention without start_pos, end_pos or label_type", dropped=True)
    return found.parsed()


def _read_2017(original: Path, note_id: str, schema: Schema | None) -> Parsed:
    annotated = original.with_name(original.name[: -len(ORIGINAL)] + ".txt")
    found = Collector(Note(id=note_id, text=read_text(original)), schema, str(annotated))
    if not annotated.is_file():
        found.report(None, "missing-file", "there are no annotations beside the text", dropped=False)
        return found.parsed()
    for line, content in numbered_lines(read_text(annotated)):
        fields = content.split("\t")
        start, last = (number(fields[1]), number(fields[2])) if len(fields) == 4 else (None, None)
        if start is None or last is None:
            found.report(line, "malformed-line", "not text, first character, last character and label", dropped=True)
        else:
            found.entity(line, fields[3].strip(), [(start, last + 1)], name=f"T{len(found.entities) + 1}", written=fields[0])
    return found.parsed()
