"""The tables of a report: scores by label, kinds of error, confusion, subgroups, confidence, and the second system."""

import math
from collections import Counter

from medllm.evaluation.counts import Counts
from medllm.evaluation.disagreements import Kind
from medllm.evaluation.official.result import OfficialResult
from medllm.evaluation.official.result import Table as OfficialTable
from medllm.evaluation.report.content import SHARED, Confidence, Report
from medllm.evaluation.report.grid import Cell, Grid, cells, count, figure, p_value, score_cells, signed, with_interval
from medllm.evaluation.result import Result
from medllm.evaluation.subgroups import SubgroupTable
from medllm.report.page import words

MEASURE_NAMES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
KEEP = (0.99, 0.95, 0.9, 0.8)
"""Precisions for which the share of mentions that can be kept is given."""
ENOUGH_NOTES = 20
"""With fewer notes the report says that its intervals are too narrow, as those of the percentile bootstrap are in small samples."""
PATIENT = ("sex", "age")
"""The divisions by patient: their tables say how far apart the groups are."""


def score_grid(report: Report) -> Grid:
    """Table of exact and overlap scores by label."""
    exact, overlap = (report.results[c] for c in SHARED)
    rows = []
    for label, c in exact.counts.items():
        given = [r.intervals.labels[label] if r.intervals else None for r in (exact, overlap)]
        wide = overlap.counts[label]
        rows.append(
            cells(
                Cell(label, label=label),
                count(c.gold),
                count(c.pred),
                *score_cells(c.scores, given[0]),
                *score_cells(wide.scores, given[1]),
            )
        )
    sums = (exact.micro, overlap.micro)
    micro = [r.intervals.micro if r.intervals else None for r in (exact, overlap)]
    macro = [r.intervals.macro if r.intervals else None for r in (exact, overlap)]
    totals = [
        cells(
            "micro average",
            count(sums[0].gold),
            count(sums[0].pred),
            *score_cells(sums[0].scores, micro[0]),
            *score_cells(sums[1].scores, micro[1]),
        ),
        cells("macro average", "", "", *score_cells(exact.macro, macro[0]), *score_cells(overlap.macro, macro[1])),
    ]
    return Grid(
        "scores",
        "Scores by label",
        ("Label", "Gold", "Predicted", *MEASURE_NAMES.values(), *MEASURE_NAMES.values()),
        (*rows, *totals),
        _interval_note(exact),
        totals=2,
        groups=(("", 3), ("Exact match", 3), ("Overlap", 3)),
    )


def metric_grid(name: str, result: Result) -> Grid:
    """Table of one further metric."""
    drawn = result.intervals
    rows = [
        cells(words(label), count(c.gold), count(c.pred), *score_cells(c.scores, drawn.labels[label] if drawn else None))
        for label, c in result.counts.items()
    ]
    total = result.micro
    micro = cells("micro average", count(total.gold), count(total.pred), *score_cells(total.scores, drawn.micro if drawn else None))
    title = _short_title(name)
    return Grid(
        f"metric-{name}",
        title[:1].upper() + title[1:],
        ("", "Gold", "Predicted", *MEASURE_NAMES.values()),
        (*rows, micro),
        _metric_note(name, result),
        totals=1,
    )


def kind_grid(report: Report) -> Grid:
    """Table of the kinds of disagreement by label (the gold label where there is one)."""
    counted = Counter((d.kind, d.mention.label) for d in report.errors)
    labels = [label for label in report.labels if any(counted[kind, label] for kind in Kind)]
    rows = []
    for kind in Kind:
        total = sum(counted[kind, label] for label in labels)
        if not total:
            continue
        side = "pred" if kind is Kind.SPURIOUS else "gold"
        by_label = [_leading(counted[kind, label], ("kind", kind.value), (side, label)) for label in labels]
        share = f"{total / len(report.errors):.1%}"
        rows.append(cells(kind.value, *by_label, _leading(total, ("kind", kind.value)), share))
    sums = [count(sum(counted[kind, label] for kind in Kind)) for label in labels]
    rows.append(cells("all", *sums, count(len(report.errors)), "100%" if report.errors else ""))
    note = (
        "Every mention that is not matched exactly stands in exactly one row. Edges: the label agrees and the spans overlap; the edge "
        "named differs. Label: the spans agree. Labels are gold's, for spurious mentions the predicted ones."
    )
    return Grid("kinds", "Disagreements by kind and label", ("Kind", *labels, "All", "Share"), tuple(rows), note, totals=1)


