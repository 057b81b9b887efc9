"""The inputs that a user names -> the files to read, in order, each with the id of its note. No file is opened."""

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from medllm.errors import InputError
from medllm.formats.decoding import os_error

ENDINGS = {
    ".txt": "txt",
    ".md": "md",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".pdf": "pdf",
    ".docx": "docx",
    ".html": "html",
    ".htm": "html",
    ".rtf": "rtf",
    ".hl7": "hl7",
}
OMOP = "omop"
FHIR = "fhir"
FORMATS = (*dict.fromkeys(ENDINGS.values()), FHIR, OMOP)
TABLES = ("csv", "tsv", "parquet", "arrow", OMOP)
"""A note a row, with columns."""
MANY = (*TABLES, FHIR, "hl7")
"""Files of many notes, whose ids begin with the file's."""
WHOLE = ("parquet", "arrow", OMOP)
"""Not read from standard input."""
STDIN = "-"

_PLAIN = re.compile(r"\.[a-z0-9]{1,6}")
_MAGIC = re.compile(r"[*?\[]")
_ENDINGS_HINT = f"endings read are {', '.join(ENDINGS)}; FORMAT:PATH forces a reader ({', '.join(FORMATS)})"


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read. ``id`` is its note's, or the first part of its rows' ids; ``fault`` says why it cannot be read."""

    id: str
    path: str
    format: str
    fault: str = ""


def discover(inputs: Sequence[str]) -> list[Source]:
    """Files, folders (recursive), globs (``**`` too), ``-`` and ``FORMAT:PATH`` -> sources, in reading order.

    An id is the path below the input named, without ending; for a glob, below its part without wildcards. Hidden entries of
    folders are passed over, and files of other endings unless a format is forced. Raises InputError for an input that does
    not exist, for two that would share an id, and where nothing is left to read.
    """
    sources = [source for name in inputs for source in _sources(name)]
    if not sources:
        raise InputError("no input has a file to read", hint=_ENDINGS_HINT)
    _refuse_shared_ids(sources)
    return sources


def passed_over(inputs: Sequence[str]) -> Counter[str]:
    """How many files below the folders among the inputs are none that is read, by ending (``.doc``), ``?`` for endings that say no kind."""
    counts: Counter[str] = Counter()
    for name in inputs:
        if os.path.isdir(name):  # a forced format reads all
            for folder in _folders(name, ""):
                endings = [os.path.splitext(file)[1].lower() for file in folder.files]
                counts.update(e if _PLAIN.fullmatch(e) else "?" for e in endings if e not in ENDINGS)
    return counts


def _sources(name: str) -> Iterator[Source]:
    prefix, colon, rest = name.partition(":")
    forced, path = (prefix, rest) if colon and prefix in FORMATS else ("", name)
    if path == STDIN:
        if forced in WHOLE:
            raise InputError(f"{forced} cannot be read from standard input", hint="give the file's path")
        yield Source("stdin", STDIN, forced or "txt")
    elif os.path.isdir(path):
        yield from _walk(path, "", forced)
    elif path and os.path.lexists(path):
        yield _named(path, forced)
    elif _MAGIC.search(path):
        yield from _glob(path, forced)
    else:
        raise InputError(f"there is no file or folder {path!r}", hint=_ENDINGS_HINT)


def _named(path: str, forced: str) -> Source:
    stem, ending = os.path.splitext(os.path.basename(path))
    kind = forced or ENDINGS.get(ending.lower(), "")
    fault = "" if kind else f"the ending {ending!r} is not known; FORMAT:PATH forces a reader ({', '.join(FORMATS)})"
    return Source(_clean(stem), path, kind or "txt", fault)


def _glob(pattern: str, forced: str) -> Iterator[Source]:
    parts = pattern.replace(os.sep, "/").split("/")
    first = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
    base = "/".join(parts[:first]) or ("/" if first else "")
    matches = dict.fromkeys(_expand(base, "", parts[first:]))
    if not matches:
        raise InputError(f"nothing matches {pattern!r}", hint="is the folder right? ** matches folders at any depth")
    seen = set()
    for below in matches:
        path = os.path.join(base, below)
        for source in _walk(base, below, forced) if os.path.isdir(path or ".") else _known(base, below, forced):
            if source.path not in seen:
                seen.add(source.path)
                yield source


def _expand(base: str, below: str, parts: Sequence[str]) -> Iterator[str]:
    """Paths below ``base`` that match ``parts``, from the folder ``below`` on."""
    if not parts:
        yield below
        return
    part, *rest = parts
    if part == "**":
        for folder in _folders(base, below):
            if not folder.fault:
                yield from _expand(base, folder.below, rest)
    elif _MAGIC.search(part):
        for name in _list(os.path.join(base, below))[0]:
            if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith(".")):
                yield from _expand(base, _join(below, name), rest)
    elif part in ("", "."):
        yield from _expand(base, below, rest)
    elif os.path.lexists(os.path.join(base, below, part)):
        yield from _expand(base, _join(below, part), rest)


def _walk(base: str, below: str, forced: str) -> Iterator[Source]:
    """The files of a folder and its sub-folders. ``below`` is the folder's path below ``base``, the input named."""
    for folder in _folders(base, below):
        if folder.fault:
            yield Source(_clean(folder.below) or ".", os.path.join(base, folder.below), "txt", folder.fault)
        for name in folder.files:
            yield from _known(base, _join(folder.below, name), forced)


