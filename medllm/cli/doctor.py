"""``medllm doctor``: what is here, what is missing, and the command that mends it."""

from typing import Annotated

import typer


def doctor(
    schema: Annotated[str | None, typer.Option(help="Check a schema pack and its prompts too: a name or mine.py.")] = None,
    notes: Annotated[
        list[str] | None, typer.Option("--notes", metavar="INPUT", help="Notes that no example of the pack may stand in. May be repeated.")
    ] = None,
    examples: Annotated[
        list[str] | None,
        typer.Option("--examples", metavar="FORMAT:PATH[@MAP]", help="Annotated notes, for --examples of extract or for scoring."),
    ] = None,
    context: Annotated[int | None, typer.Option(min=256, help="Tokens of one prompt with its answer.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Load the default model and check that it obeys grammars.")] = False,
) -> None:
    """Check this machine: versions, models, engines, and that grammars are obeyed."""
    from medllm.errors import UsageError
    from medllm.runs.doctor import examine

    bad = 0
    if (notes or examples) and schema is None:
        raise UsageError("notes and examples are compared with those of a schema", hint="give --schema too")
    for finding in examine(schema, run=run, notes=notes or (), examples=examples or (), context=context):
        mark = {"ok": "ok  ", "note": "note", "bad": "BAD "}[finding.state]
        typer.echo(f"{mark}  {finding.what}")
        if finding.hint:
            typer.echo(f"      {finding.hint}")
        bad += finding.state == "bad"
    if bad:
        raise typer.Exit(1)
