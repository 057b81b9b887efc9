"""Notes without what identifies a patient, for servers that must not see it; what is found in them goes back to the original note."""

import os
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from medllm.deid.replaced import ReplacedNote
from medllm.document import Note
from medllm.errors import UsageError

if TYPE_CHECKING:
    from medllm.deid.findings import Finding
    from medllm.deid.surrogates import Surrogates

OFF, MASK, SURROGATE = "off", "mask", "surrogate"
MODES = (OFF, MASK, SURROGATE)
SALT = "MEDLLM_DEID_SALT"
KEPT = frozenset({"PROFESSION"})
"""Types that are found and stay: nobody is known by them, and they are clinical information."""
OLDEST = 89
PATIENT_META = ("patient_id", "patient", "person_id", "subject_id", "mrn")
"""What the meta of a note may name its patient by, the first that is there. Without any, each note is a patient's own."""


class Finder(Protocol):
    """What finds identifying text."""

    def find(self, text: str) -> "Sequence[Finding]":
        """Findings in reading order that do not overlap."""
        ...


class Deidentifier:
    """Replaces names, dates, places, numbers that identify, and ages over 89.

    ``mask`` writes ``[PATIENT]``, the type of what was there; ``surrogate`` the like of it, the same for the same text of one patient,
    with dates moved by one shift for each patient. ``salt`` is the secret that surrogates follow from: the one given, else that of the
    environment variable ``MEDLLM_DEID_SALT``, else one drawn for this object, so that another run has other surrogates. Raises UsageError.

    >>> from medllm.deid.findings import Finding
    >>> class Names:
    ...     def find(self, text): return [Finding(4, 9, "PATIENT", 1.0)]
    >>> Deidentifier("mask", finder=Names()).replace(Note(id="1", text="Mr. Smith has flu.")).note.text
    'Mr. [PATIENT] has flu.'
    """

    def __init__(self, mode: str = SURROGATE, *, salt: bytes | None = None, ner: str | None = None, finder: Finder | None = None) -> None:
        if mode not in (MASK, SURROGATE):
            raise UsageError(f"notes cannot be de-identified by {mode!r}", hint=f"--deid is one of {', '.join(MODES)}")
        given = os.environ.get(SALT, "").encode("utf-8", "surrogateescape")
        self.mode = mode
        self.ner = ner
        self._salt = salt or given or secrets.token_bytes(32)
        self._finder = finder or _analyzer(ner)

    def replace(self, note: Note) -> ReplacedNote:
        """The note with what was replaced in it. Its id and its meta are those of the original; they go to no engine."""
        from medllm.deid.surrogates import Surrogates

        surrogates = Surrogates(self._salt, patient_of(note))
        found = (f for f in self._finder.find(note.text) if is_replaced(f, note.text))
        return ReplacedNote.of(note, ((f.start, f.end, self._new(surrogates, f, note.text)) for f in found))

    def _new(self, surrogates: "Surrogates", finding: "Finding", text: str) -> str:
        return f"[{finding.type}]" if self.mode == MASK else surrogates.of(finding.type, text[finding.start : finding.end])


def _analyzer(ner: str | None) -> Finder:
    from medllm.deid.analyzer import Analyzer

    return Analyzer(ner)


def patient_of(note: Note) -> str:
    """What names the patient: something in the meta of the note, else the note's own id."""
    return next((note.meta[name] for name in PATIENT_META if note.meta.get(name)), f"note {note.id}")


def is_replaced(finding: "Finding", text: str) -> bool:
    """False for what may stay: occupations, and ages up to 89."""
    if finding.type == "AGE":
        number = "".join(filter(str.isdigit, text[finding.start : finding.end]))
        return bool(number) and int(number) > OLDEST
    return finding.type not in KEPT
