"""The report of scored files: ``medllm score --report``."""

import datetime
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import medllm
from medllm.errors import UsageError
from medllm.evaluation.from_files import Location, Scored, read_extractions
from medllm.evaluation.report import Options, make_report, write_report
from medllm.evaluation.report.content import SHARED


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
        title=f"{Path(pred).name} against {Path(gold).name}",
        facts=facts,
        versus=None if scored.versus is None or versus is None else (Path(versus).name, scored.versus),
        problems=scored.problems,
    )
    return write_report(report, out)


def training_texts(location: str, labels: Collection[str] | None) -> frozenset[str]:
    """The texts of the mentions of a file or folder, ``FORMAT:PATH``."""
    found, _ = read_extractions(Location.parse(location))
    return frozenset(e.text for x in found.values() for e in x.entities if labels is None or e.label in labels)
