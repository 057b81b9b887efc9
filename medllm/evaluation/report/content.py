"""Everything a report tells, computed once, and written by ``markdown`` and ``page``."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medllm.document import Entity, Extraction
from medllm.evaluation.calibration import Calibration, CoveragePoint, Outcome, calibration, outcomes, precision_coverage
from medllm.evaluation.comparison import Comparison, compare_systems
from medllm.evaluation.disagreements import Disagreement, disagreements
from medllm.evaluation.matching import Criterion, align
from medllm.evaluation.metrics import metric as find_metric
from medllm.evaluation.official.result import OfficialResult
from medllm.evaluation.result import Result
from medllm.evaluation.score import checked_notes, score
from medllm.evaluation.subgroups import SUBGROUPS, SubgroupTable, subgroup_tables

EXACT: Criterion = "exact"
OVERLAP: Criterion = "overlap"
SHARED: tuple[Criterion, ...] = (EXACT, OVERLAP)
"""Every report scores mentions under these; further metrics have a table of their own."""

_OF_MENTIONS = (*SHARED, "span", "span-overlap", "token")

Notes = Mapping[str, Extraction]


@dataclass(frozen=True)
class Options:
    """What is scored, and how.

    ``labels`` are the mention labels that count, all of gold's otherwise; ``metrics`` are names of ``medllm.evaluation.metrics``
    to be reported besides exact and overlap; ``subgroups`` names of ``medllm.evaluation.subgroups``; ``training`` the texts
    of the training mentions, for seen and unseen. ``samples`` of 0 means no intervals.
    """

    labels: tuple[str, ...] | None = None
    metrics: tuple[str, ...] = ()
    subgroups: tuple[str, ...] = SUBGROUPS
    samples: int = 1000
    level: float = 0.95
    seed: int = 0
    allow_missing: bool = False
    training: Collection[str] | None = None


@dataclass(frozen=True)
class Confidence:
    """Whether the system's own probabilities can be trusted. ``source`` is ``confidence`` (calibrated) or ``score`` (a reader's own)."""

    source: str
    reliability: Calibration
    curves: Mapping[Criterion, tuple[CoveragePoint, ...]]
    without: int


@dataclass(frozen=True)
class Report:
    """A report. ``gold`` and ``pred`` hold the mentions that count, by note id; ``confusion`` is (gold label, predicted label) -> times,
    with "" for no mention, over exact matches and disagreements together.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    options: Options
    labels: tuple[str, ...]
    gold: Notes
    pred: Notes
    results: Mapping[str, Result]
    errors: tuple[Disagreement, ...]
    confusion: Mapping[tuple[str, str], int]
    subgroups: tuple[SubgroupTable, ...]
    subgroups_overlap: tuple[SubgroupTable, ...] = ()
    confidence: Confidence | None = None
    comparison: Comparison | None = None
    problems: tuple[str, ...] = ()
    official: OfficialResult | None = None
    methods: tuple[str, ...] = ()


def make_report(
    gold: Notes,
    pred: Notes,
    options: Options = Options(),
    *,
    title: str = "Evaluation",
    facts: Sequence[tuple[str, str]] = (),
    versus: tuple[str, Notes] | None = None,
    problems: Sequence[str] = (),
    official: OfficialResult | None = None,
    methods: Sequence[str] = (),
) -> Report:
    """Score predictions against gold, both by note id, and gather what a report shows. ``versus`` is a second system: name, predictions.

    ``facts`` are (name, value) pairs for the head of the report, such as the data and the model; ``official`` is what an official
    scorer said of the same predictions; ``methods`` are paragraphs on data and system that come before those on the scores. Subgroups
    are told under exact match and under overlap. Raises as ``score`` does.
    """
    metrics = tuple(dict.fromkeys((*SHARED, *options.metrics)))
    results = score_all(gold, pred, metrics, options)
    labels = results[EXACT].labels
    golds, preds = _only(gold, labels), _only(checked_notes(gold, pred, allow_missing=options.allow_missing), labels)
    errors = tuple(d for note_id in sorted(golds) for d in disagreements(golds[note_id], preds[note_id]))
    drawn = {"samples": options.samples, "level": options.level, "seed": options.seed}
    tables, wide = (
        subgroup_tables(golds, preds, options.subgroups, c, training=options.training, **drawn)  # type: ignore[arg-type]
        for c in SHARED
    )
    comparison = None
    if versus is not None:
        name, other = versus
        comparison = compare_systems(name, results, score_all(gold, other, metrics, options), seed=options.seed)
    return Report(
        title,
        tuple(facts),
        options,
        labels,
        golds,
        preds,
        results,
        errors,
        _confusion(golds, preds, errors),
        tables,
        wide,
        _confidence(golds, preds),
        comparison,
        tuple(problems),
        official,
        tuple(methods),
    )


