"""A user's own lexicon: a CSV or tab-separated file with the columns ``system``, ``id``, ``name``, if wanted ``synonyms`` and ``kind``.

Synonyms are divided by ``|``. Rows of one code are one concept, so that a table with one name a row will do.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from medllm.errors import InputError
from medllm.lexicons.concept import Concept, Kind
from medllm.lexicons.rows import distinct, headed


def read(path: Path) -> Iterator[Concept]:
    """The concepts, in the order of their first rows. Raises InputError."""
    names: dict[tuple[str, str], list[str]] = {}
    kinds: dict[tuple[str, str], dict[Kind, None]] = {}
    for number, row in enumerate(headed(path, ("system", "id", "name"), delimiter="," if path.suffix.lower() == ".csv" else "\t"), 2):
        if not all(row[column].strip() for column in ("system", "id", "name")):
            raise InputError(f"{path}: row {number} has no system, id or name", hint="Every row needs the three.")
        key = (row["system"].strip().upper(), row["id"].strip())
        names.setdefault(key, []).extend([row["name"].strip(), *row.get("synonyms", "").split("|")])
        for kind in get_args(Kind):
            if row.get("kind", "").strip().lower() == kind:
                kinds.setdefault(key, {})[kind] = None
    for (system, identifier), told in names.items():
        yield Concept(system, identifier, told[0], distinct(told[0], told[1:]), tuple(kinds.get((system, identifier), ())))
