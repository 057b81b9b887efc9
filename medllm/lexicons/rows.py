"""Rows of the text files that terminologies are released in."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from medllm.errors import InputError

_ANOTHER = "Is it the file that the name before the colon says?"


def delimited(path: Path, delimiter: str, *, columns: int, encoding: str = "utf-8") -> Iterator[list[str]]:
    """The rows of a file without quotes (RRF, RF2, tab-separated), divided by ``delimiter``.

    Raises InputError for a file that cannot be read, is not UTF-8, or whose first row has fewer than ``columns`` cells.
    """
    for number, line in enumerate(_lines(path, encoding)):
        cells = line.rstrip("\r\n").split(delimiter)
        if len(cells) >= columns:
            yield cells
        elif number == 0:
            raise InputError(f"{path} has {len(cells)} columns and not {columns}", hint=_ANOTHER)


def headed(path: Path, names: Sequence[str], *, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a file with a header, by column. Raises InputError, and for a file without one of the columns ``names``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter=delimiter)
            missing = [name for name in names if name not in (rows.fieldnames or ())]
            if missing:
                raise InputError(f"{path} has no column {', '.join(missing)}", hint=_ANOTHER)
            for row in rows:
                yield {key: value or "" for key, value in row.items() if isinstance(key, str) and not isinstance(value, list)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InputError:
    """What is said of a file that cannot be read."""
    reason = (error.strerror if isinstance(error, OSError) else "") or "it is not of the format expected"
    return InputError(f"{path} cannot be read: {reason}", hint="A lexicon is NAME, or NAME:PATH of a file that you bring.")


def distinct(name: str, others: Iterable[str]) -> tuple[str, ...]:
    """``others`` without blanks around them, empty ones, repetitions and ``name``."""
    return tuple(dict.fromkeys(o for other in others if (o := other.strip()) and o != name))


def _lines(path: Path, encoding: str) -> Iterator[str]:
    try:
        with path.open(encoding=encoding) as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
