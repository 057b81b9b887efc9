"""Suites: what to score on what. Small YAML files that say where the gold standard is, how it is read, asked for and scored.

::

    name: kiwi-mtsamples
    about: Clinical notes with problems, tests, treatments and drugs.
    corpus: {format: brat, path: kiwi-mtsamples/train}     # below --data DIR or MEDLLM_DATA
    schema: clinical
    label_map: ../labelmaps/kiwi-mtsamples-to-clinical.toml  # paths of files are relative to the suite
    labels: [problem, test, treatment, drug]
    metrics: [attribute-matched:assertion]                  # besides exact and overlap
    reading: {relations: false}

Files that come with medllm are found by name; any other by its path. Unknown keys are errors.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medllm.errors import FormatError, UsageError
from medllm.evaluation.from_files import Location
from medllm.evaluation.subgroups import SUBGROUPS

SHIPPED = Path(__file__).parent / "data" / "suites"
ALL = "all"
"""The split that is every note."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Corpus(_Strict):
    """Annotated notes. ``path`` is below the data folder; ``notes`` is a file with one note id a line (``#`` begins a comment).

    ``splits`` are patterns for the notes' paths (the folder's own name, then the note's id; ``*`` matches ``/`` too), and ``split``
    is the one that is read unless another is asked for.
    """

    format: str
    path: str = "."
    notes: str | None = None
    splits: Mapping[str, tuple[str, ...]] = {}
    split: str = ALL


class ReadingSettings(_Strict):
    """How the notes are asked about: options of ``medllm extract`` under the same names."""

    readers: Literal["auto", "llm", "tagger"] = "auto"
    tagger: str | None = None
    tagger_labels: Mapping[str, str] | None = None
    tagger_relations: str | None = None
    engine: str = "auto"
    model: str | None = None
    layout: Literal["lines", "copy"] = "lines"
    chunk_tokens: int | None = Field(default=None, ge=1)
    relations: bool = True
    language: str | None = None


class BootstrapSettings(_Strict):
    """How intervals are drawn; no samples, no intervals."""

    samples: int = Field(default=1000, ge=0)
    level: float = Field(default=0.95, gt=0, lt=1)
    seed: int = 0


class Suite(_Strict):
    """A suite. ``folder`` is where it was read from; ``pack`` (``schema`` in the file) is a schema pack's name or file.

    ``labels`` are the mention labels that are asked for and scored; without them all of the pack's are asked for and all of gold's
    scored. ``metrics`` come on top of exact and overlap. ``official`` names an official scorer whose format both sides are written in.
    """

    name: str
    about: str = ""
    source: str = ""
    corpus: Corpus
    pack: str = Field(alias="schema")
    label_map: str | None = None
    labels: tuple[str, ...] | None = None
    metrics: tuple[str, ...] = ()
    official: str | None = None
    slices: tuple[str, ...] = SUBGROUPS
    training: Corpus | None = None
    reading: ReadingSettings = ReadingSettings()
    bootstrap: BootstrapSettings = BootstrapSettings()
    folder: Path = Field(default=Path(), exclude=True)

    def file(self, name: str) -> Path:
        """The path of a file that the suite names."""
        return self.folder / name

    @property
    def pack_name(self) -> str | Path:
        """The schema pack to load: a name, or the path of a ``.py`` beside the suite."""
        return self.file(self.pack) if self.pack.endswith(".py") else self.pack

    def with_settings(
        self, reading: Mapping[str, Any], *, labels: tuple[str, ...] | None, metrics: tuple[str, ...] | None, samples: int | None
    ) -> "Suite":
        """The suite with other settings; None keeps what it has. Raises UsageError for a value that there is not."""
        changed: dict[str, Any] = {} if labels is None else {"labels": labels}
        if metrics is not None:
            changed["metrics"] = metrics
        if samples is not None:
            changed["bootstrap"] = self.bootstrap.model_copy(update={"samples": samples})
        asked = {name: value for name, value in reading.items() if value is not None}
        try:
            changed["reading"] = ReadingSettings.model_validate(self.reading.model_dump() | asked)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise UsageError(f"{first['loc'][0]}: {first['msg']}", hint="see medllm eval --help") from None
        return self.model_copy(update=changed)

    def to_json(self) -> dict[str, Any]:
        """The suite as its file has it."""
        return self.model_dump(mode="json", by_alias=True)


def shipped_suites() -> tuple[str, ...]:
    """The names of the suites that come with medllm."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.yaml")))


def load(name: str) -> Suite:
    """A suite by its name, or by the path of its file.

    Raises UsageError for a name that there is not, FormatError for a file that is no suite.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if not path.is_file():
        raise UsageError(f"there is no suite {name!r}", hint=f"give a .yaml file, or one of {', '.join(shipped_suites())}")
    try:
        return Suite.model_validate({**_mapping(path), "folder": path.parent})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise FormatError(f"{where}: {first['msg']}", path=str(path), hint="medllm.evaluation.suite says what a suite holds") from None


def of_files(gold: str, schema: str | None, label_map: Path | None) -> Suite:
    """The suite of a gold standard ``FORMAT:PATH`` that needs none. Raises UsageError without a format."""
    location = Location.parse(gold)
    if not location.format:
        raise UsageError(f"{gold}: which format is it in?", hint="write it before the path: brat:PATH, jsonl:PATH")
    return Suite(
        name=location.path.name or location.format,
        corpus=Corpus(format=location.format, path=str(location.path.absolute())),
        schema=schema or "clinical",
        label_map=None if label_map is None else str(label_map.absolute()),
    )


def _mapping(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise UsageError("suites are YAML files, and pyyaml is not installed", hint="pip install 'medllm[eval]'") from None
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FormatError(f"cannot be read as YAML: {type(error).__name__}", path=str(path), hint="is it a suite?") from None
    if not isinstance(data, dict) or "folder" in data:
        raise FormatError("not a suite", path=str(path), hint="medllm.evaluation.suite says what a suite holds")
    return data
