"""Ontologies in OBO 1.4 (owlcollab.github.io/oboformat): id, name and synonyms of the terms that are not obsolete."""

import re
from collections.abc import Iterator
from pathlib import Path

from medllm.errors import InputError
from medllm.lexicons.concept import Concept, Kind
from medllm.lexicons.rows import distinct, unreadable

_SYNONYM = re.compile(r'synonym: "((?:[^"\\]|\\.)*)" (?:EXACT|RELATED|NARROW|BROAD)')
_ESCAPED = re.compile(r"\\(.)")


def read(path: Path, kinds: tuple[Kind, ...] = ()) -> Iterator[Concept]:
    """The terms of an ontology; the part of an id before the colon is the system. Raises InputError."""
    try:
        stanzas = path.read_text("utf-8").split("\n\n[")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    terms = [stanza for stanza in stanzas if stanza.startswith("Term]")]
    if not terms:
        raise InputError(f"{path} has no [Term]", hint="Is it an ontology in OBO?")
    for stanza in terms:
        identifier = name = ""
        synonyms: list[str] = []
        for line in stanza.splitlines():
            if line.startswith("id: "):
                identifier = line[4:].strip()
            elif line.startswith("name: "):
                name = line[6:].strip()
            elif found := _SYNONYM.match(line):
                synonyms.append(_ESCAPED.sub(r"\1", found[1]))
        system, colon, rest = identifier.partition(":")
        if colon and name and "\nis_obsolete: true" not in stanza:
            yield Concept(system, rest, name, distinct(name, synonyms), kinds)
