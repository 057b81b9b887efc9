"""Label maps: the labels of a corpus as those of a schema pack. Small TOML files, reviewed by eye.

::

    corpus = "n2c2-2018"
    schema = "clinical"

    [entities]                                  # label of the corpus -> label of the pack
    Drug = "drug"
    Strength = "strength"

    [relations]                                 # the same; reverse: the pack's relation goes from the corpus' tail to its head
    Strength-Drug = { to = "hasAttr", reverse = true }

    [ignored]                                   # labels left out, on purpose
    entities = ["Reason"]
    relations = ["Reason-Drug"]

    [[attributes]]                              # an attribute of the corpus -> one of the pack, with its values
    name = "POLARITY"
    to = "assertion"
    values = { NEG = "absent" }

    [[modifiers]]                               # a mention with such a modifier (the pack's label) has this value; the first rule counts
    modifier = "negation"
    attribute = "assertion"
    value = "absent"

A label that is neither mapped nor ignored is an error, not a silent zero. Attributes that both have under one name need no rule; others
that the pack's class lacks are left out, and so are relations of which an end is ignored or which the pack does not admit between the
two classes.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

from medllm.document import Entity, Extraction, Relation
from medllm.errors import FormatError
from medllm.formats.classes import attribute_of, relation_class
from medllm.formats.ids import Positions
from medllm.schema import Schema, attribute_value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RelationRule(_Strict):
    """What a relation of the corpus becomes."""

    to: str
    reverse: bool = False


class AttributeRule(_Strict):
    """What an attribute of the corpus becomes; values that are not listed are left out."""

    name: str
    to: str
    values: Mapping[str, str]


class ModifierRule(_Strict):
    """What a modifier tells of the mention that has it; ``modifier`` is a label of the pack."""

    modifier: str
    attribute: str
    value: str


class Ignored(_Strict):
    """Labels that are left out on purpose."""

    entities: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()


class LabelMap(_Strict):
    """A label map. ``schema_name`` is the pack's name."""

    corpus: str
    schema_name: str
    entities: Mapping[str, str]
    relations: Mapping[str, str | RelationRule] = {}
    ignored: Ignored = Ignored()
    attributes: tuple[AttributeRule, ...] = ()
    modifiers: tuple[ModifierRule, ...] = ()

    def relation(self, label: str) -> RelationRule | None:
        """The rule for a relation; None where it is ignored. Raises FormatError for a label that the map lacks."""
        rule = self.relations.get(label)
        if rule is None and label not in self.ignored.relations:
            self._unknown("relation", label)
        return RelationRule(to=rule) if isinstance(rule, str) else rule

    def entity(self, label: str) -> str | None:
        """The pack's label for a mention; None where it is ignored. Raises FormatError for a label that the map lacks."""
        to = self.entities.get(label)
        if to is None and label not in self.ignored.entities:
            self._unknown("entity", label)
        return to

    def _unknown(self, what: str, label: str) -> NoReturn:
        raise FormatError(
            f"the label map of {self.corpus} has no {what} label {label!r}", hint=f"map it, or list it under [ignored] {what}s"
        )


def load(path: str | Path) -> LabelMap:
    """Read a label map. Raises FormatError for what is no such file, and for a label that is mapped and ignored."""
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", path=str(path), hint="label maps are in evals/labelmaps") from None
    except ValueError as error:
        raise FormatError(f"not TOML: {error}", path=str(path)) from None
    try:
        found = LabelMap.model_validate({("schema_name" if key == "schema" else key): value for key, value in data.items()})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise FormatError(
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}", path=str(path), hint="see medllm.formats.labelmap"
        ) from None
    for mapped, ignored in ((found.entities, found.ignored.entities), (found.relations, found.ignored.relations)):
        if both := sorted(set(mapped) & {*ignored}):
            raise FormatError(f"{both[0]!r} is both mapped and ignored", path=str(path), hint="remove one of them")
    return found


