"""The tables of a report: scores by label, kinds of error, confusion, subgroups, confidence, and the second system."""

from collections import Counter

from medllm.evaluation.counts import Counts
from medllm.evaluation.disagreements import Kind
from medllm.evaluation.report.content import SHARED, Confidence, Report
from medllm.evaluation.report.grid import Cell, Grid, cells, count, figure, p_value, score_cells, signed, with_interval
from medllm.evaluation.result import Result
from medllm.evaluation.subgroups import SubgroupTable
from medllm.report.page import words

MEASURE_NAMES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
KEEP = (0.99, 0.95, 0.9, 0.8)
"""Precisions for which the share of mentions that can be kept is given."""


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
    title, note = _metric_title(name, total, result)
    return Grid(f"metric-{name}", title, ("", "Gold", "Predicted", *MEASURE_NAMES.values()), (*rows, micro), note, totals=1)


def kind_grid(report: Report) -> Grid:
    """Table of the kinds of disagreement by label (the gold label where there is one)."""
    counted = Counter((d.kind, (d.gold or d.pred).label) for d in report.errors if d.gold or d.pred)
    labels = [label for label in report.labels if any(counted[kind, label] for kind in Kind)]
    rows = []
    for kind in Kind:
        total = sum(counted[kind, label] for label in labels)
        if not total:
            continue
        by_label = [_leading(counted[kind, label], ("kind", kind.value), ("label", label)) for label in labels]
        share = f"{total / len(report.errors):.1%}"
        rows.append(cells(kind.value, *by_label, _leading(total, ("kind", kind.value)), share))
    sums = [_leading(sum(counted[kind, label] for kind in Kind), ("label", label)) for label in labels]
    rows.append(cells("all", *sums, _leading(len(report.errors)), "100%" if report.errors else ""))
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
            Cell(gold, gold), *(_leading(report.confusion.get((gold, pred), 0), ("gold", gold), ("pred", pred)) for pred in (*labels, ""))
        )
        for gold in labels
    ]
    spurious = (_leading(report.confusion.get(("", pred), 0), ("gold", ""), ("pred", pred)) for pred in labels)
    rows.append(cells("spurious", *spurious, ""))
    note = "Rows: gold; columns: predicted. On the diagonal are exact matches and mentions that differ at an edge only."
    return Grid("confusion", "Labels, gold against predicted", ("Gold", *labels, "missed"), tuple(rows), note, totals=1)


def subgroup_grid(table: SubgroupTable) -> Grid:
    """Table of one way to divide notes or mentions."""
    rows = tuple(
        cells(row.name, count(row.notes), count(row.counts.gold), count(row.counts.pred), *score_cells(row.counts.scores, row.intervals))
        for row in table.rows
    )
    note = f"{count(table.left_out)} mentions could not be placed and are left out." if table.left_out else ""
    return Grid(f"by-{table.name}", table.title, (table.title, "Notes", "Gold", "Predicted", *MEASURE_NAMES.values()), rows, note)


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
            name = f"{metric}, {MEASURE_NAMES[test.measure]}"
            rows.append(cells(name, a, b, signed(test.difference), p_value(test.p, test.samples)))
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


def grids(report: Report) -> dict[str, list[Grid]]:
    """Every table by its section of the report."""
    further = [metric_grid(name, result) for name, result in report.results.items() if name not in SHARED]
    versus = [g for g in (comparison_grid(report), comparison_label_grid(report)) if g]
    return {
        "scores": [score_grid(report)],
        "further": further,
        "errors": [kind_grid(report), confusion_grid(report)],
        "subgroups": [subgroup_grid(table) for table in report.subgroups],
        "confidence": [confidence_grid(report.confidence)] if report.confidence else [],
        "comparison": versus,
    }


def _leading(number: int, *filters: tuple[str, str]) -> Cell:
    return Cell(count(number) if number else "·", errors=filters if number else ())


def _interval_note(result: Result) -> str:
    drawn = result.intervals
    if drawn is None:
        return ""
    return (
        f"In brackets: {drawn.level:.0%} intervals, percentile bootstrap over {count(drawn.notes)} notes, {count(drawn.samples)} samples."
    )


def _metric_title(name: str, total: Counts, result: Result) -> tuple[str, str]:
    kind, _, attribute = name.partition(":")
    titles = {
        "attribute": (f"{attribute}, end to end", "A missed mention misses its value; a spurious one adds one."),
        "attribute-matched": (
            f"{attribute}, where the mention is found exactly",
            f"Accuracy {with_interval(total.recall, result.intervals.micro['recall'] if result.intervals else None)}.",
        ),
        "attribute-overlap": (f"{attribute}, where a mention overlaps", f"Accuracy {figure(total.recall)}."),
        "relations": ("Relations, end to end", "Both arguments exact."),
        "relations-overlap": ("Relations, end to end, overlapping arguments", ""),
        "relations-given": ("Relations between mentions found exactly", ""),
        "relations-given-overlap": ("Relations between mentions that overlap", ""),
        "document-relations": ("Relations between concepts of a document", ""),
        "concepts": ("Concepts of a document", ""),
        "token": ("Tokens", ""),
    }
    return titles.get(kind, (name, ""))
