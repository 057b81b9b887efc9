"""A run as one HTML file that opens from disk: notes with their mentions, relations, votes and what was not read.

The file loads nothing and allows nothing: its policy admits only the style and script whose hashes it names. The highlighted
text is made here and needs no script; the script adds selection, search and keys.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medllm.document import Extraction
from medllm.report.audit import Audit
from medllm.report.highlight import showable
from medllm.report.page import LedgerRow, Legend, NotePage, facts, flatten, probability
from medllm.report.reasons import Reasons
from medllm.report.selfcontained import base_style, content_policy, embed_json, write_page
from medllm.schema import Schema

if TYPE_CHECKING:
    from jinja2 import Template

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class ViewData:
    """Everything a page shows.

        ``run_info`` is the run's own record (``run.json``), ``ledger`` its list of what was not read: mappings with ``note_id``,
    x"""

    title: str
    schema: Schema
    extractions: Sequence[Extraction]
    run_info: Mapping[str, Any] = field(default_factory=dict)
    ledger: Sequence[Mapping[str, Any]] = ()
    audit: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, Reasons] = field(default_factory=dict)


def render(run: ViewData) -> str:
    """The page as one string. The text of each note stands in it exactly, whatever it holds.

    A mention is opened by ``#note=ID&mention=ID``; where mentions have no ids of their own, by their number in reading order.
    """
    index = {extraction.note.id: i for i, extraction in reversed(list(enumerate(run.extractions)))}
    ledger = [LedgerRow.of(number, entry, index) for number, entry in enumerate(run.ledger)]
    legend = Legend.of(run.extractions, run.schema)
    notes = [
        NotePage.of(i, extraction, legend, ledger, run.reasons.get(extraction.note.id)) for i, extraction in enumerate(run.extractions)
    ]
    style = base_style() + _source("view.css") + legend.style()
    script = _source("view.js")
    page = _template().render(
        title=run.title,
        policy=content_policy(style, script),
        style=style,
        script=script,
        notes=notes,
        legend=legend,
        ledger=ledger,
        facts=facts(run.run_info, run.schema),
        details=flatten(run.run_info),
        audit=Audit.of(run.audit),
        mentions=sum(len(note.entities) for note in notes),
        relations=sum(len(note.relations) for note in notes),
        most=max((len(note.entities) for note in notes), default=0) or 1,
        data=embed_json({"labels": [c.name for c in legend.labels], "notes": [note.data() for note in notes]}),
    )
    return showable(page)


def write_view(
    extractions: Iterable[Extraction],
    *,
    schema: Schema,
    title: str,
    run_info: Mapping[str, Any],
    ledger: Sequence[Mapping[str, Any]],
    out: Path,
    audit: Mapping[str, Any] | None = None,
    reasons: Mapping[str, Reasons] | None = None,
) -> Path:
    """Write the page to ``out``, readable by its owner only, in one step. Returns ``out``; raises RunError."""
    return write_page(render(ViewData(title, schema, tuple(extractions), run_info, tuple(ledger), audit or {}, reasons or {})), out)


@cache
def _source(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["probability"] = probability
    return environment.get_template("view.html.j2")
