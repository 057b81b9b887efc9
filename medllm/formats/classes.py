"""Labels and attributes as files name them -> the classes and fields of a schema.

Names agree if they are equal, or equal without case, blanks, ``-`` and ``_``; a class may be named by its label or its own name.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from medllm.document import AnyEntity, Entity, Relation, any_entity, any_relation
from medllm.schema import Attribute, Schema, attributes


def fold(name: str) -> str:
    """``Body-Location``, ``body_location`` and ``BodyLocation`` are one name."""
    return "".join(c for c in name if c not in " -_").casefold()


def entity_class(schema: Schema | None, label: str, *, exact: bool = False) -> type[Entity] | None:
    """The class for a label; None if the schema has none. Without a schema every label has its class."""
    if schema is None:
        return any_entity(label)
    if exact:
        return schema.entity(label) if label in schema.labels else None
    classes = _classes(schema)
    return classes.get(label) or classes.get(fold(label))


def relation_class(
    schema: Schema | None, label: str, head: Entity, tail: Entity, *, exact: bool = False
) -> type[Relation[Any, Any]] | None:
    """The class for a relation between two mentions; None if the schema does not admit it."""
    if schema is None:
        return any_relation(label)
    found = schema.relations_between(head.label, tail.label)
    same = next((c for c in found if c.label == label), None)
    if same is not None or exact:
        return same
    return next((c for c in found if fold(label) in (fold(c.label), fold(c.__name__))), None)


def attribute_of(kind: type[Entity], name: str, value: str | None) -> tuple[str, str]:
    """The field and the value that an annotation's attribute stands for; no value means ``yes``.

    Raises ValueError, with a message that holds no value, for what the class does not admit.
    """
    if issubclass(kind, AnyEntity):
        return (name + "_" if name in Entity.model_fields else name), "yes" if value is None else value
    fields = _fields(kind)
    attribute = fields.get(name) or fields.get(fold(name))
    if attribute is None:
        raise ValueError(f"{kind.label} has no attribute {name!r}")
    wanted = "yes" if value is None else value
    found = wanted if wanted in attribute.values else next((v for v in attribute.values if fold(v) == fold(wanted)), None)
    if found is None:
        raise ValueError(f"not a value of {kind.label}.{attribute.name}, which has {', '.join(attribute.values)}")
    return attribute.name, found


@lru_cache(maxsize=64)
def _classes(schema: Schema) -> Mapping[str, type[Entity]]:
    folded = {fold(name): c for c in reversed(schema.entities) for name in (c.__name__, c.label)}
    return folded | {c.label: c for c in schema.entities}


@lru_cache(maxsize=1024)
def _fields(kind: type[Entity]) -> Mapping[str, Attribute]:
    own = attributes(kind)
    return {fold(a.name): a for a in reversed(own)} | {a.name: a for a in own}
