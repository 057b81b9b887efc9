"""What reading a note gives: an extraction, what it cost, and how many characters each reader read."""

from dataclasses import dataclass, field

from medllm.document import Extraction
from medllm.engines.base import Usage

UNREAD = frozenset({"output-limit", "unanswered", "context", "engine-error"})
"""Ledger reasons whose range was not read."""


@dataclass(frozen=True)
class RequestUsage:
    """What one request cost, and why it ended. An answer ``from_cache`` cost nothing."""

    note_id: str
    task: str
    start: int
    end: int
    finish_reason: str
    usage: Usage
    from_cache: bool = False


@dataclass(frozen=True)
class Reading:
    """Everything that reading a note gave. ``read`` counts the characters each reader read, ``left`` those that a budget left to the other
    reader; the rest is in the ledger."""

    extraction: Extraction
    requests: tuple[RequestUsage, ...] = ()
    read: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    @property
    def accounted_for(self) -> bool:
        """True if, for each reader, the characters read, those left to the other and those in the ledger add up to the note."""
        total = len(self.extraction.note.text)
        return all(read + self.left.get(reader, 0) + self.unread(reader) == total for reader, read in self.read.items())

    def unread(self, reader: str) -> int:
        """How many characters of the note the ledger says that a reader did not read."""
        total = len(self.extraction.note.text)
        entries = (e for e in self.extraction.ledger if e.reason in UNREAD and e.reader == reader)
        return sum((total if e.end is None else e.end) - (e.start or 0) for e in entries)
