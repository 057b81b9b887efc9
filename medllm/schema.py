"""Schema: what to extract, introspected from the Pydantic classes of a schema pack, with a JSON form that needs no pack.

A pack is a Python module with a module-level ``schema``; ``Schema.load`` takes the name of a shipped pack, an entry point
of the group ``medllm.schemas``, or the path of a ``.py`` file (which is run: a pack is code) or of a ``schema.json``.
"""

import enum
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import pkgutil
import re
import sys
import traceback
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, create_model
from pydantic_core import PydanticUndefined

from medllm.document import Entity, Modifier, Relation
from medllm.errors import SchemaError

FORMAT_VERSION = 1

_WORD = re.compile(r"[\w-]+")
_NOT_IN_A_VALUE = re.compile(r'[",()<>\\\n\r]')
"""Layouts write values inside quotes, or in brackets with commas between them."""


@dataclass(frozen=True)
class Attribute:
    """A closed-set field of an entity class. ``default`` is None where the reader must always answer."""

    name: str
    values: tuple[str, ...]
    default: str | None
    guideline: str = ""


@dataclass(frozen=True)
class Schema:
    """The entity and relation classes to extract.

    ``nested`` lets mentions overlap, ``discontinuous`` lets one mention have several parts (and implies ``nested``).
    ``language`` is the prompt folder's name (``en``, ``zh``). ``examples`` are worked examples in the mark-up of
    ``medllm.prompting.examples``.

    >>> class Problem(Entity): "A disease."
    >>> class Drug(Entity): "A drug."
    >>> class Treats(Relation[Drug, Problem]): "The drug is given for the problem."
    >>> schema = Schema("mine", entities=[Problem, Drug], relations=[Treats])
    >>> [r.label for r in schema.relations_between("drug", "problem")]
    ['Treats']
    >>> Schema.from_json(schema.to_json()).digest == schema.digest
    True
    """

    name: str
    entities: Sequence[type[Entity]]
    relations: Sequence[type[Relation[Any, Any]]] = ()
    description: str = ""
    language: str = "en"
    nested: bool = False
    discontinuous: bool = False
    examples: Sequence[str] = ()
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entities", tuple(self.entities))
        object.__setattr__(self, "relations", tuple(self.relations))
        object.__setattr__(self, "examples", tuple(self.examples))
        if self.discontinuous:
            object.__setattr__(self, "nested", True)
        _check(self)

    @cached_property
    def main_entities(self) -> tuple[type[Entity], ...]:
        """The classes asked for line by line."""
        return tuple(c for c in self.entities if not issubclass(c, Modifier))

    @cached_property
    def modifiers(self) -> tuple[type[Entity], ...]:
        """The classes asked for mention by mention."""
        return tuple(c for c in self.entities if issubclass(c, Modifier))

    @cached_property
    def pair_relations(self) -> tuple[type[Relation[Any, Any]], ...]:
        """The relations asked over pairs of mentions already found (those to modifiers come with the modifiers)."""
        return tuple(r for r in self.relations if not any(issubclass(t, Modifier) for t in r.tails()))

    @cached_property
    def relation_groups(self) -> tuple[tuple[type[Relation[Any, Any]], ...], ...]:
        """``pair_relations`` by their groups, in the pack's order: each is asked by itself."""
        groups: dict[str, list[type[Relation[Any, Any]]]] = {}
        for relation in self.pair_relations:
            groups.setdefault(relation.group, []).append(relation)
        return tuple(tuple(group) for group in groups.values())

    def entity(self, label: str) -> type[Entity]:
        """The class of a label. Raises SchemaError if there is none."""
        try:
            return self._by_label[label]
        except KeyError:
            raise SchemaError(
                f"schema {self.name!r} has no entity label {label!r}", hint=f"its labels are {', '.join(self._by_label)}"
            ) from None

    @cached_property
    def _by_label(self) -> dict[str, type[Entity]]:
        return {c.label: c for c in self.entities}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the entity classes, in the pack's order."""
        return tuple(self._by_label)

    def relations_between(self, head: str, tail: str) -> tuple[type[Relation[Any, Any]], ...]:
        """The relation classes whose signature admits a head and a tail of these labels."""
        return self._signatures.get((head, tail), ())

    @cached_property
    def _signatures(self) -> Mapping[tuple[str, str], tuple[type[Relation[Any, Any]], ...]]:
        pairs: dict[tuple[str, str], list[type[Relation[Any, Any]]]] = {}
        for relation in self.relations:
            for head in relation.heads():
                for tail in relation.tails():
                    pairs.setdefault((head.label, tail.label), []).append(relation)
        return {pair: tuple(found) for pair, found in pairs.items()}

    def restrict(self, labels: Iterable[str]) -> "Schema":
        """The same schema with only these entity labels; of relations, the part of their signatures that is left between them.

        A relation of which a part is left is a subclass of the pack's own. Raises SchemaError for an unknown label, and for a
        modifier without anything that it could qualify.
        """
        wanted = set(labels)
        relations = [left for r in self.relations if (left := _narrowed(r, wanted)) is not None]
        linked = {c.label for r in relations for c in r.tails()}
        for label in sorted(wanted):
            if issubclass(self.entity(label), Modifier) and label not in linked:
                heads = {c.label: None for r in self.relations for c in r.heads() if label in {t.label for t in r.tails()}}
                raise SchemaError(f"nothing that {label!r} could qualify is among the labels", hint=f"add {' or '.join(heads)}")
        return Schema(
            self.name,
            [c for c in self.entities if c.label in wanted],
            relations,
            description=self.description,
            language=self.language,
            nested=self.nested,
            discontinuous=self.discontinuous,
            examples=self.examples,
            source=self.source,
        )

    # --- the JSON form ---------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Everything that readers of a run need, without the pack's code."""
        return {
            "format": "medllm-schema",
            "version": FORMAT_VERSION,
            "name": self.name,
            "description": self.description,
            "language": self.language,
            "nested": self.nested,
            "discontinuous": self.discontinuous,
            "examples": list(self.examples),
            "entities": [
                {
                    "label": c.label,
                    "class": c.__name__,
                    "modifier": issubclass(c, Modifier),
                    "guideline": guideline(c),
                    "attributes": [
                        {"name": a.name, "values": list(a.values), "default": a.default, "guideline": a.guideline} for a in attributes(c)
                    ],
                }
                for c in self.entities
            ],
            "relations": [
                {
                    "label": r.label,
                    "class": r.__name__,
                    "guideline": guideline(r),
                    "heads": [c.label for c in r.heads()],
                    "tails": [c.label for c in r.tails()],
                    **({"group": r.group} if r.group else {}),
                }
                for r in self.relations
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Schema":
        """Rebuild a schema, with classes of the same names and fields, from ``to_json``. Raises SchemaError."""
        try:
            if data["format"] != "medllm-schema" or data["version"] != FORMAT_VERSION:
                raise SchemaError(
                    f"schema format {data['format']!r} version {data['version']!r} is not known",
                    hint="it was written by another version of medllm",
                )
            entities = {e["label"]: _entity_class(e) for e in data["entities"]}
            relations = [_relation_class(r, entities) for r in data["relations"]]
            return cls(
                data["name"],
                list(entities.values()),
                relations,
                description=data["description"],
                language=data["language"],
                nested=data["nested"],
                discontinuous=data["discontinuous"],
                examples=data["examples"],
                source="json",
            )
        except SchemaError:
            raise
        except Exception as error:  # whatever pydantic says of names and values that no schema has
            raise SchemaError(f"not a schema: {type(error).__name__}", hint="is this a schema.json written by medllm?") from error

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON form: two packs with one digest ask for the same things in the same words."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def load(cls, name: "str | Path | Schema") -> "Schema":
        """A shipped pack or an entry point by name (``clinical``, ``i2b2-2010``), a ``.py`` file, or a ``schema.json``."""
        if isinstance(name, Schema):
            return name
        path = Path(name)
        if path.suffix == ".json":
            return cls.from_json(_read_json(path))
        if path.suffix == ".py":
            return _from_module(_run_file(path), str(path))
        return _from_module(_find_pack(str(name)), str(name))


def shipped_packs() -> tuple[str, ...]:
    """Names of the schema packs that come with medllm."""
    import medllm.schemas

    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(medllm.schemas.__path__)))


