"""What the page says of a run, note by note: the rows of its lists and tables, and the data its script reads."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from medllm.document import Assertion, Entity, Extraction, Modifier, Note, Span, Vote
from medllm.messages import localized
from medllm.report.highlight import Mark, Unread, highlight
from medllm.report.reasons import Reasons, shaded
from medllm.schema import Schema, attribute_value

HUES = 12
"""Colours that the style sheet defines; further labels start again at the first."""

READERS = {
    "llm": "LLM",
    "tagger": "tagger",
    "llm-disputes": "LLM, asked again",
    "llm-second": "LLM, second voice",
    "rules": "rules",
    "gold": "gold",
}

_SOMEONE_ELSE = Assertion.ASSOCIATED_WITH_SOMEONE_ELSE.value
_COLUMNS = re.compile(r"\S(?: {3,}|\t+)\S")


@dataclass(frozen=True)
class Choice:
    """A row of the legend: the class its mentions carry, the value, what it is called, and how many there are in the run."""

    css: str
    value: str
    name: str
    count: int
    modifier: bool = False


@dataclass(frozen=True)
class Legend:
    """Labels, assertions and sets of readers that occur in a run, each with the class its mentions carry."""

    labels: tuple[Choice, ...]
    assertions: tuple[Choice, ...]
    readers: tuple[Choice, ...]

    @classmethod
    def of(cls, extractions: Iterable[Extraction], schema: Schema) -> "Legend":
        """Count the mentions. Labels keep the schema's order, so that a label has one colour in every report."""
        labels: Counter[str] = Counter(dict.fromkeys(schema.labels, 0))
        assertions: Counter[str] = Counter()
        readers: Counter[str] = Counter()
        for extraction in extractions:
            for entity in mentions(extraction):
                labels[entity.label] += 1
                assertions.update(filter(None, [assertion_of(entity)]))
                readers[readers_of(entity.votes)] += 1
        modifiers = {c.label for c in schema.entities if issubclass(c, Modifier)}
        known = [a.value for a in Assertion]
        said = sorted(assertions, key=lambda a: (known.index(a) if a in known else len(known), a))
        return cls(
            tuple(Choice(f"l{i}", label, label, n, label in modifiers) for i, (label, n) in enumerate(labels.items())),
            tuple(Choice(f"a-{a}" if a in known else f"a-x{i}", a, words(a), assertions[a]) for i, a in enumerate(said)),
            tuple(Choice(f"r{i}", who, who or "not recorded", n) for i, (who, n) in enumerate(sorted(readers.items()))),
        )

    @cached_property
    def css(self) -> dict[tuple[str, str], str]:
        """The class of a value of ``label``, ``assertion`` or ``readers``."""
        groups = {"label": self.labels, "assertion": self.assertions, "readers": self.readers}
        return {(group, choice.value): choice.css for group, choices in groups.items() for choice in choices}

    def classes(self, entity: Entity) -> str:
        """The classes of a mention's elements."""
        values = {"label": entity.label, "assertion": assertion_of(entity), "readers": readers_of(entity.votes)}
        return " ".join(self.css[group, value] for group, value in values.items() if (group, value) in self.css)

    def style(self) -> str:
        """The rules that depend on the run: a colour per label, and one rule per checkbox.

        Without a script the checkbox itself is asked. The script sets a class instead: ``:has`` on the root makes browsers look
        at the whole page again on every change.
        """
        rules = [f".{c.css}{{--c:var(--hue{i % HUES})}}" for i, c in enumerate(self.labels)]
        for css in (choice.css for choice in (*self.labels, *self.assertions, *self.readers)):
            off = f":is(html:not(.js):has(#f-{css}:not(:checked)),.off-{css})"
            rules.append(f"{off} :is(.m,.g).{css}{{--c:transparent;--off:none;cursor:auto}}")
        return "\n".join(rules) + "\n"


@dataclass(frozen=True)
class LedgerRow:
    """Something that was not read. ``note`` is the index of its note, None where no extraction was made of it."""

    number: int
    note: int | None
    note_id: str
    reader: str
    reason: str
    where: str
    detail: str
    start: int | None = None
    end: int | None = None

    @property
    def whole(self) -> bool:
        """True if the entry names no range."""
        return self.start is None and self.end is None

    @classmethod
    def of(cls, number: int, entry: Mapping[str, Any], index: Mapping[str, int]) -> "LedgerRow":
        """The entry of this number in ``ledger.jsonl``. Missing keys are empty; a missing ``start`` or ``end`` is the note's own."""
        start, end = entry.get("start"), entry.get("end")
        note_id = str(entry.get("note_id", ""))
        whole = start is None and end is None
        where = "whole note" if whole else f"{start or 0}–{'end' if end is None else end}"
        reader = str(entry.get("reader") or "")
        return cls(
            number=number,
            note=index.get(note_id),
            note_id=note_id,
            reader=READERS.get(reader, reader) or "a reader",
            reason=words(str(entry.get("reason") or "")),
            where=where,
            detail=localized(str(entry.get("detail") or "")),
            start=start,
            end=end,
        )


