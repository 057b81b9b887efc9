"""The data that goes in and comes out: Note, Span, Entity, Modifier, Relation, Extraction.

Offsets are half-open and count Unicode code points of ``Note.text``, as Python's own slicing does:
``note.text[span.start:span.end]`` is the text of the span. All types are frozen.
"""

import hashlib
import re
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)


def snake_case(name: str) -> str:
    """``BodyLocation`` -> ``body_location``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def sha256(text: str) -> str:
    """SHA-256 of ``text`` in UTF-8, hexadecimal. Lone surrogates are kept apart (``surrogatepass``)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__()  # plain classes take no keywords here; pydantic hands them to its own hook


class Span(_Frozen):
    """A half-open range of code points.

    >>> Span(start=4, end=9).of("The liver")
    'liver'
    """

    start: int = Field(ge=0)
    end: int

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"a span must hold at least one character: start {self.start}, end {self.end}")
        return self

    def __len__(self) -> int:
        return self.end - self.start

    def of(self, text: str) -> str:
        """The characters of this span in ``text``."""
        return text[self.start : self.end]

    def overlaps(self, other: "Span") -> bool:
        """True if the two share at least one character."""
        return self.start < other.end and other.start < self.end


class Note(_Frozen):
    """A clinical note. ``id`` names it within a run; ``meta`` holds what its source says of it (never interpreted)."""

    id: str = Field(min_length=1)
    text: str
    meta: dict[str, str] = {}

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8, hexadecimal."""
        return sha256(self.text)


class Assertion(StrEnum):
    """What the note says of a problem: the six classes of i2b2 2010 (Uzuner et al. 2011, JAMIA 18:552)."""

    PRESENT = "present"
    ABSENT = "absent"
    POSSIBLE = "possible"
    CONDITIONAL = "conditional"
    HYPOTHETICAL = "hypothetical"
    ASSOCIATED_WITH_SOMEONE_ELSE = "associated_with_someone_else"


class Vote(_Frozen):
    """Who found something: a reader (``llm``, ``tagger``, ``rules``, ``gold``), its model, how the span was placed, and its score.

    ``placed`` is ``grammar`` (the decoder could write nothing else), ``aligned`` (found in the text afterwards), ``tags`` or ``pointers``.
    ``score`` is the reader's own, uncalibrated probability in [0, 1]. ``about`` is empty where the vote says that the mention is there,
    else what the reader says of an attribute: ``assertion=absent``.
    """

    reader: str
    model: str = ""
    placed: str = ""
    score: float | None = None
    about: str = ""

    @model_serializer(mode="wrap")
    def _without_empty_about(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = serialize(self)
        if not self.about:
            data.pop("about", None)
        return data


class Entity(_Frozen):
    """A mention. Subclass it to say what to extract: the docstring is the guideline, the fields are attributes.

    ``spans`` has more than one part only for a discontinuous mention; the parts are in order and do not touch each other's
    characters. ``text`` is the parts' text, joined by one blank. ``codes`` are ``SYSTEM:ID``, such as
    ``MESH:D003920``. ``confidence`` is the calibrated probability that the mention is right, ``lane`` (``accepted``, ``review``, or
    empty) what that means for a promised precision. The label is the class name in snake case unless given:

    >>> class BodyLocation(Entity, label="bodyloc"):
    ...     '''A part of the body.'''
    >>> BodyLocation.label
    'bodyloc'
    >>> BodyLocation.at("left knee pain", 0, 9).text
    'left knee'
    """

    label: ClassVar[str] = "entity"

    id: str = ""
    spans: tuple[Span, ...] = Field(min_length=1)
    text: str
    codes: tuple[str, ...] = ()
    confidence: float | None = None
    lane: str = ""
    votes: tuple[Vote, ...] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, label: str | None = None, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.label = label or snake_case(cls.__name__)

    @model_validator(mode="after")
    def _parts_in_order(self) -> Self:
        for left, right in zip(self.spans, self.spans[1:], strict=False):
            if right.start < left.end:
                raise ValueError("the parts of a mention must be in order and must not overlap")
        return self

    @classmethod
    def at(cls, text: str, *offsets: int, **fields: Any) -> Self:
        """The mention at ``offsets`` (start, end, start, end, ...) of ``text``."""
        spans = tuple(Span(start=s, end=e) for s, e in zip(offsets[::2], offsets[1::2], strict=True))
        return cls(spans=spans, text=" ".join(s.of(text) for s in spans), **fields)

    @property
    def span(self) -> Span:
        """From the first part's start to the last part's end."""
        return Span(start=self.spans[0].start, end=self.spans[-1].end)

    @property
    def attributes(self) -> dict[str, Any]:
        """The values of the fields that the subclass adds."""
        own = {name: getattr(self, name) for name in type(self).model_fields if name not in Entity.model_fields}
        return own | (self.model_extra or {})

    def sort_key(self) -> tuple[int, int, str]:
        """Reading order: start, end, label."""
        return self.span.start, self.span.end, self.label


class Modifier(Entity):
    """A mention that exists only through another one: a dose, a negation cue, a body site.

    Readers are asked for it mention by mention, through a relation whose tail it is.
    """


class AnyEntity(Entity):
    """A mention of a label that no schema pack describes, as annotation files have them; any field is an attribute."""

    model_config = ConfigDict(frozen=True, extra="allow")


@cache
def any_entity(label: str) -> type[AnyEntity]:
    """The class for mentions of ``label`` where no schema is given; the same label gives the same class."""
    return create_model("AnyEntity", __base__=AnyEntity, __cls_kwargs__={"label": label})


@cache
def any_relation(label: str) -> "type[Relation[Entity, Entity]]":
    """The class for relations of ``label`` where no schema is given; the same label gives the same class."""
    return create_model("AnyRelation", __base__=Relation[Entity, Entity], __cls_kwargs__={"label": label})


H = TypeVar("H", bound=Entity)
T = TypeVar("T", bound=Entity)


class Relation(_Frozen, Generic[H, T]):
    """A directed link between two mentions. The generic arguments are its signature; a union admits several types.

    ``class R(Relation[A, B], label="r", group="g")``: the label is the class name unless given, the group is empty.

    >>> class Problem(Entity): "A problem."
    >>> class Drug(Entity): "A drug."
    >>> class Causes(Relation[Drug, Problem]): "The drug causes the problem."
    >>> Causes.label, [c.label for c in Causes.heads()], [c.label for c in Causes.tails()]
    ('Causes', ['drug'], ['problem'])
    """

    label: ClassVar[str] = "Relation"
    group: ClassVar[str] = ""
    """Relations of one group are asked in one prompt; many types at once hurt."""

    id: str = ""
    head: SerializeAsAny[H]
    tail: SerializeAsAny[T]
    confidence: float | None = None
    votes: tuple[Vote, ...] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, label: str | None = None, group: str = "", **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.label = label or cls.__name__
        cls.group = group

    @classmethod
    def heads(cls) -> tuple[type[Entity], ...]:
        """The entity classes that the head may have."""
        return _members(cls.model_fields["head"].annotation)

    @classmethod
    def tails(cls) -> tuple[type[Entity], ...]:
        """The entity classes that the tail may have."""
        return _members(cls.model_fields["tail"].annotation)


class LedgerEntry(_Frozen):
    """Something that was not read, or not kept: where, by which reader, and why. It never holds note text.

    ``start`` and ``end`` are offsets in the note, None for all of it. ``reason`` is one of a fixed set of words
    (``medllm.runs.ledger.REASONS`` explains each); ``detail`` holds counts and the names of errors.
    """

    note_id: str
    reader: str
    reason: str
    start: int | None = None
    end: int | None = None
    detail: str = ""


E = TypeVar("E", bound=Entity)
R = TypeVar("R", bound=Relation[Any, Any])


class Extraction(_Frozen):
    """What was found in one note. ``entities`` are in reading order; relations point at the same objects.

    ``ledger`` tells what was not read; if it is empty, every character of the note was. ``rejected`` are mentions that one reader found
    and that did not stay when two were reconciled.
    """

    note: Note
    entities: tuple[SerializeAsAny[Entity], ...] = ()
    relations: tuple[SerializeAsAny[Relation], ...] = ()  # type: ignore[type-arg]  # with arguments, pydantic would rebuild each
    ledger: tuple[LedgerEntry, ...] = ()
    rejected: tuple[SerializeAsAny[Entity], ...] = ()

    def of(self, kind: type[E]) -> tuple[E, ...]:
        """The entities of one class (subclasses included)."""
        return tuple(e for e in self.entities if isinstance(e, kind))

    def relations_of(self, kind: type[R]) -> tuple[R, ...]:
        """The relations of one class (subclasses included)."""
        return tuple(r for r in self.relations if isinstance(r, kind))


def _members(annotation: Any) -> tuple[type[Entity], ...]:
    args = getattr(annotation, "__args__", None)
    return tuple(args) if args else (annotation,)
