"""``medllm convert``: annotations from one format to another."""

from typing import Annotated

import typer

from medllm.messages import translated as _

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
    from medllm.cli import discreet
    from medllm.formats import conversion
    from medllm.schema import Schema

    result = conversion.convert(source, target, None if schema is None else Schema.load(schema))
    for problem in result.problems[:_SHOWN]:
        typer.echo(discreet.problem(problem), err=True)
    if result.faults:
        typer.echo(_("{faults} problems in the source").format(faults=result.faults), err=True)
    name = target.partition(":")[0]
    for what, count in sorted(result.lost.items()):
        typer.echo(_("{name} cannot hold {what}: {count}").format(name=name, what=what, count=count), err=True)
    if result.left_out:
        typer.echo(_("{name} cannot hold these mentions as they are, left out: {count}").format(name=name, count=result.left_out), err=True)
    if not result.told:
        typer.echo(_("{name} does not say what it can hold").format(name=name), err=True)
    said = _("{notes} notes, {mentions} mentions, {relations} relations: {target}")
    typer.echo(said.format(notes=result.notes, mentions=result.mentions, relations=result.relations, target=target), err=True)
    if strict and not result.whole:
        raise typer.Exit(3)
