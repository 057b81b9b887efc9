"""The ledger: everything that was not read, or not kept, each entry with one of these reasons."""

REASONS = {
    "empty": "the note holds no text",
    "binary": "the file is not text",
    "too-large": "the note is longer than --max-note-chars, or its file or row than any that is read",
    "encoding": "the file is not in the encoding given",
    "unreadable": "the file could not be read",
    "malformed-row": "the row or line of the input breaks its format",
    "no-text": "the row has no text",
    "duplicate-id": "another note of this run has the same id",
    "output-limit": "the answer was cut off at its bound; what it said until then was kept",
    "unanswered": "the answer ended before it came to the end of the lines asked about; what it said until then was kept",
    "layout-bound": "a line reached the number of mentions, or of repeated words, that an answer can express",
    "context": "the line does not fit the model's context",
    "engine-error": "the model did not answer",
    "unplaced": "something in the answer could not be understood or found in the text",
}
"""Every reason that an entry can have, explained."""

INPUT = "input"
"""The reader of entries about inputs that are no notes."""

WORTH_ANOTHER_TRY = frozenset({"engine-error"})
"""Reasons for which the next run reads a note again; with the same configuration the others would come to the same."""
