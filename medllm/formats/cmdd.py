"""CMDD, Chinese medical dialogues: symptoms with their status, a JSON file for each dialogue <-> Extraction (Lin et al. 2019, EMNLP).

::

    {"example-id": "10", "dialogue-content": [{"speaker": "患者", "sentence": "不发烧", "label": "OBI", "normalized": ["发热"],
     "type": ["2"]}]}

``label`` has a letter for each character (or tags with blanks between, such as ``B-Symptom``); ``normalized`` and ``type`` have a value
for each symptom, lists or with blanks between. A dialogue is a note, a sentence a line after its speaker and a colon. Symptoms have the
label ``symptom``, the attributes ``assertion`` (type 1 ``present``, 2 ``absent``, 3 ``possible``) and ``normalized``.

Not held by the format: labels (every mention is written as a symptom), ids, other attributes and assertions, codes, relations, overlaps,
parts of a discontinuous mention (written from start to end), and mentions that cross a line (written in the first).
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medllm.document import Extraction, Note
from medllm.formats import conll
from medllm.formats.base import Parsed, Problem
from medllm.formats.bio_tags import Chunk, chunks, iob2
from medllm.formats.collecting import Collector, Given, attach
from medllm.formats.corpus_files import id_of, named_or_below, write_note
from medllm.formats.placed_json import Placed, objects
from medllm.schema import Schema

ENDING = ".json"
LABEL = "symptom"
STATUS = {"1": "present", "2": "absent", "3": "possible"}
_TYPES = {value: key for key, value in STATUS.items()}
_SPEAKER = re.compile("(医生|患者)：")


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The dialogue of a file, or those of the ``.json`` files of a folder. Raises FormatError."""
    for name, file in named_or_below(path, (ENDING,)):
        yield from attach(_dialogues(file, id_of(name), schema))


class Writer:
    """Writes ``NOTE_ID.json`` below a folder, readable by the owner only. ``left_out`` counts the mentions not written."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path
        self.left_out = 0

    def write(self, extraction: Extraction) -> None:
        """Write the file of a note. Raises FormatError."""
        kept, left_out = conll.flat(extraction.entities)
        self.left_out += left_out
        sentences, start = [], 0
        for line in extraction.note.text.split("\n"):
            here = [e for e in kept if start <= e.span.start < start + len(line)]
            speaker = match[0] if (match := _SPEAKER.match(line)) and all(e.span.start >= start + match.end() for e in here) else ""
            begin = start + len(speaker)
            found = [Chunk(LABEL, e.span.start - begin, min(e.span.end, start + len(line)) - begin) for e in here]
            sentences.append(
                {
                    "speaker": speaker[:-1],
                    "sentence": line[len(speaker) :],
                    "label": "".join(tag[0] for tag in iob2(found, len(line) - len(speaker))),
                    "normalized": [str(e.attributes.get("normalized", "")) for e in here],
                    "type": [_TYPES.get(str(e.attributes.get("assertion", "")), "") for e in here],
                }
            )
            start += len(line) + 1
        content = {"example-id": extraction.note.id, "dialogue-content": sentences}
        write_note(self._folder, extraction.note.id, {ENDING: json.dumps(content, ensure_ascii=False, indent=1) + "\n"})

    def close(self) -> None:
        """Nothing is left to do: every note has its file."""


def _dialogues(path: Path, name: str, schema: Schema | None) -> Iterator[Parsed | Problem]:
    for count, item in enumerate(objects(path), 1):
        yield item if isinstance(item, Problem) else _dialogue(item, name if count == 1 else f"{name}/{count}", schema, str(path))


def _dialogue(item: Placed, note_id: str, schema: Schema | None, path: str) -> Parsed | Problem:
    content = item.get("dialogue-content")
    if not isinstance(content, list):
        return Problem(path, item.line, "malformed-line", "an object without dialogue-content", dropped=True)
    good = [one for one in content if isinstance(one, Placed) and isinstance(one.get("sentence"), str)]
    lines = [f"{one['speaker']}：{one['sentence']}" if one.get("speaker") else one["sentence"] for one in good]
    found = Collector(Note(id=note_id, text="\n".join(lines)), schema, path)
    if len(good) < len(content):
        found.report(item.line, "malformed-line", f"{len(content) - len(good)} sentences without text", dropped=True)
    end = -1
    for one, line in zip(good, lines, strict=True):
        end += len(line) + 1
        _symptoms(one, end - len(one["sentence"]), found)
    return found.parsed()


def _symptoms(one: Placed, start: int, found: Collector) -> None:
    label = one.get("label", "")
    tags = [label] if not isinstance(label, str) else label.split() if " " in label.strip() else list(label)
    tags = [str(tag) for tag in label] if isinstance(label, list) else tags
    if len(tags) != len(one["sentence"]):
        if tags:
            found.report(one.line, "malformed-line", f"{len(tags)} tags for {len(one['sentence'])} characters", dropped=True)
        return
    placed = chunks([tag if tag == "O" else f"{tag[:1]}-{LABEL}" for tag in tags])
    names, types = _values(one, "normalized"), _values(one, "type")
    whole = len(types) == len(placed.found)
    if not whole and (types or names):
        found.report(one.line, "attribute", f"{len(types)} values of status for {len(placed.found)} symptoms", dropped=True)
    for n, chunk in enumerate(placed.found):
        given = [Given("assertion", STATUS[types[n]])] if whole and types[n] in STATUS else []
        given += [Given("normalized", names[n])] if len(names) == len(placed.found) and names[n] else []
        found.entity(
            one.line, chunk.label, [(start + chunk.start, start + chunk.end)], name=f"T{len(found.entities) + 1}", attributes=given
        )


def _values(one: Mapping[str, Any], key: str) -> list[str]:
    value = one.get(key) or []
    return value.split() if isinstance(value, str) else [str(each) for each in value] if isinstance(value, list) else [str(value)]
