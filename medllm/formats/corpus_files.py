"""Finding, reading and writing the files of a corpus: strict UTF-8, no newline translation, owner-only."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from medllm.document import Entity, Extraction
from medllm.errors import FormatError
from medllm.formats.files import note_path, open_private, writing


def read_text(path: Path) -> str:
    """The text of a file; a byte order mark counts as a character. Raises FormatError for what is not UTF-8 or cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 (byte {error.start})", path=str(path), hint="convert it, and check its offsets") from None
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", path=str(path)) from None


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    r"""The lines with their 1-based numbers, without ``\n`` or ``\r\n``; blank ones are passed over."""
    for line_number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield line_number, line.removesuffix("\r")


def below(root: Path, endings: Sequence[str] = ("",)) -> Iterator[Path]:
    """Files below a folder that have one of ``endings`` (without case), in order; hidden entries are passed over."""
    wanted = tuple(ending.lower() for ending in endings)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(wanted) and not name.startswith("."):
                yield Path(folder, name)


def named_or_below(path: Path, endings: Sequence[str]) -> list[tuple[str, Path]]:
    """A file, or the files of a folder, each with its path below the folder, without ending. Raises FormatError for none."""
    if not path.is_dir():
        return [(stem(path.name, endings), path)]
    found = [(stem(file.relative_to(path).as_posix(), endings), file) for file in below(path, endings)]
    if not found:
        raise FormatError(f"no {' or '.join(endings)} file in this folder", path=str(path), hint="is it the right folder and format?")
    return sorted(found)


def stem(name: str, endings: Sequence[str]) -> str:
    """``name`` without the longest of ``endings`` that it has, else without its last ending."""
    for ending in sorted(endings, key=len, reverse=True):
        if ending and name.lower().endswith(ending.lower()):
            return name[: -len(ending)]
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last)


def write_note(folder: Path, note_id: str, contents: Mapping[str, str]) -> None:
    """Write the files of one note: for each ending its content. Raises FormatError."""
    for ending, content in contents.items():
        path = note_path(folder, note_id, ending)
        with writing(path), open_private(path) as file:
            file.write(content)


class OneFile:
    """A file that grows note by note; a path with none of ``endings`` is a folder, which gets a file ``name``. Raises FormatError."""

    def __init__(self, path: Path, endings: Sequence[str], name: str) -> None:
        self.path = path if path.name.lower().endswith(tuple(endings)) else path / name
        with writing(self.path):
            self._file: TextIO = open_private(self.path)

    def add(self, content: str) -> None:
        """Append. Raises FormatError."""
        with writing(self.path):
            self._file.write(content)

    def close(self, end: str = "") -> None:
        """Write ``end`` and close; a second time does nothing. Raises FormatError."""
        if not self._file.closed:
            with writing(self.path):
                self._file.write(end)
                self._file.close()


def same_mention(extraction: Extraction) -> dict[int, Entity]:
    """By ``id()``, the mention of ``extraction.entities`` that each end of a relation is: the same object, else an equal one."""
    own = {id(entity): entity for entity in extraction.entities}
    found = dict(own)
    for relation in extraction.relations:
        for end in (relation.head, relation.tail):
            if id(end) not in found:
                found[id(end)] = next((e for e in extraction.entities if e == end), end)
    return found