def score_all(gold: Notes, pred: Notes, metrics: Iterable[str], options: Options) -> dict[str, Result]:
    """The results by metric. Where the options name labels, mentions of others are ignored on both sides, with their relations.

    Mentions are scored by gold's labels; anything else, such as relations, by every label that occurs on either side.
    Raises as ``score`` does.
    """
    if options.labels is not None:
        gold, pred = _only(gold, options.labels), _only(pred, options.labels)
    found = {}
    for metric in metrics:
        labels: Collection[str] | None = options.labels
        if metric not in _OF_MENTIONS:
            count = find_metric(metric)
            pairs = ((x, pred.get(note_id, Extraction(note=x.note))) for note_id, x in gold.items())
            labels = {label for left, right in pairs for label in count(left, right)} or None
        settings = {"level": options.level, "seed": options.seed, "allow_missing": options.allow_missing}
        found[metric] = score(gold, pred, metric, labels, options.samples, **settings)  # type: ignore[arg-type]
    return found


def _only(notes: Notes, labels: Collection[str]) -> dict[str, Extraction]:
    """The notes with the mentions of these labels only, and the relations between them."""
    wanted = set(labels)
    return {
        note_id: Extraction(
            note=x.note,
            entities=tuple(e for e in x.entities if e.label in wanted),
            relations=tuple(r for r in x.relations if {r.head.label, r.tail.label} <= wanted),
        )
        for note_id, x in sorted(notes.items())
    }


def _confusion(gold: Notes, pred: Notes, errors: Iterable[Disagreement]) -> dict[tuple[str, str], int]:
    counted = Counter((d.gold.label if d.gold else "", d.pred.label if d.pred else "") for d in errors)
    for note_id, extraction in gold.items():
        counted.update((g.label, p.label) for g, p in align(extraction, pred[note_id], EXACT).matches)
    return dict(sorted(counted.items()))


def _confidence(gold: Notes, pred: Notes) -> Confidence | None:
    mentions = [e for x in pred.values() for e in x.entities]
    if any(e.confidence is not None for e in mentions):
        source, sure = "confidence", pred
    elif any(_score_of(e) is not None for e in mentions):
        source, sure = "score", {note_id: _with_scores(x) for note_id, x in pred.items()}
    else:
        return None
    found: dict[Criterion, list[Outcome]] = {c: outcomes(align(gold[n], sure[n], c) for n in gold) for c in SHARED}
    total = sum(len(x.entities) for x in gold.values())
    curves = {criterion: precision_coverage(each, gold=total) for criterion, each in found.items()}
    return Confidence(source, calibration(found[EXACT]), curves, len(mentions) - len(found[EXACT]))


def _with_scores(extraction: Extraction) -> Extraction:
    scored = (e.model_copy(update={"confidence": _score_of(e)}) for e in extraction.entities)
    return extraction.model_copy(update={"entities": tuple(scored)})


def _score_of(mention: Entity) -> float | None:
    scores = [v.score for v in mention.votes if v.score is not None and not v.about and 0 <= v.score <= 1]
    return max(scores, default=None)
