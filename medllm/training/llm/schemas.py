"""The schemas that a model is taught under: of each corpus what it annotates, and variations of it.

A model that has only ever seen one schema learns its labels by heart and stops reading the prompt. So some conversations ask for a part
of the labels, in another order, or under names that say nothing, with the guideline of the class: what counts is what is written there.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medllm.document import Entity, Extraction, Relation
from medllm.errors import InputError
from medllm.schema import Schema, attribute_value, attributes


@dataclass(frozen=True)
class Variant:
    """A schema, and the labels of a corpus by those that the schema has for them."""

    schema: Schema
    names: Mapping[str, str]

    def of(self, extraction: Extraction) -> Extraction:
        """The mentions and relations of a note in the classes of the schema; what it does not ask for is left out."""
        entities: dict[int, Entity] = {}
        for e in extraction.entities:
            if e.label in self.names:
                kind = self.schema.entity(self.names[e.label])
                own = {a.name for a in attributes(kind)}
                given = {k: attribute_value(v) for k, v in e.attributes.items() if k in own and v is not None}
                entities[id(e)] = kind.model_construct(spans=e.spans, text=e.text, **{**_defaults(kind), **given})
        relations: list[Relation[Any, Any]] = []
        for r in extraction.relations:
            head, tail = entities.get(id(r.head)), entities.get(id(r.tail))
            if head is not None and tail is not None:
                kinds = [k for k in self.schema.relations_between(head.label, tail.label) if k.label == r.label]
                relations += [kind.model_construct(head=head, tail=tail) for kind in kinds]
        return Extraction.model_construct(note=extraction.note, entities=tuple(entities.values()), relations=tuple(relations), ledger=())


def annotated(schema: Schema | None, extractions: Sequence[Extraction], name: str) -> Schema:
    """What a corpus annotates of a schema: its labels that occur, and of their attributes those with more than one value.

    A corpus that never says whether a problem is absent must not teach that all are present. Without a schema one is made of the
    labels and the signatures of the relations that occur, without guidelines.
    """
    there = {e.label for x in extractions for e in x.entities}
    if schema is None:
        return _bare(extractions, name)
    kept = [c.label for c in schema.main_entities if c.label in there]
    kept += [m.label for m in schema.modifiers if m.label in there and any(schema.relations_between(head, m.label) for head in kept)]
    if not kept:
        raise InputError(
            f"{name}: {len(extractions)} notes, and no mention of the schema {schema.name!r}",
            hint=f"its labels are {', '.join(schema.labels)}; a corpus with others needs a label map: FORMAT:PATH@MAP.toml",
        )
    values: dict[str, set[str]] = {}
    for x in extractions:
        for e in x.entities:
            for key, value in e.attributes.items():
                values.setdefault(key, set()).add(attribute_value(value))
    data = schema.restrict(kept).to_json()
    related = {r.label for x in extractions for r in x.relations}
    for entity in data["entities"]:
        entity["attributes"] = [a for a in entity["attributes"] if len(values.get(a["name"], ())) > 1]
    data["relations"] = [r for r in data["relations"] if r["label"] in related]
    linked = {t for r in data["relations"] for t in r["tails"]}
    data["entities"] = [e for e in data["entities"] if not e["modifier"] or e["label"] in linked]
    dropped = len(data["entities"]) < len(schema.entities) or len(data["relations"]) < len(schema.relations)
    changed = dropped or any(a != b for a, b in zip(data["entities"], schema.to_json()["entities"], strict=False))
    if changed:
        data["examples"] = []  # they show what the corpus does not annotate
    return Schema.from_json(_known(data))


def plain(schema: Schema) -> Variant:
    """The schema as it is."""
    return Variant(schema, {label: label for label in schema.labels})


def varied(schema: Schema, chooser: random.Random) -> Variant:
    """A part of the labels, shuffled, and half the time under names that say nothing. Worked examples are left out."""
    main = [c.label for c in schema.main_entities]
    kept = set(chooser.sample(main, chooser.randint(1, len(main))))
    kept |= {m.label for m in schema.modifiers if any(schema.relations_between(head, m.label) for head in kept)}
    data = schema.restrict([label for label in schema.labels if label in kept]).to_json()
    chooser.shuffle(data["entities"])
    names = {e["label"]: e["label"] for e in data["entities"]}
    if chooser.random() < 0.5 and all(e["guideline"] for e in data["entities"]):
        numbers = chooser.sample(range(1, 100), len(names))
        names = {label: f"{chooser.choice(('kind', 'type', 'label'))}{n}" for label, n in zip(names, numbers, strict=True)}
    for entity in data["entities"]:
        entity["label"] = names[entity["label"]]
    for relation in data["relations"]:
        relation["heads"] = [names[label] for label in relation["heads"]]
        relation["tails"] = [names[label] for label in relation["tails"]]
    return Variant(Schema.from_json({**data, "examples": []}), names)


def _known(data: dict[str, Any]) -> dict[str, Any]:
    labels = {e["label"] for e in data["entities"]}
    for relation in data["relations"]:
        relation["heads"] = [label for label in relation["heads"] if label in labels]
        relation["tails"] = [label for label in relation["tails"] if label in labels]
    return {**data, "relations": [r for r in data["relations"] if r["heads"] and r["tails"]]}


def _bare(extractions: Sequence[Extraction], name: str) -> Schema:
    labels = sorted({e.label for x in extractions for e in x.entities})
    signatures: dict[str, tuple[set[str], set[str]]] = {}
    for x in extractions:
        for r in x.relations:
            heads, tails = signatures.setdefault(r.label, (set(), set()))
            heads.add(r.head.label)
            tails.add(r.tail.label)
    return Schema.from_json(
        {
            **Schema("bare", [Entity]).to_json(),
            "name": name,
            "entities": [
                {"label": label, "class": f"Label{n}", "modifier": False, "guideline": "", "attributes": []}
                for n, label in enumerate(labels, 1)
            ],
            "relations": [
                {"label": label, "class": f"Relation{n}", "guideline": "", "heads": sorted(heads), "tails": sorted(tails)}
                for n, (label, (heads, tails)) in enumerate(sorted(signatures.items()), 1)
            ],
        }
    )


def _defaults(kind: type[Entity]) -> dict[str, Any]:
    fields = {name: info.default for name, info in kind.model_fields.items() if name in Entity.model_fields and not info.is_required()}
    return fields | {a.name: a.default if a.default is not None else a.values[0] for a in attributes(kind)}
