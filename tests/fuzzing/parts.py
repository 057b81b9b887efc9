"""What is fuzzed, one function a part: each takes a generator, makes one input, and raises where the product breaks a promise.

A promise is: nothing but a MedllmError or an Unreadable comes of a bad input, and the text of a mention is what stands at its offsets.
"""

import random
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

import llguidance

from medllm.document import Entity, Extraction, Note, Vote, any_entity
from medllm.errors import MedllmError
from medllm.formats import registry
from medllm.formats.base import Parsed
from medllm.formats.decoding import Refusal, Unreadable, check_text
from medllm.formats.inputs import read_inputs
from medllm.grammar.constraint import Constraint
from medllm.grammar.layout import Attribute, Found, Label, Layout, Part, Slot, get_layout, is_separator
from medllm.grounding import ground
from medllm.pipeline import CHUNK_TOKENS, Extractor
from medllm.prompting.questions import Questions
from medllm.prompting.render import Prompts, without_turn_marks
from medllm.rules.voice import assert_by_rules
from medllm.schema import Schema
from medllm.schemas.clinical import Problem
from medllm.taggers.attachment import attach
from medllm.text.chunks import split_chunks
from medllm.text.language import language_of
from medllm.text.lines import split_lines
from medllm.text.patient import patient_of
from medllm.text.pieces import split_pieces
from tests.fuzzing import material
from tests.fuzzing.files import note_file


class OffsetError(AssertionError):
    """A mention whose text is not what stands at its offsets, or a chunk that loses characters."""


def check_offsets(extraction: Extraction) -> None:
    """Raises OffsetError."""
    text = extraction.note.text
    for entity in extraction.entities:
        _check(text, entity)
    for relation in extraction.relations:
        _check(text, relation.head)
        _check(text, relation.tail)


def _check(text: str, entity: Entity) -> None:
    if entity.spans[-1].end > len(text) or entity.text != " ".join(s.of(text) for s in entity.spans):
        raise OffsetError(f"a {entity.label} mention has other text than its offsets")


# --- readers -----------------------------------------------------------------------------------------------------------


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _consume(items: Iterable[Parsed | Unreadable | Note]) -> list[Extraction]:
    found = []
    for item in items:
        if isinstance(item, Parsed):
            check_offsets(item.extraction)
            found.append(item.extraction)
    return found


def read_annotations(rng: random.Random, name: str) -> None:
    """A file of a format, as its own writer wrote it, with faults; what is still read is written again."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "in"
        if not write(name, folder, material.extraction(rng, _readable(rng)[:600])):
            return
        files = _files(folder) or [folder]
        path = rng.choice(files)
        path.write_bytes(material.mutated(rng, path.read_bytes()))
        if rng.random() < 0.05 and len(files) > 1:
            path.unlink()
        try:
            schema = Schema.load("clinical") if rng.random() < 0.2 else None
            found = _consume(registry.reader(name)(folder, schema))
        except MedllmError:
            return
        for extraction in found[:2]:
            write(name, Path(made) / "again", extraction)


_INPUTS = {
    "txt": "n.txt", "md": "n.md", "html": "n.html", "rtf": "n.rtf", "docx": "n.docx", "pdf": "n.pdf", "csv": "n.csv", "tsv": "n.tsv",
    "parquet": "n.parquet", "arrow": "n.arrow", "jsonl": "n.jsonl", "hl7": "n.hl7", "fhir": "n.json", "omop": "note.csv",
}  # fmt: skip
INPUTS = tuple(_INPUTS)


def read_input(rng: random.Random, name: str) -> None:
    """A file of notes with faults in its bytes, read as ``medllm extract`` reads it."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / _INPUTS[name]
        data = note_file(name, material.text(rng, most=400))
        path.write_bytes(data if rng.random() < 0.1 else material.mutated(rng, data))
        forced = f"{name}:" if name in ("fhir", "omop") or rng.random() < 0.3 else ""
        try:
            for item in read_inputs([f"{forced}{path}"]):
                if isinstance(item, Note):
                    check_text(item.text, 2_000_000)
        except MedllmError:
            return


# --- writers -----------------------------------------------------------------------------------------------------------


