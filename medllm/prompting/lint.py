"""What is wrong with the prompts of a schema pack, told before a model is asked: leaks, gaps, lengths, names."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, takewhile
from typing import Any, NamedTuple

from medllm.document import Entity, Span
from medllm.prompting.examples import parse_example
from medllm.prompting.pool import squeezed
from medllm.prompting.questions import Questions
from medllm.prompting.retrieval import LONG_LINE
from medllm.schema import Schema, guideline
from medllm.text.chunks import Chunk
from medllm.text.lines import split_lines

SHARED_PREFIX = 4
"""Labels of one question that begin with so many equal characters are told: a model commits itself with the first token of a label."""

ANSWER_SHARE = 0.5
"""A prompt that leaves less than this share of the context for lines and answers is told."""


class Remark(NamedTuple):
    """Something to mend, and how."""

    what: str
    hint: str


def lint(
    questions: Questions, *, count_tokens: Callable[[str], int], context_tokens: int, texts: Iterable[str] = (), examples_tokens: int = 0
) -> Iterator[Remark]:
    """Everything to say of a pack's prompts. ``texts`` are those of notes that will be read or scored; ``examples_tokens`` is the room
    that retrieved examples are to have."""
    schema = questions.schema
    yield from _leaks(schema, texts)
    yield from _guidelines(schema)
    yield from _examples(schema)
    yield from _names(schema)
    yield from _lengths(questions, count_tokens, context_tokens, examples_tokens)


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many than too few: three bytes a token, one for a Chinese character."""
    return -(-len(text.encode()) // 3)


def _leaks(schema: Schema, texts: Iterable[str]) -> Iterator[Remark]:
    shown = [parse_example(example).text for example in schema.examples]
    lines = [{own for line in split_lines(text) if len(own := squeezed(line.view)) >= LONG_LINE} for text in shown]
    wholes = [squeezed(text) for text in shown]
    hits = [0] * len(lines)
    for text in texts:
        there = {squeezed(line.view) for line in split_lines(text)}
        whole = squeezed(text)
        for number, (of_example, example) in enumerate(zip(lines, wholes, strict=True)):
            hits[number] += bool(of_example & there) or example == whole
    for number, count in enumerate(hits, 1):
        if count:
            yield Remark(
                f"example {number} is told to the model and stands in {count} of the notes",
                "write another example: scores on these notes would be those of a model that has seen the answer",
            )


def _guidelines(schema: Schema) -> Iterator[Remark]:
    classes: list[Any] = [*schema.entities, *schema.relations]
    for cls in classes:
        if not guideline(cls):
            yield Remark(f"{cls.__name__} has no docstring", "it is the guideline that the model reads: say what it is, with an example")


def _examples(schema: Schema) -> Iterator[Remark]:
    parsed = [parse_example(example) for example in schema.examples]
    shown = {mention.label for example in parsed for mention in example.mentions}
    if missing := [c.label for c in schema.entities if c.label not in shown]:
        yield Remark(f"no example shows {', '.join(missing)}", "add one to Schema(examples=[...]), or give annotated notes: --examples")
    linked = {label for example in parsed for label, *_ in example.links}
    if missing := list(dict.fromkeys(r.label for r in schema.relations if r.label not in linked)):
        yield Remark(f"no example shows {', '.join(missing)}", "relate two mentions of an example: [label <relation#1|text]")
    empty = [line for e in parsed for line in split_lines(e.text) if not any(line.start <= m.start < line.end for m in e.mentions)]
    if parsed and not empty:
        yield Remark("every line of the examples has a mention", "add lines with none: a model that sees none will find some everywhere")


def _names(schema: Schema) -> Iterator[Remark]:
    groups: list[Sequence[Any]] = [schema.main_entities, schema.modifiers, *schema.relation_groups]
    for group in groups:
        names = list(dict.fromkeys(c.label for c in group))
        for one, other in combinations(names, 2):
            common = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
            if len(common) >= min(SHARED_PREFIX, len(one), len(other)):
                yield Remark(
                    f"the labels {one!r} and {other!r} both begin with {common!r}",
                    "a small model chooses between them before it can tell them apart: give one of them another label",
                )


def _lengths(questions: Questions, count: Callable[[str], int], context: int, examples_tokens: int) -> Iterator[Remark]:
    for task, messages in _asked(questions):
        static = sum(count(m.content) + 8 for m in messages[:-1]) + examples_tokens
        if static > ANSWER_SHARE * context:
            state = "do not fit in" if static >= context else f"take {static / context:.0%} of"
            yield Remark(
                f"the prompt about {task} has about {static} tokens before any line of a note: they {state} the context of {context}",
                "give a larger --context, shorter guidelines, fewer examples, or --labels",
            )


def _asked(questions: Questions) -> Iterator[tuple[str, Sequence[Any]]]:
    schema, text = questions.schema, "x y"
    (line,) = split_lines(text)
    chunk = Chunk(0, len(text), (line,))
    yield "entities", questions.entities(chunk).messages
    mentions = [_made(kind, text) for kind in schema.main_entities]
    if heads := [m for m in mentions if questions.modifier_labels(m.label)]:
        yield "modifiers", questions.modifiers([(heads[0], line)]).messages
    for group in range(len(schema.relation_groups)):
        yield "relations", questions.relations([(m, 0) for m in mentions[:2]], [line], group).messages


def _made(kind: type[Entity], text: str) -> Entity:
    return kind.model_construct(spans=(Span(start=0, end=1),), text=text[:1])
