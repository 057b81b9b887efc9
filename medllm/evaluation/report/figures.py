"""The figures of a report, drawn with matplotlib. Each function returns a figure, or None where there is nothing to show.

They are to be called inside ``svg.drawing``. Widths are those of the page's column; heights follow the number of rows.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medllm.evaluation.disagreements import Kind
from medllm.evaluation.report.content import SHARED, Report
from medllm.evaluation.report.svg import COLOURS, DOTS, FONT, colour, hue
from medllm.evaluation.result import Result
from medllm.evaluation.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, HALF = 960, 470
ROW = 30
MOST_LABELS = 16
"""With more labels than that, a confusion matrix is a table only."""


def f1_by_label(report: Report) -> "Figure | None":
    """F1 of every label and of the averages, exact and overlap, with intervals."""
    results = [report.results[c] for c in SHARED]
    names = ["micro average", "macro average", *report.labels]
    figure, axes = _rows(names, WIDE)
    for result, offset, filled in zip(results, (-0.14, 0.14), (True, False), strict=True):
        values, intervals = _f1(result, report.labels)
        _points(axes, values, intervals, offset, filled=filled, name="exact match" if filled else "overlap", shade="accent")
    axes.axhline(1.5, color=colour("line2"), linewidth=1)
    axes.set_xlabel("F1")
    _legend(axes, 2)
    return figure


def error_kinds(report: Report) -> "Figure | None":
    """How many disagreements there are of each kind, by label."""
    counted = Counter((d.kind, d.mention.label) for d in report.errors)
    kinds = [kind for kind in Kind if any(counted[kind, label] for label in report.labels)]
    if not kinds:
        return None
    figure, axes = _rows([k.value for k in kinds], WIDE, unit=False)
    left = [0] * len(kinds)
    for i, label in enumerate(report.labels):
        widths = [counted[kind, label] for kind in kinds]
        if any(widths):
            axes.barh(range(len(kinds)), widths, left=left, color=hue(i), height=0.62, label=label, edgecolor=colour("paper"), linewidth=1)
            left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, total in enumerate(left):
        axes.annotate(f"{total:,}", (total, row), (5, 0), textcoords="offset points", va="center", color=colour("soft"), fontsize=FONT - 1)
    axes.set_xlim(0, max(left) * 1.09)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("disagreements")
    _legend(axes, 6)
    return figure


def confusion(report: Report) -> "Figure | None":
    """Gold labels against predicted ones, shaded by the share of the gold label."""
    labels = report.labels
    if not 1 < len(labels) <= MOST_LABELS:
        return None
    rows, columns = [*labels, ""], [*labels, ""]
    side = 64 if len(labels) <= 8 else 46
    figure, axes = _new(150 + side * len(columns) + 20, 96 + 34 * len(rows))
    for r, gold in enumerate(rows):
        total = sum(report.confusion.get((gold, p), 0) for p in columns) or 1
        for c, pred in enumerate(columns):
            number = report.confusion.get((gold, pred), 0)
            if not gold and not pred:
                continue
            shade = "accent" if gold == pred else "alert"
            axes.barh(
                r,
                0.96,
                left=c + 0.02,
                height=0.94,
                color=colour(shade),
                alpha=round(0.62 * number / total + 0.02 * (number > 0), 3),
                linewidth=0,
            )
            if number:
                axes.text(c + 0.5, r, f"{number:,}", ha="center", va="center", color=colour("ink"), fontsize=FONT - 1)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(
        [c + 0.5 for c in range(len(columns))],
        [*labels, "missed"],
        rotation=35 if len(labels) > 5 else 0,
        ha="center" if len(labels) <= 5 else "left",
    )
    axes.set_yticks(range(len(rows)), [*labels, "spurious"])
    axes.xaxis.set_ticks_position("top")
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("predicted", labelpad=10)
    axes.set_ylabel("gold")
    axes.tick_params(length=0, labelcolor=colour("ink"))
    _no_spines(axes)
    return figure


def reliability(report: Report) -> "Figure | None":
    """How often mentions of a confidence are right, with the number of mentions below."""
    if report.confidence is None:
        return None
    bins = [b for b in report.confidence.reliability.bins if b.count]
    figure, (axes, below) = _new_pair(HALF, 400)
    axes.plot([0, 1], [0, 1], color=colour("line2"), linewidth=1.2, dashes=(4, 3))
    axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], color=colour("accent"), linewidth=1.6, marker="o", markersize=5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share that is right")
    axes.grid(True, linewidth=0.8)
    axes.tick_params(labelcolor=colour("soft"), length=0)
    below.bar([(b.low + b.high) / 2 for b in bins], [b.count for b in bins], width=0.085, color=colour("soft"), alpha=0.55)
    below.set_xlabel(f"{report.confidence.source} of the mention")
    below.set_ylabel("mentions")
    below.tick_params(labelcolor=colour("soft"), length=0)
    below.spines["left"].set_visible(False)
    return figure


def precision_coverage(report: Report) -> "Figure | None":
    """Precision of the most confident mentions, from few to all."""
    if report.confidence is None:
        return None
    figure, axes = _new(HALF, 400)
    for criterion, shade, dashes in zip(SHARED, ("accent", "soft"), ((), (5, 2)), strict=True):
        points = report.confidence.curves[criterion]
        line: dict[str, Any] = {"dashes": dashes} if dashes else {}
        axes.plot([p.coverage for p in points], [p.precision for p in points], color=colour(shade), linewidth=1.8, label=criterion, **line)
    axes.set_xlim(0, 1)
    axes.set_ylim(min(0.5, *(p.precision for c in SHARED for p in report.confidence.curves[c])) if _has_points(report) else 0, 1.005)
    axes.set_xlabel("share of predicted mentions that is kept")
    axes.set_ylabel("precision")
    axes.grid(True, linewidth=0.8)
    axes.tick_params(labelcolor=colour("soft"), length=0)
    _legend(axes, 2)
    return figure


def subgroups(report: Report) -> "Figure | None":
    """F1 under exact match of every subgroup with its interval, beside the score over all."""
    if not report.subgroups:
        return None
    names, values, intervals, heads = list[str](), list[float | None](), list[Interval | None](), list[int]()
    for table in report.subgroups:
        heads.append(len(names))
        names.append(table.title)
        values.append(None)
        intervals.append(None)
        for row in table.rows:
            names.append(f"{row.name}  (n = {row.counts.gold:,})")
            values.append(row.counts.f1 if row.counts.gold else None)
            intervals.append(row.intervals["f1"] if row.intervals else None)
    figure, axes = _rows(names, WIDE, step=22)
    _points(axes, values, intervals, 0, filled=True, name="", shade="accent")
    axes.axvline(report.results["exact"].micro.f1, color=colour("alert"), linewidth=1.2, dashes=(4, 3), zorder=1)
    for i, tick in enumerate(axes.get_yticklabels()):
        tick.set_fontweight("bold" if i in heads else "normal")
        tick.set_fontsize(FONT if i in heads else FONT - 1)
    axes.set_xlabel("F1, exact match; dashed: all mentions")
    return figure


def versus(report: Report) -> "Figure | None":
    """F1 by label of both systems under exact match."""
    other = report.comparison
    if other is None:
        return None
    names = ["micro average", "macro average", *report.labels]
    figure, axes = _rows(names, WIDE)
    for result, offset, filled, name in (
        (report.results["exact"], -0.14, True, "this system"),
        (other.results["exact"], 0.14, False, other.name),
    ):
        values, intervals = _f1(result, report.labels)
        _points(axes, values, intervals, offset, filled=filled, name=name, shade="accent" if filled else "alert")
    axes.axhline(1.5, color=colour("line2"), linewidth=1)
    axes.set_xlabel("F1, exact match")
    _legend(axes, 2)
    return figure


Draw = Callable[[Report], "Figure | None"]
FIGURES: Mapping[str, tuple[Draw, str]] = {
    "f1": (f1_by_label, "F1 by label. Points: scores; bars: intervals over notes."),
    "kinds": (error_kinds, "Disagreements by kind and label."),
    "confusion": (confusion, "Gold labels (rows) against predicted labels (columns), shaded by the share of the row."),
    "subgroups": (subgroups, "F1 by subgroup with intervals; n is the number of gold mentions."),
    "reliability": (
        reliability,
        "Reliability: how often mentions of a given confidence are right. The dashed line is perfect calibration.",
    ),
    "coverage": (precision_coverage, "Precision of what is kept if only the most confident mentions are."),
    "versus": (versus, "F1 by label of both systems, with intervals."),
}
"""By name: the function, and the caption."""


# --- shared --------------------------------------------------------------------------------------------------------------


def _new(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DOTS, height / DOTS), layout="constrained")
    return figure, figure.add_subplot()


def _new_pair(width: float, height: float) -> "tuple[Figure, tuple[Axes, Axes]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DOTS, height / DOTS), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    return figure, (upper, lower)


def _rows(names: Sequence[str], width: float, *, step: float = ROW, unit: bool = True) -> "tuple[Figure, Axes]":
    """Axes with one row a name, from above; ``unit`` for an x axis of scores from 0 to 1."""
    figure, axes = _new(width, 86 + step * len(names))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.grid(True, axis="x", linewidth=0.8)
    axes.set_axisbelow(True)
    if unit:
        axes.set_xlim(0, 1)
        axes.set_xticks([i / 10 for i in range(11)])
    _no_spines(axes)
    return figure, axes


def _points(
    axes: "Axes",
    values: Sequence[float | None],
    intervals: Sequence[Interval | None],
    offset: float,
    *,
    filled: bool,
    name: str,
    shade: str,
) -> None:
    rows = [(i + offset, v, intervals[i]) for i, v in enumerate(values) if v is not None]
    for y, _, interval in rows:
        if interval is not None:
            axes.plot(
                [interval.low, interval.high],
                [y, y],
                color=colour(shade),
                linewidth=2,
                alpha=0.9 if filled else 0.5,
                solid_capstyle="round",
            )
    style: dict[str, Any] = {"markerfacecolor": colour(shade) if filled else COLOURS["paper"], "markeredgecolor": colour(shade)}
    axes.plot(
        [v for _, v, _ in rows],
        [y for y, _, _ in rows],
        "o",
        markersize=6.5,
        markeredgewidth=1.6,
        clip_on=False,
        label=name or "_",
        **style,
    )


def _f1(result: Result, labels: Sequence[str]) -> tuple[list[float | None], list[Interval | None]]:
    drawn, counts = result.intervals, result.counts
    values: list[float | None] = [result.micro.f1, result.macro.f1, *(counts[label].f1 if label in counts else None for label in labels)]
    if drawn is None:
        return values, [None] * len(values)
    return values, [
        drawn.micro["f1"],
        drawn.macro["f1"],
        *(drawn.labels[label]["f1"] if label in drawn.labels else None for label in labels),
    ]


def _has_points(report: Report) -> bool:
    return report.confidence is not None and all(report.confidence.curves[c] for c in SHARED)


def _legend(axes: "Axes", columns: int) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0.2,
        handletextpad=0.5,
        columnspacing=1.4,
        labelcolor=colour("soft"),
    )


def _no_spines(axes: "Axes") -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)
