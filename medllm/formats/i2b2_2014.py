"""i2b2 2014 de-identification: an XML file for each note <-> Extraction (Stubbs and Uzuner 2015, J Biomed Inform 58:S20).

::

    <NAME id="P0" start="3" end="18" text="Zofia Quillburn" TYPE="PATIENT" comment="" />

Offsets are half-open and count from 0 in the text as XML has it. A tag is a mention labelled by its ``TYPE`` (``PATIENT``); its name,
the category (``NAME``), follows from that and is held, as the attribute ``category``, only where it is not the one of the annotation
guideline. A tag without a ``TYPE`` is labelled by its name. A ``comment`` that is not empty and other XML attributes are attributes.

Written are the tags in the order of the extraction, so that files in reading order are written back byte for byte. Types that the
guideline does not have become tags named ``OTHER``. Not held by the format: relations, parts of a discontinuous mention (written from
start to end), codes, confidence; and what ``medllm.formats.tags_xml`` says of the characters of XML.
"""

from collections.abc import Iterator
from pathlib import Path

from medllm.document import Entity, Extraction, Note
from medllm.formats.base import Parsed
from medllm.formats.collecting import Collector, Given
from medllm.formats.corpus_files import id_of, named_or_below, read_text, write_note
from medllm.formats.i2b2_2012 import add_mention, placed, warn_if_counted_from_one, written_attributes
from medllm.formats.ids import complete
from medllm.formats.tags_xml import Tag, dumps, loads
from medllm.schema import Schema

ROOT = "deIdi2b2"
ENDING = ".xml"
TYPES = {
    "NAME": ("PATIENT", "DOCTOR", "USERNAME"),
    "PROFESSION": ("PROFESSION",),
    "LOCATION": (
        *("ROOM", "DEPARTMENT", "HOSPITAL", "ORGANIZATION", "STREET", "CITY", "STATE", "COUNTRY", "ZIP"),
        *("OTHER", "LOCATION-OTHER"),
    ),
    "AGE": ("AGE",),
    "DATE": ("DATE",),
    "CONTACT": ("PHONE", "FAX", "EMAIL", "URL", "IPADDRESS", "IPADDR"),
    "ID": (
        *("SSN", "MEDICALRECORD", "HEALTHPLAN", "ACCOUNT", "LICENSE", "VEHICLE", "DEVICE", "BIOID", "IDNUM"),
        "ID",
    ),
}
"""The categories of the guideline and their types."""

_CATEGORIES = {kind: category for category, kinds in TYPES.items() for kind in kinds}
_OTHER = "OTHER"
_KNOWN_KEYS = ("id", "start", "end", "text", "TYPE", "comment")


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
    seen = set()
    for tag in file.tags:
        label = tag.attributes.get("TYPE") or tag.name
        given = [Given(key, value) for key, value in tag.attributes.items() if key not in _KNOWN_KEYS]
        if tag.attributes.get("comment"):
            given.append(Given("comment", tag.attributes["comment"]))
        if tag.name != _category(label):
            given.append(Given("category", tag.name))
        mention = add_mention(found, tag, label, given)
        if mention is not None and mention.id in seen:
            found.report(tag.line, "duplicate-id", "an earlier tag has the same id", dropped=False)
        seen |= {mention.id} if mention is not None else set()
    warn_if_counted_from_one(found, file.tags)
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
    """The content of the file. Ids that are missing or repeat are given: ``P1``."""
    names = complete((e.id for e in extraction.entities), "P")
    text = extraction.note.text
    return dumps(ROOT, text, [_tag(name, entity, text) for name, entity in zip(names, extraction.entities, strict=True)])


def _tag(name: str, entity: Entity, text: str) -> Tag:
    values = written_attributes(entity)
    category = values.pop("category", _category(entity.label))
    comment = values.pop("comment", "")
    return Tag(category, placed(name, entity, text) | {"TYPE": entity.label, "comment": comment} | values)


def _category(label: str) -> str:
    return _CATEGORIES.get(label, _OTHER)
