"""The gold standard of a suite: found below the data folder, read in its format, mapped to the schema pack, and cut to a split."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from medllm.document import Extraction
from medllm.errors import FormatError, InputError, UsageError
from medllm.evaluation.suite import ALL, Corpus, Suite
from medllm.formats import labelmap
from medllm.formats.base import Parsed, Problem
from medllm.formats.registry import reader
from medllm.schema import Schema

VARIABLE = "MEDLLM_DATA"
"""The environment variable that names the folder of corpora."""


@dataclass(frozen=True)
class Gold:
    """Gold extractions by note id in the classes of the pack, what was wrong with the files, and which split was read."""

    notes: Mapping[str, Extraction]
    problems: tuple[str, ...]
    path: Path
    split: str = ALL


def read_gold(suite: Suite, schema: Schema, *, data: Path | None = None, split: str | None = None, limit: int | None = None) -> Gold:
    """Read the gold standard. ``data`` holds the corpus, or is its folder; else the environment variable names the folder of corpora.

    ``split`` is one of the suite's, or ``all``; ``limit`` takes the first notes. A note without its annotation file is not gold: it
    is left out, and told among the problems. Raises InputError where there is no such corpus or note, and for labels that the
    pack lacks where the suite has no label map; UsageError for an unknown split, and what the reader and the label map raise.
    """
    path = find(suite.corpus, data)
    wanted, problems = _listed(suite), list[str]()
    patterns = _patterns(suite.corpus, split)
    rules = None if suite.label_map is None else labelmap.load(suite.file(suite.label_map))
    found: dict[str, Extraction] = {}
    unknown: list[Problem] = []
    for parsed in _read(suite.corpus, path, None if rules else schema):
        note_id = parsed.extraction.note.id
        if (wanted is not None and note_id not in wanted) or not _in_split(path, note_id, patterns):
            continue
        if note_id in found:
            raise InputError(f"{path}: the note {note_id!r} is there twice", hint="scores are by note: keep one of them", names=(note_id,))
        unannotated = any(problem.kind == "missing-file" for problem in parsed.problems)
        problems += (f"{problem}{'; the note is not scored' if unannotated else ''}" for problem in parsed.problems)
        if unannotated:
            continue
        unknown += [problem for problem in parsed.problems if problem.kind == "unknown-label"]
        found[note_id] = labelmap.apply(parsed.extraction, rules, schema) if rules else parsed.extraction
        if limit is not None and len(found) == limit:
            break
    if unknown:
        raise InputError(
            f"{len(unknown)} gold mentions have labels that the pack {schema.name!r} lacks, the first: {unknown[0]}",
            hint="--label-map FILE.toml says what becomes of them (medllm.formats.labelmap); --schema names another pack",
            names=(unknown[0].path,),
        )
    if wanted is not None and limit is None and (missing := sorted(wanted - found.keys())):
        raise InputError(
            f"{path}: {len(missing)} listed notes are not there, such as {missing[0]!r}", hint="is it the right corpus?", names=missing[:1]
        )
    if not found:
        raise InputError(
            f"{path}: no annotated note of the split {split or suite.corpus.split!r} ({', '.join(patterns)})",
            hint="is it the right folder? --split all takes every note",
        )
    return Gold(found, tuple(problems), path, split or suite.corpus.split)


def read_training_texts(suite: Suite, schema: Schema, *, data: Path | None = None) -> frozenset[str] | None:
    """The texts of the training mentions, for scores by seen and unseen; None where the suite names no training data or it is not there."""
    if suite.training is None:
        return None
    try:
        path = find(suite.training, data)
    except InputError:
        return None
    patterns = _patterns(suite.training, None)
    rules = None if suite.label_map is None else labelmap.load(suite.file(suite.label_map))
    texts = set[str]()
    for parsed in _read(suite.training, path, None if rules else schema):
        if _in_split(path, parsed.extraction.note.id, patterns):
            mapped = labelmap.apply(parsed.extraction, rules, schema) if rules else parsed.extraction
            texts.update(e.text for e in mapped.entities if suite.labels is None or e.label in suite.labels)
    return frozenset(texts)


def find(corpus: Corpus, data: Path | None) -> Path:
    """Where a corpus is: ``DATA/path``, or ``DATA`` itself, if it is given; else below the folder that the environment names.

    Raises InputError where there is none.
    """
    if data is not None:
        if not data.exists():
            raise InputError(f"{data}: there is no such folder", hint="--data names the corpus, or the folder that holds it")
        return inside if (inside := data / corpus.path).exists() else data
    root = os.environ.get(VARIABLE)
    path = Path(root or ".") / corpus.path
    if (root is None and not Path(corpus.path).is_absolute()) or not path.exists():
        raise InputError(
            f"the corpus {corpus.path} is not there" + (f": {path}" if root else f", and {VARIABLE} is not set"),
            hint=f"give --data DIR, or set {VARIABLE} to the folder that holds it",
        )
    return path


def _read(corpus: Corpus, path: Path, schema: Schema | None) -> Iterator[Parsed]:
    return reader(corpus.format)(path, schema)


def _patterns(corpus: Corpus, split: str | None) -> tuple[str, ...]:
    name = split or corpus.split
    if name == ALL:
        return ("*",)
    if name not in corpus.splits:
        raise UsageError(f"there is no split {name!r}", hint=f"splits are {', '.join((*corpus.splits, ALL))}")
    return corpus.splits[name]


def _in_split(path: Path, note_id: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(f"{path.resolve().name}/{note_id}", pattern) for pattern in patterns)


def _listed(suite: Suite) -> set[str] | None:
    if suite.corpus.notes is None:
        return None
    path = suite.file(suite.corpus.notes)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise FormatError(f"cannot be read: {type(error).__name__}", path=str(path), hint="a list has one note id a line") from None
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}
