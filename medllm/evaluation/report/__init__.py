"""Reports of an evaluation: Markdown without note text, and one self-contained HTML page with figures and every disagreement."""

from pathlib import Path

from medllm.errors import UsageError
from medllm.evaluation.report.content import Options, Report, make_report
from medllm.evaluation.report.markdown import render_markdown, write_markdown
from medllm.evaluation.report.page import render_html, write_html

__all__ = ["Options", "Report", "make_report", "render_html", "render_markdown", "write_html", "write_markdown", "write_report"]


def write_report(report: Report, out: Path) -> Path:
    """Write a report to ``FILE.html`` or ``FILE.md``. Raises UsageError for another ending, and what the writers raise."""
    if out.suffix.lower() in (".html", ".htm"):
        return write_html(report, out)
    if out.suffix.lower() in (".md", ".markdown"):
        return write_markdown(report, out)
    raise UsageError(f"a report is written to FILE.html or FILE.md, not {out.name}", hint="the ending says which form it has")
