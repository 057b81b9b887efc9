"""``medllm doctor``: what is here, what is missing, and the command that mends it."""

from typing import Annotated

import typer


def doctor(
    schema: Annotated[str | None, typer.Option(help="Check a schema pack too: a name or mine.py.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Load the default model and check that it obeys grammars.")] = False,
) -> None:
    """Check this machine: versions, models, engines, and that grammars are obeyed."""
    from medllm.runs.doctor import examine

    bad = 0
    for finding in examine(schema, run=run):
        mark = {"ok": "ok  ", "note": "note", "bad": "BAD "}[finding.state]
        typer.echo(f"{mark}  {finding.what}")
        if finding.hint:
            typer.echo(f"      {finding.hint}")
        bad += finding.state == "bad"
    if bad:
        raise typer.Exit(1)
