"""ICD-10-CM from its tabular list in XML (cdc.gov/nchs/icd/icd-10-cm): codes, their titles and inclusion terms."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, parse

from medllm.errors import InputError
from medllm.lexicons.concept import Concept
from medllm.lexicons.rows import distinct, unreadable

SYSTEM = "ICD10CM"
_NOT_OTHERWISE_SPECIFIED = re.compile(r",? (?:unspecified|NOS)$", re.IGNORECASE)


def read(path: Path) -> Iterator[Concept]:
    """All codes, categories among them. The title without "unspecified" is a synonym. Raises InputError."""
    try:
        root = parse(path).getroot()
    except (OSError, ParseError) as error:
        raise unreadable(path, error) from error
    found = False
    for diagnosis in root.iter("diag"):
        found = True
        name = _text(diagnosis.find("desc"))
        terms = [_text(note) for kind in ("inclusionTerm", "includes") for note in diagnosis.findall(f"{kind}/note")]
        plain = [_NOT_OTHERWISE_SPECIFIED.sub("", term) for term in (name, *terms)]
        yield Concept(SYSTEM, _text(diagnosis.find("name")), name, distinct(name, [*terms, *plain]), ("disorder",))
    if not found:
        raise InputError(f"{path} has no diagnosis", hint="Is it the tabular list of ICD-10-CM in XML?")


def _text(element: Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""
