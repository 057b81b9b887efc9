"""What a tagger's folder says of itself: ``tagger.json`` for those trained here, ``config.json`` for those of the model hub."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medllm.errors import ModelError
from medllm.taggers.tags import TagSet

CONFIG = "tagger.json"
FORMAT_VERSION = 1
WINDOW, OVERLAP = 256, 64


@dataclass(frozen=True)
class AttributeHead:
    """A classifier over the mentions of ``labels``: ``values`` in the order of its outputs."""

    name: str
    labels: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class TaggerConfig:
    """The heads of a tagger, in the order of their outputs: one tag layer for each group of labels, then the attributes.

    Labels of one group never overlap; those of different groups may (a body site in a problem). ``window`` and ``overlap`` are in
    tokens, ``case`` and ``breaks`` say whether the encoder was given features of its units and line-break tokens, ``lexicons`` which ones
    the features are of, beside case. ``transitions`` holds the weights of a conditional random field for each layer, or is empty.
    """

    name: str
    layers: tuple[TagSet, ...]
    attributes: tuple[AttributeHead, ...] = ()
    window: int = WINDOW
    overlap: int = OVERLAP
    case: bool = False
    breaks: bool = False
    lexicons: tuple[str, ...] = ()
    transitions: tuple[tuple[tuple[float, ...], ...], ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, layer by layer."""
        return tuple(label for layer in self.layers for label in layer.labels)

    @property
    def outputs(self) -> int:
        """Scores for each token."""
        return sum(map(len, self.layers)) + sum(len(a.values) for a in self.attributes)

    def slices(self) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Where the outputs of each layer and each attribute are."""
        at, found = 0, []
        for size in [*map(len, self.layers), *(len(a.values) for a in self.attributes)]:
            found.append(slice(at, at + size))
            at += size
        return tuple(found[: len(self.layers)]), tuple(found[len(self.layers) :])

    def save(self, folder: Path) -> None:
        """Write ``tagger.json``."""
        (folder / CONFIG).write_text(self.to_json() + "\n", "utf-8")

    def to_json(self) -> str:
        """As ``tagger.json`` has it."""
        data = {"format": "medllm-tagger", "version": FORMAT_VERSION} | asdict(self)
        data["layers"] = [list(layer.labels) for layer in self.layers]
        return json.dumps(data, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, content: str) -> "TaggerConfig":
        """Of what ``to_json`` gives. Raises ModelError."""
        try:
            return _own(json.loads(content))
        except ValueError as error:
            raise ModelError(f"{CONFIG} is damaged ({type(error).__name__})") from error

    def outputs_in(self, other: "TaggerConfig") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The outputs that both have, as indexes here and there: tags of the same label, O of the layers that share the most labels, and
        values of attributes of the same name."""
        here, there = [], []
        layers, heads = self.slices()
        other_layers, other_heads = other.slices()
        for tags, where in zip(self.layers, layers, strict=True):
            shared = [len(set(tags.labels) & set(others.labels)) for others in other.layers]
            for number, (others, at) in enumerate(zip(other.layers, other_layers, strict=True)):
                for index, tag in enumerate(others.tags):
                    if tag in tags.tags and (tag[0] != "O" or (shared[number] == max(shared) and number == shared.index(max(shared)))):
                        here.append(where.start + tags.tags.index(tag))
                        there.append(at.start + index)
        for head, where in zip(self.attributes, heads, strict=True):
            for same, at in zip(other.attributes, other_heads, strict=True):
                for value in (v for v in head.values if head.name == same.name and v in same.values):
                    here.append(where.start + head.values.index(value))
                    there.append(at.start + same.values.index(value))
        return np.array(here, np.int64), np.array(there, np.int64)

    @classmethod
    def load(cls, folder: Path) -> "TaggerConfig":
        """Read ``tagger.json``, else a token classifier's ``config.json``. Raises ModelError."""
        if (folder / CONFIG).is_file():
            return _own(_json(folder / CONFIG))
        if (folder / "config.json").is_file():
            return _of_hub(_json(folder / "config.json"), folder.name)
        raise ModelError("the folder holds no tagger", hint=f"it should have a {CONFIG} or a config.json")


def _own(data: Mapping[str, Any]) -> TaggerConfig:
    try:
        if data["format"] != "medllm-tagger" or data["version"] != FORMAT_VERSION:
            raise ModelError(f"{CONFIG} has version {data['version']!r}", hint="it was written by another version of medllm")
        return TaggerConfig(
            name=str(data["name"]),
            layers=tuple(TagSet.of(labels) for labels in data["layers"]),
            attributes=tuple(AttributeHead(a["name"], tuple(a["labels"]), tuple(a["values"])) for a in data["attributes"]),
            window=int(data["window"]),
            overlap=int(data["overlap"]),
            case=bool(data["case"]),
            breaks=bool(data["breaks"]),
            lexicons=tuple(map(str, data.get("lexicons", ()))),
            transitions=tuple(tuple(tuple(map(float, row)) for row in layer) for layer in data["transitions"]),
            about=dict(data["about"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{CONFIG} is damaged ({type(error).__name__})") from error


def _of_hub(data: Mapping[str, Any], name: str) -> TaggerConfig:
    labels = data.get("id2label")
    if not isinstance(labels, dict) or not labels:
        raise ModelError("config.json has no id2label", hint="only token classifiers are taggers; train one with: medllm train tagger")
    try:
        names = [str(labels[str(index)]) for index in range(len(labels))]
    except KeyError:
        raise ModelError("the numbers in id2label have gaps") from None
    window, overlap = window_of(data)
    return TaggerConfig(name, (TagSet.parse(names),), window=window, overlap=overlap)


def window_of(encoder: Mapping[str, Any]) -> tuple[int, int]:
    """The window and its overlap, in tokens, that an encoder's ``config.json`` leaves room for."""
    room = int(encoder.get("max_position_embeddings") or 512)
    if str(encoder.get("model_type", "")) in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        room -= 2  # their positions begin after the padding's
    return min(WINDOW, room), min(OVERLAP, room // 4)


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise ModelError(f"{path.name} cannot be read") from None
    if not isinstance(data, dict):
        raise ModelError(f"{path.name} is damaged")
    return data


def folder_digest(folder: Path, names: tuple[str, ...]) -> str:
    """SHA-256 over the named files that are there: what a run records of its tagger."""
    digest = hashlib.sha256()
    for name in names:
        if (folder / name).is_file():
            digest.update(name.encode() + b"\0")
            with (folder / name).open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()