def attributes(entity: type[Entity]) -> tuple[Attribute, ...]:
    """The closed-set fields that an entity class adds to Entity. Raises SchemaError for a field of another type."""
    found = []
    for name, info in entity.model_fields.items():
        if name in Entity.model_fields:
            continue
        default = info.default
        if default is PydanticUndefined:
            default = None
        elif isinstance(default, enum.Enum):
            default = default.value
        elif isinstance(default, bool):
            default = _bool(default)
        found.append(Attribute(name, _values(info.annotation, entity, name), default, info.description or ""))
    return tuple(found)


def attribute_value(value: Any) -> str:
    """An attribute's value as prompts and files write it: an enum's value, ``yes`` or ``no``, or the string."""
    return _bool(value) if isinstance(value, bool) else str(value.value if isinstance(value, enum.Enum) else value)


def guideline(cls: type[Entity] | type[Relation[Any, Any]]) -> str:
    """The docstring that a class itself has, cleaned; empty where it has none."""
    return inspect.cleandoc(cls.__dict__.get("__doc__") or "")


def _bool(value: bool) -> str:
    return "yes" if value else "no"


def _values(annotation: Any, entity: type[Entity], name: str) -> tuple[str, ...]:
    if annotation is bool:
        return ("yes", "no")
    values: tuple[Any, ...] = ()
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        values = tuple(m.value for m in annotation)
    elif typing.get_origin(annotation) is Literal:
        values = typing.get_args(annotation)
    if values and all(isinstance(value, str) for value in values):
        return tuple(str(value) for value in values)
    raise SchemaError(
        f"{entity.__name__}.{name} is not a closed set of strings",
        hint="an attribute is an Enum or a Literal of strings, or a bool; for text of the note, use a Modifier class and a relation to it",
    )


