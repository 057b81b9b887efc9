"""Finding, reading and writing the files of a corpus: strict UTF-8, no newline translation, owner-only."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from medllm.errors import FormatError
from medllm.formats.files import note_id_of, note_path, open_private, writing


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


def below(root: Path, endings: Sequence[str] = ("",), *, deep: bool = True) -> Iterator[Path]:
    """Files below a folder that have one of ``endings`` (without case), in order; hidden entries are passed over.

    Not ``deep``: those in the folder itself. Raises FormatError where there is no such folder.
    """
    if not root.is_dir():
        raise FormatError("there is no such file or folder", path=str(root))
    wanted = tuple(ending.lower() for ending in endings)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
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


def id_of(name: str) -> str:
    """The note id that a path below the folder stands for; never empty.

    >>> id_of("ward%3A1/n"), id_of("%")
    ('ward:1/n', '%')
    """
    return clean(note_id_of(name) or name or "-")


def clean(name: str) -> str:
    """``name`` as Unicode text: lone surrogates, as names of files that are not UTF-8 have them, are written out."""
    return name.encode("utf-8", "backslashreplace").decode()


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


class Texts:
    """Pairs the texts of a folder with annotation files that may stand elsewhere in it under the same name.

    ``endings`` are those of annotation files. A text is a ``.txt`` or ``.text``, or with ``plain`` a file without any ending that an
    annotation file names. A path that is one of the files stands for its pair, both in one folder. Raises FormatError.
    """

    def __init__(self, path: Path, endings: Sequence[str], *, plain: bool = False) -> None:
        self._one = None if path.is_dir() else path
        self._root = path if path.is_dir() or not path.exists() else path.parent
        self._endings = tuple(sorted(endings, key=len, reverse=True))
        files = list(below(self._root, deep=self._one is None))
        self._annotations = [file for file in files if file.name.lower().endswith(self._endings)]
        if not self._annotations:
            raise FormatError(f"no {' or '.join(endings)} file here", path=str(path), hint="is it the right folder and format?")
        names = {self.name_of(file) for file in self._annotations}
        others = (file for file in files if file not in set(self._annotations))
        self._texts = [f for f in others if f.suffix.lower() in (".txt", ".text") or (plain and f.name in names)]

    def name_of(self, annotations: Path) -> str:
        """The name of a file of annotations without its ending."""
        return stem(annotations.name, self._endings)

    def pairs(self) -> Iterator[tuple[str, Path, Path | None]]:
        """The id, the text and the annotations (None if there are none) of each note, in the order of the ids."""
        of: dict[Path, Path] = {}
        for file in self._annotations:
            if (other := of.setdefault(self.text_of(file), file)) != file:
                raise FormatError("a second file for the same text", path=str(file), hint=f"the other is {other}")
        for note_id, text in sorted((self.id_of(text), text) for text in self._texts):
            if self._one in (None, text, of.get(text)):
                yield note_id, text, of.get(text)

    def text_of(self, annotations: Path) -> Path:
        """The text beside a file of annotations, else the only one of its name. Raises FormatError."""
        name = self.name_of(annotations)
        named = [text for text in self._texts if stem(text.name, (".txt", ".text")) == name or text.name == name]
        found = [text for text in named if text.parent == annotations.parent] or named
        if len(found) != 1:
            what = "no text" if not found else f"{len(found)} texts"
            raise FormatError(f"{what} for this file", path=str(annotations), hint="a text has the same name, and .txt or no ending")
        return found[0]

    def id_of(self, text: Path) -> str:
        """The path of a text below the folder, without ending."""
        return id_of(stem(text.relative_to(self._root).as_posix(), (".txt", ".text")))
