"""i2b2 2012 temporal relations: an XML file for each note <-> Extraction (Sun et al. 2013, JAMIA 20:806).

::

    <EVENT id="E0" start="1" end="10" text="Admission" modality="FACTUAL" polarity="POS" type="OCCURRENCE" />
    <TIMEX3 id="T0" start="18" end="28" text="09/14/1998" type="DATE" val="1998-09-14" mod="NA" />
    <TLINK id="TL0" fromID="E0" fromText="Admission" toID="T0" toText="09/14/1998" type="OVERLAP" />
    <SECTIME id="S0" start="18" end="28" text="09/14/1998" type="ADMISSION" dvalue="1998-09-14" />

Offsets are half-open and count from 0 **in the text as XML has it, with the line break that follows CDATA[ in the released files**. A
reader that drops that break must take one from every offset, which is why they are often called 1-based. Here the break belongs to the
note and offsets are taken as given; where none fits its copied text and all would fit one to the left, a problem says so.

``EVENT``, ``TIMEX3`` and ``SECTIME`` are mentions of these labels, the other XML attributes (``type``, ``val``, ``modality`` ...) their
attributes. A ``TLINK`` is a relation named by its type (``TLINK`` where that is empty) from ``fromID`` to ``toID``. Not held: other
attributes of a ``TLINK`` (told), and the order of the tags: written are events, times, others, links, section times.

Not held by the format: parts of a discontinuous mention (written from start to end), codes, confidence. A mention of another label
becomes a tag of that name. What ``medllm.formats.tags_xml`` says of the characters of XML holds as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from medllm.document import Entity, Extraction, Note
from medllm.formats.base import Parsed
from medllm.formats.collecting import Collector, Given, number
from medllm.formats.corpus_files import id_of, named_or_below, read_text, write_note
from medllm.formats.ids import Positions, complete
from medllm.formats.standoff import one_line
from medllm.formats.tags_xml import Tag, dumps, loads
from medllm.schema import Schema, attribute_value

ROOT = "ClinicalNarrativeTemporalAnnotation"
ENDING = ".xml"
LINK = "TLINK"

_LINK_KEYS = {"id", "fromID", "fromText", "toID", "toText", "type"}
_PLACE_KEYS = ("id", "start", "end", "text")
_ORDER = ("EVENT", "TIMEX3", "", LINK, "SECTIME")


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder of ``.xml`` in the order of their ids, or of one file. Raises FormatError."""
    for stem, file in named_or_below(path, (ENDING,)):
        yield to_extraction(read_text(file), id_of(stem), schema, path=str(file))


def to_extraction(content: str, note_id: str, schema: Schema | None = None, *, path: str = "") -> Parsed:
    """What the file says, and what was wrong with it. Raises FormatError where there is no text."""
    file = loads(content, path)
    found = Collector(Note(id=note_id, text=file.text), schema, path)
    for line, length in file.faults:
        found.report(line, "malformed-line", f"not a tag, or no end of the tags ({length} characters)", dropped=True)
    places = [tag for tag in file.tags if tag.name != LINK]
    mentions: dict[str, Entity | None] = {}
    for tag in places:
        mention = add_mention(found, tag, tag.name, [Given(*item) for item in tag.attributes.items() if item[0] not in _PLACE_KEYS])
        name = tag.attributes.get("id", "")
        if mentions.setdefault(name, mention) is not mention and name:
            found.report(tag.line, "duplicate-id", "an earlier tag has the same id, and the links to it", dropped=False)
    warn_if_counted_from_one(found, places)
    for tag in (tag for tag in file.tags if tag.name == LINK):
        head, tail = (mentions.get(tag.attributes.get(end, "")) for end in ("fromID", "toID"))
        found.relation(tag.line, tag.attributes.get("type") or LINK, head, tail, name=tag.attributes.get("id", ""))
        if more := sorted(tag.attributes.keys() - _LINK_KEYS):
            found.report(tag.line, "not-held", f"{len(more)} more attributes of a link", dropped=False)
    return found.parsed()


class Writer:
    """Writes ``NOTE_ID.xml`` below a folder, readable by the owner only."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path

    def write(self, extraction: Extraction) -> None:
        """Write the file of a note. Raises FormatError."""
        write_note(self._folder, extraction.note.id, {ENDING: from_extraction(extraction)})

    def close(self) -> None:
        """Nothing is left open."""


def from_extraction(extraction: Extraction) -> str:
    """The content of the file. Ids that are missing or repeat are given: ``E1``, ``TL1``. Raises FormatError."""
    names = complete((e.id for e in extraction.entities), "E")
    where = Positions(extraction)
    text = extraction.note.text
    tags = [
        Tag(entity.label, placed(name, entity, text) | written_attributes(entity))
        for name, entity in zip(names, extraction.entities, strict=True)
    ]
    for name, relation in zip(complete((r.id for r in extraction.relations), "TL"), extraction.relations, strict=True):
        head, tail = where.of(relation.head), where.of(relation.tail)
        copies = [one_line(end.span.of(text)) for end in (relation.head, relation.tail)]
        ends = {"fromID": names[head], "fromText": copies[0], "toID": names[tail], "toText": copies[1]}
        tags.append(Tag(LINK, {"id": name} | ends | {"type": "" if relation.label == LINK else relation.label}))
    tags.sort(key=lambda tag: _ORDER.index(tag.name if tag.name in _ORDER else ""))
    return dumps(ROOT, text, tags)


def add_mention(found: Collector, tag: Tag, label: str, given: Sequence[Given]) -> Entity | None:
    """The mention of a tag that has ``start``, ``end`` and ``text``."""
    start, end = (number(tag.attributes.get(key, "")) for key in ("start", "end"))
    if start is None or end is None:
        found.report(tag.line, "malformed-line", "no start and end that are numbers", dropped=True)
        return None
    written = tag.attributes.get("text")
    return found.entity(tag.line, label, [(start, end)], name=tag.attributes.get("id", ""), written=written, attributes=given)


def warn_if_counted_from_one(found: Collector, tags: Sequence[Tag]) -> None:
    """A problem of the file where no offset fits the copied text as given, and all do one to the left."""
    text = one_line(found.note.text)
    checked = [(one_line(tag.attributes["text"]), *_offsets(tag.attributes)) for tag in tags if tag.attributes.get("text")]
    as_given = sum(text[start:end] == written for written, start, end in checked)
    if checked and not as_given and all(start > 0 and text[start - 1 : end - 1] == written for written, start, end in checked):
        found.report(None, "text-mismatch", "every offset fits if it counts from 1: is a line break missing after CDATA[?", dropped=False)


def placed(name: str, entity: Entity, text: str) -> dict[str, str]:
    """``id``, ``start``, ``end`` and ``text``, from the first part's start to the last part's end."""
    return {"id": name, "start": str(entity.span.start), "end": str(entity.span.end), "text": one_line(entity.span.of(text))}


def written_attributes(entity: Entity) -> dict[str, str]:
    """The attributes of a mention as XML has them; one that has the name of a place gets ``_`` after it."""
    values = {name: attribute_value(value) for name, value in entity.attributes.items() if value is not None}
    return {name + "_" if name in _PLACE_KEYS else name: value for name, value in values.items()}


def _offsets(attributes: Mapping[str, str]) -> tuple[int, int]:
    start, end = (number(attributes.get(key, "")) for key in ("start", "end"))
    return (0, 0) if start is None or end is None else (start, end)
