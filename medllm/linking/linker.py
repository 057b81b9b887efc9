"""Mentions to concepts: what the names say exactly, what the note's own abbreviations stand for, what is near."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from importlib.util import find_spec
from typing import NamedTuple

from medllm.document import Entity, Extraction, Vote
from medllm.errors import UsageError
from medllm.lexicons import Concept, Kind, Lexicon, normalise
from medllm.linking.abbreviations import defined_abbreviations, used_abbreviations
from medllm.linking.candidates import Candidate, Candidates, loose
from medllm.linking.embedding import SentenceEncoder

LINKER = "linker"
NEAR = 0.55
"""The least score of a near name that is taken. Chosen on the training parts (``evals/benchmarks/linking.py``)."""

_LABELS: Mapping[tuple[Kind, ...], str] = {
    ("disorder",): "problem disease disorder diagnosis symptom sign finding condition reason effect indication adverse_event ade"
    " sign_symptom disease_disorder",
    ("drug",): "drug chemical medication",
    ("drug", "procedure"): "treatment",
    ("procedure", "test"): "procedure therapeutic_procedure",
    ("test", "procedure"): "test lab measurement diagnostic_procedure",
    ("anatomy",): "bodyloc body_location anatomy biological_structure",
}
KINDS: Mapping[str, tuple[Kind, ...]] = {label: kinds for kinds, labels in _LABELS.items() for label in labels.split()}
"""What a mention's label says of the kind of its concept; labels that are not here are not linked."""

_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")
_SUBSCRIPT = re.compile(r"\((\d+)\)")
_SALT = re.compile(r"ate$")
_HARM = re.compile(
    r"\b(?:dysfunction|impairment|toxicit(?:y|ies)|damage|injur(?:y|ies)|lesions?|atrophy|abnormalit(?:y|ies)|involvement|symptoms?)$", re.I
)
"""What is wrong with an organ, where the terminology has the disease of the organ alone."""
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")


class Link(NamedTuple):
    """What a mention was linked to, by which step, and how near the name is, in [0, 1].

    ``step``: ``abbreviation``, ``exact``, ``loose``, ``near`` or, by a language model, ``choice``.
    """

    code: str
    step: str
    score: float


