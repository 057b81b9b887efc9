"""HL7 v2 messages -> the notes in them, by python-hl7: ORU (results) and MDM (documents), HL7 v2.5.1, chapters 7 and 9.

A file holds one message or many, also with batch segments or MLLP frames; segments end with any line end. Text is what OBX segments of the
types TX, FT and ST, and the NTE segments after them, hold: a segment is a line, as is a repetition, and escapes (``\\.br\\``, ``\\F\\`` …)
are resolved. A report of an ORU (an OBR) is a note, as is an MDM message; an OBX of the type ED with a document in base64 is one of its
own. Numbers and codes (NM, CE …) are not notes, and a message without text is told.

Highlighting (``\\H\\``) is left out. ``meta``: ``message_type``, ``message_time``, ``patient_id`` (PID-3) and ``service`` (OBR-4 or TXA-2),
where they are there.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from medllm.errors import InputError
from medllm.formats.decoding import Refusal
from medllm.formats.documents import CONTENT_TYPES, extract
from medllm.formats.documents.base import Found
from medllm.formats.quiet import quiet

TEXT_TYPES = frozenset({"TX", "FT", "ST"})

_FRAMES = re.compile("[\x0b\x1c]")
_ENDS = re.compile(r"\r\n|\n|\r")
_BEGINS = re.compile("(?m)^(?=MSH.)")
_FORMATTING = re.compile(r"\\\.(br|sp|ce)([0-9+-]*)\\", re.IGNORECASE)
_HIGHLIGHT = re.compile(r"\\[HN]\\")
_KIND_OF = {"pdf": "pdf", "html": "html", "rtf": "rtf"}


def notes(text: str, encoding: str) -> Iterator[Found]:
    """The notes of a file's messages. Raises InputError without python-hl7, and Refusal for a file without any message."""
    try:
        import hl7
    except ImportError:
        raise InputError("reading HL7 v2 needs python-hl7, which is not installed", hint="pip install medllm[standards]") from None
    _, *messages = _BEGINS.split(_ENDS.sub("\n", _FRAMES.sub("", text)))
    if not messages:
        raise Refusal("malformed-row", "no line begins with MSH: not a file of HL7 v2 messages")
    for number, raw in enumerate(messages, 1):
        lines = [line.strip() for line in raw.split("\n") if line.strip() and line[:3] not in ("BTS", "FTS", "BHS", "FHS")]
        try:
            with quiet(hl7.util.logger.name), quiet(hl7.containers.logger.name):
                found = list(_notes(hl7.parse("\r".join(lines) + "\r"), str(number), encoding))
            yield from found
        except Exception as error:  # python-hl7's own errors, and those of a message without the fields
            yield Found(str(number), reason="malformed-row", detail=f"message {number} is not HL7 v2 ({type(error).__name__})")


def _notes(message: Any, number: str, encoding: str) -> Iterator[Found]:
    control = _field(message, "MSH", 10) or number
    kind = _component(_first(message, "MSH"), 9, 0)
    meta = {"message_type": kind, "message_time": _field(message, "MSH", 7), "patient_id": _component(_first(message, "PID"), 3, 0)}
    reports: list[tuple[dict[str, str], list[str]]] = []
    whole = kind == "MDM"
    count = 0
    for segment in message:
        name = str(segment[0])
        if name == "OBR" and not whole:
            reports.append(({"service": _service(segment, 4)}, []))
        elif name in ("OBX", "NTE"):
            if not reports:
                reports.append(({"service": _component(_first(message, "TXA"), 2, 0)}, []))
            if name == "NTE":
                reports[-1][1].extend(_texts(message, segment, 3))
            elif (value_type := _plain(segment, 2)) in TEXT_TYPES:
                reports[-1][1].extend(_texts(message, segment, 5))
            elif value_type == "ED":
                count += 1
                yield _embedded(segment, f"{control}/document-{count}", {k: v for k, v in meta.items() if v}, encoding)
    texts = [(own, lines) for own, lines in reports if any(line.strip() for line in lines)]
    for place, (own, lines) in enumerate(texts, 1):
        told = {k: v for k, v in (meta | own).items() if v}
        yield Found(control if len(texts) == 1 else f"{control}/{place}", "\n".join(lines), told)
    if not texts and not count:
        yield Found(control, reason="no-text", detail=f"message {number} ({kind[:3] or 'of no type'}) has no OBX or NTE with text")


def _embedded(segment: Any, name: str, meta: dict[str, str], encoding: str) -> Found:
    """OBX-5 of the type ED: source, type, subtype, encoding, data."""
    parts = [str(part[0]) if isinstance(part, list) and part else str(part) for part in segment[5][0]]
    described = "/".join(parts[1:3]).lower() if len(parts) > 2 else ""
    kind = _KIND_OF.get(parts[2].lower()) if len(parts) > 2 else None
    kind = kind or CONTENT_TYPES.get(described)
    if len(parts) < 5 or parts[3].lower() != "base64" or kind is None:
        return Found(name, reason="no-text", detail="an embedded document that is not PDF, HTML or RTF in base64")
    try:
        document = extract(kind, base64.b64decode(parts[4], validate=True), encoding)
    except binascii.Error:
        return Found(name, reason="malformed-row", detail="an embedded document that is not base64")
    except Refusal as refusal:
        return Found(name, reason=refusal.reason, detail=f"an embedded document: {refusal.detail}")
    return Found(name, document.text, meta | document.meta)


def _texts(message: Any, segment: Any, number: int) -> Iterator[str]:
    """The lines of a field: its repetitions, unescaped."""
    if len(segment) <= number:
        return
    for repetition in str(segment[number]).split(str(message.separators[2]) if len(message.separators) > 2 else "~"):
        yield message.unescape(_FORMATTING.sub("\n", _HIGHLIGHT.sub("", repetition)))


def _first(message: Any, name: str) -> Any:
    return next((segment for segment in message if str(segment[0]) == name), None)


def _plain(segment: Any, number: int) -> str:
    return str(segment[number]).strip() if segment is not None and len(segment) > number else ""


def _field(message: Any, name: str, number: int) -> str:
    return _plain(_first(message, name), number)


def _component(segment: Any, number: int, place: int) -> str:
    parts = re.split(r"[\^&~]", _plain(segment, number))
    return parts[place].strip() if len(parts) > place else ""


def _service(segment: Any, number: int) -> str:
    return _component(segment, number, 1) or _component(segment, number, 0)
