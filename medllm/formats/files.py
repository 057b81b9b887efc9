"""Files and folders that hold patients' data: owner-only, and named after a note without leaving their folder."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Literal, TextIO, cast, overload

from medllm.errors import FormatError

_FLAGS = {
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "x": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
}

_RESERVED = "".join(map(chr, range(0x20))) + '\x7f\\:*?"<>|'
_CODE = "|".join(f"{ord(c):02X}" for c in _RESERVED + ".%")
_TO_ENCODE = re.compile(f"[{re.escape(_RESERVED)}]|%(?={_CODE})")
_TO_DECODE = re.compile(f"%({_CODE})")


@overload
def open_private(path: str | os.PathLike[str], mode: Literal["w", "a", "x"] = "w") -> TextIO: ...
@overload
def open_private(path: str | os.PathLike[str], mode: Literal["wb", "ab", "xb"]) -> BinaryIO: ...
def open_private(path: str | os.PathLike[str], mode: str = "w") -> IO[str] | IO[bytes]:
    """Open a file for writing that only its owner may read (mode 0600); folders that are missing get 0700.

    Text is UTF-8 without newline translation, and lone surrogates pass. An old file that ``w`` writes over becomes 0600 too.
    Raises OSError.
    """
    path = Path(path)
    private_folder(path.parent)
    descriptor = os.open(path, _FLAGS[mode[0]] | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), 0o600)
    if mode[0] == "w" and stat.S_ISREG(os.fstat(descriptor).st_mode) and hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)
    if mode.endswith("b"):
        return os.fdopen(descriptor, mode)
    return cast(TextIO, os.fdopen(descriptor, mode, encoding="utf-8", errors="surrogatepass", newline=""))


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns an OSError inside into a FormatError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise FormatError(
            f"cannot be written: {error.strerror or type(error).__name__}", path=str(path), hint="is there space, and may you write there?"
        ) from None


def private_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder and the missing ones above it, each with mode 0700; what exists stays as it is. Raises OSError."""
    folder = Path(path)
    if not folder.is_dir():
        if folder.parent != folder:
            private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def note_path(folder: Path, note_id: str, ending: str) -> Path:
    r"""Where the file of a note stands below ``folder``: one folder for each ``/`` of the id.

    Control characters, ``\ : * ? " < > |`` and the parts ``.``, ``..`` and the empty one are written as ``%XX``, so that no id
    leads out of the folder and every id has a path of its own. ``note_id_of`` is the way back.

    >>> note_path(Path("out"), "ward/../../x:1", ".txt").as_posix()
    'out/ward/%2E%2E/%2E%2E/x%3A1.txt'
    """
    *folders, name = [_encode_part(part) for part in note_id.split("/")]
    return folder.joinpath(*folders, name + ending)


def note_id_of(path: str) -> str:
    """The note id of a path below the folder, written with ``/`` and without its ending."""
    return "/".join("" if part == "%" else _TO_DECODE.sub(lambda m: chr(int(m[1], 16)), part) for part in path.split("/"))


def _encode_part(part: str) -> str:
    if part in ("", "%", ".", ".."):
        return {"": "%", "%": "%25"}.get(part) or part.replace(".", "%2E")
    encoded = _TO_ENCODE.sub(lambda m: f"%{ord(m[0]):02X}", part)
    return f"%2E{encoded[1:]}" if encoded.startswith(".") else encoded
