"""``medllm eval``: a suite, or any gold standard, read by the model and scored, with a report."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medllm.cli.progress import download_progress, run_line, run_progress
from medllm.messages import translated as _

if TYPE_CHECKING:
    from medllm.evaluation.evaluate import Evaluation
    from medllm.evaluation.gold import Gold
    from medllm.evaluation.suite import Suite
    from medllm.pipeline import Extractor

_DATA, _SCORES, _MODEL, _READING = "Data", "Scores", "Model", "Reading"


def evaluate(
    suite: Annotated[str | None, typer.Argument(metavar="[SUITE]", help="A suite's name or its .yaml file; --list names them.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="OUT", help="The folder for the run, its scores and reports.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the suites that come with medllm.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, instead of going on where OUT stands.")] = False,
    gold: Annotated[
        str | None, typer.Option(metavar="FORMAT:PATH", help="A gold standard, instead of a suite.", rich_help_panel=_DATA)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The suite's corpus, or the folder that holds it; else MEDLLM_DATA.", rich_help_panel=_DATA),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Another split of the corpus than the suite's, or all.", rich_help_panel=_DATA)] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first notes.", rich_help_panel=_DATA)] = None,
    schema: Annotated[
        str | None, typer.Option(help="With --gold: a schema pack's name or mine.py; clinical otherwise.", rich_help_panel=_DATA)
    ] = None,
    label_map: Annotated[
        Path | None, typer.Option(help="With --gold: a .toml file, the corpus' labels to the pack's.", rich_help_panel=_DATA)
    ] = None,
    labels: Annotated[str | None, typer.Option(help="The mention labels that count, separated by commas.", rich_help_panel=_SCORES)] = None,
    metrics: Annotated[
        str | None, typer.Option("--metric", "-m", help="Metrics besides exact and overlap, separated by commas.", rich_help_panel=_SCORES)
    ] = None,
    bootstrap: Annotated[int | None, typer.Option(min=0, help="Samples for intervals; 0 for none.", rich_help_panel=_SCORES)] = None,
    versus: Annotated[
        str | None, typer.Option(metavar="FORMAT:PATH", help="A second system's predictions to test against.", rich_help_panel=_SCORES)
    ] = None,
    readers: Annotated[str | None, typer.Option(help="auto, llm or tagger.", rich_help_panel=_MODEL)] = None,
    tagger: Annotated[str | None, typer.Option(help="A tagger's folder, or a hub name.", rich_help_panel=_MODEL)] = None,
    tagger_labels: Annotated[
        str | None, typer.Option(metavar="THEIRS=OURS,...", help="The tagger's labels in the schema's.", rich_help_panel=_MODEL)
    ] = None,
    tagger_relations: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="A relation classifier for the tagger's mentions.", rich_help_panel=_MODEL)
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="auto, vllm, vllm-offline, embedded, transformers, replay.", rich_help_panel=_MODEL)
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model's name (see `medllm models list`), a file or a hub name.", rich_help_panel=_MODEL)
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A LoRA adapter of the model, as medllm train llm writes it.", rich_help_panel=_MODEL),
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
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="A server, vLLM's or another of the OpenAI protocol.", rich_help_panel=_MODEL)
    ] = None,
    context: Annotated[int | None, typer.Option(min=256, help="Tokens of one prompt with its answer.", rich_help_panel=_MODEL)] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="Prompts at a time.", rich_help_panel=_MODEL)] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the embedded engine.", rich_help_panel=_MODEL)] = None,
    device: Annotated[str | None, typer.Option(help="Device of the transformers engine.", rich_help_panel=_MODEL)] = None,
    layout: Annotated[str | None, typer.Option(help="lines or copy.", rich_help_panel=_READING)] = None,
    chunk_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of a note a prompt.", rich_help_panel=_READING)] = None,
    relations: Annotated[
        bool | None, typer.Option("--relations/--no-relations", help="Ask for modifiers and relations too.", rich_help_panel=_READING)
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language of the prompts.", rich_help_panel=_READING)] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A folder of templates that override the shipped ones.", rich_help_panel=_READING)
    ] = None,
) -> None:
    """Read the notes of a gold standard, score what was found, and write a report. The same command goes on where it stopped.

    OUT can be scored again without a model: medllm score --gold jsonl:OUT/gold.jsonl --pred jsonl:OUT
    """
    from medllm.cli.extract import label_pairs
    from medllm.engines import EngineOptions, is_remote
    from medllm.errors import UsageError
    from medllm.evaluation import suite as suites
    from medllm.evaluation.evaluate import extractor_of, options_of
    from medllm.evaluation.from_files import Location, read_extractions
    from medllm.evaluation.gold import read_gold, read_training_texts
    from medllm.schema import Schema

    if list_:
        for name in suites.shipped_suites():
            typer.echo(f"{name}\t{' '.join(suites.load(name).about.split())}")
        return
    if (suite is None) == (gold is None) or out is None:
        raise UsageError("an evaluation needs a suite or --gold FORMAT:PATH, and -o OUT", hint="medllm eval --list names the suites")
    if suite is not None and (schema or label_map):
        raise UsageError("a suite has its schema and its label map", hint="give --gold FORMAT:PATH with --schema and --label-map")
    chosen = suites.load(suite) if suite is not None else suites.of_files(gold or "", schema, label_map)
    asked = {"engine": engine, "model": model, "layout": layout, "chunk_tokens": chunk_tokens, "relations": relations, "language": language}
    tagging = {
        "readers": readers,
        "tagger": tagger,
        "tagger_labels": label_pairs(tagger_labels) or None,
        "tagger_relations": tagger_relations,
    }
    chosen = chosen.with_settings(asked | tagging, labels=_names(labels), metrics=_names(metrics), samples=bootstrap)
    pack = Schema.load(chosen.pack_name)
    found = read_gold(chosen, pack, data=data, split=split, limit=limit)
    options = options_of(chosen, read_training_texts(chosen, pack, data=data))
    other = None if versus is None else Location.parse(versus)
    second = None if other is None else (other.path.name, read_extractions(other, found.path)[0])
    with download_progress() as progress:
        engine_options = EngineOptions(context, parallel, threads, device, progress=progress, base_url=base_url, adapter=adapter)
        extractor = extractor_of(chosen, pack, engine_options, prompts, examples)
    if is_remote(extractor.engine):
        typer.echo(_("warning: the notes go to a server with all that identifies the patients in them"), err=True)
    with extractor:
        done = _run(chosen, found, extractor, out, {"options": options, "fresh": fresh, "versus": second})
    _tell(done, found, out)


def _names(listed: str | None) -> tuple[str, ...] | None:
    return None if listed is None else tuple(name.strip() for name in listed.split(",") if name.strip())


def _run(suite: "Suite", gold: "Gold", extractor: "Extractor", out: Path, more: Mapping[str, Any]) -> "Evaluation":
    import asyncio

    from medllm.evaluation.evaluate import evaluate as work

    with run_progress() as report:
        return asyncio.run(work(suite, gold, extractor, out, progress=report, **more))


def _tell(done: "Evaluation", gold: "Gold", out: Path) -> None:
    from medllm.evaluation.evaluate import REPORT_HTML
    from medllm.evaluation.report.content import SHARED
    from medllm.evaluation.tables import console, tables

    typer.echo(run_line(done.run.progress), err=True)
    if gold.problems:
        typer.echo(_("{count} problems in the annotation files; the report lists them").format(count=len(gold.problems)), err=True)
    terminal = console()
    for name in SHARED:
        terminal.print(*tables(done.report.results[name]))
    typer.echo(_("{file}: figures and every disagreement; it holds text of the notes").format(file=out / REPORT_HTML), err=True)
    if done.run.exit_code:
        raise typer.Exit(done.run.exit_code)
