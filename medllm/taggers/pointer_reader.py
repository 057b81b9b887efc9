"""UIE's mentions as the typed entities and relations of a schema: asked for label by label, then head by head."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from medllm.document import Entity, Modifier, Note, Relation, Span, Vote
from medllm.errors import SchemaError
from medllm.rules.voice import assert_by_rules
from medllm.schema import Schema, attributes
from medllm.taggers.pointer_prompts import PointerPrompts
from medllm.taggers.pointers import Pointed, PointerTagger
from medllm.text.lines import split_lines

TAGGER = "tagger"


class PointerReader:
    """Reads notes with UIE. ``labels`` maps the names that are asked for to the schema's labels; else the schema's own are taken.

    A label's mentions are asked for in the whole note; modifiers, and tails of relations, in the line of their head and by its text
    (``布洛芬的剂量``). A relation is kept where its tail overlaps a mention that is there. Mentions of different labels may overlap where
    the schema is nested; where it is not, the higher score stays. Assertions are the rules'. Raises SchemaError where no label of the
    schema has a Chinese name.
    """

    classifier = None

    def __init__(self, tagger: PointerTagger, schema: Schema, *, labels: Mapping[str, str] | None = None, relations: bool = True) -> None:
        self.tagger = tagger
        self.schema = schema
        self.relations = relations
        self.prompts = PointerPrompts.of(schema, labels)
        self.labels = {name: label for label, names in self.prompts.entities.items() for name in names}
        """What is asked for, and the label that it stands for; names that two labels share are asked once for each."""
        self._main = [(label, name) for c in schema.main_entities for label in [c.label] for name in self.prompts.entities.get(label, ())]
        if not self._main:
            raise SchemaError(
                f"the labels of the schema {schema.name!r} have no Chinese names that {tagger.config.name} could be asked for",
                hint="give them with --tagger-labels 疾病=LABEL,..., or write the schema's labels or docstrings in Chinese",
            )

        for label, kind in ((c.label, c) for c in schema.entities if c.label in self.prompts.entities):
            if missing := [a.name for a in attributes(kind) if a.default is None]:
                raise SchemaError(
                    f"{tagger.config.name} cannot tell the {missing[0]} of {label!r}",
                    hint="give the attribute a default, or read with --readers llm",
                )

    @property
    def unread(self) -> tuple[str, ...]:
        """The schema's labels that are not asked for."""
        return tuple(label for label in self.schema.labels if label not in self.prompts.entities)

    def reads(self, language: str) -> bool:
        """True for Chinese."""
        return language == "zh"

    def read(self, note: Note) -> tuple[tuple[Entity, ...], tuple[Relation[Any, Any], ...]]:
        """The mentions of a note in reading order, and their relations."""
        pointed = zip(self._main, self.tagger.point(note.text, [name for _, name in self._main]), strict=True)
        mentions = self._distinct(self._entity(note, label, each) for (label, _), found in pointed for each in found)
        links = self._links(note, mentions) if self.relations else []
        both = self._distinct([*mentions, *(link.tail for link in links if isinstance(link.tail, Modifier))])
        named = {_key(e): e.model_copy(update={"id": f"T{n}"}) for n, e in enumerate(assert_by_rules(note.text, both), 1)}
        relations: dict[Any, Relation[Any, Any]] = {}
        for head, tail, kind, vote in sorted(links, key=lambda link: -(link.vote.score or 0)):
            key = (_key(head), _key(tail), kind.label)
            if key not in relations and key[0] in named and key[1] in named:
                relations[key] = kind(head=named[key[0]], tail=named[key[1]], votes=(vote,))
        return tuple(named.values()), tuple(relations[key].model_copy(update={"id": f"R{n}"}) for n, key in enumerate(sorted(relations), 1))

    def _links(self, note: Note, mentions: Sequence[Entity]) -> "list[_Link]":
        """The tails of every mention, asked for in its line."""
        found: list[_Link] = []
        for line in split_lines(note.text):
            here = [e for e in mentions if line.start <= e.span.start and e.span.end <= line.end]
            asked = [question for head in here for question in self._questions(head, here)]
            texts = list(dict.fromkeys(question.text for question in asked))
            answers = dict(zip(texts, self.tagger.point(note.text[line.start : line.end], texts), strict=True))
            for question in asked:
                for start, end, score in answers[question.text]:
                    tail = self._tail(note, question, here, Pointed(line.start + start, line.start + end, score))
                    if tail is not None:
                        found.append(_Link(question.head, tail, question.kind, self._vote(score)))
        return found

    def _questions(self, head: Entity, here: Sequence[Entity]) -> "Iterator[_Question]":
        """What is asked of a mention: its modifiers, and the tails of relations for which there is a mention in its line."""
        for kind in self.schema.relations:
            if head.label not in {c.label for c in kind.heads()}:
                continue
            for tail in kind.tails():
                if issubclass(tail, Modifier):
                    names = self.prompts.entities.get(tail.label, ())
                else:
                    able = any(e.label == tail.label and e is not head for e in here)
                    names = (self.prompts.relations[kind.label],) if able and kind.label in self.prompts.relations else ()
                yield from (_Question(head, f"{head.text}的{name}", tail, kind) for name in names)

    def _tail(self, note: Note, question: "_Question", here: Sequence[Entity], place: Pointed) -> Entity | None:
        """The mention that an answer means: a new one for a modifier, else the one of its label that fits best."""
        if issubclass(question.tail, Modifier):
            return self._entity(note, question.tail.label, place)
        span = Span(start=place.start, end=place.end)
        able = [e for e in here if e.label == question.tail.label and e is not question.head and e.span.overlaps(span)]
        return min(able, key=lambda e: abs(e.span.start - span.start) + abs(e.span.end - span.end), default=None)

    def _distinct(self, found: Iterable[Entity]) -> list[Entity]:
        """Each mention once, the higher score first; without overlaps where the schema admits none."""
        kept: dict[Any, Entity] = {}
        for entity in sorted(found, key=lambda e: -(e.votes[0].score or 0)):
            if _key(entity) in kept or (not self.schema.nested and any(e.span.overlaps(entity.span) for e in kept.values())):
                continue
            kept[_key(entity)] = entity
        return sorted(kept.values(), key=Entity.sort_key)

    def _entity(self, note: Note, label: str, place: Pointed) -> Entity:
        span = Span(start=place.start, end=place.end)
        return self.schema.entity(label)(spans=(span,), text=span.of(note.text), votes=(self._vote(place.score),))

    def _vote(self, score: float) -> Vote:
        return Vote(reader=TAGGER, model=self.tagger.config.name, placed="pointers", score=round(score, 4))


class _Question(NamedTuple):
    """What is asked of a mention, and what the answer would be."""

    head: Entity
    text: str
    tail: type[Entity]
    kind: type[Relation[Any, Any]]


class _Link(NamedTuple):
    """A relation before its mentions have their ids."""

    head: Entity
    tail: Entity
    kind: type[Relation[Any, Any]]
    vote: Vote


def _key(entity: Entity) -> tuple[int, int, str]:
    return entity.sort_key()