@dataclass(frozen=True)
class RelationRow:
    """A relation between the mentions with these indices."""

    label: str
    head: int
    tail: int
    confidence: float | None
    votes: tuple[Vote, ...]

    @property
    def readers(self) -> str:
        """Who found it."""
        return readers_of(self.votes)


class RejectedRow(NamedTuple):
    """A mention that did not stay when two readers were reconciled."""

    text: str
    label: str
    line: int
    confidence: float | None
    readers: str


@dataclass(frozen=True)
class NotePage:
    """A note as it is shown. Mentions are in reading order, and their index is their number in every element id."""

    index: int
    note: Note
    entities: tuple[Entity, ...]
    relations: tuple[RelationRow, ...]
    ledger: tuple[LedgerRow, ...]
    legend: Legend
    reasons: Reasons = field(default_factory=dict)
    rejected: tuple[RejectedRow, ...] = ()

    @classmethod
    def of(
        cls, index: int, extraction: Extraction, legend: Legend, ledger: Iterable[LedgerRow], reasons: Reasons | None = None
    ) -> "NotePage":
        """Number the mentions, and let relations name them by number. ``reasons`` are by mention id."""
        entities = mentions(extraction)
        exact = {id(e): i for i, e in enumerate(entities)}
        alike = {_key(e): i for i, e in enumerate(entities)}

        def place(end: Entity) -> int:
            return exact.get(id(end), alike[_key(end)])

        relations = tuple(RelationRow(r.label, place(r.head), place(r.tail), r.confidence, r.votes) for r in extraction.relations)
        rows = tuple(row for row in ledger if row.note == index)
        breaks = [m.end() for m in re.finditer(r"\r\n|\r|\n", extraction.note.text)]
        rejected = tuple(
            RejectedRow(e.text, e.label, 1 + bisect_right(breaks, e.span.start), e.confidence, readers_of(e.votes))
            for e in extraction.rejected
        )
        return cls(index, extraction.note, entities, relations, rows, legend, reasons or {}, rejected)

    @property
    def unread(self) -> bool:
        """True if a reader read nothing of the note."""
        return any(row.whole for row in self.ledger)

    @property
    def columns(self) -> bool:
        """True if the text seems to be laid out in columns, which a proportional font would shift."""
        return len(_COLUMNS.findall(self.note.text)) >= 3

    @property
    def html(self) -> str:
        """The text, highlighted."""
        marks = [
            Mark(
                id=f"n{self.index}m{i}",
                spans=tuple((s.start, s.end) for s in e.spans),
                classes=self.legend.classes(e) + (" mod" if isinstance(e, Modifier) else ""),
                title=" · ".join(filter(None, [e.label, words(assertion_of(e)), probability(e.confidence)])),
                badge=badge(e),
                label=e.label,
            )
            for i, e in enumerate(self.entities)
        ]
        size = len(self.note.text)
        unread = [
            Unread(f"u{row.number}", row.start or 0, size if row.end is None else row.end, f"not read by {row.reader}: {row.reason}")
            for row in self.ledger
            if not row.whole
        ]
        return highlight(self.note.text, marks, unread)

    def bar(self, most: int) -> list[tuple[str, float, float]]:
        """(class, x, width) of each label's share in the note's bar, where a bar of 100 holds ``most`` mentions."""
        counts = Counter(e.label for e in self.entities)
        parts, x = [], 0.0
        for choice in self.legend.labels:
            if n := counts[choice.name]:
                width = round(100 * n / most, 2)
                parts.append((choice.css, round(x, 2), width))
                x += width
        return parts

    def data(self) -> dict[str, Any]:
        """What the script shows of the note's mentions and relations; texts and numbers only, no markup."""
        labels = {c.name: i for i, c in enumerate(self.legend.labels)}
        breaks = [m.end() for m in re.finditer(r"\r\n|\r|\n", self.note.text)]
        ids = [e.id for e in self.entities]
        unique = len(set(ids)) == len(ids) and all(ids)
        return {
            "id": self.note.id,
            "mentions": [
                {
                    "key": e.id if unique else str(i + 1),
                    "label": labels[e.label],
                    "text": e.text,
                    "spans": [[s.start, s.end] for s in e.spans],
                    "line": 1 + bisect_right(breaks, e.span.start),
                    "assertion": words(assertion_of(e)),
                    "attributes": [[words(name), attribute_value(value)] for name, value in e.attributes.items() if value is not None],
                    "codes": e.codes,
                    "confidence": probability(e.confidence),
                    "votes": votes(e.votes),
                    **({"lane": e.lane} if e.lane else {}),
                    **({"disputed": True} if disputed(e) else {}),
                    **({"reasons": [shaded(r, self.note.text) for r in self.reasons[e.id]]} if e.id in self.reasons else {}),
                }
                for i, e in enumerate(self.entities)
            ],
            "relations": [
                {"label": r.label, "head": r.head, "tail": r.tail, "confidence": probability(r.confidence), "votes": votes(r.votes)}
                for r in self.relations
            ],
        }


