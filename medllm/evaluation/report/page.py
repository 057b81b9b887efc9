"""A report as one HTML file: tables, figures and the error browser. It loads nothing, and it holds patients' data.

The style, the policy and the marked text are those of the page that shows a run (``medllm.report``).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from medllm.evaluation.disagreements import Kind, kinds
from medllm.evaluation.report.browser import frequent, items
from medllm.evaluation.report.content import EXACT, OVERLAP, Report
from medllm.evaluation.report.figures import FIGURES
from medllm.evaluation.report.grid import with_interval
from medllm.evaluation.report.methods import methods
from medllm.evaluation.report.svg import HUES, colour_rules, drawing, inline
from medllm.evaluation.report.tables import grids
from medllm.report.highlight import showable
from medllm.report.selfcontained import base_style, content_policy, embed_json, write_page

if TYPE_CHECKING:
    from jinja2 import Template

_HERE = Path(__file__).parent


def render_html(report: Report) -> str:
    """The report as one HTML page. Raises UsageError where matplotlib is not installed."""
    style = base_style() + _source("report.css") + colour_rules() + _label_rules(len(report.labels))
    script = _source("report.js")
    found = list(items(report))
    page = _template().render(
        report=report,
        policy=content_policy(style, script),
        style=style,
        script=script,
        headline=_headline(report),
        grids=grids(report),
        figures=_figures(report),
        methods=methods(report),
        hue={label: f"l{i}" for i, label in enumerate(report.labels)},
        kinds={kind: n for kind, n in kinds(report.errors).items() if n},
        sections=sorted({item.section for item in found}),
        frequent=[(title, rows) for title, rows in _frequent(report) if rows],
        items=found,
        mentions=(report.results[EXACT].micro.gold, report.results[EXACT].micro.pred),
    )
    return showable(page)


def write_html(report: Report, out: Path) -> Path:
    """Write the page, readable by its owner only. Returns ``out``; raises RunError where that is not possible."""
    return write_page(render_html(report), out)


def _headline(report: Report) -> list[tuple[str, str, str]]:
    """(name, score, interval) of the figures that stand first."""
    rows = []
    for criterion, measure, name in (
        (EXACT, "f1", "F1, exact"),
        (EXACT, "precision", "Precision, exact"),
        (EXACT, "recall", "Recall, exact"),
        (OVERLAP, "f1", "F1, overlap"),
    ):
        result = report.results[criterion]
        interval = result.intervals.micro[measure] if result.intervals else None
        cell = with_interval(getattr(result.micro, measure), interval)
        rows.append((name, cell.text, cell.spread))
    return rows


def _figures(report: Report) -> dict[str, tuple[str, str]]:
    """By name: the SVG element and its caption."""
    found = {}
    with drawing():
        for name, (draw, caption) in FIGURES.items():
            if (figure := draw(report)) is not None:
                found[name] = inline(figure, f"fig-{name}", caption), caption
    return found


def _frequent(report: Report) -> Sequence[tuple[str, object]]:
    return [("Most often missed", frequent(report, Kind.MISSED)), ("Most often spurious", frequent(report, Kind.SPURIOUS))]


def _label_rules(labels: int) -> str:
    return "\n".join(f".l{i}{{--c:var(--hue{i % HUES})}}" for i in range(labels)) + "\n"


@cache
def _source(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["embed"] = embed_json
    return environment.get_template("report.html.j2")
