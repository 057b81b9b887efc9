"""The report of scored files: ``medllm score --report``."""

import datetime
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import medllm
from medllm.errors import UsageError
from medllm.evaluation.from_files import Location, Scored, read_extractions
from medllm.evaluation.report import Options, make_report, write_report
from medllm.evaluation.report.content import SHARED
from medllm.evaluation.result import Result
from medllm.evaluation.score import checked_notes, mentions_of
from medllm.evaluation.subgroups import SEEN, SubgroupTable, subgroup_tables


def report_files(
    scored: Scored,
    out: Path,
    *,
    gold: str,
    pred: str,
    options: Options,
    versus: str | None = None,
    train: str | None = None,
) -> Path:
    """Write the report of what ``score_files`` has read, with its metric beside exact and overlap.

    ``gold``, ``pred`` and ``versus`` name the files in the report; ``train`` is read, for scores by seen and unseen.

    Raises UsageError for official scorers and muc, which have no report, and what the writers raise.
    """
    if scored.gold is None or scored.pred is None:
        raise UsageError("there is no report of an official scorer or of muc", hint="use --metric exact or overlap; reports have both")
    metrics = () if scored.result.metric in SHARED else (scored.result.metric,)
    training = None if train is None else training_texts(train, options.labels)
    facts = [
        ("gold", gold),
        ("predicted", pred),
        ("date", datetime.datetime.now(datetime.UTC).date().isoformat()),
        ("medllm", medllm.__version__),
    ]
    report = make_report(
        scored.gold,
        scored.pred,
        replace(options, metrics=(*options.metrics, *metrics), training=training),
        title=f"{_name(pred)} against {_name(gold)}",
        facts=facts,
        versus=None if scored.versus is None or versus is None else (_name(versus), scored.versus),
        problems=scored.problems,
    )
    return write_report(report, out)


def subgroups_of_files(
    scored: Scored, names: Sequence[str], *, allow_missing: bool = False, samples: int = 0, train: str | None = None
) -> tuple[SubgroupTable, ...]:
    """What ``score_files`` has scored, divided by section, length, patient and so on (``medllm.evaluation.subgroups``).

    Metric and labels are those of the score, and so are level and seed of its intervals. ``train`` is read for ``seen``.
    Raises UsageError for official scorers and muc, for an unknown name and for ``seen`` without training annotations.
    """
    if scored.gold is None or scored.pred is None or not isinstance(scored.result, Result):
        raise UsageError("an official scorer or muc cannot be divided", hint="use --metric exact or overlap")
    if SEEN in names and train is None:
        raise UsageError("seen and unseen in what?", hint="--train FORMAT:PATH names the training annotations")
    gold, pred = scored.gold, checked_notes(scored.gold, scored.pred, allow_missing=allow_missing)
    if scored.result.metric.startswith("span"):  # as score does: the labels of these do not decide what matches
        gold, pred = mentions_of(gold, scored.result.labels), mentions_of(pred, scored.result.labels)
    training = None if train is None else training_texts(train, scored.result.labels)
    drawn = scored.result.intervals
    settings = {"level": drawn.level, "seed": drawn.seed} if drawn else {}
    return subgroup_tables(
        gold,
        pred,
        names,
        scored.result.metric,
        labels=scored.result.labels,
        training=training,
        samples=samples,
        **settings,  # type: ignore[arg-type]
    )


def training_texts(location: str, labels: Collection[str] | None) -> frozenset[str]:
    """The texts of the mentions of a file or folder, ``FORMAT:PATH``."""
    found, _ = read_extractions(Location.parse(location))
    return frozenset(e.text for x in found.values() for e in x.entities if labels is None or e.label in labels)


def _name(location: str) -> str:
    return Location.parse(location).path.name or location
