"""``medllm doctor``: what is here, what is missing, and the command that mends it."""

from pathlib import Path
from typing import Annotated

import typer

from medllm.messages import localized


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
    find: Annotated[str | None, typer.Option(metavar="NOTE-...", help="Tell which note of --in a message means.")] = None,
    in_: Annotated[Path | None, typer.Option("--in", metavar="FOLDER", help="With --find: a folder of notes, or the OUT of a run.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Load the default model and check that it obeys grammars.")] = False,
) -> None:
    """Check this machine: versions, models, engines, and that grammars are obeyed."""
    if find is not None or in_ is not None:
        _find(find, in_)
        return
    from medllm.errors import UsageError
    from medllm.runs.doctor import examine

    bad = 0
    if (notes or examples) and schema is None:
        raise UsageError("notes and examples are compared with those of a schema", hint="give --schema too")
    for finding in examine(schema, run=run, notes=notes or (), examples=examples or (), context=context):
        mark = {"ok": "ok  ", "note": "note", "bad": "BAD "}[finding.state]
        typer.echo(f"{mark}  {localized(finding.what)}")
        if finding.hint:
            typer.echo(f"      {localized(finding.hint)}")
        bad += finding.state == "bad"
    if bad:
        raise typer.Exit(1)


def _find(wanted: str | None, folder: Path | None) -> None:
    from medllm.errors import UsageError
    from medllm.pseudonyms import find

    if wanted is None or folder is None or not folder.is_dir():
        raise UsageError("--find needs the folder to look in", hint="medllm doctor --find note-0123456789ab --in FOLDER")
    names = list(find(wanted, folder))
    for name in names:
        typer.echo(name)
    if not names:
        raise typer.Exit(1)
