"""Word documents (ECMA-376, ``.docx``) -> text, by python-docx. Each paragraph is a line, as is a table's row, its cells divided by tabs.

Not read: headers and footers, footnotes, comments, text boxes, pictures, text that a tracked change has deleted.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from medllm.formats.decoding import Refusal
from medllm.formats.documents.base import Document, not_installed

MAX_UNPACKED = 256 * 1024 * 1024
MAX_RATIO = 200
"""A part of more than 1 MiB that was packed more tightly than so is no document that anybody wrote."""

_ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How compound files begin: old ``.doc`` files, and ``.docx`` with a password."""


def read(data: bytes, encoding: str = "") -> Document:
    """The text of a Word document. Raises Refusal."""
    try:
        import docx
    except ImportError:
        raise not_installed("docx", "python-docx") from None
    if not data:
        raise Refusal("empty", "an empty file")
    if data.startswith(_ENCRYPTED):
        raise Refusal("unreadable", "a document with a password, or an old .doc; save it as .docx without one")
    _check_size(data)
    try:
        blocks = list(_blocks(docx.Document(io.BytesIO(data))))
    except Exception as error:  # a damaged file breaks zipfile, lxml and python-docx in many ways
        raise Refusal("unreadable", f"not a Word document that can be read ({type(error).__name__}); is it damaged?") from None
    return Document("\n".join(blocks))


def _check_size(data: bytes) -> None:
    """Raises Refusal for an archive that unpacks to more than a document would, judged by what it says of its parts.

    What it says is what is read: zipfile stops at the size given.
    """
    try:
        parts = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise Refusal("unreadable", f"not a Word document that can be read ({type(error).__name__}); is it damaged?") from None
    total = sum(part.file_size for part in parts)
    dense = any(part.file_size > 1 << 20 and part.file_size > MAX_RATIO * max(1, part.compress_size) for part in parts)
    if total > MAX_UNPACKED or dense:
        raise Refusal("too-large", f"it unpacks to {total} bytes from {len(data)}: a zip bomb, or no document")


def _blocks(container: Any) -> Iterator[str]:
    """The lines of a document or a cell, in order."""
    from docx.table import Table

    for item in container.iter_inner_content():
        if not isinstance(item, Table):
            yield item.text
            continue
        for row in item.rows:
            cells = {id(cell._tc): cell for cell in row.cells}  # a merged cell comes once for each column it spans
            yield "\t".join(" ".join(_blocks(cell)).strip() for cell in cells.values())