def _known(base: str, below: str, forced: str) -> Iterator[Source]:
    stem, ending = os.path.splitext(below)
    if forced == OMOP and (os.path.basename(stem).lower() != "note" or ENDINGS.get(ending.lower()) not in TABLES):
        return  # the other tables of the model
    if kind := forced or ENDINGS.get(ending.lower(), ""):
        yield Source(_clean(stem), os.path.join(base, below), kind)


class _Folder(NamedTuple):
    below: str
    files: Sequence[str] = ()
    fault: str = ""


def _folders(base: str, below: str) -> Iterator[_Folder]:
    """A folder and those below it, hidden ones left out, in the order of their names."""
    stack = [below]
    while stack:
        here = stack.pop()
        path = os.path.join(base, here)
        names, fault = _list(path)
        shown = [name for name in names if not name.startswith(".")]
        folders = [name for name in shown if os.path.isdir(os.path.join(path, name))]
        backward = {name for name in folders if _leads_back(path, name)}
        inside = set(folders)
        yield _Folder(here, [name for name in shown if name not in inside], fault)
        for name in sorted(backward):
            yield _Folder(_join(here, name), fault="a symbolic link that leads back to a folder above it")
        stack += [_join(here, name) for name in reversed(folders) if name not in backward]


def _list(folder: str) -> tuple[list[str], str]:
    try:
        return sorted(os.listdir(folder or ".")), ""
    except OSError as error:
        return [], os_error(error)


def _leads_back(folder: str, name: str) -> bool:
    """True for a link to one of the folders it stands in."""
    path = os.path.join(folder, name)
    if not os.path.islink(path):
        return False
    target = os.path.realpath(path)
    above = os.path.abspath(folder)
    while True:
        if os.path.realpath(above) == target:
            return True
        if os.path.dirname(above) == above:
            return False
        above = os.path.dirname(above)


def _join(below: str, name: str) -> str:
    return f"{below}/{name}" if below else name


def _clean(note_id: str) -> str:
    """File names that are not UTF-8 have their odd bytes as ``\\udcXX``: written out, since an id is Unicode text."""
    return note_id.encode("utf-8", "backslashreplace").decode()


def _refuse_shared_ids(sources: Sequence[Source]) -> None:
    paths: dict[str, str] = {}
    for source in sources:
        if source.format == "jsonl":  # its rows bring their own ids
            continue
        key = source.id + "/" if source.format in MANY else source.id
        if key in paths:
            raise InputError(
                f"{paths[key]} and {source.path} would share the note id {source.id!r}",
                hint="an id is the path below the input named, without its ending: name a folder above both, rename one, or give a glob "
                "such as 'notes/**/*.txt'",
                names=(paths[key], source.path, source.id),
            )
        paths[key] = source.path
