"""SNOMED CT in Release Format 2 (docs.snomed.org, file specifications): the snapshot's descriptions, found in a folder or given.

The kind comes from the semantic tag that ends a fully specified name: ``Myocardial infarction (disorder)``. Where the language reference
set lies in the release, its preferred synonym is the preferred name; else the fully specified name without its tag.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from medllm.errors import InputError
from medllm.lexicons.concept import Concept, Kind
from medllm.lexicons.rows import delimited, distinct

SYSTEM = "SNOMEDCT"
_FULLY_SPECIFIED = "900000000000003001"
_SYNONYM = "900000000000013009"
_PREFERRED = "900000000000548007"
_TAG = re.compile(r"^(.*\S) \(([^()]+)\)$")
_KINDS: dict[str, Kind] = {
    "disorder": "disorder",
    "finding": "disorder",
    "morphologic abnormality": "disorder",
    "situation": "disorder",
    "substance": "drug",
    "product": "drug",
    "medicinal product": "drug",
    "medicinal product form": "drug",
    "clinical drug": "drug",
    "procedure": "procedure",
    "regime/therapy": "procedure",
    "observable entity": "test",
    "body structure": "anatomy",
    "cell structure": "anatomy",
}


def read(path: Path) -> Iterator[Concept]:
    """The active concepts. ``path`` is the release's folder, or its file of descriptions. Raises InputError."""
    descriptions, language = _files(path)
    preferred = {
        row[5] for row in (delimited(language, "\t", columns=7) if language else ()) if row[2] == "1" and row[6] == _PREFERRED
    }  # ids of descriptions
    full: dict[str, str] = {}
    names: dict[str, list[str]] = {}
    chosen: dict[str, str] = {}
    for identifier, _, active, _, concept, _, kind, term, *_ in delimited(descriptions, "\t", columns=9):
        if active != "1":
            continue
        if kind == _FULLY_SPECIFIED:
            full[concept] = term
        elif kind == _SYNONYM:
            names.setdefault(concept, []).append(term)
            if identifier in preferred:
                chosen.setdefault(concept, term)
    for concept, term in full.items():
        tagged = _TAG.match(term)
        plain, tag = (tagged[1], tagged[2]) if tagged else (term, "")
        name = chosen.get(concept, plain)
        yield Concept(SYSTEM, concept, name, distinct(name, [plain, *names.get(concept, ())]), (_KINDS.get(tag, "other"),))


def _files(path: Path) -> tuple[Path, Path | None]:
    if path.is_file():
        return path, None
    found = sorted(path.rglob("sct2_Description_Snapshot-en*.txt")) or sorted(path.rglob("sct2_Description_Snapshot*.txt"))
    if not found:
        raise InputError(f"{path} holds no sct2_Description_Snapshot*.txt", hint="Give the folder of an RF2 release, unpacked.")
    language = sorted(path.rglob("der2_cRefset_LanguageSnapshot-en*.txt")) or sorted(path.rglob("der2_cRefset_LanguageSnapshot*.txt"))
    return found[0], language[0] if language else None
