"""What mentions can be linked to, by name: terminologies, and where further names for their concepts come from."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from medllm.document import Extraction
from medllm.errors import UsageError
from medllm.lexicons import Concept, Lexicon, load
from medllm.lexicons.loading import SHIPPED
from medllm.linking.embedding import SentenceEncoder
from medllm.linking.linker import Linker
from medllm.weights import Progress, checksum, find

_SALTS = frozenset(
    re.findall(
        r"\w+",
        """acetate anhydrous besylate bromide calcium chloride citrate dihydrate disodium fumarate hcl hydrobromide hydrochloride maleate
        mesylate monohydrate nitrate phosphate potassium sodium succinate sulfate tartrate""",
    )
)
"""Words of a substance's name without which it names the same drug."""


class Vocabulary(NamedTuple):
    """Lexicons whose concepts are linked to, and lexicons that lend them names."""

    lexicons: tuple[str, ...]
    lenders: tuple[str, ...] = ()


VOCABULARIES = {"mesh": Vocabulary(("mesh", "mesh-supplementary"), ("mesh-mentions", "mondo", "doid", "unii"))}
"""Those that are more than one lexicon; every other name is that of a lexicon (``medllm.lexicons.load``)."""


class Linkers:
    """One linker a terminology: a mention gets at most one code from each. ``fingerprint`` has the SHA-256 of every file used, by name."""

    def __init__(self, linkers: Iterable[Linker], fingerprint: Mapping[str, str] | None = None) -> None:
        self._linkers = tuple(linkers)
        self.fingerprint = dict(fingerprint or {})
        self._turn = Lock()  # indices are built on first use; threads that come meanwhile wait for them

    def __iter__(self) -> Iterator[Linker]:
        return iter(self._linkers)

    def link(self, extraction: Extraction) -> Extraction:
        """The extraction with codes on its mentions."""
        with self._turn:
            for linker in self._linkers:
                extraction = linker.link(extraction)
        return extraction


def linkers(names: Sequence[str], *, encoder: str | Path | None = None, progress: Progress | None = None) -> Linkers:
    """The linkers of the terminologies named, such as ``["mesh", "rxnorm:RXNCONSO.RRF"]``.

    A ``table:FILE`` beside others lends its names to the concepts that they have, and its names win; alone it is a terminology of its
    own. ``encoder`` (a folder or a hub name) orders near names by meaning too. Raises UsageError, InputError and ModelError, as
    ``medllm.lexicons.load`` does.
    """
    tables = [name for name in names if name.partition(":")[0].lower() == "table"]
    others = [name for name in names if name not in tables] or tables
    if not others:
        raise UsageError("no terminology is named", hint="Give its name, such as --link mesh.")
    own = load(*tables, progress=progress) if tables and others != tables else Lexicon(())
    sentences = None if encoder is None else SentenceEncoder(encoder)
    made = []
    for name in others:
        vocabulary = VOCABULARIES.get(name.lower(), Vocabulary((name,)))
        lexicon = load(*vocabulary.lexicons, progress=progress)
        aliases = Lexicon(borrowed(lexicon, (load(lender, progress=progress) for lender in vocabulary.lenders)))
        made.append(Linker(lexicon, own=Lexicon(concept for concept in own if concept.code in lexicon), aliases=aliases, encoder=sentences))
    used = [*tables, *(part for name in others for part in _parts(name))]
    sums = {name: _sha256(name) for name in dict.fromkeys(used)}
    return Linkers(made, sums if sentences is None else sums | {f"encoder:{Path(str(encoder)).name}": sentences.sha256})


def _parts(name: str) -> tuple[str, ...]:
    vocabulary = VOCABULARIES.get(name.lower(), Vocabulary((name,)))
    return (*vocabulary.lexicons, *vocabulary.lenders)


def _sha256(name: str) -> str:
    """Of the file of a lexicon; empty for a folder."""
    _, colon, path = name.partition(":")
    if name in SHIPPED:
        return checksum(SHIPPED[name])
    if not colon:
        return find(name).sha256
    file = Path(path).expanduser()
    return checksum(file) if file.is_file() else ""


def borrowed(lexicon: Lexicon, lenders: Iterable[Lexicon]) -> Iterator[Concept]:
    """The names that concepts of ``lenders`` have for concepts of ``lexicon``, as concepts of the lexicon's codes.

    Two concepts are one if they have one code, or the lender says so (``same_as``); else, for drugs, if the lender's preferred name, with
    or without the word for its salt, is a name in the lexicon.
    """
    names: dict[str, dict[str, None]] = {}
    for lender in lenders:
        for concept in lender:
            targets = [code for code in (concept.code, *concept.same_as) if code in lexicon]
            if not targets and "drug" in concept.kinds:
                targets = [found.code for found in _same_drug(lexicon, concept.name)[:1]]
            for code in targets:
                names.setdefault(code, {}).update(dict.fromkeys(concept.names))
    for code, found in names.items():
        system, _, identifier = code.partition(":")
        first, *rest = found
        yield Concept(system, identifier, first, tuple(rest), lexicon[code].kinds)


def _same_drug(lexicon: Lexicon, name: str) -> list[Concept]:
    plain = " ".join(word for word in name.split() if word.lower() not in _SALTS)
    for form in dict.fromkeys((name, plain)):
        if found := [c for c in lexicon.named(form) if "drug" in c.kinds]:
            return found
    return []
