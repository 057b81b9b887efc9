"""A tagger's mentions as the typed entities and relations of a schema."""

from collections.abc import Mapping
from typing import Any

from medllm.document import Entity, Note, Relation, Span, Vote
from medllm.ensemble.links import ASSERTION
from medllm.errors import SchemaError
from medllm.schema import Schema, attributes
from medllm.taggers.attachment import attach
from medllm.taggers.linking import link
from medllm.taggers.relations import RelationClassifier
from medllm.taggers.tagger import TaggedMention, Tagger

TAGGER = "tagger"
BROADER = {"drug": "treatment"}
"""A label that a schema lacks is read as a broader one that it has: the i2b2 2010 guideline counts drugs among treatments."""


class TaggerReader:
    """Reads notes with a tagger. ``labels`` maps the tagger's labels to the schema's where they differ.

    ``classifier`` finds the relations among the mentions; without one, modifiers are attached by rules, and nothing else is related.

    Raises SchemaError where the schema has none of the tagger's labels.
    """

    def __init__(
        self,
        tagger: Tagger,
        schema: Schema,
        *,
        labels: Mapping[str, str] | None = None,
        relations: bool = True,
        classifier: RelationClassifier | None = None,
    ) -> None:
        self.tagger = tagger
        self.schema = schema
        self.relations = relations
        self.classifier = classifier
        given = dict(labels or {})
        known = set(schema.labels)
        wanted = {label: given.get(label, label if label in known else BROADER.get(label, label)) for label in tagger.config.labels}
        self.labels = {label: to for label, to in wanted.items() if to in schema.labels}
        if not self.labels:
            raise SchemaError(
                f"the tagger {tagger.config.name} and the schema {schema.name!r} share no label",
                hint=f"the tagger's labels are {', '.join(tagger.config.labels)}; train one for this schema, or read with --readers llm",
            )
        self._values = {c.label: {a.name: a.values for a in attributes(c)} for c in schema.entities}

    @classmethod
    def if_it_knows_all(
        cls,
        tagger: Tagger,
        schema: Schema,
        *,
        labels: Mapping[str, str] | None = None,
        relations: bool = True,
        classifier: RelationClassifier | None = None,
    ) -> "TaggerReader | None":
        """The reader, or None where the tagger does not know all that the schema asks for."""
        try:
            reader = cls(tagger, schema, labels=labels, relations=relations, classifier=classifier)
        except SchemaError:
            return None
        return reader if reader.knows_all else None

    @property
    def unread(self) -> tuple[str, ...]:
        """The schema's labels that the tagger does not know."""
        known = set(self.labels.values())
        return tuple(label for label in self.schema.labels if label not in known)

    @property
    def knows_all(self) -> bool:
        """True if it knows every label, attribute and relation that the schema asks for; rules know those to modifiers."""
        heads = {(self.labels.get(label), head.name) for head in self.tagger.config.attributes for label in head.labels}
        attributes_known = all((label, name) in heads for label, values in self._values.items() for name in values)
        related = set(self.classifier.config.relations if self.classifier else ())
        asked = {r.label for r in (self.schema.relations if self.classifier else self.schema.pair_relations)} if self.relations else set()
        return not self.unread and attributes_known and asked <= related

    def reads(self, language: str) -> bool:
        """True if the tagger was made for notes in this language; it is English unless its ``about`` says otherwise."""
        return language in self.tagger.config.about.get("languages", ["en"])

    def read(self, note: Note) -> tuple[tuple[Entity, ...], tuple[Relation[Any, Any], ...]]:
        """The mentions of a note in reading order, and the relations among them."""
        found = (self._entity(note, m) for m in self.tagger.tag(note.text) if m.label in self.labels)
        entities = tuple(e.model_copy(update={"id": f"T{n}"}) for n, e in enumerate(found, 1))
        links = self._links(note, entities) if self.relations else []
        return entities, tuple(r.model_copy(update={"id": f"R{n}"}) for n, r in enumerate(links, 1))

    def _links(self, note: Note, entities: tuple[Entity, ...]) -> list[Relation[Any, Any]]:
        if self.classifier is None:
            return attach(note.text, entities, self.schema)
        return link(note.text, entities, self.schema, self.classifier)

    def _entity(self, note: Note, mention: TaggedMention) -> Entity:
        label = self.labels[mention.label]
        values = {
            name: value
            for name, admitted in self._values[label].items()
            if (value := mention.value(name)) is not None and value in admitted
        }
        span = Span(start=mention.start, end=mention.end)
        vote = Vote(reader=TAGGER, model=self.tagger.config.name, placed="tags", score=round(mention.probability, 4))
        votes = [vote]
        if ASSERTION in values:
            said = {"about": f"{ASSERTION}={values[ASSERTION]}", "score": round(mention.attributes[ASSERTION][values[ASSERTION]], 4)}
            votes.append(vote.model_copy(update=said))
        return self.schema.entity(label)(spans=(span,), text=span.of(note.text), votes=tuple(votes), **values)
