"""The accounting of a run directory as a whole, from its files alone: every character of every note was read, or is in the ledger.

A line of ``extractions.jsonl`` says how many characters each reader read (``read``), how many a budget left to the other one (``left``),
and how many requests that took (``requests``). With what ``ledger.jsonl`` says was not read, they must add up to the note's length, for
each reader of each note.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from medllm.digests import DigestMap
from medllm.reading import UNREAD

_Line = Mapping[str, Any]


@dataclass(frozen=True)
class Accounts:
    """What a directory holds. ``read`` and ``unread`` are characters by reader; ``unaccounted`` counts notes that do not add up.

    ``ledger`` counts all entries of ``ledger.jsonl``, those of inputs that are no notes too.
    """

    notes: int = 0
    characters: int = 0
    ledger: int = 0
    unaccounted: int = 0
    read: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)


def text_of(line: _Line) -> tuple[str, str]:
    """What text a line is about: the note's id and the SHA-256, empty where there is none."""
    return str(line.get("note_id", "")), str(line.get("sha256", ""))


def count(lines: Iterable[_Line]) -> DigestMap:
    """How many of the lines are about each text, by ``key``."""
    found = DigestMap()
    for line in lines:
        found.set(key(line), found.get(key(line)) + 1)
    return found


def key(line: _Line) -> str:
    """A name for the text that a line is about."""
    return "\0".join(text_of(line))


def add_up(extractions: Iterable[_Line], ledger: Iterable[_Line], usage: Iterable[_Line]) -> Accounts:
    """The accounts of the lines of the three files. Memory grows with the notes that have ledger entries, and 16 bytes a note."""
    asked = count(usage)
    entries: Counter[str] = Counter()
    spans: Counter[tuple[str, str]] = Counter()
    without_end: Counter[tuple[str, str]] = Counter()
    for entry in ledger:
        entries[key(entry)] += 1
        if entry.get("reason") in UNREAD:
            of = key(entry), str(entry.get("reader"))
            without_end[of] += entry.get("end") is None
            spans[of] += (entry.get("end") or 0) - (entry.get("start") or 0)
    notes = characters = unaccounted = 0
    all_read: Counter[str] = Counter()
    all_unread: Counter[str] = Counter()
    for line in extractions:
        name, total, read, left = key(line), len(line.get("text", "")), line.get("read") or {}, line.get("left") or {}
        unread = {reader: spans[name, reader] + total * without_end[name, reader] for reader in read}
        notes += 1
        characters += total
        all_read.update(read)
        all_unread.update(unread)
        whole = entries[name] == len(line.get("ledger", ())) and asked.get(name) == line.get("requests")
        unaccounted += not (read and whole and all(read[reader] + left.get(reader, 0) + unread[reader] == total for reader in read))
    return Accounts(notes, characters, entries.total(), unaccounted, dict(all_read), dict(all_unread))