def confusion_grid(report: Report) -> Grid:
    """Gold labels against predicted ones, with missed and spurious mentions."""
    labels = report.labels
    rows = [
        cells(
            Cell(gold, label=gold),
            *(_confused(report, gold, pred) for pred in (*labels, "")),
        )
        for gold in labels
    ]
    rows.append(cells("spurious", *(_confused(report, "", pred) for pred in labels), ""))
    note = "Rows: gold; columns: predicted. On the diagonal are exact matches and mentions that differ at an edge only."
    return Grid("confusion", "Labels, gold against predicted", ("Gold", *labels, "missed"), tuple(rows), note, totals=1)


def subgroup_grid(table: SubgroupTable, wide: SubgroupTable | None = None) -> Grid:
    """Table of one way to divide notes or mentions, under exact match and, where ``wide`` has it, under overlap."""
    others = {row.name: row for row in wide.rows} if wide else {}
    rows = []
    for row in table.rows:
        other = others.get(row.name)
        more = ["", "", ""] if other is None else score_cells(other.counts.scores, other.intervals)
        rows.append(
            cells(
                row.name,
                count(row.notes),
                count(row.counts.gold),
                count(row.counts.pred),
                *score_cells(row.counts.scores, row.intervals),
                *more,
            )
        )
    notes = [_fairness(table)] if table.name in PATIENT else []
    if table.left_out:
        notes.append(f"{count(table.left_out)} mentions could not be placed and are left out.")
    return Grid(
        f"by-{table.name}",
        table.title,
        (table.title, "Notes", "Gold", "Predicted", *MEASURE_NAMES.values(), *MEASURE_NAMES.values()),
        tuple(rows),
        " ".join(notes),
        groups=(("", 4), ("Exact match", 3), ("Overlap", 3)),
    )


def _fairness(table: SubgroupTable) -> str:
    """How far apart the groups of patients are, of those that gold has mentions of."""
    ranked = sorted((row for row in table.rows if row.counts.gold), key=lambda row: row.counts.f1)
    if len(ranked) < 2:
        return "Fairness: gold has mentions in one of these groups only."
    low, high = ranked[0], ranked[-1]
    return (
        f"Fairness: between these groups of patients F1 differs by at most {figure(high.counts.f1 - low.counts.f1)} under exact match "
        f"({high.name} {figure(high.counts.f1)}, {low.name} {figure(low.counts.f1)}). With few notes such a difference may be chance: see "
        "the intervals."
    )


def confidence_grid(confidence: Confidence) -> Grid:
    """What can be kept at a wanted precision, and the two figures of calibration."""
    rows = []
    for wanted in KEEP:
        row = [f"precision ≥ {wanted:.2f}"]
        for criterion in SHARED:
            point = max((p for p in confidence.curves[criterion] if p.precision >= wanted), key=lambda p: p.coverage, default=None)
            row += [f"{point.coverage:.1%}", figure(point.recall), f"≥ {point.confidence:.3f}"] if point else ["none", "", ""]
        rows.append(cells(*row))
    fit = confidence.reliability
    note = (
        f"Expected calibration error {figure(fit.ece)} (10 bins of equal width), Brier score {figure(fit.brier)}, over {count(fit.count)} "
        f"predicted mentions judged by exact match; from the mentions' {confidence.source}."
    )
    if confidence.without:
        note += f" {count(confidence.without)} mentions without one are left out."
    head = ("Wanted", *("Kept", "Recall", "Threshold") * 2)
    return Grid(
        "keep", "What can be kept at a wanted precision", head, tuple(rows), note, groups=(("", 1), ("Exact match", 3), ("Overlap", 3))
    )


def comparison_grid(report: Report) -> Grid | None:
    """Both systems' micro averages with the paired tests."""
    other = report.comparison
    if other is None:
        return None
    rows, samples, notes = [], 0, 0
    for metric, result in report.results.items():
        second = other.results[metric]
        for test in other.tests[metric]:
            a, b = (
                with_interval(getattr(r.micro, test.measure), r.intervals.micro[test.measure] if r.intervals else None)
                for r in (result, second)
            )
            rows.append(
                cells(
                    f"{MEASURE_NAMES[test.measure]}, {_short_title(metric)}", a, b, signed(test.difference), p_value(test.p, test.samples)
                )
            )
            samples, notes = test.samples, test.notes
    note = f"Paired approximate randomisation over {count(notes)} notes, {count(samples)} samples, two-sided."
    return Grid("versus", "Micro averages of both systems", ("Measure", "This system", other.name, "Difference", "p"), tuple(rows), note)


