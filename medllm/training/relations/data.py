"""Annotated relations to learn: notes with their mentions, and which of them are joined."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medllm.document import Extraction
from medllm.errors import InputError, UsageError
from medllm.formats import labelmap as maps
from medllm.formats.concepts import concepts_of
from medllm.formats.registry import reader
from medllm.schema import Schema
from medllm.taggers.relations.pairs import PairMention


@dataclass(frozen=True)
class RelationNote:
    """A note with its mentions. ``relations`` are (head, tail, label): numbers of mentions, and ``codes`` (head, tail, label): concepts."""

    id: str
    text: str
    mentions: tuple[PairMention, ...]
    relations: tuple[tuple[int, int, str], ...]
    codes: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class RelationCorpus:
    """Notes of one source. ``faults`` counts what its files got wrong."""

    name: str
    notes: tuple[RelationNote, ...]
    faults: int = 0


def read_relations(
    location: str, schema: Schema | None = None, labelmap: Path | None = None, relations: Iterable[str] | None = None
) -> RelationCorpus:
    """The notes at ``FORMAT:PATH``, in the labels of the schema where one is given; ``relations`` restricts what is learnt.

    Raises UsageError for a location without a format, FormatError for files that cannot be read, InputError where nothing is related.
    """
    name, colon, path = location.partition(":")
    if not colon or not path:
        raise UsageError(f"{location!r} is no FORMAT:PATH", hint="such as brat:corpus/train")
    chosen = maps.load(labelmap) if labelmap else None
    pack = schema or Schema.load(chosen.schema_name) if chosen else schema
    found, faults = [], 0
    for parsed in reader(name)(Path(path), None if chosen else pack):
        found.append(maps.apply(parsed.extraction, chosen, pack) if chosen and pack else parsed.extraction)
        faults += sum(problem.dropped for problem in parsed.problems)
    return of_extractions(found, name=f"{name}:{Path(path).name}", relations=relations, faults=faults)


def of_extractions(
    extractions: Sequence[Extraction], *, name: str, relations: Iterable[str] | None = None, faults: int = 0
) -> RelationCorpus:
    """A corpus of extractions that hold gold. Raises InputError where no relation is among them."""
    wanted = None if relations is None else frozenset(relations)
    there = {r.label for x in extractions for r in x.relations}
    if not (there if wanted is None else there & wanted):
        raise InputError(
            f"{len(extractions)} notes at {name}, and no relation" + (f" of {', '.join(sorted(wanted))}" if wanted and there else ""),
            hint=f"the relations there are {', '.join(sorted(there))}" if there else "are mentions joined there at all?",
        )
    return RelationCorpus(name, tuple(_note(x, wanted) for x in extractions), faults)


def _note(extraction: Extraction, wanted: frozenset[str] | None) -> RelationNote:
    number = {id(e): n for n, e in enumerate(extraction.entities)}
    kept = [r for r in extraction.relations if wanted is None or r.label in wanted]
    return RelationNote(
        extraction.note.id,
        extraction.note.text,
        tuple(PairMention(e.spans[0].start, e.spans[-1].end, e.label, e.codes) for e in extraction.entities),
        tuple((number[id(r.head)], number[id(r.tail)], r.label) for r in kept if id(r.head) in number and id(r.tail) in number),
        tuple((head, tail, r.label) for r in kept for heads, tails in [concepts_of(r) or ((), ())] for head in heads for tail in tails),
    )


def in_parts(note: RelationNote, size: int) -> list[RelationNote]:
    """The note in parts of at most about ``size`` characters, each ending at a line's end where there is one, and in no mention.

    Relations between parts are lost: training on a part costs less, and a reach is short.
    """
    if len(note.text) <= size:
        return [note]
    inside = bytearray(len(note.text) + 1)
    for mention in note.mentions:
        inside[mention.start + 1 : mention.end] = b"\1" * max(0, mention.end - mention.start - 1)
    cuts, start = [0], 0
    while len(note.text) - start > size:
        low = start + size // 2
        at = note.text.rfind("\n", low, start + size) + 1 or note.text.rfind(" ", low, start + size) + 1 or start + size
        while at < len(note.text) and inside[at]:
            at += 1
        start = at
        cuts.append(at)
    found = []
    for start, end in zip(cuts, [*cuts[1:], len(note.text)], strict=True):
        numbers = [n for n, m in enumerate(note.mentions) if start <= m.start and m.end <= end]
        own = {n: i for i, n in enumerate(numbers)}
        mentions = tuple(m._replace(start=m.start - start, end=m.end - start) for m in (note.mentions[n] for n in numbers))
        relations = tuple((own[h], own[t], label) for h, t, label in note.relations if h in own and t in own)
        found.append(replace(note, id=f"{note.id}#{start}", text=note.text[start:end], mentions=mentions, relations=relations, codes=()))
    return found


def signatures_of(notes: Iterable[RelationNote], *, concepts: bool, least: int = 1) -> Counter[tuple[str, str]]:
    """How often a head's and a tail's label are related in the notes, where at least ``least`` times."""
    found: Counter[tuple[str, str]] = Counter()
    for note in notes:
        label = {code: m.label for m in note.mentions for code in m.codes}
        if concepts:
            found.update((label[head], label[tail]) for head, tail, _ in note.codes if head in label and tail in label)
        else:
            found.update((note.mentions[head].label, note.mentions[tail].label) for head, tail, _ in note.relations)
    return Counter({pair: count for pair, count in found.items() if count >= least})
