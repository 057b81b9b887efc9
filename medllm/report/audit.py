"""What an audit asks of a run, as the page shows it: every start, what decided the result with its hashes, and the sums of the files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DECIDED = (
    ("schema", "schema", "digest"),
    ("prompts", "prompts", None),
    ("model", "model_sha256", None),
    ("tagger", "tagger_sha256", None),
    ("de-identification", "deid", "mode"),
)
_RUN = ("started", "finished", "state", "user", "host", "notes", "mentions")


@dataclass(frozen=True)
class Audit:
    """Rows of the three tables. ``runs`` have the columns of ``columns``."""

    columns: tuple[str, ...]
    runs: tuple[tuple[str, ...], ...]
    decided: tuple[tuple[str, str, str], ...]
    """What, its name, and its SHA-256 or what else tells it apart."""
    files: tuple[tuple[str, str, str], ...]
    """Name, bytes, SHA-256."""

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Audit | None":
        """The audit of a ``run.json``; None where it holds nothing of the kind."""
        configuration = _mapping(manifest.get("configuration"))
        runs = [run for run in manifest.get("runs") or () if isinstance(run, Mapping)]
        columns = tuple(name for name in _RUN if any(name in run for run in runs))
        decided = tuple(row for what, key, part in _DECIDED if (row := _row(configuration, what, key, part)))
        files = tuple((str(n), str(f.get("bytes", "")), str(f.get("sha256", ""))) for n, f in _mapping(manifest.get("files")).items())
        if not runs and not decided:
            return None
        return cls(columns, tuple(tuple(str(run.get(name, "")) for name in columns) for run in runs), decided, files)


def _row(configuration: Mapping[str, Any], what: str, key: str, part: str | None) -> tuple[str, str, str] | None:
    value = configuration.get(key)
    if part is not None:
        value = _mapping(value).get(part)
    if not value:
        return None
    named = configuration.get(what)
    return what, str(_mapping(named).get("name", "") if isinstance(named, Mapping) else named or ""), str(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
