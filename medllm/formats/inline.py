"""Notes with their mentions tagged in the text, as a person writes them <-> Extraction.

::

    <negation of="1,2">No</negation> <problem id="1" a="absent">fever</problem> or <problem id="2" a="absent">chills</problem>.
    <drug>Lisinopril</drug> <strength>10 mg</strength> for <problem>severe <bodyloc>left knee</bodyloc> pain</problem>.

The text without the tags is the note. A tag is ``<LABEL name="value" ...>`` whose label the schema has (without a schema: any name that is
closed somewhere), so that any other ``<`` is itself. ``id`` names a mention, ``of`` lists the ids of the mentions that a modifier
belongs to, other names are attributes; ``a`` is short for ``assertion``, and ``other`` for somebody else's. A modifier without ``of``
belongs to the mention around it, else to the nearest one before it that may have it. The relation is the schema's first between
the two labels.

Files are ``NOTE_ID.txt``. Written ids are numbers, only where ``of`` needs them. Not held: discontinuous and crossing mentions and
those that nest in the same span twice over (the longest is written), relations that lead to no modifier, codes.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from medllm.document import Assertion, Entity, Extraction, Modifier, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed
from medllm.formats.collecting import Collector, Given
from medllm.formats.corpus_files import id_of, named_or_below, read_text, write_note
from medllm.schema import Schema, attribute_value

ENDING = ".txt"
_OTHER = Assertion.ASSOCIATED_WITH_SOMEONE_ELSE.value


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a file or a folder. Raises FormatError."""
    for name, file in named_or_below(path, (ENDING,)):
        yield parse(read_text(file), id_of(name), schema, path=str(file))


def parse(marked: str, note_id: str, schema: Schema | None = None, *, path: str = "") -> Parsed:
    """The note of a text with tags.

    >>> marked = "<negation of='1'>No</negation> <problem id='1' a='absent'>fever</problem>, WBC <4."
    >>> found = parse(marked, "n", Schema.load("clinical")).extraction
    >>> found.note.text, [(e.label, e.text) for e in found.entities], len(found.relations)
    ('No fever, WBC <4.', [('negation', 'No'), ('problem', 'fever')], 1)
    """
    tag = _tags(schema.labels if schema else set(re.findall(r"</([\w-]+)>", marked)))
    text, at = "", 0
    opened: list[tuple[str, int, dict[str, str], int]] = []
    mentions: list[tuple[int, int, str, dict[str, str], int]] = []
    faults: list[tuple[int, str]] = []
    for match in tag.finditer(marked):
        text += marked[at : match.start()]
        at, line = match.end(), marked.count("\n", 0, match.start()) + 1
        if not match[1]:
            values = {name: value[1:-1] for name, value in re.findall(r"(\w+)=(\"[^\"]*\"|'[^']*')", match[3])}
            opened.append((match[2], len(text), values, line))
        elif opened and opened[-1][0] == match[2]:
            label, start, values, line = opened.pop()
            mentions.append((start, len(text), label, values, line))
        else:
            faults.append((line, f"</{match[2]}> closes nothing"))
    text += marked[at:]
    faults += [(line, f"<{label}> is never closed") for label, _, _, line in opened]
    return _collect(Note(id=note_id, text=text), sorted(mentions, key=lambda m: (m[0], -m[1])), faults, schema, path)


def _tags(labels: Collection[str]) -> re.Pattern[str]:
    if not labels:
        return re.compile(r"(?!)")
    names = "|".join(map(re.escape, sorted(labels, key=len, reverse=True)))
    return re.compile(rf"<(/?)({names})((?:\s+\w+=(?:\"[^\"<>]*\"|'[^'<>]*'))*)\s*>")