def comparison_label_grid(report: Report) -> Grid | None:
    """F1 by label of both systems with the paired tests, under exact match."""
    other = report.comparison
    if other is None:
        return None
    first, second = report.results["exact"].counts, other.results["exact"].counts
    rows, none = [], Counts()
    for label, found in other.labels["exact"].items():
        test = found.test
        a, b = (figure(c.get(label, none).f1) for c in (first, second))
        rows.append(
            cells(
                Cell(label, label=label),
                a,
                b,
                signed(test.difference),
                p_value(test.p, test.samples),
                p_value(found.adjusted, test.samples),
            )
        )
    head = ("Label", "This system", other.name, "Difference", "p", "p, Holm")
    note = "F1 under exact match; Holm: adjusted for the number of labels."
    return Grid("versus-labels", "F1 of both systems by label", head, tuple(rows), note)


def official_grid(result: OfficialResult, table: OfficialTable) -> Grid:
    """A table as an official scorer prints it, in its own units."""
    digits = 2 if table.unit == "percent" else 4
    rows = []
    for row in table.rows:
        scores = ("NaN" if math.isnan(v) else f"{v:.{digits}f}" for v in (row.precision, row.recall, row.f1))
        rows.append(cells(row.name, *(count(row.counts.get(name, 0)) for name in _counted(table)), *scores))
    head = ("", *_counted(table), *MEASURE_NAMES.values())
    return Grid(f"official-{table.name}", f"{result.metric}: {table.heading}", head, tuple(rows), f"As the {result.scorer} counts.")


def grids(report: Report) -> dict[str, list[Grid]]:
    """Every table by its section of the report."""
    further = [metric_grid(name, result) for name, result in report.results.items() if name not in SHARED]
    wide = {table.name: table for table in report.subgroups_overlap}
    versus = [g for g in (comparison_grid(report), comparison_label_grid(report)) if g]
    return {
        "scores": [score_grid(report)],
        "further": further,
        "official": [official_grid(report.official, t) for t in report.official.tables if t.rows] if report.official else [],
        "errors": [kind_grid(report), confusion_grid(report)],
        "subgroups": [subgroup_grid(table, wide.get(table.name)) for table in report.subgroups],
        "confidence": [confidence_grid(report.confidence)] if report.confidence else [],
        "comparison": versus,
    }


def _counted(table: OfficialTable) -> list[str]:
    return list(dict.fromkeys(name for row in table.rows for name in row.counts))


def _leading(number: int, *filters: tuple[str, str]) -> Cell:
    return Cell(count(number) if number else "·", errors=filters if number else ())


def _confused(report: Report, gold: str, pred: str) -> Cell:
    number = report.confusion.get((gold, pred), 0)
    return _leading(number, *(() if gold == pred else (("gold", gold), ("pred", pred))))


def _interval_note(result: Result) -> str:
    drawn = result.intervals
    if drawn is None:
        return ""
    few = f" With fewer than {ENOUGH_NOTES} notes such intervals are too narrow." if drawn.notes < ENOUGH_NOTES else ""
    how = f"percentile bootstrap over {count(drawn.notes)} notes, {count(drawn.samples)} samples"
    return f"With {drawn.level:.0%} intervals: {how}.{few}"


_TITLES = {
    "exact": "exact match",
    "attribute": "end to end",
    "attribute-matched": "where the mention is found exactly",
    "attribute-overlap": "where a mention overlaps",
    "relations": "relations, end to end",
    "relations-overlap": "relations, end to end, with overlapping arguments",
    "relations-given": "relations between mentions found exactly",
    "relations-given-overlap": "relations between mentions that overlap",
    "document-relations": "relations between concepts of a document",
    "concepts": "concepts of a document",
    "token": "tokens",
}


def _short_title(name: str) -> str:
    """What a metric is called in running text."""
    kind, _, attribute = name.partition(":")
    title = _TITLES.get(kind, kind)
    return f"{words(attribute)} {title}" if attribute else title


def _metric_note(name: str, result: Result) -> str:
    if name.startswith(("attribute-matched", "attribute-overlap")):
        return f"Accuracy {with_interval(result.micro.recall, result.intervals.micro['recall'] if result.intervals else None)}."
    return "A missed mention misses its value; a spurious one adds one." if name.startswith("attribute") else ""