def _check(schema: Schema) -> None:
    if not schema.entities:
        raise SchemaError(f"schema {schema.name!r} has no entity classes", hint="give Schema(..., entities=[MyEntity])")
    for cls, base in [*((c, Entity) for c in schema.entities), *((r, Relation) for r in schema.relations)]:
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise SchemaError(f"{cls!r} is no subclass of {base.__name__}", hint="entities and relations are lists of classes")
        if not _WORD.fullmatch(cls.label):
            raise SchemaError(f"the label {cls.label!r} is not a word", hint="labels are letters, digits, '_' and '-'")
    labels = schema.labels
    if twice := next((c.label for n, c in enumerate(schema.entities) if c.label in {x.label for x in schema.entities[:n]}), None):
        raise SchemaError(f"two entity classes have the label {twice!r}", hint='give one of them another: class X(Entity, label="y")')
    for entity in schema.entities:
        _check_attributes(entity)
    pairs: set[tuple[str, str, str]] = set()
    for relation in schema.relations:
        _check_signature(relation, labels)
        for pair in ((relation.label, h.label, t.label) for h in relation.heads() for t in relation.tails()):
            if pair in pairs:
                raise SchemaError(
                    f"two relation classes are {pair[0]!r} from {pair[1]!r} to {pair[2]!r}", hint="give one of them another label"
                )
            pairs.add(pair)
    linked = {t.label for relation in schema.relations for t in relation.tails()}
    for modifier in schema.modifiers:
        if modifier.label not in linked:
            raise SchemaError(
                f"nothing leads to the modifier {modifier.label!r}", hint=f"add a relation: class R(Relation[Head, {modifier.__name__}])"
            )


def _check_attributes(entity: type[Entity]) -> None:
    own = {name for cls in entity.__mro__[: entity.__mro__.index(Entity)] for name in inspect.get_annotations(cls)}
    if taken := sorted(name for name in own if hasattr(Entity, name) or name in Entity.model_fields):
        raise SchemaError(
            f"{entity.__name__} has an attribute of the name {taken[0]!r}, which every mention has", hint="give it another name"
        )
    for attribute in attributes(entity):
        if any(not v or _NOT_IN_A_VALUE.search(v) for v in attribute.values):
            raise SchemaError(
                f"{entity.__name__}.{attribute.name} has an empty value, or one with a quote, a comma, a bracket or a line break",
                hint="rename it",
            )
        if attribute.default is not None and attribute.default not in attribute.values:
            raise SchemaError(f"the default of {entity.__name__}.{attribute.name} is none of its values", hint="add it to them")


def _check_signature(relation: type[Relation[Any, Any]], labels: Sequence[str]) -> None:
    for side in (*relation.heads(), *relation.tails()):
        if getattr(side, "label", None) not in labels:
            raise SchemaError(
                f"relation {relation.label!r} names {side.__name__!r}, which is not among the schema's entities",
                hint="add the class to entities, and give a relation its two types: class R(Relation[Head, Tail])",
            )
    kinds = {issubclass(t, Modifier) for t in relation.tails()}
    if len(kinds) > 1 or any(issubclass(h, Modifier) for h in relation.heads()):
        raise SchemaError(f"relation {relation.label!r} mixes modifiers with other classes", hint="modifiers stand alone, on the tail side")


