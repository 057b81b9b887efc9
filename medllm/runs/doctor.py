"""What ``medllm doctor`` looks at."""

import asyncio
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import medllm
from medllm.errors import MedllmError
from medllm.versions import versions

if TYPE_CHECKING:
    from medllm.document import Extraction
    from medllm.schema import Schema

MODELS_GB = 2
"""Room for both shipped models, about."""


class Finding(NamedTuple):
    """One thing that was looked at. ``hint`` says what to do about it."""

    state: Literal["ok", "note", "bad"]
    what: str
    hint: str = ""


def examine(
    schema: str | None = None,
    *,
    run: bool = False,
    notes: Sequence[str] = (),
    examples: Sequence[str] = (),
    context: int | None = None,
) -> Iterator[Finding]:
    """Look at the installation, one finding at a time; ``run`` also loads the default model.

    Of a schema the prompts are looked at too: ``notes`` and ``examples`` (``FORMAT:PATH``) are what no worked example may be taken from,
    and ``context`` is the room for a prompt and its answer.
    """
    installed = ", ".join(f"{name} {version}" for name, version in versions().items())
    yield Finding("ok", f"medllm {medllm.__version__}, Python {platform.python_version()}, {installed}")
    yield from _engines()
    yield from _models()
    if schema is not None:
        yield from _schema(schema, notes, examples, context)
    if run:
        yield from _obeys_grammars()


def _engines() -> Iterator[Finding]:
    yield from _server()
    for engine, package, extra in (
        ("embedded", "xllamacpp", ""),
        ("transformers", "transformers", "transformers"),
        ("vllm-offline", "vllm", "vllm"),
    ):
        if importlib.util.find_spec(package):
            yield Finding("ok", f"engine {engine}")
        elif extra:
            yield Finding("note", f"engine {engine}: not installed", f"pip install 'medllm[{extra}]'")
        else:
            yield Finding("bad", f"engine {engine}: {package} is missing", f"pip install {package}")


def _server() -> Iterator[Finding]:
    """The server that MEDLLM_BASE_URL names, if it does."""
    if not (base_url := os.environ.get("MEDLLM_BASE_URL")):
        yield Finding("ok", "engine vllm: give --base-url, or set MEDLLM_BASE_URL")
        return
    from medllm.engines.vllm import VllmEngine

    try:
        engine = VllmEngine(base_url)
    except MedllmError as error:
        yield Finding("bad", f"engine vllm: {error}", error.hint)
        return
    asyncio.run(engine.aclose())
    held = "grammars are obeyed" if engine.constrained else "JSON schemas are obeyed, grammars are not"
    yield Finding("ok", f"engine vllm: {engine.server.software} with {engine.model}, {engine.context_tokens} tokens; {held}")


def _models() -> Iterator[Finding]:
    from medllm.weights import MODELS, models_folder, status

    for card in MODELS:
        found = status(card)
        if found.state == "ready":
            yield Finding("ok", f"model {card.name}: {found.path}")
        else:
            yield Finding("note", f"model {card.name}: {found.state}", f"fetched on first use, or now: medllm models pull {card.name}")
    folder = models_folder()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free > MODELS_GB * 1e9:
        yield Finding("ok", f"{free / 1e9:.0f} GB free for models in {folder}")
    else:
        yield Finding("bad", f"{free / 1e9:.1f} GB free for models in {folder}", "set MEDLLM_CACHE to a folder on a larger disk")


def _schema(name: str, notes: Sequence[str], examples: Sequence[str], context: int | None) -> Iterator[Finding]:
    from medllm.engines.embedded import DEFAULT_CONTEXT
    from medllm.grammar.layout import get_layout
    from medllm.prompting.examples import parse_example
    from medllm.prompting.lint import estimated_tokens, lint
    from medllm.prompting.questions import Questions
    from medllm.prompting.render import Prompts
    from medllm.prompting.retrieval import EXAMPLES_TOKENS
    from medllm.schema import Schema

    try:
        schema = Schema.load(name)
        questions = Questions(schema, get_layout("lines"), Prompts())
        annotated = _annotated(examples, schema)
        texts = [*_texts(notes), *(x.note.text for x in annotated)]
    except MedllmError as error:
        yield Finding("bad", str(error), error.hint)
        return
    yield Finding("ok", f"schema {schema.name}: {', '.join(schema.labels)}; {len(schema.relations)} relations")
    for number, example in enumerate(map(parse_example, schema.examples), 1):
        for label in sorted({mention.label for mention in example.mentions} - set(schema.labels)):
            yield Finding("bad", f"example {number} has a mention with the label {label!r}, which the schema has not", "is it misspelt?")
    room = context or DEFAULT_CONTEXT
    more = min(EXAMPLES_TOKENS, room // 4) if examples else 0
    for remark in lint(questions, count_tokens=estimated_tokens, context_tokens=room, texts=texts, examples_tokens=more):
        yield Finding("note", remark.what, remark.hint)
    if examples:
        there = {e.label for x in annotated for e in x.entities}
        if missing := [label for label in schema.labels if label not in there]:
            yield Finding("note", f"no annotated note shows {', '.join(missing)}", "retrieved examples teach that there are none")


def _texts(notes: Sequence[str]) -> Iterator[str]:
    from medllm.document import Note
    from medllm.formats.inputs import read_inputs

    return (item.text for item in read_inputs(notes) if isinstance(item, Note)) if notes else iter(())


def _annotated(examples: Sequence[str], schema: "Schema") -> "list[Extraction]":
    from medllm.formats.annotated import read_all

    return read_all(examples, schema)


def _obeys_grammars() -> Iterator[Finding]:
    from medllm.pipeline import Extractor

    try:
        with Extractor("clinical") as extractor:
            extraction = extractor.extract("He denies chest pain.")
        state: Literal["ok", "bad"] = "bad" if extraction.ledger else "ok"
        yield Finding(state, f"the default model obeys grammars; it found {len(extraction.entities)} mentions in a sentence")
    except MedllmError as error:
        yield Finding("bad", str(error), error.hint)
