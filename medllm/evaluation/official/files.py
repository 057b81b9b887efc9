"""Finding and reading the files that official scorers compare: pairs of documents by file name."""

from collections.abc import Sequence
from pathlib import Path

from medllm.errors import FormatError, InputError


def documents(path: Path, suffix: str, folders: Sequence[str] = ()) -> dict[str, Path]:
    """The files with ``suffix`` of a folder, by file name in order; a path that is such a file stands for itself.

    Where the folder has none, those of its sub-folder ``folders`` are taken, the first that there is. Raises InputError.
    """
    if path.is_file():
        return {path.name: path} if path.name.endswith(suffix) else {}
    if not path.is_dir():
        raise InputError(f"{path}: there is no such file or folder", hint="give the folder that holds the annotation files")
    files = (p for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith("."))
    found = {p.name: p for p in files if p.name.endswith(suffix)}
    inside = next((path / name for name in folders if (path / name).is_dir()), None)
    return found if found or inside is None else documents(inside, suffix)


def paired(gold: Path, pred: Path, suffix: str, folders: Sequence[str] = ()) -> tuple[dict[str, Path], dict[str, Path]]:
    """Gold and predicted documents by file name; two single files are one pair, whatever their names. Raises InputError."""
    left, right = documents(gold, suffix, folders), documents(pred, suffix, folders)
    if gold.is_file() and pred.is_file():
        right = dict(zip([gold.name], right.values(), strict=False))
    return left, right


def document_pairs(gold: Path, pred: Path, suffix: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """``paired``, where gold must not be empty."""
    left, right = paired(gold, pred, suffix)
    if not left:
        raise InputError(f"{gold}: no *{suffix} files", hint="give the folder that holds the gold annotation files")
    return left, right


def read_lines(path: Path) -> list[str]:
    r"""The lines of a file without their ends (``\n``, ``\r\n`` or ``\r``). Raises InputError, and FormatError for what is not UTF-8."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read().split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("not UTF-8", path=str(path), hint="convert the file to UTF-8") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {type(error).__name__}", hint="check the path and its permissions", names=(str(path),)
        ) from error
