"""A score as data: frozen, versioned, written to JSON and read back, with the counts of every note.

Because the counts by note are kept, a saved result can be scored again (fewer labels, intervals, a paired test
against another system) without the notes and without running anything.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from medllm.errors import FormatError, InputError, UsageError
from medllm.evaluation.counts import Counts, LabelCounts, Scores, add, macro, micro
from medllm.evaluation.statistics import Bootstrap, bootstrap
from medllm.formats.files import open_private

FORMAT = "medllm-score"
VERSION = 1


class Result(BaseModel):
    """What ``score`` returns. ``notes`` holds, by note id and label, (tp, fp, fn), zeros left out.

    Note ids are kept, note text is not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["medllm-score"] = "medllm-score"
    version: Literal[1] = 1
    metric: str
    labels: tuple[str, ...]
    notes: dict[str, dict[str, tuple[int, int, int]]]
    intervals: Bootstrap | None = None

    def note_counts(self, note_id: str) -> Counts:
        """The micro counts of one note."""
        return micro(_counts(self.notes[note_id]))

    @property
    def counts(self) -> dict[str, Counts]:
        """The counts of each label over all notes, every label named."""
        return {label: Counts() for label in self.labels} | add(_counts(n) for n in self.notes.values())

    @property
    def micro(self) -> Counts:
        """The sums over labels."""
        return micro(self.counts)

    @property
    def macro(self) -> Scores:
        """The means over labels."""
        return macro(self.counts)

    def rescore(self, *, labels: Collection[str] | None = None, samples: int = 0, level: float = 0.95, seed: int = 0) -> "Result":
        """The same predictions scored again: for some of the labels, or with intervals. Raises UsageError for an unknown label."""
        if unknown := sorted(set(labels or ()) - set(self.labels)):
            raise UsageError(f"the result has no labels {', '.join(unknown)}", hint=f"it has {', '.join(self.labels)}")
        chosen = list(self.labels) if labels is None else sorted(set(labels))
        notes = {note_id: _counts(n) for note_id, n in self.notes.items()}
        return make_result(self.metric, chosen, notes, samples=samples, level=level, seed=seed)

    def summary(self) -> dict[str, Any]:
        """What ``medllm score --json`` prints: micro, macro and the labels' scores, and how many gold and predicted items."""
        total = self.micro
        summary: dict[str, Any] = {
            "micro": total.scores.to_json(),
            "macro": self.macro.to_json(),
            "labels": {label: c.scores.to_json() for label, c in self.counts.items()},
            "gold": total.gold,
            "pred": total.pred,
        }
        if self.intervals:
            summary["intervals"] = _interval_json(self.intervals)
        return summary

    def save(self, path: Path) -> None:
        """Write the result as JSON, readable by its owner only. Raises InputError where that is not possible."""
        try:
            with open_private(path) as file:
                file.write(self.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {type(error).__name__}", hint="may its folder be written to?") from error

    @classmethod
    def load(cls, path: Path) -> "Result":
        """Read a saved result. Raises FormatError for anything else, other versions included."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(data, dict) and data.get("format") == FORMAT and data.get("version") != VERSION:
                raise FormatError(
                    f"version {data.get('version')!r} is not known", path=str(path), hint="it was written by another version of medllm"
                )
            return cls.model_validate(data)
        except (OSError, ValueError, ValidationError) as error:
            raise FormatError(
                f"not a saved score: {type(error).__name__}", path=str(path), hint="is this a file that `medllm score --output` wrote?"
            ) from error


def make_result(
    metric: str, labels: Collection[str], notes: Mapping[str, LabelCounts], *, samples: int = 0, level: float = 0.95, seed: int = 0
) -> Result:
    """A result over ``labels`` from counts by note, with intervals where ``samples`` is not 0."""
    kept = {
        note_id: {label: (c.tp, c.fp, c.fn) for label in labels if (c := counts.get(label)) and (c.gold or c.pred)}
        for note_id, counts in notes.items()
    }
    drawn = bootstrap([_counts(n) for n in kept.values()], list(labels), samples=samples, level=level, seed=seed) if samples else None
    return Result(metric=metric, labels=tuple(labels), notes=kept, intervals=drawn)


def _counts(note: Mapping[str, tuple[int, int, int]]) -> dict[str, Counts]:
    return {label: Counts(*c) for label, c in note.items()}


def _interval_json(drawn: Bootstrap) -> dict[str, Any]:
    def ends(intervals: Mapping[str, Any]) -> dict[str, list[float]]:
        return {measure: [i.low, i.high] for measure, i in intervals.items()}

    return {
        "micro": ends(drawn.micro),
        "macro": ends(drawn.macro),
        "labels": {label: ends(i) for label, i in drawn.labels.items()},
        "level": drawn.level,
        "samples": drawn.samples,
        "seed": drawn.seed,
        "notes": drawn.notes,
    }