def _entity_class(data: Mapping[str, Any]) -> type[Entity]:
    fields: dict[str, Any] = {}
    for a in data["attributes"]:
        kind: Any = Literal.__getitem__(tuple(a["values"]))
        fields[a["name"]] = (kind, Field(default=... if a["default"] is None else a["default"], description=a["guideline"] or None))
    base = Modifier if data["modifier"] else Entity
    return create_model(data["class"], __base__=base, __doc__=data["guideline"], __cls_kwargs__={"label": data["label"]}, **fields)


def _relation_class(data: Mapping[str, Any], entities: Mapping[str, type[Entity]]) -> type[Relation[Any, Any]]:
    heads, tails = (_union([entities[label] for label in data[side]]) for side in ("heads", "tails"))
    base: type[Relation[Any, Any]] = Relation.__class_getitem__((heads, tails))  # type: ignore[assignment]
    given = {"label": data["label"], "group": data.get("group", "")}
    return create_model(data["class"], __base__=base, __doc__=data["guideline"], __cls_kwargs__=given)


def _narrowed(relation: type[Relation[Any, Any]], labels: Iterable[str]) -> type[Relation[Any, Any]] | None:
    """The relation between classes of these labels only: the class itself, a subclass of it, or None where nothing is left."""
    heads, tails = ([c for c in side if c.label in labels] for side in (relation.heads(), relation.tails()))
    if not heads or not tails:
        return None
    if len(heads) + len(tails) == len(relation.heads()) + len(relation.tails()):
        return relation
    kept: Any = SerializeAsAny  # as in Relation itself
    fields: dict[str, Any] = {"head": (kept[_union(heads)], ...), "tail": (kept[_union(tails)], ...)}
    given = {"label": relation.label, "group": relation.group}
    return create_model(relation.__name__, __base__=relation, __doc__=guideline(relation), __cls_kwargs__=given, **fields)


def _union(classes: Sequence[type[Entity]]) -> Any:
    return typing.Union[tuple(classes)]  # noqa: UP007  built at run time


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SchemaError(
            f"{path}: cannot be read as a schema: {type(error).__name__}", hint="is this a schema.json written by medllm?"
        ) from error


def _run_file(path: Path) -> Any:
    """The module of a file: the imported one, so that its classes are the user's own, else run now."""
    if not path.is_file():
        raise SchemaError(f"there is no schema file {path}", hint=f"give a .py file, or one of {', '.join(shipped_packs())}")
    place = str(path.resolve())
    name = f"medllm_user_schema_{hashlib.sha256(place.encode()).hexdigest()[:12]}"
    for other, imported in list(sys.modules.items()):
        if other not in (name, "__main__") and getattr(imported, "__file__", None) == place:
            return imported
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None  # the ending is .py
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # pydantic looks up annotations there
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        said = str(error) if isinstance(error, SchemaError) else _in_short(error, place)
        hint = getattr(error, "hint", "") or f"the file must import without errors: try python {path}"
        raise SchemaError(f"{path}: {said}", hint=hint) from error
    return module


def _in_short(error: Exception, place: str = "") -> str:
    """The class of an error and its line in the file ``place``. Its message stays away: code that reads notes may quote them there."""
    if isinstance(error, ImportError):
        return f"{type(error).__name__}: {error}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == place]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return type(error).__name__ if line is None else f"{type(error).__name__} in line {line}"


def _find_pack(name: str) -> Any:
    if name.replace("_", "-") in shipped_packs():
        return importlib.import_module(f"medllm.schemas.{name.replace('-', '_')}")
    for entry in importlib.metadata.entry_points(group="medllm.schemas", name=name):
        try:
            return entry.load()
        except Exception as error:
            raise SchemaError(f"the schema {name!r} cannot be loaded: {_in_short(error)}", hint=f"it comes from {entry.value}") from error
    raise SchemaError(f"there is no schema {name!r}", hint=f"give a .py file, or one of {', '.join(shipped_packs())}")


def _from_module(module: Any, source: str) -> Schema:
    schema = module if isinstance(module, Schema) else getattr(module, "schema", None)
    if not isinstance(schema, Schema):
        raise SchemaError(f"{source}: no module-level `schema`", hint='end the file with: schema = Schema("mine", entities=[...])')
    object.__setattr__(schema, "source", source)
    return schema
