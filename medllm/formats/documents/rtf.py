"""Rich Text Format 1.9 -> text, by striprtf. Not read: pictures, headers and footers that the file hides, embedded objects."""

from medllm.formats.decoding import Refusal
from medllm.formats.documents.base import Document, not_installed


def read(data: bytes, encoding: str) -> Document:
    """The text of an RTF file. ``encoding`` is for files that name no code page. Raises Refusal."""
    try:
        from striprtf.striprtf import rtf_to_text
    except ImportError:
        raise not_installed("RTF", "striprtf") from None
    if not data.strip():
        raise Refusal("empty", "an empty file")
    if not data.lstrip().startswith(b"{\\rtf"):
        raise Refusal("unreadable", r"not an RTF file: it does not begin with {\rtf")
    try:
        text = rtf_to_text(data.decode("latin-1"), encoding=encoding, errors="strict")
    except UnicodeError:
        raise Refusal("encoding", f"characters that are not in its code page, nor {encoding}; give --encoding, such as cp1252") from None
    except Exception as error:  # of a damaged file
        raise Refusal("unreadable", f"not an RTF file that can be read ({type(error).__name__}); is it damaged?") from None
    return Document(text)