def write(name: str, path: Path, extraction: Extraction) -> bool:
    """Write, and say whether the format could."""
    try:
        writer = registry.writer(name)(path, None)
    except MedllmError:
        return False
    try:
        writer.write(extraction)
    except MedllmError:
        return False
    finally:
        try:
            writer.close()
        except MedllmError:
            return False
    return True


_IDS = ("n", "a/b", "é ü", "..", "x:y*?", "a\tb", "-", "note 1", "CON")


def write_and_read(rng: random.Random, name: str) -> None:
    """A nasty note with mentions anywhere, through a writer; what was written must be read, with mentions where their text stands."""
    with tempfile.TemporaryDirectory() as made:
        note_id = "1" if name == "mimic" else rng.choice(_IDS)  # it reads its own tables only, which an id with a slash names
        text = material.text(rng, most=600) or "x"
        folder = Path(made) / "out"
        if write(name, folder, material.extraction(rng, text, note_id=note_id)):
            try:
                _consume(registry.reader(name)(folder, None))
            except MedllmError as error:
                raise AssertionError(f"{name} does not read what it wrote: {type(error).__name__}") from error


# --- splitter ----------------------------------------------------------------------------------------------------------


def _tokens(text: str) -> int:
    """As few as any tokenizer may count: one a piece."""
    return len(split_pieces(text, 0, len(text)))


def _quarters(text: str) -> int:
    """As many tokens as tokenizers have for plain English."""
    return len(text) // 4 + 1


_SHORT = 10_000


def split(rng: random.Random, text: str | None = None) -> None:
    """Lines, sections and chunks: in order, within the note, and no character in none or two of the chunks."""
    text = material.text(rng) if text is None else text
    language_of(text)
    patient_of(text)
    chunks = split_chunks(text, _tokens if len(text) < _SHORT else _quarters, rng.choice((1, 16, CHUNK_TOKENS, 4000)))
    lines = [line for chunk in chunks for line in chunk.lines]
    at = 0
    for line in lines:
        if not at <= line.start < line.end <= len(text):
            raise OffsetError("a line out of order")
        at = line.end
        last = line.start
        for piece in line.pieces:
            if piece.start < last or text[piece.start : piece.end] != piece.text:
                raise OffsetError("a piece out of place")
            last = piece.end
    if chunks[0].start != 0 or chunks[-1].end != len(text) or any(a.end != b.start for a, b in pairwise(chunks)):
        raise OffsetError("chunks that do not partition the note")
    if len(text) < _SHORT and lines != split_lines(text):
        raise OffsetError("chunks that lose lines")


# --- grammars ----------------------------------------------------------------------------------------------------------

_LABELS = (
    Label("problem", (Attribute("assertion", ("present", "absent"), "present"), Attribute("kind", ("a", "b")))),
    Label("drug"),
    Label("test"),
)


@cache
def _questions(layout: str) -> Questions:
    return Questions(Schema.load("clinical"), get_layout(layout), Prompts())


def grammar(rng: random.Random, layout_name: str, text: str | None = None) -> None:
    """The grammar of a chunk is one that llguidance takes; what is written under it is read back to the letter; and so is nonsense."""
    text = material.text(rng, most=1200) if text is None else text
    count = _tokens if len(text) < _SHORT else _quarters
    chunk = rng.choice(split_chunks(text, count, rng.choice((1, 32, CHUNK_TOKENS))))
    layout = get_layout(layout_name)
    if not chunk.lines:
        return
    slots = [Slot(number, line, _LABELS) for number, line in enumerate(chunk.lines, 1)]
    nested = layout_name == "lines" and rng.random() < 0.3
    constraint = Constraint(layout.describe(slots, nested=nested, discontinuous=nested))
    constraint.gbnf.encode()
    if message := llguidance.LLMatcher.validate_grammar(llguidance.LLMatcher.grammar_from_lark(constraint.lark)):
        raise AssertionError(f"llguidance refuses a grammar: {message[:60]}")
    question = _questions(layout_name).entities(chunk)
    if not all(without_turn_marks(line.view) in question.messages[-1].content for line in chunk.lines):
        raise OffsetError("a prompt that does not show a line as it is")
    found = _some(rng, slots)
    written = layout.write(slots, found)
    answer = layout.read(slots, written)
    if [(f.slot, f.label, f.parts) for f in answer.found] != [(f.slot, f.label, f.parts) for f in found] or answer.unplaced:
        raise AssertionError("an answer that is not read as it was written")
    _read_nonsense(rng, layout, slots, written, Note(id="n", text=text))


