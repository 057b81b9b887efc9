"""ShARe/CLEF eHealth 2013 and SemEval 2014 task 7: disorders in pipe format <-> Extraction (Suominen et al. 2013; Pradhan et al. 2015,
JAMIA 22:143).

::

    00098-016139-DISCHARGE_SUMMARY.txt||Disease_Disorder||C0221755||1141||1148||1192||1198

Name of the text, type, UMLS concept or ``CUI-less``, and start and end of each part: half-open code points from 0. The lines are in
``.pipe`` or ``.pipe.txt`` files, one for each text or one for all; a text is a ``.txt`` or ``.text``, beside it or elsewhere below the
folder. The columns of SemEval 2015 and ShARe/CLEF 2014 task 2, with a single bar, are another format.

Types are labels, concepts ``codes`` (``UMLS:C0221755``). Written are ``NOTE_ID.txt`` and ``NOTE_ID.pipe``. Not held by the format: ids,
attributes, relations, a second code.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from medllm.document import Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, attach, number
from medllm.formats.concepts import code_of, identifier_of
from medllm.formats.corpus_files import below, id_of, numbered_lines, read_text, write_note
from medllm.formats.files import note_path
from medllm.schema import Schema

ENDINGS = (".pipe.txt", ".pipe")
TEXT_ENDINGS = (".txt", ".text")
NO_CONCEPT = "CUI-less"
BAR = "||"


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The texts of a folder in the order of their ids, or those beside one ``.pipe`` that it names. Raises FormatError."""
    root = path if path.is_dir() or not path.exists() else path.parent
    pipes = list(below(path, ENDINGS)) if path.is_dir() else [path]
    if not pipes:
        raise FormatError("no .pipe file in this folder", path=str(path), hint="disorders are in NAME.pipe or NAME.pipe.txt")
    texts = [file for file in below(root, TEXT_ENDINGS, deep=path.is_dir()) if not file.name.lower().endswith(ENDINGS)]
    return attach(_read(root, texts, pipes, schema, every=path.is_dir()))


def pipe_lines(extraction: Extraction, name: str) -> str:
    """The lines of a note; ``name`` is that of its text's file.

    >>> from medllm.document import Entity
    >>> note = Note(id="n", text="No fever.")
    >>> pipe_lines(Extraction(note=note, entities=(Entity.at(note.text, 3, 8, codes=("UMLS:C0015967",)),)), "n.txt")
    'n.txt||entity||C0015967||3||8\\n'
    """
    lines = []
    for entity in extraction.entities:
        concept = identifier_of(entity.codes[0]) if entity.codes else NO_CONCEPT
        places = (str(edge) for span in entity.spans for edge in (span.start, span.end))
        lines.append(BAR.join((name, *(_column(value) for value in (entity.label, concept)), *places)))
    return "".join(f"{line}\n" for line in lines)


class Writer:
    """Writes ``NOTE_ID.txt`` and ``NOTE_ID.pipe`` below a folder, readable by the owner only."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path

    def write(self, extraction: Extraction) -> None:
        """Write the files of a note. Raises FormatError."""
        name = note_path(self._folder, extraction.note.id, TEXT_ENDINGS[0]).name
        contents = {TEXT_ENDINGS[0]: extraction.note.text, ENDINGS[1]: pipe_lines(extraction, name)}
        write_note(self._folder, extraction.note.id, contents)

    def close(self) -> None:
        """Nothing is left open."""


def _read(root: Path, texts: list[Path], pipes: list[Path], schema: Schema | None, *, every: bool) -> Iterator[Parsed | Problem]:
    lines: dict[Path, list[tuple[Path, int, list[str]]]] = {}
    for pipe in pipes:
        own = _text_named(_without(pipe.name, ENDINGS), pipe, texts)
        if own is not None:
            lines.setdefault(own, [])
        for line, raw in numbered_lines(read_text(pipe)):
            columns = raw.strip().split(BAR)
            text = _text_named(_without(columns[0], TEXT_ENDINGS), pipe, texts) if len(columns) > 1 else own
            if text is None:
                yield Problem(str(pipe), line, "unknown-reference", "no text has the name in the first column, or several do", dropped=True)
            else:
                lines.setdefault(text, []).append((pipe, line, columns))
    for note_id, text in sorted((id_of(_without(file.relative_to(root).as_posix(), TEXT_ENDINGS)), file) for file in texts):
        if every or text in lines:
            yield _parsed(note_id, text, lines.get(text), schema)


def _parsed(note_id: str, text: Path, lines: list[tuple[Path, int, list[str]]] | None, schema: Schema | None) -> Parsed:
    path = str(lines[0][0]) if lines else str(text)
    found = Collector(Note(id=note_id, text=read_text(text)), schema, path)
    if lines is None:
        found.report(None, "missing-file", "no .pipe file has its name or names it", dropped=False)
    for pipe, line, (_, *columns) in lines or ():
        numbers = [number(value) for value in columns[2:]]
        offsets = [value for value in numbers if value is not None]
        if len(offsets) < max(2, len(numbers)) or len(offsets) % 2:
            detail = "not name, type, concept, and start and end of each part"
            found.report(line, "malformed-line", detail, dropped=True, path=str(pipe))
            continue
        label, concept = columns[:2]
        codes = () if concept.lower() in (NO_CONCEPT.lower(), "") else (code_of(concept.strip().upper() if len(concept) == 8 else concept),)
        spans = list(zip(offsets[::2], offsets[1::2], strict=True))
        found.entity(line, label, spans, name=f"T{len(found.entities) + 1}", codes=codes)
    return found.parsed()


def _text_named(name: str, pipe: Path, texts: list[Path]) -> Path | None:
    """The text of that name beside the pipe file, else the only one."""
    named = [text for text in texts if _without(text.name, TEXT_ENDINGS) == name]
    found = [text for text in named if text.parent == pipe.parent] or named
    return found[0] if len(found) == 1 else None


def _without(name: str, endings: tuple[str, ...]) -> str:
    return next((name[: -len(ending)] for ending in endings if name.lower().endswith(ending)), name)


def _column(value: str) -> str:
    return re.sub(r"\|{2,}|^\||\|\Z", "_", " ".join(value.split())) or "_"
