"""What the readers of documents share."""

from dataclasses import dataclass, field

from medllm.formats.decoding import Reason, Refusal

EXTRA = "pip install medllm[documents]"


@dataclass(frozen=True)
class Document:
    """The text of a document, and what is known of it beside."""

    text: str
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A note of a file that holds several, or why there is none: then ``reason`` is set. ``name`` is its id within the file."""

    name: str
    text: str = ""
    meta: dict[str, str] = field(default_factory=dict)
    reason: Reason | None = None
    detail: str = ""


def not_installed(what: str, library: str) -> Refusal:
    """Why a document cannot be read where its library is missing."""
    return Refusal("unreadable", f"reading {what} needs {library}, which is not installed: {EXTRA}")
