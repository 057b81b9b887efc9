"""The pictures as pages that stand alone: no loads, no script."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medllm.document import Extraction
from medllm.errors import UsageError
from medllm.report.cases.drug_events import CAUSALITY, matrix
from medllm.report.cases.eligibility import trials
from medllm.report.cases.timeline import timelines
from medllm.report.highlight import showable
from medllm.report.selfcontained import base_style, content_policy, write_page
from medllm.schema import Schema

if TYPE_CHECKING:
    from jinja2 import Template

_HERE = Path(__file__).parent

PICTURES: Mapping[str, Callable[[Iterable[Extraction]], Any]] = {"drug-events": matrix, "eligibility": trials, "timeline": timelines}
"""The pictures by name, each with what makes its data."""

_OF_PACK = {"pharmacovigilance": "drug-events", "n2c2-2018": "drug-events", "trial-eligibility": "eligibility", "case-report": "timeline"}


def picture_of(schema: Schema) -> str:
    """The picture that suits a pack. Raises UsageError for a pack without one."""
    if schema.name not in _OF_PACK:
        raise UsageError(f"the pack {schema.name} has no picture of its own", hint=f"name one: {', '.join(PICTURES)}")
    return _OF_PACK[schema.name]


def render_picture(name: str, extractions: Iterable[Extraction], *, title: str) -> str:
    """The page as one string. Raises UsageError for an unknown name."""
    if name not in PICTURES:
        raise UsageError(f"there is no picture {name!r}", hint=f"pictures are {', '.join(PICTURES)}")
    style = base_style() + (_HERE / "cases.css").read_text("utf-8")
    page = _template().render(
        title=title, policy=content_policy(style, ""), style=style, picture=name, data=PICTURES[name](extractions), causality=CAUSALITY
    )
    return showable(page)


def write_picture(name: str, extractions: Iterable[Extraction], *, title: str, out: Path) -> Path:
    """Write the page to ``out``, readable by its owner only. Returns ``out``; raises UsageError and RunError."""
    return write_page(render_picture(name, extractions, title=title), out)


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("cases.html.j2")
