"""Bytes of a file -> text, strictly: no encoding is guessed, and what is not text is refused with a reason."""

import codecs
import os
import re
import stat
from dataclasses import dataclass
from typing import IO, Literal

from medllm.errors import InputError

Reason = Literal["empty", "binary", "too-large", "encoding", "unreadable", "malformed-row", "no-text", "duplicate-id"]

_BOMS = (  # the longer ones first: the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = dict.fromkeys([c for c in range(0x20) if chr(c) not in "\t\n\v\f\r\x1b"] + [0x7F])
_MAX_CONTROLS = 0.05
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A note that could not be read, and why. ``source`` is its file; ``detail`` is one clause without note text."""

    id: str
    source: str
    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}: {self.detail}"


class Refusal(Exception):
    """Why a file or a row cannot be read; becomes an Unreadable where its id is known."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


def check_encoding(encoding: str) -> None:
    """Raises InputError for a name that is not a text encoding."""
    try:
        b"a".decode(encoding, "replace")
        "a".encode(encoding)
    except (LookupError, ValueError):
        raise InputError(f"there is no text encoding {encoding!r}", hint="such as utf-8, latin-1, cp1252 or gb18030") from None


def sniff(head: bytes, encoding: str) -> str:
    """The encoding that a byte order mark at the beginning tells, else ``encoding``."""
    return next((name for mark, name in _BOMS if head.startswith(mark)), encoding)


def decode(data: bytes, encoding: str) -> tuple[str, str]:
    """The text of a whole file and the encoding it was in; a byte order mark is removed. Raises Refusal.

    Line ends stay as they are, so that offsets hold on disk (after the mark, if there was one).

    >>> decode(b"fever\\r\\n", "utf-8")
    ('fever\\r\\n', 'utf-8')
    """
    used = sniff(data[:4], encoding)
    try:
        text = data.decode(used)
    except UnicodeError as error:
        if b"\0" in data and used == encoding:
            raise Refusal("binary", "holds NUL bytes: not a text file") from None
        at = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise Refusal("encoding", f"not {used}{at}; give --encoding, such as latin-1, cp1252 or gb18030") from None
    if "\0" in text:
        raise Refusal("binary", "holds NUL characters: not a text file, or UTF-16 without a byte order mark (--encoding utf-16-le)")
    if len(text) - len(text.translate(_CONTROLS)) > _MAX_CONTROLS * len(text):
        raise Refusal("binary", "holds too many control characters for a text file")
    return text, used


def check_text(text: str, max_chars: int) -> str:
    """``text``, if it is a note: not blank, not too long, without lone surrogates. Raises Refusal."""
    if len(text) > max_chars:
        raise Refusal("too-large", f"{len(text)} characters; the limit is {max_chars}")
    if not text.strip():
        raise Refusal("empty", "no text, or only white space")
    if found := _SURROGATE.search(text):
        raise Refusal("encoding", f"a lone surrogate at character {found.start()}: not Unicode text")
    return text


def open_regular(path: str) -> IO[bytes]:
    """Open a regular file for reading; a pipe, a device or a folder is refused without waiting for it. Raises Refusal."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise Refusal("unreadable", os_error(error)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refusal("unreadable", "not a regular file; pipe it in and give - as the input")
    return os.fdopen(descriptor, "rb")


def os_error(error: Exception) -> str:
    """What the system says, without the path."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
