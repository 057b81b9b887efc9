"""MedMentions: PubTator documents whose mentions have UMLS semantic types <-> Extraction (Mohan and Li 2019, AKBC, arXiv:1902.09476).

The fifth column has the semantic types, ``T058`` or ``T058,T062``; the sixth the concept, ``UMLS:C0030685`` or ``C0030685``. A mention's
label is its first type; where there are several, all stand in its attribute ``semantic_types``. There are no relations. What
``medllm.formats.pubtator`` says of texts, codes and what is not held is true here too.
"""

from collections.abc import Iterator
from pathlib import Path

from medllm.document import Entity
from medllm.formats import pubtator
from medllm.formats.base import Parsed
from medllm.formats.collecting import Given
from medllm.schema import Schema, attribute_value

SEMANTIC_TYPES = "semantic_types"


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The documents of a file or of the files of a folder. Raises FormatError."""
    return pubtator.read_files(path, schema, _type)


class Writer(pubtator.Writer):
    """Writes the documents to a file; a path without the ending ``.txt`` or ``.pubtator`` is a folder, which gets one."""

    def type_column(self, entity: Entity) -> str:
        """The semantic types of a mention, its label if it has no others."""
        types = entity.attributes.get(SEMANTIC_TYPES)
        return entity.label if types is None else attribute_value(types)


def _type(column: str) -> tuple[str, list[Given]]:
    types = [name.strip() for name in column.split(",") if name.strip()]
    return (types[0] if types else ""), ([Given(SEMANTIC_TYPES, ",".join(types))] if len(types) > 1 else [])
