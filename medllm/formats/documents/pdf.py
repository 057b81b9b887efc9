"""PDF (ISO 32000) -> text, by pypdf. A blank line divides pages; ``meta`` has their number (``pages``) and where each begins in the text
(``page_starts``).

A scanned page has no text: a file of such pages alone is refused, and of others ``meta["pages_without_text"]`` tells the numbers. Not
read: forms' values, annotations, text in pictures. Encrypted files are read where they open without a password.
"""

import io

from medllm.formats.decoding import Refusal
from medllm.formats.documents.base import Document, not_installed
from medllm.formats.quiet import quiet

PAGE_BREAK = "\n\n"


def read(data: bytes, encoding: str = "") -> Document:
    """The text of a PDF file. Raises Refusal."""
    try:
        import pypdf
        from pypdf.errors import DependencyError, FileNotDecryptedError
    except ImportError:
        raise not_installed("PDF", "pypdf") from None
    if not data.strip():
        raise Refusal("empty", "an empty file")
    try:
        with quiet("pypdf"):
            pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages]
    except FileNotDecryptedError:
        raise Refusal("unreadable", "encrypted; save a copy without a password") from None
    except DependencyError:
        raise Refusal("unreadable", "encrypted in a way that needs the package cryptography; save a copy without a password") from None
    except Exception as error:  # a damaged file breaks pypdf in many ways, and its messages may quote the file
        raise Refusal("unreadable", f"not a PDF file that can be read ({type(error).__name__}); is it damaged, or cut short?") from None
    blank = [number for number, text in enumerate(pages, 1) if not text.strip()]
    if len(blank) == len(pages):
        raise Refusal("empty", f"{len(pages)} pages without text; if they are scans, run text recognition (OCR) first")
    starts, position = [], 0
    for text in pages:
        starts.append(position)
        position += len(text) + len(PAGE_BREAK)
    meta = {"pages": str(len(pages)), "page_starts": " ".join(map(str, starts))}
    return Document(PAGE_BREAK.join(pages), meta | ({"pages_without_text": " ".join(map(str, blank))} if blank else {}))