def check(labelmap: LabelMap, schema: Schema) -> None:
    """Raises FormatError where the map names labels, attributes or values that the pack lacks."""
    known = {relation.label for relation in schema.relations}
    for label in labelmap.entities.values():
        if label not in schema.labels:
            _lacks(labelmap, schema, "entity label", label)
    for name in labelmap.relations:
        if (rule := labelmap.relation(name)) and rule.to not in known:
            _lacks(labelmap, schema, "relation", rule.to)
    for modifier in labelmap.modifiers:
        if modifier.modifier not in schema.labels:
            _lacks(labelmap, schema, "entity label", modifier.modifier)
    wanted = [(rule.to, value) for rule in labelmap.attributes for value in rule.values.values()]
    for name, value in wanted + [(rule.attribute, rule.value) for rule in labelmap.modifiers]:
        if not any(_admits(kind, name, value) for kind in schema.entities):
            _lacks(labelmap, schema, "attribute", f"{name} = {value}")


def apply(extraction: Extraction, labelmap: LabelMap, schema: Schema) -> Extraction:
    """The mentions and relations of a corpus in the classes of a pack.

    Raises FormatError for a label that the map does not have, and where ``check`` does.

    >>> from medllm.document import Note, any_entity
    >>> note = Note(id="n", text="No fever.")
    >>> corpus = Extraction(note=note, entities=(any_entity("Sign").at(note.text, 3, 8),))
    >>> mapped = apply(corpus, LabelMap(corpus="mine", schema_name="clinical", entities={"Sign": "problem"}), Schema.load("clinical"))
    >>> mapped.entities[0].label, mapped.entities[0].assertion.value
    ('problem', 'present')
    """
    check(labelmap, schema)
    where = Positions(extraction)
    labels = [labelmap.entity(entity.label) for entity in extraction.entities]
    links = []
    for relation in extraction.relations:
        rule = labelmap.relation(relation.label)
        ends = where.of(relation.head), where.of(relation.tail)
        if rule and all(labels[end] for end in ends):
            links.append((relation, rule, ends[::-1] if rule.reverse else ends))
    modifiers: dict[int, set[str]] = {}
    for _, _, (head, tail) in links:
        modifiers.setdefault(head, set()).add(labels[tail] or "")
    made = {
        place: _entity(entity, label, labelmap, schema, modifiers.get(place, set()))
        for place, (entity, label) in enumerate(zip(extraction.entities, labels, strict=True))
        if label
    }
    relations: list[Relation[Any, Any]] = []
    for relation, rule, (head, tail) in links:
        if kind := relation_class(schema, rule.to, made[head], made[tail]):
            more = {"id": relation.id, "confidence": relation.confidence, "votes": relation.votes}
            relations.append(kind(head=made[head], tail=made[tail], **more))
    return extraction.model_copy(update={"entities": tuple(made.values()), "relations": tuple(relations)})


def _entity(entity: Entity, label: str, labelmap: LabelMap, schema: Schema, modifiers: set[str]) -> Entity:
    kind = schema.entity(label)
    values: dict[str, str] = {}
    own = {name: attribute_value(value) for name, value in entity.attributes.items() if value is not None}
    for name, value in own.items():
        rules = [rule for rule in labelmap.attributes if rule.name == name]
        given = [(rule.to, rule.values[value]) for rule in rules if value in rule.values] if rules else [(name, value)]
        values |= {to: wanted for to, wanted in given if _admits(kind, to, wanted)}
    for rule in labelmap.modifiers:
        if rule.modifier in modifiers and _admits(kind, rule.attribute, rule.value):
            values.setdefault(rule.attribute, rule.value)
    fields = {name: getattr(entity, name) for name in Entity.model_fields}
    try:
        return kind(**fields, **dict(attribute_of(kind, name, value) for name, value in values.items()))
    except ValidationError as error:
        missing = ", ".join(str(e["loc"][0]) for e in error.errors() if e["loc"])
        raise FormatError(f"a mention of {entity.label!r} has no {missing}", hint="the pack asks for it: add a rule") from None


def _admits(kind: type[Entity], name: str, value: str) -> bool:
    try:
        attribute_of(kind, name, value)
    except ValueError:
        return False
    return True


def _lacks(labelmap: LabelMap, schema: Schema, what: str, name: str) -> NoReturn:
    raise FormatError(
        f"the label map of {labelmap.corpus} names the {what} {name!r}, which the schema {schema.name!r} lacks",
        hint=f"it was made for the schema {labelmap.schema_name!r}",
    )