def mentions(extraction: Extraction) -> tuple[Entity, ...]:
    """The mentions in reading order, with those that only a relation holds: nothing that was found is left out."""
    found = list(extraction.entities)
    known = {_key(e) for e in found}
    for relation in extraction.relations:
        for end in (relation.head, relation.tail):
            if _key(end) not in known:
                known.add(_key(end))
                found.append(end)
    return tuple(sorted(found, key=Entity.sort_key))


def assertion_of(entity: Entity) -> str:
    """The value of the attribute ``assertion``; empty where a mention has none."""
    value = entity.attributes.get("assertion")
    return "" if value is None else attribute_value(value)


def badge(entity: Entity) -> str:
    """The word that is set after the mention in the text: its assertion, unless that is ``present``."""
    assertion = assertion_of(entity)
    return "" if assertion == Assertion.PRESENT.value else words(assertion)


def words(name: str) -> str:
    """A name as it is shown: ``past_history`` -> ``past history``."""
    return "someone else" if name == _SOMEONE_ELSE else name.replace("_", " ")


def readers_of(votes: Sequence[Vote]) -> str:
    """Who found it: ``LLM + tagger``."""
    order = [*READERS]
    readers = sorted({v.reader for v in votes if not v.about}, key=lambda r: (order.index(r) if r in order else len(order), r))
    return " + ".join(READERS.get(r, r) for r in readers)


def disputed(entity: Entity) -> bool:
    """True if two readers looked for it and one says otherwise: another label, other edges, or nothing.

    >>> disputed(Entity.at("fever", 0, 5, votes=(Vote(reader="tagger"), Vote(reader="llm", about="nothing"))))
    True
    """
    said = {v.reader: v.about for v in entity.votes if v.reader in ("llm", "tagger") and not v.about.startswith("assertion=")}
    return len(said) > 1 and any(said.values())


def votes(found: Sequence[Vote]) -> list[list[str]]:
    """Votes as rows: reader, model, what it says of an attribute or else how it was placed, score."""
    return [[READERS.get(v.reader, v.reader), v.model, v.about or v.placed, probability(v.score)] for v in found]


def probability(value: float | None) -> str:
    """A probability with two digits; never rounded up to certainty.

    >>> probability(0.9999), probability(1.0), probability(None)
    ('0.99', '1.00', '')
    """
    if value is None:
        return ""
    return "0.99" if 0.99 < value < 1 else f"{value:.2f}"


def facts(run_info: Mapping[str, Any], schema: Schema) -> list[tuple[str, str]]:
    """(name, value) pairs for the head of the page.

    Of ``run_info`` it takes ``model``, ``tagger``, ``engine``, the date (``date``, ``finished`` or ``started``) and the
    version of medllm (``version``, or ``medllm`` in ``versions``). A value may be a mapping with a ``name``.
    """
    versions = run_info.get("versions")
    version = run_info.get("version") or (versions.get("medllm") if isinstance(versions, Mapping) else None)
    date = next((run_info[k] for k in ("date", "finished", "started") if run_info.get(k)), None)
    found = [(name, run_info.get(name)) for name in ("model", "tagger", "engine")]
    found += [("schema", f"{schema.name} · {schema.digest[:8]}"), ("date", _date(date)), ("medllm", version)]
    return [(name, shown) for name, value in found if (shown := _short(value))]


def flatten(info: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Every value of a nested mapping under its dotted name.

    >>> flatten({"a": {"b": 1}, "c": [1, 2]})
    [('a.b', '1'), ('c', '1, 2')]
    """
    rows: list[tuple[str, str]] = []
    for name, value in info.items():
        if isinstance(value, Mapping):
            rows += flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            rows.append((f"{prefix}{name}", ", ".join(str(v) for v in value)))
        elif value is not None:
            rows.append((f"{prefix}{name}", str(value)))
    return rows


def _key(entity: Entity) -> tuple[str, tuple[Span, ...], str]:
    """What a mention is known by where a relation holds a copy of it."""
    return entity.label, entity.spans, entity.id


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("name") or value.get("id")
    return "" if value is None else str(value)


def _date(value: Any) -> str:
    """A date and time to the minute, where it can be read as one."""
    try:
        return datetime.fromisoformat(str(value)).strftime("%Y-%m-%d %H:%M") if len(str(value)) > 10 else _short(value)
    except ValueError:
        return _short(value)
