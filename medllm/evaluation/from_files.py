"""Scoring anybody's files: ``FORMAT:PATH`` for gold and for predictions, and the name of a metric."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medllm.document import Extraction
from medllm.errors import InputError, UsageError
from medllm.evaluation.comparison import same_labels
from medllm.evaluation.muc import muc
from medllm.evaluation.official import bc5cdr, conll, i2b2_2010, i2b2_2014, n2c2_2018, sequence
from medllm.evaluation.official.result import OfficialResult
from medllm.evaluation.result import Result
from medllm.evaluation.score import compare, score
from medllm.evaluation.statistics import Significance
from medllm.evaluation.texts import joined, lacks_texts, told_of
from medllm.formats.base import Parsed, Problem
from medllm.formats.registry import reader

OFFICIAL: dict[str, Callable[[Path, Path], OfficialResult]] = {
    "i2b2-2010": i2b2_2010.score,
    "i2b2-2014": i2b2_2014.score,
    "n2c2-2018": n2c2_2018.score,
    "bc5cdr": bc5cdr.score,
    "conll": conll.score,
    "seqeval": sequence.seqeval,
    "seqeval-strict": partial(sequence.seqeval, strict=True),
    "nervaluate": sequence.nervaluate,
}
"""The official scorers by name: they read the files themselves, so that the format before the colon does not matter to them."""

MUC = "muc"


@dataclass(frozen=True)
class Location:
    """``FORMAT:PATH``. ``format`` is empty where only a path was given, which is enough for official scorers."""

    format: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> "Location":
        """``brat:gold/notes`` -> format ``brat``, path ``gold/notes``.

        >>> Location.parse("jsonl:run/extractions.jsonl").format
        'jsonl'
        """
        name, colon, path = text.partition(":")
        return cls(name, Path(path)) if colon else cls("", Path(text))


@dataclass(frozen=True)
class Scored:
    """A score, what was wrong with the files, and the paired test where a second system was given.

    ``gold``, ``pred`` and ``versus`` are what was read; official scorers and muc keep none of it.
    """

    result: Result | OfficialResult
    problems: tuple[str, ...] = ()
    significance: Significance | None = None
    gold: Mapping[str, Extraction] | None = None
    pred: Mapping[str, Extraction] | None = None
    versus: Mapping[str, Extraction] | None = None


def read_extractions(location: Location, texts: Path | None = None) -> tuple[dict[str, Extraction], tuple[Problem, ...]]:
    """The notes of a file or folder by id, and the problems found in it.

    A text without its annotation file is not a note without mentions: it is told, and not among the notes. ``texts`` is where the texts
    of the notes are looked for, by the files' names, if a folder of brat or i2b2 files has none of its own. Raises UsageError without a
    format, InputError for an id that occurs twice and for a text that is not found, FormatError as the reader does.
    """
    if not location.format:
        raise UsageError(f"{location.path}: which format is it in?", hint="write it before the path: brat:PATH, jsonl:PATH")
    found: dict[str, Extraction] = {}
    problems: list[Problem] = []
    for parsed in _read(location, texts):
        note_id = parsed.extraction.note.id
        if note_id in found:
            raise InputError(
                f"{location.path}: the note {note_id!r} is there twice", hint="scores are by note: keep one of them", names=(note_id,)
            )
        problems += parsed.problems
        if not any(problem.kind == "missing-file" for problem in parsed.problems):
            found[note_id] = parsed.extraction
    return found, tuple(problems)


def _read(location: Location, texts: Path | None) -> Iterator[Parsed]:
    read = reader(location.format)
    if texts is None or not lacks_texts(location.format, location.path):
        yield from read(location.path, None)
        return
    with joined(location.format, location.path, texts) as folder:
        yield from (told_of(parsed, folder, location.path) for parsed in read(folder, None))


def score_files(
    gold: str,
    pred: str,
    metric: str = "exact",
    labels: Collection[str] | None = None,
    bootstrap: int = 0,
    *,
    level: float = 0.95,
    seed: int = 0,
    allow_missing: bool = False,
    versus: str | None = None,
    texts: Path | None = None,
) -> Scored:
    """Score ``pred`` against ``gold``, both ``FORMAT:PATH``, under a metric of ``medllm.evaluation``, ``muc`` or an official scorer.

    ``versus`` names the predictions of a second system, to test the difference in micro F1. ``texts`` is the folder with the texts of
    the notes, where gold has none beside its annotations; predictions without texts take gold's. The other arguments are those of
    ``medllm.evaluation.score``; official scorers take none of them. Raises what that and the readers raise.
    """
    if metric in OFFICIAL:
        if labels is not None or bootstrap or allow_missing or versus:
            raise UsageError(
                f"{metric} reproduces an official scorer and takes no other options",
                hint="for labels, intervals and tests use exact or overlap, which score the same files",
            )
        result = OFFICIAL[metric](Location.parse(gold).path, Location.parse(pred).path)
        return Scored(result, result.problems)
    golds, problems = read_extractions(Location.parse(gold), texts)
    texts = texts or Location.parse(gold).path
    if metric == MUC:
        if bootstrap or versus:
            raise UsageError("muc has no intervals and no paired test", hint="use exact or overlap for them")
        preds, more = read_extractions(Location.parse(pred), texts)
        return Scored(muc(golds, preds, labels, allow_missing=allow_missing), tuple(map(str, problems + more)))
    scored, sides, significance = list[Result](), list[Mapping[str, Extraction]](), None
    for text in (pred, versus) if versus else (pred,):
        preds, more = read_extractions(Location.parse(text), texts)
        problems += more
        sides.append(preds)
        scored.append(score(golds, preds, metric, labels, bootstrap, level=level, seed=seed, allow_missing=allow_missing))
    if versus:
        significance = compare(*same_labels(scored[0], scored[1]), seed=seed)
    return Scored(scored[0], tuple(map(str, problems)), significance, golds, sides[0], sides[1] if versus else None)