def _some(rng: random.Random, slots: list[Slot]) -> list[Found]:
    """Mentions side by side in the slots' lines."""
    found = []
    for slot in slots:
        at = 0
        for _ in range(rng.randint(0, 3)):
            first = at + rng.randint(0, 3)
            end = first + rng.randint(1, 3)
            pieces = slot.line.pieces
            if end > len(pieces) or (end - first == 1 and is_separator(pieces[first])):
                break
            label = rng.choice(_LABELS)
            found.append(Found(slot.number, label.name, (Part(first, end),), {"kind": "a"} if label.attributes else {}))
            at = end
    return found


def _read_nonsense(rng: random.Random, layout: Layout, slots: list[Slot], written: str, note: Note) -> None:
    data = material.mutated(rng, written.encode("utf-8", "surrogatepass"))
    answer = layout.read(slots, data.decode("utf-8", "replace"), cut_off=rng.random() < 0.5)
    for item in answer.found:
        entity = ground(note, slots[item.slot - 1], item, any_entity(item.label), Vote(reader="llm"))
        _check(note.text, entity)


# --- rules and tagger --------------------------------------------------------------------------------------------------


def rules(rng: random.Random, text: str | None = None) -> None:
    """The rules' voice on mentions anywhere, and the attachment of modifiers: no mention is lost or moved."""
    text = material.text(rng) if text is None else text
    found = [Problem(spans=(e.span,), text=e.span.of(text)) for e in material.mentions(rng, text)]
    judged = assert_by_rules(text, found)
    if [e.span for e in judged] != [e.span for e in found]:
        raise OffsetError("rules that move a mention")
    schema = Schema.load("clinical")
    labels = [schema.entity(rng.choice(schema.labels)) for _ in found]
    typed = [kind(id=f"T{n}", spans=e.spans, text=e.text) for n, (kind, e) in enumerate(zip(labels, found, strict=True))]
    for relation in attach(text, tuple(typed), schema):
        _check(text, relation.head)
        _check(text, relation.tail)


@cache
def _tagger() -> Extractor:
    return Extractor("clinical", readers="tagger")


def tag(rng: random.Random, text: str | None = None) -> None:
    """The shipped tagger, and all that follows it: every character accounted for, every mention where its text stands."""
    note = Note(id="n", text=material.text(rng, most=600) if text is None else text)
    extraction = _tagger().extract(note)
    if extraction.note.text != note.text:
        raise OffsetError("another text came back")
    check_offsets(extraction)


def _readable(rng: random.Random) -> str:
    """A text that a run could have read: no NUL, no lone surrogate, not blank."""
    for _ in range(20):
        text = material.text(rng, most=600)
        try:
            return check_text(text.replace("\0", " "), 2_000_000)
        except Refusal:
            continue
    return "No fever."


Case = Callable[[random.Random], None]
PARTS: dict[str, dict[str, Case]] = {
    "readers of annotations": {name: (lambda rng, name=name: read_annotations(rng, name)) for name in sorted(registry.READERS)},  # type: ignore[misc]
    "readers of notes": {name: (lambda rng, name=name: read_input(rng, name)) for name in INPUTS},  # type: ignore[misc]
    "writers": {name: (lambda rng, name=name: write_and_read(rng, name)) for name in sorted(registry.WRITERS)},  # type: ignore[misc]
    "splitter": {"lines, sections, chunks": split},
    "grammar builder": {name: (lambda rng, name=name: grammar(rng, name)) for name in ("lines", "copy")},  # type: ignore[misc]
    "rules": {"assertion, attachment": rules},
    "tagger": {"clinical-en": tag},
}
"""By part and kind. Each case is one input."""


def _either_layout(rng: random.Random, text: str) -> None:
    grammar(rng, rng.choice(("lines", "copy")), text)


LONG: dict[str, Callable[..., None]] = {"splitter": split, "grammar builder": _either_layout, "rules": rules}
"""What is given whole texts of 100,000 characters."""
