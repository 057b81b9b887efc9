"""Annotation files without their notes' texts: read as if the texts stood beside them. Nobody hands out texts with predictions."""

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medllm.errors import InputError
from medllm.formats.base import Parsed

BESIDE = {"brat": (".ann",), "i2b2-2010": (".con", ".ast", ".rel"), "n2c2-2018": (".ann",), "n2c2-2022": (".ann",)}
"""The formats that have a ``.txt`` for each note, with the endings of their annotation files."""

_OWN_FOLDERS = ("concept", "concepts", "ast", "rel")
"""i2b2 2010 is handed out with a folder for each kind of file; the texts then have one too, ``txt``."""


def lacks_texts(name: str, path: Path) -> bool:
    """Whether a folder has annotation files of a format that needs texts, and not a single text."""
    if name not in BESIDE or not path.is_dir():
        return False
    files = [file for file in path.rglob("*") if not file.name.startswith(".")]
    return any(file.suffix in BESIDE[name] for file in files) and not any(file.suffix == ".txt" for file in files)


@contextmanager
def joined(name: str, path: Path, texts: Path) -> Iterator[Path]:
    """A folder of links for as long as the context lasts: the annotation files of ``path``, and ``NAME.txt`` from below ``texts``.

    A text in the same sub-folder comes before one of the same name elsewhere. Raises InputError for an annotation file of which there is
    no text, or more than one.
    """
    found: dict[str, list[Path]] = {}
    for file in texts.rglob("*.txt") if texts.is_dir() else ():
        found.setdefault(file.stem, []).append(file)
    with tempfile.TemporaryDirectory(prefix="medllm-") as folder:
        root = Path(folder)
        for file in sorted(path.rglob("*")):
            if file.suffix not in BESIDE[name] or file.name.startswith("."):
                continue
            below = file.relative_to(path)
            same = texts / below.with_suffix(".txt")
            places = [same] if same.is_file() else found.get(file.stem, [])
            if len(places) != 1:
                raise InputError(
                    f"{file}: {len(places)} texts {file.stem}.txt below {texts}",
                    hint="--texts DIR names the folder that has the text of each note once",
                    names=(str(file), f"{file.stem}.txt"),
                )
            _link(root / below, file)
            above = below.parent.parent if below.parent.name in _OWN_FOLDERS else None
            _link(root / (below.with_suffix(".txt") if above is None else above / "txt" / f"{file.stem}.txt"), places[0])
        yield root


def told_of(parsed: Parsed, joined_at: Path, path: Path) -> Parsed:
    """The problems with the paths that the user knows."""
    problems = (dataclasses.replace(p, path=p.path.replace(str(joined_at), str(path))) for p in parsed.problems)
    return dataclasses.replace(parsed, problems=tuple(problems))


def _link(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.symlink_to(target.absolute())
