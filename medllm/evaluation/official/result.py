"""What an official scorer prints, as data: tables of rows, and the headline in the shape of ``medllm score --json``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from medllm.evaluation.counts import Scores


@dataclass(frozen=True)
class Row:
    """One printed row. The scores are NaN where the scorer prints NaN, and in the unit of the table.

    ``counts`` holds what the row counts (``tp``, ``fp``, ``fn``; nervaluate has five kinds), ``spread`` the standard
    deviations of precision and recall over documents where the scorer prints them.
    """

    name: str
    precision: float
    recall: float
    f1: float
    counts: Mapping[str, int] = field(default_factory=dict)
    spread: tuple[float, float] | None = None

    @property
    def scores(self) -> Scores:
        """Precision, recall and F1 together."""
        return Scores(self.precision, self.recall, self.f1)

    def to_json(self) -> dict[str, Any]:
        """The row with null for NaN."""
        spread = {"precision_sd": self.spread[0], "recall_sd": self.spread[1]} if self.spread else {}
        return {"name": self.name, **self.counts, **_json_scores(self.scores), **spread}


@dataclass(frozen=True)
class Table:
    """A printed table. ``facts`` are the figures that belong to no row, such as the number of tokens.

    ``title`` says what a ``name`` that is a number does not.
    """

    name: str
    rows: tuple[Row, ...]
    facts: Mapping[str, float] = field(default_factory=dict)
    title: str = ""

    @property
    def heading(self) -> str:
        """What the table is called where it is shown."""
        return f"{self.name} {self.title}".strip()

    unit: Literal["fraction", "percent"] = "fraction"

    def row(self, name: str) -> Row:
        """The row of a name. Raises KeyError."""
        return {r.name: r for r in self.rows}[name]


@dataclass(frozen=True)
class Headline:
    """The figures that the shared task reports first: fractions; ``macro`` is None where the scorer has none."""

    micro: Scores
    macro: Scores | None
    labels: Mapping[str, Scores]
    gold: int
    pred: int


@dataclass(frozen=True)
class OfficialResult:
    """Everything an official scorer prints. ``problems`` names the lines that it skipped or misread, as ``file:line: what``."""

    metric: str
    scorer: str
    headline: Headline
    tables: tuple[Table, ...]
    problems: tuple[str, ...] = ()

    def table(self, name: str) -> Table:
        """The table of a name. Raises KeyError."""
        return {t.name: t for t in self.tables}[name]

    def row(self, table: str, name: str) -> Row:
        """A row by table and name. Raises KeyError."""
        return self.table(table).row(name)

    def summary(self) -> dict[str, Any]:
        """What ``medllm score --json`` prints: the headline, then the official tables. NaN is written as null."""
        h = self.headline
        return {
            "micro": _json_scores(h.micro),
            "macro": _json_scores(h.macro) if h.macro else None,
            "labels": {label: _json_scores(s) for label, s in h.labels.items()},
            "gold": h.gold,
            "pred": h.pred,
            "scorer": self.scorer,
            "tables": {t.name: {**t.facts, "unit": t.unit, "rows": [r.to_json() for r in t.rows]} for t in self.tables},
            "problems": list(self.problems),
        }


def ratio(part: float, whole: float) -> float:
    """``part / whole``, NaN for 0/0, as Java prints it."""
    return part / whole if whole else math.nan


def _json_scores(scores: Scores) -> dict[str, float | None]:
    return {k: None if math.isnan(v) else v for k, v in scores.to_json().items()}
