"""Documents that are no plain text -> their text: PDF, Word, HTML and RTF, each by its own module.

Offsets count the extracted text, which is what a run keeps. Characters that XML cannot have, as PDF files with odd fonts give them, are
U+FFFD. Libraries that are not installed are named in the ledger, and the other files are read.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import IO

from medllm.formats.decoding import Refusal
from medllm.formats.documents.base import Document
from medllm.formats.encodable import xml

KINDS: Mapping[str, str] = {"pdf": "pdf", "docx": "docx", "html": "html", "rtf": "rtf"}
"""Formats, and the modules that read them."""

MAX_BYTES = 256 * 1024 * 1024
"""The largest document that is read into memory."""

CONTENT_TYPES: Mapping[str, str] = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/rtf": "rtf",
    "text/rtf": "rtf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/pdf": "pdf",
}
"""Media types that FHIR and HL7 messages name, in the order of preference where a document comes in several."""

__all__ = ["CONTENT_TYPES", "KINDS", "MAX_BYTES", "Document", "extract", "read_all"]


def extract(kind: str, data: bytes, encoding: str) -> Document:
    """The text of a document of a kind. ``encoding`` is for those that do not tell theirs. Raises Refusal."""
    read: Callable[[bytes, str], Document] = import_module(f"medllm.formats.documents.{KINDS[kind]}").read
    found = read(data, encoding)
    return Document(xml(found.text), found.meta)


def read_all(stream: IO[bytes], limit: int = MAX_BYTES) -> bytes:
    """The bytes of a file. Raises Refusal for one of more than ``limit``, without reading it if its size is known."""
    if stream.seekable():
        here = stream.tell()
        size = stream.seek(0, 2) - here
        stream.seek(here)
        if size > limit:
            raise Refusal("too-large", f"a file of {size} bytes; the limit is {limit}")
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise Refusal("too-large", f"more than {limit} bytes")
    return data
