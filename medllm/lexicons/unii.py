"""Names of substances: the FDA's UNII list (precision.fda.gov/uniisearch), ``UNII_Names.txt``."""

import re
from collections.abc import Iterator
from pathlib import Path

from medllm.errors import InputError
from medllm.lexicons.concept import Concept
from medllm.lexicons.rows import delimited, distinct

SYSTEM = "UNII"
_SYSTEMATIC = "sys"
_SOURCE = re.compile(r"(?: \[[^\]]*\])+$")
_ACRONYM = 4


def read(path: Path) -> Iterator[Concept]:
    """The substances with their common, official and brand names and code numbers; systematic chemical names are left out.

    The list is in capitals; names of more than four characters come out with a capital initial alone. Raises InputError.
    """
    names: dict[tuple[str, str], list[str]] = {}
    rows = delimited(path, "\t", columns=4)
    if next(rows, None) != ["Name", "TYPE", "UNII", "Display Name"]:
        raise InputError(f"{path} has not the columns of UNII_Names.txt", hint="Is it the FDA's list of names?")
    for name, kind, identifier, display, *_ in rows:
        told = names.setdefault((identifier, display), [])
        if kind != _SYSTEMATIC:
            told.append(_cased(_SOURCE.sub("", name)))
    for (identifier, display), synonyms in names.items():
        name = _cased(display)
        yield Concept(SYSTEM, identifier, name, distinct(name, synonyms), ("drug",))


def _cased(name: str) -> str:
    return name.capitalize() if len(name) > _ACRONYM else name