class Linker:
    """Gives mentions the code of one concept each, or none.

    ``lexicon`` holds the concepts; ``own`` and ``aliases`` hold further names for them, as concepts of the same codes: those of ``own``
    (a user's) win over the lexicon's, those of ``aliases`` give way to them. ``kinds`` says what the labels are; mentions of other labels
    keep the codes they have. ``near`` is the least score of a near name; ``encoder`` orders near names by meaning too. Raises UsageError
    where rapidfuzz is not installed.

    >>> from medllm.lexicons import Concept
    >>> linker = Linker(Lexicon([Concept("MESH", "D006333", "Heart Failure", ("Cardiac Failure",), ("disorder",))]))
    >>> linker.link_mention("failure of the heart", "problem")
    Link(code='MESH:D006333', step='loose', score=1.0)
    """

    def __init__(
        self,
        lexicon: Lexicon,
        *,
        own: Lexicon | None = None,
        aliases: Lexicon | None = None,
        kinds: Mapping[str, Sequence[Kind]] | None = None,
        near: float = NEAR,
        encoder: SentenceEncoder | None = None,
    ) -> None:
        if find_spec("rapidfuzz") is None:
            raise UsageError("names cannot be compared: rapidfuzz is not installed", hint="pip install 'medllm[link]'")
        self.lexicon = lexicon
        self._lexicons = [some for some in (own, lexicon, aliases) if some is not None]
        self._kinds = {label.lower(): tuple(some) for label, some in (KINDS if kinds is None else kinds).items()}
        self._near = near
        self._encoder = encoder

    def with_names(self, own: Lexicon) -> "Linker":
        """The same linker with a user's own names, which win over all others. Near names stay those of the lexicon and its aliases."""
        other = copy(self)
        other._lexicons = [own, *self._lexicons]
        other.__dict__["_candidates"] = self._candidates
        other.__dict__.pop("_loose", None)
        return other

    def with_encoder(self, encoder: SentenceEncoder) -> "Linker":
        """The same linker with near names ordered by meaning too."""
        other = copy(self)
        other.__dict__["_candidates"] = self._candidates
        other._encoder = encoder
        return other

    def link(self, extraction: Extraction) -> Extraction:
        """The extraction with codes on its mentions; a vote of the reader ``linker`` says which step gave each."""
        abbreviations = self.abbreviations(extraction)
        changed: dict[int, Entity] = {}
        for entity in extraction.entities:
            found = self.link_mention(entity.text, entity.label, abbreviations)
            changed[id(entity)] = entity if found is None else with_code(entity, found)
        relations = tuple(
            r.model_copy(update={"head": changed.get(id(r.head), r.head), "tail": changed.get(id(r.tail), r.tail)})
            for r in extraction.relations
        )
        return extraction.model_copy(update={"entities": tuple(changed.values()), "relations": relations})

    def abbreviations(self, extraction: Extraction) -> dict[str, str]:
        """What short forms stand for in a note: as it defines them, else as another mention of their kind says."""
        by_kind: dict[tuple[Kind, ...], list[str]] = {}
        for entity in extraction.entities:
            if (kinds := self._kinds.get(entity.label.lower())) is not None:
                by_kind.setdefault(kinds, []).append(entity.text)
        used = {short: long for mentions in by_kind.values() for short, long in used_abbreviations(mentions).items()}
        return used | defined_abbreviations(extraction.note.text)

    def link_mention(self, text: str, label: str, abbreviations: Mapping[str, str] = {}) -> Link | None:
        """The concept of one mention. ``abbreviations`` are those that its note defines."""
        kinds = self._kinds.get(label.lower())
        if kinds is None:
            return None
        long = expanded(text, abbreviations)
        if long != text and (concept := self._exact(long, kinds)):
            return Link(concept.code, "abbreviation", 1.0)
        if (long == text or text not in abbreviations) and (concept := self._exact(text, kinds)):
            return Link(concept.code, "exact", 1.0)
        if concept := self._loose_match(long, kinds):
            return Link(concept.code, "loose", 1.0)
        best = next(iter(self.candidates(long, kinds)), None)
        if best and best.score >= self._near:
            return Link(best.code, "near", best.score)
        if text in abbreviations and (concept := self._exact(text, kinds)):
            return Link(concept.code, "exact", 1.0)
        return None

    def choices(self, text: str, label: str, abbreviations: Mapping[str, str] = {}, limit: int = 10) -> list[Candidate]:
        """What a mention could be that only near names speak for, best first; nothing where a name says it, or the label nothing."""
        found = self.link_mention(text, label, abbreviations)
        if label.lower() not in self._kinds or (found is not None and found.step != "near"):
            return []
        return self.candidates(expanded(text, abbreviations), self._kinds[label.lower()], limit)

    @cached_property
    def systems(self) -> frozenset[str]:
        """The systems that the lexicon's codes are of."""
        return frozenset(concept.system for concept in self.lexicon)

    def candidates(self, text: str, kinds: Iterable[Kind], limit: int = 10) -> list[Candidate]:
        """The concepts of these kinds whose names are nearest to ``text``, best first."""
        wanted = set(kinds)
        near = ((c, self.lexicon[c.code].kinds) for c in self._candidates.near(text, 4 * limit))
        found = [candidate for candidate, kinds_of in near if not kinds_of or wanted.intersection(kinds_of)][:limit]
        return found if self._encoder is None else self._encoder.reordered(text, found)

    def _exact(self, text: str, kinds: Sequence[Kind]) -> Concept | None:
        for form in _forms(text, kinds):
            for lexicon in self._lexicons:
                fitting = [c for c in lexicon.named(form) if _is_of(self.lexicon[c.code], kinds)]
                if fitting:
                    as_written = [c for c in fitting if form.casefold() in (name.casefold() for name in c.names)]
                    return self.lexicon[(as_written or fitting)[0].code]
        return None

    def _loose_match(self, text: str, kinds: Sequence[Kind]) -> Concept | None:
        plain = _BRACKETS.sub("", text)
        for name in dict.fromkeys((plain, _HARM.sub("disease", plain) if "disorder" in kinds else plain)):
            form = loose(normalise(name))
            for code in self._loose.get(form, ()) if form else ():
                if _is_of(self.lexicon[code], kinds):
                    return self.lexicon[code]
        return None

    @cached_property
    def _loose(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for lexicon in self._lexicons:
            for key, codes in lexicon.normalised_names():
                form = loose(key)
                found[form] = (*found[form], *codes) if form in found else codes
        return found

    @cached_property
    def _candidates(self) -> Candidates:
        return Candidates(self._lexicons)


def _is_of(concept: Concept, kinds: Sequence[Kind]) -> bool:
    return not concept.kinds or not set(kinds).isdisjoint(concept.kinds)


def _forms(text: str, kinds: Sequence[Kind]) -> Iterable[str]:
    """A mention as it is looked up: as written, without what stands in brackets, without the brackets, as the acid of a salt."""
    forms = [text, _BRACKETS.sub("", text)]
    if "drug" in kinds:
        forms += [_SUBSCRIPT.sub(r"\1", text), _SALT.sub("ic acid", text)]
    return dict.fromkeys(forms)


def expanded(text: str, abbreviations: Mapping[str, str]) -> str:
    """``text`` with the short forms in it replaced by what they stand for.

    >>> expanded("chronic HF", {"HF": "heart failure"})
    'chronic heart failure'
    """
    if not abbreviations:
        return text
    for form in (text, text.removesuffix("s")):
        if form in abbreviations:
            return abbreviations[form]
    return _WORD.sub(lambda match: abbreviations.get(match[0], match[0]), text)


def with_code(entity: Entity, link: Link) -> Entity:
    """The mention with the code of ``link`` in place of others of its system, and the linker's vote for it."""
    bare = without_code(entity, {link.code.partition(":")[0]})
    vote = Vote(reader=LINKER, model=link.step, score=round(link.score, 4), about=f"code={link.code}")
    return entity.model_copy(update={"codes": (*bare.codes, link.code), "votes": (*bare.votes, vote)})


def without_code(entity: Entity, systems: Collection[str]) -> Entity:
    """The mention without its codes of these systems, and without the linker's votes for them."""
    codes = tuple(code for code in entity.codes if code.partition(":")[0] not in systems)
    gone = tuple(f"code={system}:" for system in systems)
    votes = tuple(v for v in entity.votes if v.reader != LINKER or not v.about.startswith(gone))
    return entity.model_copy(update={"codes": codes, "votes": votes})
