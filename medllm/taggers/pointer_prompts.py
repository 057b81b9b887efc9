"""What UIE is asked for, for each label of a schema: short names in Chinese."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources

from medllm.prompting.render import Prompts
from medllm.schema import Schema, guideline

_HAN = re.compile(r"[\u3400-\u9fff]")
_FIRST_TERM = re.compile(r"[^\W\d_][^、，。：；（(“”\"\s]*?(?=的(?:名称|通用名|全称)|或|和|及|与|[、，。：；（(“”\"\s]|$)")


@dataclass(frozen=True)
class PointerPrompts:
    """``entities``: the names that each label is asked for by; ``relations``: what the tail of a relation is called beside its head."""

    entities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    relations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, schema: Schema, given: Mapping[str, str] | None = None) -> "PointerPrompts":
        """Those that are ``given`` (name to label), else the pack's own, else what its labels or guidelines say in Chinese.

        The pack's own stand in ``prompts/pointers/zh/SCHEMA.toml``.

        >>> PointerPrompts.of(Schema.load("clinical-zh")).entities["anatomy"]
        ('身体部位',)
        """
        if given:
            return cls(_grouped((label, name) for name, label in given.items() if label in schema.labels))
        file = resources.files("medllm") / "prompts" / "pointers" / "zh" / f"{schema.name}.toml"
        if file.is_file():
            data = tomllib.loads(file.read_text("utf-8"))
            own = {label: tuple(names) for label, names in data["entities"].items() if label in schema.labels}
            return cls(own, {r.label: data["relations"][r.label] for r in schema.relations if r.label in data.get("relations", {})})
        texts = {} if schema.language == "zh" else Prompts().guidelines(schema.name, "zh").entities
        named = (
            (c.label, name) for c in schema.entities for name in [short_name(c.label) or short_name(texts.get(c.label) or guideline(c))]
        )
        relations = {r.label: name for r in schema.relations if (name := short_name(r.label))}
        return cls(_grouped((label, name) for label, name in named if name), relations)


def short_name(text: str) -> str:
    """The first term of a Chinese text; empty where it has none.

    >>> short_name("疾病或综合征的名称（“2型糖尿病”）。"), short_name("身体部位、器官"), short_name("A disease.")
    ('疾病', '身体部位', '')
    """
    match = _FIRST_TERM.match(text.strip().replace("_", ""))
    return match[0] if match and _HAN.search(match[0]) else ""


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for label, name in pairs:
        found[label] = (*found.get(label, ()), name)
    return found
