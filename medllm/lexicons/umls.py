"""Files in the Rich Release Format: UMLS ``MRCONSO.RRF`` and RxNorm ``RXNCONSO.RRF`` (ncbi.nlm.nih.gov/books/NBK9685).

``MRSTY.RRF`` or ``RXNSTY.RRF``, where it lies beside, tells the kinds. Suppressed names are left out,
and other languages than the one asked for.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from medllm.lexicons.concept import Concept, Kind
from medllm.lexicons.rows import delimited, distinct

_CUI, _LAT, _TS, _STT, _ISPREF, _SAB, _TTY, _STR, _SUPPRESS = 0, 1, 2, 4, 6, 11, 12, 14, 16
_COLUMNS = 17

_TYPES: dict[Kind, frozenset[str]] = {
    "disorder": frozenset(("T019", "T020", "T033", "T037", "T046", "T047", "T048", "T049", "T050", "T184", "T190", "T191")),
    "drug": frozenset(
        (
            "T103",
            "T104",
            "T109",
            "T114",
            "T116",
            "T120",
            "T121",
            "T122",
            "T123",
            "T125",
            "T126",
            "T127",
            "T129",
            "T130",
            "T131",
            "T195",
            "T196",
            "T197",
            "T200",
        )
    ),
    "procedure": frozenset({"T061"}),
    "test": frozenset(("T034", "T059", "T060", "T201")),
    "anatomy": frozenset(("T017", "T018", "T021", "T022", "T023", "T024", "T029", "T030", "T031")),
}
"""Semantic types, by the semantic groups of McCray et al. 2001 (lhncbc.nlm.nih.gov/semanticnetwork)."""
_RXNORM_PREFERENCE = ("IN", "PIN", "MIN", "BN")


def read(path: Path, *, system: str = "UMLS", language: str = "ENG") -> Iterator[Concept]:
    """The concepts of ``MRCONSO.RRF``. The preferred name is the atom marked so (TS P, STT PF, ISPREF Y). Raises InputError."""
    kinds = _kinds(path)
    for identifier, atoms in _atoms(path, language):
        marked = [row[_STR] for row in atoms if (row[_TS], row[_STT], row[_ISPREF]) == ("P", "PF", "Y")]
        yield _concept(system, identifier, marked, [row[_STR] for row in atoms], kinds)


def read_rxnorm(path: Path) -> Iterator[Concept]:
    """The concepts of ``RXNCONSO.RRF`` that RxNorm itself names, with the names other sources have for them. Raises InputError."""
    kinds = _kinds(path)
    for identifier, atoms in _atoms(path, "ENG"):
        own = sorted((row for row in atoms if row[_SAB] == "RXNORM"), key=_preference)
        if own:
            yield _concept("RXNORM", identifier, [row[_STR] for row in own], [row[_STR] for row in atoms], kinds, ("drug",))


def _concept(
    system: str,
    identifier: str,
    preferred: Sequence[str],
    names: Sequence[str],
    kinds: dict[str, tuple[Kind, ...]],
    default: tuple[Kind, ...] = (),
) -> Concept:
    name = (preferred or names)[0]
    return Concept(system, identifier, name, distinct(name, names), kinds.get(identifier, default))


def _preference(row: list[str]) -> int:
    return _RXNORM_PREFERENCE.index(row[_TTY]) if row[_TTY] in _RXNORM_PREFERENCE else len(_RXNORM_PREFERENCE)


def _atoms(path: Path, language: str) -> Iterator[tuple[str, list[list[str]]]]:
    """The atoms of each concept in the order of the file, which need not keep them together."""
    atoms: dict[str, list[list[str]]] = {}
    for row in delimited(path, "|", columns=_COLUMNS):
        if row[_LAT] == language and row[_SUPPRESS] in ("N", ""):
            atoms.setdefault(row[_CUI], []).append(row)
    yield from atoms.items()


def _kinds(path: Path) -> dict[str, tuple[Kind, ...]]:
    beside = path.with_name(path.name.replace("CONSO", "STY"))
    if beside == path or not beside.is_file():
        return {}
    kind_of = {tui: kind for kind, types in _TYPES.items() for tui in types}
    kinds: dict[str, dict[Kind, None]] = {}
    for cui, tui, *_ in delimited(beside, "|", columns=4):
        kinds.setdefault(cui, {})[kind_of.get(tui, "other")] = None
    return {cui: tuple(found) for cui, found in kinds.items()}