def _collect(
    note: Note,
    mentions: Sequence[tuple[int, int, str, dict[str, str], int]],
    faults: Sequence[tuple[int, str]],
    schema: Schema | None,
    path: str,
) -> Parsed:
    collector = Collector(note, schema, path)
    for line, fault in faults:
        collector.report(line, "malformed-line", fault, dropped=True)
    made: list[Entity | None] = []
    by_id: dict[str, Entity] = {}
    for start, end, label, values, line in mentions:
        given = [Given(*_attribute(name, value)) for name, value in values.items() if name not in ("id", "of")]
        name = values.get("id", "")
        if name in by_id:
            collector.report(line, "duplicate-id", f"a second mention has the id {name}", dropped=False)
        made.append(entity := collector.entity(line, label, [(start, end)], name=f"T{name}" if name else "", attributes=given))
        if entity is not None and name:
            by_id.setdefault(name, entity)
    for (*_, values, line), entity in zip(mentions, made, strict=True):
        if schema is None or not isinstance(entity, Modifier):
            continue
        if "of" in values:
            heads = [by_id.get(name.strip()) for name in values["of"].split(",")]
        else:
            heads = [_owner(entity, [e for e in made if e is not None], schema)]
        for head in heads:
            label = next((r.label for r in schema.relations_between(head.label, entity.label)), "") if head else ""
            collector.relation(line, label, head, entity)
    return collector.parsed()


def _owner(modifier: Entity, mentions: Sequence[Entity], schema: Schema) -> Entity | None:
    start, end = modifier.spans[0].start, modifier.spans[-1].end
    able = [m for m in mentions if m is not modifier and schema.relations_between(m.label, modifier.label)]
    around = [m for m in able if m.spans[0].start <= start and end <= m.spans[-1].end]
    if around:
        return min(around, key=lambda m: m.spans[-1].end - m.spans[0].start)
    before = [m for m in able if m.spans[-1].end <= start]
    return max(before, key=lambda m: m.spans[-1].end) if before else None


def _attribute(name: str, value: str) -> tuple[str, str]:
    return ("assertion", _OTHER if value == "other" else value) if name == "a" else (name, value)


class Writer:
    """Writes ``NOTE_ID.txt`` for each note. ``left_out`` counts what the format does not hold."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path
        self.left_out = 0

    def write(self, extraction: Extraction) -> None:
        """Write one note. Raises FormatError."""
        text, left_out = render(extraction)
        self.left_out += left_out
        write_note(self._folder, extraction.note.id, {ENDING: text})

    def close(self) -> None:
        """Nothing is left to do: each note has its own file."""


def render(extraction: Extraction) -> tuple[str, int]:
    """The tagged text, and how many mentions and relations it does not hold. Raises FormatError for a note that has such tags itself."""
    if extraction.entities and _tags({e.label for e in extraction.entities}).search(extraction.note.text):
        raise FormatError("the note's own text has such tags", path=extraction.note.id, hint="write another format, such as brat")
    kept: list[Entity] = []
    for entity in sorted(extraction.entities, key=lambda e: (e.spans[0].start, -e.spans[-1].end, isinstance(e, Modifier))):
        if len(entity.spans) == 1 and not any(_clash(entity, other) for other in kept):
            kept.append(entity)
    number = {id(e): n for n, e in enumerate(kept)}
    heads: dict[int, list[int]] = {}
    left_out = len(extraction.entities) - len(kept)
    for relation in extraction.relations:
        ends = _place(relation.head, kept, number), _place(relation.tail, kept, number)
        if isinstance(relation.tail, Modifier) and ends[0] is not None and ends[1] is not None:
            heads.setdefault(ends[1], []).append(ends[0])
        else:
            left_out += 1
    named = {head for found in heads.values() for head in found}
    edges: list[tuple[int, int, int, str]] = []
    for n, entity in enumerate(kept):
        start, end = entity.spans[0].start, entity.spans[0].end
        values: Mapping[str, str] = {
            **({"id": str(n + 1)} if n in named else {}),
            **({"of": ",".join(str(head + 1) for head in heads[n])} if n in heads else {}),
            **{name: value for name, given in entity.attributes.items() if (value := attribute_value(given)) is not None},
        }
        tag = "".join([f"<{entity.label}", *(f' {name}="{value}"' for name, value in values.items()), ">"])
        edges += [(start, 1, n, tag), (end, 0, -n, f"</{entity.label}>")]
    text, parts, at = extraction.note.text, [], 0
    for place, _, _, tag in sorted(edges):
        parts += [text[at:place], tag]
        at = place
    return "".join([*parts, text[at:]]), left_out


def _clash(one: Entity, other: Entity) -> bool:
    a, b = one.spans[0], other.spans[0]
    if not a.overlaps(b):
        return False
    return not (b.start <= a.start and a.end <= b.end)


def _place(entity: Entity, kept: Sequence[Entity], number: Mapping[int, int]) -> int | None:
    found = number.get(id(entity))
    return found if found is not None else next((n for n, other in enumerate(kept) if other == entity), None)
