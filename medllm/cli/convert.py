"""``medllm convert``: annotations from one format to another."""

from typing import Annotated

import typer

_SHOWN = 20


def convert(
    source: Annotated[str, typer.Argument(metavar="FORMAT:PATH", help="What to read, such as brat:notes/ or jsonl:out.")],
    target: Annotated[str, typer.Argument(metavar="FORMAT:PATH", help="What to write, such as fhir:bundles/ or csv:tables/.")],
    schema: Annotated[
        str | None, typer.Option(help="A schema pack's name, or your own: mine.py. What it does not admit is told and left out.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if anything is lost or could not be read.")] = False,
) -> None:
    """Convert annotations, and say on stderr what the target format cannot hold.

    Exit code 0: converted. 1: stopped by an error. 2: wrong usage. 3: converted with losses, and --strict was given.
    """
    from medllm.formats import conversion
    from medllm.schema import Schema

    result = conversion.convert(source, target, None if schema is None else Schema.load(schema))
    for problem in result.problems[:_SHOWN]:
        typer.echo(str(problem), err=True)
    if result.faults:
        typer.echo(f"{result.faults} problems in the source", err=True)
    name = target.partition(":")[0]
    for what, count in sorted(result.lost.items()):
        typer.echo(f"{name} cannot hold {what}: {count}", err=True)
    if result.left_out:
        typer.echo(f"{name} cannot hold these mentions as they are, left out: {result.left_out}", err=True)
    if not result.told:
        typer.echo(f"{name} does not say what it can hold", err=True)
    typer.echo(f"{result.notes} notes, {result.mentions} mentions, {result.relations} relations: {target}", err=True)
    if strict and not result.whole:
        raise typer.Exit(3)
