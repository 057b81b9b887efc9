"""What the readers of corpora share: the mentions and relations of one note, and what was wrong with the lines they came from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from medllm.document import Entity, Extraction, Note, Relation, Span, Vote
from medllm.errors import FormatError
from medllm.formats.base import Parsed, Problem, ProblemKind
from medllm.formats.classes import attribute_of, entity_class, relation_class
from medllm.formats.standoff import one_line
from medllm.schema import Schema

Offsets = tuple[int, int]


class Given(NamedTuple):
    """An attribute as a file has it; ``line`` and ``path`` where they are not those of the mention. No value means ``yes``."""

    name: str
    value: str | None
    line: int | None = None
    path: str | None = None


class Collector:
    """Builds the extraction of one note; whatever is wrong becomes a problem, and never moves what is right.

    ``same`` folds a mention's text before the file's copy of it is compared with the note's.

    >>> found = Collector(Note(id="n", text="No fever."), None, "n.con")
    >>> found.entity(1, "problem", [(3, 8)], written="fever").text
    'fever'
    >>> found.entity(2, "problem", [(3, 99)])
    >>> str(found.parsed().problems[0])
    'n.con:2: bad-span: a part is empty, or ends beyond the text (9 characters) (dropped)'
    """

    def __init__(self, note: Note, schema: Schema | None, path: str, *, same: Callable[[str], str] = one_line) -> None:
        self.note = note
        self.problems: list[Problem] = []
        self.entities: list[Entity] = []
        self.relations: list[Relation[Any, Any]] = []
        self._schema = schema
        self._path = path
        self._same = same

    def report(self, line: int | None, kind: ProblemKind, detail: str, *, dropped: bool, path: str | None = None) -> None:
        """Tell of a problem."""
        self.problems.append(Problem(self._path if path is None else path, line, kind, detail, dropped))

    def entity(
        self,
        line: int | None,
        label: str,
        spans: Sequence[Offsets],
        *,
        name: str = "",
        written: str | None = None,
        attributes: Iterable[Given] = (),
        codes: Sequence[str] = (),
        confidence: float | None = None,
        votes: Sequence[Vote] = (),
    ) -> Entity | None:
        """Add a mention; None, and a problem, if it cannot be one. ``written`` is the file's copy of its text."""
        text = self.note.text
        if not spans or any(not 0 <= start < end <= len(text) for start, end in spans):
            self.report(line, "bad-span", f"a part is empty, or ends beyond the text ({len(text)} characters)", dropped=True)
            return None
        kind = entity_class(self._schema, label) if label else None
        if kind is None:
            self.report(line, "unknown-label", f"the schema has no {label!r}" if label else "no label", dropped=True)
            return None
        parts = _in_order(spans)
        if parts != tuple(spans):
            self.report(line, "span-order", "the parts were put in order, or joined", dropped=False)
        there = " ".join(text[start:end] for start, end in spans)
        if written not in (None, there) and self._same(written or "") != self._same(there):
            self.report(line, "text-mismatch", "the copied text is not what the note has there; offsets decide", dropped=False)
        values = self._attributes(line, kind, attributes)
        try:
            made = kind(
                id=name,
                spans=tuple(Span(start=start, end=end) for start, end in parts),
                text=" ".join(text[start:end] for start, end in parts),
                codes=tuple(codes),
                confidence=confidence,
                votes=tuple(votes),
                **values,
            )
        except ValidationError as error:
            missing = ", ".join(str(e["loc"][0]) for e in error.errors() if e["loc"])
            self.report(line, "attribute", f"the mention needs {missing}", dropped=True)
            return None
        self.entities.append(made)
        return made

    def relation(
        self,
        line: int | None,
        label: str,
        head: Entity | None,
        tail: Entity | None,
        *,
        name: str = "",
        path: str | None = None,
        confidence: float | None = None,
        votes: Sequence[Vote] = (),
    ) -> Relation[Any, Any] | None:
        """Add a relation; None, and a problem, where an end is missing or the schema does not admit it."""
        if head is None or tail is None:
            ends = "both ends" if head is tail else "the head" if head is None else "the tail"
            self.report(line, "unknown-reference", f"{ends} of the relation: not there, or dropped", dropped=True, path=path)
            return None
        kind = relation_class(self._schema, label, head, tail) if label else None
        if kind is None:
            what = f"the schema has no {label!r} from {head.label} to {tail.label}" if label else "no label"
            self.report(line, "relation", what, dropped=True, path=path)
            return None
        made = kind(id=name, head=head, tail=tail, confidence=confidence, votes=tuple(votes))
        self.relations.append(made)
        return made

    def parsed(self) -> Parsed:
        """What was collected: mentions in reading order, relations in the order they came."""
        entities = tuple(sorted(self.entities, key=Entity.sort_key))
        problems = tuple(sorted(self.problems, key=lambda p: (p.path != self._path, p.path, p.line or 0)))
        return Parsed(Extraction(note=self.note, entities=entities, relations=tuple(self.relations)), problems)

    def _attributes(self, line: int | None, kind: type[Entity], given: Iterable[Given]) -> dict[str, str]:
        values: dict[str, str] = {}
        for one in given:
            where = line if one.line is None else one.line
            try:
                name, value = attribute_of(kind, one.name, one.value)
            except ValueError as error:
                self.report(where, "attribute", str(error), dropped=True, path=one.path)
                continue
            if values.setdefault(name, value) != value:
                self.report(where, "attribute", f"{name} has another value already", dropped=True, path=one.path)
        return values


def attach(found: Iterable[Parsed | Problem]) -> Iterator[Parsed]:
    """Problems that belong to no note go with the note before them, or with the first. Raises FormatError where there is no note."""
    last: Parsed | None = None
    loose: list[Problem] = []
    for one in found:
        if isinstance(one, Problem):
            loose.append(one)
            continue
        if last is not None:
            yield Parsed(last.extraction, (*last.problems, *loose))
            loose = []
        last = one
    if last is not None:
        yield Parsed(last.extraction, (*last.problems, *loose))
    elif loose:
        first = loose[0]
        raise FormatError(f"no note can be read: {first.kind}: {first.detail}", path=first.path, line=first.line)


def squeeze(text: str) -> str:
    """``text`` without white space and case, for copies that were tokenized or written in lower case."""
    return "".join(text.split()).casefold()


def number(text: str) -> int | None:
    """A whole number of at most nine digits; None for anything else.

    >>> number("12"), number("-1"), number("²")
    (12, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _in_order(spans: Sequence[Offsets]) -> tuple[Offsets, ...]:
    """In order, those that overlap joined."""
    joined: list[Offsets] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)
