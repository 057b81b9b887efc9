"""``medllm extract``: notes in, a run directory out."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medllm.cli.cache import with_cache
from medllm.cli.progress import download_progress, run_line, run_progress
from medllm.messages import translated as _

if TYPE_CHECKING:
    from medllm.document import Note
    from medllm.formats.inputs import Unreadable
    from medllm.linking import Linkers
    from medllm.pipeline import Extractor
    from medllm.runs.run import RunResult
    from medllm.weights import Progress

_INPUT, _READING, _MODEL, _TAGGER, _PRIVACY = "Input", "Reading", "Model", "Tagger", "Privacy"


def extract(
    out: Annotated[str, typer.Option("-o", "--out", metavar="OUT", help="The run directory; - prints JSON lines instead.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUTS...",
            help="Text files, documents (pdf, docx, html, rtf), tables (csv, tsv, jsonl, parquet, arrow), HL7 v2 messages, folders, globs, "
            "- for stdin; FORMAT:PATH forces a reader, such as fhir:bundle.json or omop:note.csv.",
        ),
    ] = None,
    schema: Annotated[str, typer.Option(help="A schema pack's name, or your own: mine.py.")] = "clinical",
    labels: Annotated[str | None, typer.Option(help="Only these entity labels, separated by commas.")] = None,
    relations: Annotated[bool, typer.Option("--relations/--no-relations", help="Ask for modifiers and relations too.")] = True,
    readers: Annotated[
        str,
        typer.Option(
            help="llm: a prompted language model. tagger: a fine-tuned encoder, in less than a second a note. both: the two, reconciled. "
            "auto: the tagger where it knows the schema and the note's language, the model elsewhere and wherever --engine, --model or "
            "--base-url is given."
        ),
    ] = "auto",
    format_: Annotated[str, typer.Option("--format", help="Formats to write beside JSON lines, separated by commas.")] = "jsonl",
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, instead of going on where OUT stands.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the prompt, the grammar and token counts of the first chunk; decode nothing.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many notes of the inputs.")] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="A database (SQLAlchemy URL, or in MEDLLM_DATABASE) instead of INPUTS.", rich_help_panel=_INPUT
        ),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(metavar="SQL", help="The query whose rows are the notes; order it, and name --id-column.", rich_help_panel=_INPUT),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="The column of a table that holds the text.", rich_help_panel=_INPUT)] = None,
    id_column: Annotated[str | None, typer.Option(help="The column of a table that holds the note's id.", rich_help_panel=_INPUT)] = None,
    encoding: Annotated[str, typer.Option(help="The encoding of text files.", rich_help_panel=_INPUT)] = "utf-8",
    max_note_chars: Annotated[int, typer.Option(min=1, help="Longer notes go to the ledger.", rich_help_panel=_INPUT)] = 2_000_000,
    engine: Annotated[str, typer.Option(help="auto, vllm, vllm-offline, embedded, transformers, replay.", rich_help_panel=_MODEL)] = "auto",
    model: Annotated[
        str | None, typer.Option(help="A model's name (see `medllm models list`), a file or a hub name.", rich_help_panel=_MODEL)
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A LoRA adapter of the model, as medllm train llm writes it.", rich_help_panel=_MODEL),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A server, vLLM's or another of the OpenAI protocol (or in MEDLLM_BASE_URL); its key in MEDLLM_API_KEY.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    context: Annotated[int | None, typer.Option(min=256, help="Tokens of one prompt with its answer.", rich_help_panel=_MODEL)] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="Prompts at a time.", rich_help_panel=_MODEL)] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the embedded engine.", rich_help_panel=_MODEL)] = None,
    device: Annotated[str | None, typer.Option(help="Device of the transformers engine.", rich_help_panel=_MODEL)] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Certificates to trust a server by (PEM).", rich_help_panel=_MODEL)] = None,
    client_certificate: Annotated[
        Path | None, typer.Option(help="Certificate and key to show to a server (PEM).", rich_help_panel=_MODEL)
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for one answer of a server.", rich_help_panel=_MODEL)] = 600,
    reasoning_tokens: Annotated[
        int, typer.Option(min=0, help="Tokens in which a reasoning model on a server may think before an answer.", rich_help_panel=_MODEL)
    ] = 0,
    record: Annotated[Path | None, typer.Option(help="Record the completions here, for --engine replay.", rich_help_panel=_MODEL)] = None,
    tagger: Annotated[
        str | None, typer.Option(help="A tagger: its folder, or a hub name; the shipped one otherwise.", rich_help_panel=_TAGGER)
    ] = None,
    tagger_labels: Annotated[
        str | None,
        typer.Option(metavar="THEIRS=OURS,...", help="The tagger's labels in the schema's, where they differ.", rich_help_panel=_TAGGER),
    ] = None,
    deid: Annotated[
        str | None,
        typer.Option(
            help="mask or surrogate: what identifies a patient is replaced before a model sees a note; extractions are of the original "
            "note all the same. off otherwise.",
            rich_help_panel=_PRIVACY,
        ),
    ] = None,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache",
            help="Keep the model's answers, and take those that are kept: another run reads only what has changed. They quote the notes; "
            "see medllm cache.",
            rich_help_panel=_PRIVACY,
        ),
    ] = False,
    cache_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder that --cache keeps answers in; one of your own otherwise.", rich_help_panel=_PRIVACY),
    ] = None,
    deid_ner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="An installed spaCy pipeline that --deid asks for names and places too.", rich_help_panel=_PRIVACY
        ),
    ] = None,
    tagger_relations: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="A relation classifier (medllm train relations) for the tagger's mentions; rules attach modifiers otherwise.",
            rich_help_panel=_TAGGER,
        ),
    ] = None,
    boundary: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Where the model's mentions begin and end: auto (as in a corpus, where known), off, or a learnt policy.",
            rich_help_panel=_READING,
        ),
    ] = "auto",
    calibrator: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="What turns votes into probabilities: auto (of the shipped tagger), off, or what `medllm train calibrator` wrote.",
            rich_help_panel=_READING,
        ),
    ] = "auto",
    min_precision: Annotated[
        float | None,
        typer.Option(min=0.5, max=0.999, help="Mark mentions as accepted, at this precision, or for review.", rich_help_panel=_READING),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="TOKENS",
            help="With --readers both: so many tokens of a note's text the model may read, where the tagger is least sure; all otherwise.",
            rich_help_panel=_READING,
        ),
    ] = None,
    disputes: Annotated[
        bool,
        typer.Option(
            "--disputes/--no-disputes",
            help="With --readers both: ask the model again about what the two do not agree on, in closed questions.",
            rich_help_panel=_READING,
        ),
    ] = False,
    second_voice: Annotated[
        str | None,
        typer.Option(
            metavar="layout|examples",
            help="For a schema without a tagger (--readers llm): read a second time, layout (in the other one) or examples (in another "
            "order), and say where the two agree.",
            rich_help_panel=_READING,
        ),
    ] = None,
    layout: Annotated[str, typer.Option(help="lines (line-pinned) or copy (copy-with-tags).", rich_help_panel=_READING)] = "lines",
    assertion: Annotated[str, typer.Option(help="Whose assertions are taken: rules or llm.", rich_help_panel=_READING)] = "rules",
    chunk_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a note that one prompt asks about.", rich_help_panel=_READING)] = 64,
    prompts: Annotated[
        Path | None, typer.Option(help="A folder of templates that override the shipped ones.", rich_help_panel=_READING)
    ] = None,
    examples: Annotated[
        list[str] | None,
        typer.Option(
            "--examples",
            metavar="FORMAT:PATH[@MAP]",
            help="Annotated notes: their lines that are most like a question are shown with it. May be repeated.",
            rich_help_panel=_READING,
        ),
    ] = None,
    examples_tokens: Annotated[
        int, typer.Option(min=0, help="Tokens of the retrieved examples of one prompt.", rich_help_panel=_READING)
    ] = 800,
    link: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Terminologies to link mentions to: mesh, hpo, icd10cm, unii, mondo, doid, or your file: umls:, snomed:, rxnorm:, loinc:, "
            "table:PATH.",
            rich_help_panel=_READING,
        ),
    ] = None,
    link_encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="A sentence encoder's folder or hub name, which orders near names by meaning.", rich_help_panel=_READING
        ),
    ] = None,
    link_choice: Annotated[
        str | None,
        typer.Option(metavar="llm", help="llm: the language model chooses where only near names are found.", rich_help_panel=_READING),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Language of the prompts (en, zh); each note's own otherwise.", rich_help_panel=_READING)
    ] = None,
) -> None:
    """Read notes into grounded, typed extractions.

    Exit code 0: everything was read. 1: stopped by an error; what was done is kept. 2: wrong usage. 3: finished, and the ledger is
    not empty. 4: the accounting does not add up. 130: interrupted.
    """
    from medllm.deid.deidentifier import OFF, Deidentifier
    from medllm.engines import EngineOptions, is_remote
    from medllm.engines.replay import Recorder
    from medllm.errors import UsageError
    from medllm.formats import registry
    from medllm.pipeline import Extractor
    from medllm.runs.run import first_notes
    from medllm.schema import Schema

    formats = _names(format_)
    for name in formats:
        registry.writer(name)
    if out == "-" and formats != ["jsonl"]:
        raise UsageError("standard output takes JSON lines only", hint="give a folder, such as -o out, for other formats")
    pack = Schema.load(schema)
    items = _items(inputs or [], database, query, text_column, id_column, max_note_chars, encoding)
    if limit is not None:
        items = first_notes(items, limit)
    if deid_ner is not None and deid in (None, OFF):
        raise UsageError("--deid-ner says nothing without --deid", hint="give --deid mask or --deid surrogate too")
    if cache_dir is not None and not cache:
        raise UsageError("--cache-dir says nothing without --cache", hint="give --cache too")
    if cache and readers == "tagger":
        raise UsageError("a tagger has no answers to keep", hint="--cache is for the language model")
    if readers == "auto" and (dry_run or record is not None or prompts is not None):
        readers = "llm"
    with download_progress() as progress:
        options = EngineOptions(
            context,
            parallel,
            threads,
            device,
            progress=progress,
            base_url=base_url,
            ca_file=ca_file,
            client_certificate=client_certificate,
            timeout=timeout,
            reasoning_tokens=reasoning_tokens,
            adapter=adapter,
        )
        extractor = Extractor(
            pack,
            engine=engine,
            model=model,
            layout=layout,
            prompts=prompts,
            language=language,
            labels=None if labels is None else _names(labels),
            relations=relations,
            assertion=assertion,
            chunk_tokens=chunk_tokens,
            options=options,
            readers=readers,
            tagger=tagger,
            tagger_labels=label_pairs(tagger_labels),
            deid=OFF if deid is None or deid == OFF else Deidentifier(deid, ner=deid_ner),
            linker=_linker(link, link_encoder, progress),
            link_choice=link_choice or OFF,
            tagger_relations=tagger_relations,
            boundary=boundary,
            calibrator=calibrator,
            min_precision=min_precision,
            budget=budget,
            disputes=disputes,
            second_voice=second_voice,
            examples=examples or None,
            examples_tokens=examples_tokens,
        )
    if deid is None and is_remote(extractor.engine):
        said = _(
            "warning: the notes go to a server with all that identifies the patients in them; --deid surrogate or --deid mask replaces it, "
            "and --deid off says that they may go as they are"
        )
        typer.echo(said, err=True)
    if extractor.tagger is not None:
        _about_tagger(extractor, dry_run=dry_run, record=record)
    with extractor:
        if cache and not dry_run:
            extractor.engine = with_cache(extractor.engine, cache_dir)
        if record is not None:
            extractor.engine = Recorder(extractor.engine, record)
        if dry_run:
            _show(extractor, items)
        elif out == "-":
            _print(extractor, items)
        else:
            _run(extractor, items, Path(out), formats, fresh)


def _items(
    inputs: Sequence[str],
    database: str | None,
    query: str | None,
    text_column: str | None,
    id_column: str | None,
    max_chars: int,
    encoding: str,
) -> "Iterator[Note | Unreadable]":
    import os

    from medllm.errors import UsageError
    from medllm.formats.discovery import passed_over
    from medllm.formats.inputs import read_inputs
    from medllm.formats.sql import read_query

    if inputs and database is None and query is None:
        if others := passed_over(inputs):
            kinds = ", ".join(f"{ending} {count}" for ending, count in sorted(others.items()))
            said = _("{count} files of other kinds are passed over ({kinds}); FORMAT:PATH forces a reader")
            typer.echo(said.format(count=others.total(), kinds=kinds), err=True)
        return read_inputs(inputs, text_column=text_column, id_column=id_column, max_chars=max_chars, encoding=encoding)
    url = database or os.environ.get("MEDLLM_DATABASE")
    if inputs or query is None or url is None:
        raise UsageError("give either INPUTS, or a database and a query", hint="such as notes/, or --from URL --query SQL")
    return read_query(url, query, text_column=text_column, id_column=id_column, max_chars=max_chars)


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _linker(given: str | None, encoder: str | None, progress: "Progress") -> "Linkers | None":
    from medllm.errors import UsageError

    if given is None:
        if encoder is not None:
            raise UsageError("an encoder for linking needs a terminology", hint="give --link NAME too")
        return None
    from medllm.linking import linkers

    return linkers(_names(given), encoder=encoder, progress=progress)


def label_pairs(given: str | None) -> dict[str, str]:
    """``THEIRS=OURS,...`` as a mapping. Raises UsageError."""
    from medllm.errors import UsageError

    pairs = [each.partition("=") for each in _names(given or "")]
    if not all(theirs and ours for theirs, _, ours in pairs):
        raise UsageError("--tagger-labels is not understood", hint="write THEIRS=OURS,...: Medication=drug,Disease=problem")
    return {theirs.strip(): ours.strip() for theirs, _, ours in pairs}


def _about_tagger(extractor: "Extractor", *, dry_run: bool, record: Path | None) -> None:
    from medllm.errors import UsageError

    if extractor.readers == "tagger" and (dry_run or record is not None):
        raise UsageError("a tagger has no prompts", hint="--dry-run and --record are for --readers llm")
    if extractor.deid is not None:
        typer.echo(_("--deid is for the language model; the tagger reads notes as they are, on this machine"), err=True)
    if extractor.tagger is not None and extractor.tagger.unread:
        typer.echo(_("the tagger does not know the schema's {labels}").format(labels=", ".join(extractor.tagger.unread)), err=True)


def _run(extractor: "Extractor", items: "Iterable[Note | Unreadable]", out: Path, formats: Sequence[str], fresh: bool) -> None:
    import asyncio

    from medllm.runs.directory import RunDirectory
    from medllm.runs.run import configuration, run

    directory = RunDirectory(out, extractor.schema, configuration(extractor), fresh=fresh)
    try:
        with run_progress() as report:
            result = asyncio.run(run(extractor, items, directory, formats=formats, report=report))
    except KeyboardInterrupt:
        typer.echo(_("interrupted; the same command goes on where it stopped"), err=True)
        raise
    finally:
        directory.close()
    typer.echo(run_line(result.progress), err=True)
    if result.ledger:
        said = _("{count} ledger entries: {file} tells what was not read or not kept, and why")
        typer.echo(said.format(count=result.ledger, file=out / "ledger.jsonl"), err=True)
    typer.echo(_("{file}; look at it with: medllm view {out}").format(file=out / "extractions.jsonl", out=out), err=True)
    _exit(result)


def _print(extractor: "Extractor", items: "Iterable[Note | Unreadable]") -> None:
    import asyncio
    from contextlib import aclosing

    from medllm.cli import discreet
    from medllm.document import Note
    from medllm.formats import jsonl
    from medllm.runs.run import Progress, RunResult

    missed = unaccounted = 0

    def notes() -> "Iterator[Note]":
        nonlocal missed
        for item in items:
            if isinstance(item, Note):
                yield item
            else:
                missed += 1
                typer.echo(_("not read: {what}").format(what=discreet.problem(item)), err=True)

    async def print_all() -> None:
        nonlocal missed, unaccounted
        async with aclosing(extractor.stream(notes())) as readings:
            async for reading in readings:
                _put(jsonl.dump(reading.extraction))
                unaccounted += not reading.accounted_for
                missed += len(reading.extraction.ledger)
                for entry in reading.extraction.ledger:
                    known = entry.model_copy(update={"note_id": discreet.shown(entry.note_id)})
                    typer.echo(f"ledger: {known.model_dump_json(exclude_none=True)}", err=True)

    asyncio.run(print_all())
    _exit(RunResult(Progress(), missed, unaccounted))


def _put(line: str) -> None:
    """Print a line of the result. Raises RunError where standard output takes no more."""
    from medllm.errors import RunError

    try:
        typer.echo(line)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # whoever read it has gone
    except OSError as error:
        raise RunError(f"standard output: {error.strerror}", hint="write to a folder: a run there goes on where it stopped") from None


def _exit(result: "RunResult") -> None:
    if not result.accounted_for:
        said = _("error: the characters read and those in the ledger do not add up in {count} notes; please report it")
        typer.echo(said.format(count=result.unaccounted), err=True)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _show(extractor: "Extractor", items: "Iterable[Note | Unreadable]") -> None:
    from medllm.document import Note
    from medllm.errors import InputError

    note = next((item for item in items if isinstance(item, Note)), None)
    if note is None:
        raise InputError("none of the inputs can be read", hint="run without --dry-run: the ledger tells why")
    if extractor.deid is not None:
        note = extractor.deid.replace(note).note
    chunks = extractor.prompted.split(note)
    question = extractor.prompted.questions_for(note).entities(chunks[0])
    for message in question.messages:
        typer.echo(f"--- {message.role}: {extractor.engine.count_tokens(message.content)} tokens\n{message.content}\n")
    typer.echo(f"--- grammar ({len(question.constraint.grammar.rules)} rules)\n{question.constraint.lark}")
    lengths = ", ".join(str(sum(extractor.engine.count_tokens(line.view) for line in chunk.lines)) for chunk in chunks)
    typer.echo(
        f"--- {len(chunks)} chunks of {lengths} tokens; model {extractor.engine.model}, context {extractor.engine.context_tokens} tokens"
    )
