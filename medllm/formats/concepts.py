"""Concept ids as biomedical corpora write them <-> the codes of a mention, and relations between concepts.

A code is ``SYSTEM:ID``. Corpora leave out the system where it is plain from the id: ``D003920`` and ``C536830`` are MeSH, ``C0011849``
is a UMLS CUI, ``rs1801133`` dbSNP, ``CVCL_0224`` Cellosaurus, ``c|DEL|657|5`` a variant in the notation of tmVar, and a number is an
NCBI gene or taxon, as the type of the mention says. Ids with a system keep it, in capitals.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from medllm.document import Entity, Relation

NO_CODE = ("-1", "-", "")

_FORMS = (
    (re.compile(r"[CD][0-9]{6}(?:[0-9]{3})?"), "MESH"),
    (re.compile(r"C[0-9]{7}"), "UMLS"),
    (re.compile(r"rs[0-9]+"), "DBSNP"),
    (re.compile(r"CVCL_[A-Z0-9]+"), "CELLOSAURUS"),
    (re.compile(r"[a-z]?\|.+"), "TMVAR"),
)
_NUMBERS = (("gene", "NCBIGENE"), ("taxon", "NCBITAXON"), ("species", "NCBITAXON"))
_VARIANT = re.compile(r"(?:tmvar:)?[a-z]?\|", re.IGNORECASE)


def code_of(identifier: str, label: str = "") -> str:
    """The code of one identifier; ``label`` is the type of its mention.

    >>> [code_of("D003920"), code_of("6528", "GeneOrGeneProduct"), code_of("OMIM:601696"), code_of("x")]
    ['MESH:D003920', 'NCBIGENE:6528', 'OMIM:601696', 'x']
    """
    system, colon, entry = identifier.partition(":")
    if colon and system and entry and not _VARIANT.match(identifier):
        return f"{system.upper()}:{entry}"
    if found := next((name for form, name in _FORMS if form.fullmatch(identifier)), None):
        return f"{found}:{identifier}"
    if identifier.isascii() and identifier.isdigit():
        found = next((name for word, name in _NUMBERS if word in label.lower()), None)
    return f"{found}:{identifier}" if found else identifier


def identifier_of(code: str, label: str = "") -> str:
    """The code as corpora write it: without its system where the id and the type tell it.

    >>> identifier_of("MESH:D003920"), identifier_of("OMIM:601696")
    ('D003920', 'OMIM:601696')
    """
    _, _, entry = code.partition(":")
    return entry if entry and entry != code and code_of(entry, label) == code and ":" not in entry else code


@lru_cache(maxsize=4096)
def codes_of(field: str, label: str = "") -> tuple[str, ...]:
    """The codes of a field: several ids are divided by ``,`` or ``;``, or by ``|`` where they are no variants. No id: ``-1``, ``-``.

    >>> codes_of("D002318|D012131"), codes_of("c|DEL|657|5"), codes_of("-1")
    (('MESH:D002318', 'MESH:D012131'), ('TMVAR:c|DEL|657|5',), ())
    """
    parts = (part.strip() for part in re.split("[,;]", field))
    ids = [i.strip() for part in parts for i in ([part] if _VARIANT.match(part) else part.split("|"))]
    return tuple(dict.fromkeys(code_of(i, label) for i in ids if i not in NO_CODE))


def field_of(codes: Sequence[str], label: str = "") -> str:
    """The field for codes, ``-1`` for none. Ids are divided by ``|``, or by ``,`` where one has a ``|`` in it."""
    ids = [identifier_of(code, label) for code in codes]
    return ("," if any("|" in i for i in ids) else "|").join(ids) or NO_CODE[0]


def concept_mention(entities: Iterable[Entity], field: str) -> Entity | None:
    """The first mention of a concept as a relation names it; one that has no other concept comes before one that has.

    ``field`` may hold several ids that are one concept together (``D1|D2``): then the first mention of exactly these.
    """
    alone, beside = None, None
    for entity in entities:
        codes = codes_of(field, entity.label)
        if not codes:
            return None
        if codes == entity.codes:
            alone = alone or entity
        elif len(codes) == 1 and codes[0] in entity.codes:
            beside = beside or entity
    return alone or beside


def relation_id(label: str, head: Sequence[str], tail: Sequence[str]) -> str:
    """The id of a relation between concepts: it tells which of the mentions' codes are meant.

    >>> relation_id("CID", ["MESH:D015760"], ["MESH:D009127"])
    'CID(MESH:D015760,MESH:D009127)'
    """
    return f"{label}({'|'.join(head)},{'|'.join(tail)})"


def concepts_of(relation: Relation[Entity, Entity]) -> tuple[Sequence[str], Sequence[str]] | None:
    """The codes that a relation joins: those its id tells, else all of its mentions'; None where an end has none."""
    head, tail = relation.head.codes, relation.tail.codes
    for one in ([code] for code in head):
        for other in ([code] for code in tail):
            for pair in ((one, other), (one, tail), (head, other)):
                if relation.id == relation_id(relation.label, *pair):
                    return pair
    return (head, tail) if head and tail else None
