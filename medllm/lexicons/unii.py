"""Names of substances: the FDA's UNII list (precision.fda.gov/uniisearch), ``UNII_Names.txt``."""

import re
from collections.abc import Iterator
from pathlib import Path

from medllm.lexicons.concept import Concept
from medllm.lexicons.rows import distinct, headed

SYSTEM = "UNII"
_SYSTEMATIC = "sys"
_SOURCE = re.compile(r"(?: \[[^\]]*\])+$")
_ACRONYM = 4


def read(path: Path) -> Iterator[Concept]:
    """The substances with their common, official and brand names and code numbers; systematic chemical names are left out.

    The list is in capitals; names of more than four characters come out with a capital initial alone. Raises InputError.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for row in headed(path, ("Name", "TYPE", "UNII", "Display Name"), delimiter="\t"):
        told = names.setdefault((row["UNII"], row["Display Name"]), [])
        if row["TYPE"] != _SYSTEMATIC:
            told.append(_cased(_SOURCE.sub("", row["Name"])))
    for (identifier, display), synonyms in names.items():
        name = _cased(display)
        yield Concept(SYSTEM, identifier, name, distinct(name, synonyms), ("drug",))


def _cased(name: str) -> str:
    return name.capitalize() if len(name) > _ACRONYM else name
