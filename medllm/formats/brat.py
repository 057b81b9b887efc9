"""brat standoff: a ``.txt`` and an ``.ann`` for each note <-> Extraction (https://brat.nlplab.org/standoff.html).

What an Extraction takes from the lines, and what it has no place for:

* ``T`` are mentions. Offsets decide, not the copied text. Parts out of order are put in order, and parts that overlap are joined.
* ``R`` are relations, from ``Arg1`` to ``Arg2``.
* ``E`` are events: the trigger is the mention, and each argument a relation from it, named by its role (``Theme2`` counts as
  ``Theme``). Not held: which of two events on one trigger an argument belongs to, and an event's type where it differs from the
  trigger's label.
* ``A`` and ``M`` on a mention or an event are attributes of the mention; one without a value is ``yes``. Not held, and told: those
  of relations.
* ``N`` are ``codes``, the system in capitals: ``MESH:D003920``. The entry's name is not held.
* ``#`` and ``*`` are not held; ``medllm.formats.standoff`` keeps every line.

Written are ``T``, ``A``, ``N`` and ``R``; confidence, votes and blank attributes are not. A boolean attribute is a binary one: it is
written if it holds, or where ``no`` is not the default. White space in a label becomes ``_``; a code without a system gets ``-``.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from medllm.document import Entity, Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed, Problem
from medllm.formats.brat_reading import to_extraction
from medllm.formats.files import note_id_of, note_path, open_private, writing
from medllm.formats.ids import Positions, complete
from medllm.formats.standoff import Flag, Line, Link, Normalization, Standoff, TextBound, one_line
from medllm.schema import Schema, attribute_value, attributes

__all__ = ["Writer", "from_extraction", "read", "read_folder", "to_extraction", "write"]


def read(path: str | Path, schema: Schema | None = None, *, note_id: str | None = None) -> Parsed:
    """One note; ``path`` is its ``.ann`` or its ``.txt``, both of which must be there. Raises FormatError.

    The texts are UTF-8 as they are on disk: no newline translation, and a byte order mark counts as a character. The note's id is
    the file's stem unless given.
    """
    stem = Path(path).with_suffix("")
    note = Note(id=stem.name if note_id is None else note_id, text=_text(_beside(stem, ".txt")))
    ann = _beside(stem, ".ann")
    return to_extraction(Standoff.loads(_text(ann)), note, schema, path=str(ann))


def read_folder(path: str | Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes below a folder, sub-folders too, in the order of their ids (the path below the folder, without ending).

    A ``.txt`` without an ``.ann`` has no annotations, and a problem that says so. Hidden entries are passed over. Raises FormatError
    before the first note for an ``.ann`` without its ``.txt`` and for a folder without any ``.ann``.
    """
    root = Path(path)
    texts, anns = _stems(root, ".txt"), _stems(root, ".ann")
    if not anns:
        raise FormatError("no .ann file in this folder", path=str(root), hint="a brat folder has a .txt and an .ann for each note")
    if lone := sorted(anns - texts):
        raise FormatError(f"no .txt for this file (and {len(lone) - 1} others)", path=str(root / f"{lone[0]}.ann"), hint="offsets need it")
    return _read_all(root, sorted(texts), anns, schema)


def write(out_dir: str | Path, extraction: Extraction) -> Path:
    """Write ``NOTE_ID.txt`` and ``NOTE_ID.ann`` below ``out_dir``, readable by the owner only; returns the path of the ``.ann``.

    A ``/`` in the id makes sub-folders; no id leads out of the folder (``files.note_path``). Raises FormatError.
    """
    text, ann = (note_path(Path(out_dir), extraction.note.id, ending) for ending in (".txt", ".ann"))
    content = from_extraction(extraction).dumps()
    with writing(ann):
        with open_private(text) as file:
            file.write(extraction.note.text)
        with open_private(ann) as file:
            file.write(content)
    return ann


class Writer:
    """Writes notes below a folder."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path

    def write(self, extraction: Extraction) -> None:
        """Write the two files of a note. Raises FormatError."""
        write(self._folder, extraction)

    def close(self) -> None:
        """Nothing is left open."""


def from_extraction(extraction: Extraction) -> Standoff:
    """The lines for an extraction. Ids that brat cannot have (``T1``, ``R1``), or that repeat, are given anew.

    >>> note = Note(id="n", text="No fever.")
    >>> from_extraction(Extraction(note=note, entities=(Entity.at(note.text, 3, 8),))).lines
    (TextBound(id='T1', label='entity', spans=((3, 8),), text='fever'),)
    """
    names = complete((e.id for e in extraction.entities), "T", "T[0-9]+")
    lines: list[Line] = []
    flags = norms = 0
    for name, entity in zip(names, extraction.entities, strict=True):
        lines.append(TextBound(name, _word(entity.label), tuple((s.start, s.end) for s in entity.spans), one_line(entity.text)))
        for attribute, value in _attributes(entity):
            flags += 1
            lines.append(Flag(f"A{flags}", _word(attribute), name, value))
        for code in entity.codes:
            norms += 1
            lines.append(Normalization(f"N{norms}", "Reference", name, *_system_and_code(code)))
    where = Positions(extraction)
    for name, relation in zip(complete((r.id for r in extraction.relations), "R", "R[0-9]+"), extraction.relations, strict=True):
        head, tail = (names[where.of(entity)] for entity in (relation.head, relation.tail))
        lines.append(Link(name, _word(relation.label), (("Arg1", head), ("Arg2", tail))))
    return Standoff(tuple(lines))


def _attributes(entity: Entity) -> Iterator[tuple[str, str | None]]:
    defaults = {a.name: a.default for a in attributes(type(entity))}
    for name, value in entity.attributes.items():
        written = "" if value is None else one_line(attribute_value(value)).strip()
        if written == "yes":
            yield name, None
        elif written and not (written == "no" and defaults.get(name) == "no"):
            yield name, written


def _system_and_code(code: str) -> tuple[str, str]:
    system, _, entry = one_line(code).replace("\t", " ").partition(":")
    return (_word(system), entry) if system and entry else ("-", one_line(code).replace("\t", " "))


def _word(name: str) -> str:
    return re.sub(r"\s+", "_", name) or "_"


def _read_all(root: Path, stems: list[str], anns: set[str], schema: Schema | None) -> Iterator[Parsed]:
    for stem in stems:
        note_id = note_id_of(stem)
        if stem in anns:
            yield read(root / f"{stem}.ann", schema, note_id=note_id)
        else:
            text = root / f"{stem}.txt"
            problem = Problem(str(text), None, "missing-file", "there is no .ann beside it", dropped=False)
            yield Parsed(Extraction(note=Note(id=note_id, text=_text(text))), (problem,))


def _stems(root: Path, ending: str) -> set[str]:
    """Paths below ``root``, with ``/`` and without ``ending``."""
    found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(folder).relative_to(root)
        found |= {(below / name).as_posix().removesuffix(ending) for name in names if name.endswith(ending) and not name.startswith(".")}
    return found


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 (byte {error.start})", path=str(path), hint="convert it, and check its offsets") from None
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", path=str(path), hint="brat has a .txt and an .ann for each note") from None
