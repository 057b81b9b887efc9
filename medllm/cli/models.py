"""``medllm models``: what is known, what is here, fetch, check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from medllm.cli.progress import download_progress

if TYPE_CHECKING:
    from medllm.weights import Status

app = typer.Typer(help="List, fetch and check models.", no_args_is_help=True)


@app.command("list")
def list_models() -> None:
    """List the models and lexicons known by name, and where each stands on this machine (tab-separated where the output is no terminal)."""
    import sys

    from medllm.weights import LEXICON_FILES, MODELS, status

    found = [status(card) for card in (*MODELS, *LEXICON_FILES)]
    if sys.stdout.isatty():
        _table(found)
        return
    for each in found:
        typer.echo("\t".join((each.card.name, str(each.card.size), each.card.licence, each.state, str(each.path or ""))))


@app.command("pull")
def pull_model(name: Annotated[str, typer.Argument(help="The name or alias of a model or lexicon.")]) -> None:
    """Fetch a model or a lexicon, unless it is here already, and print its path. A broken or interrupted pull goes on where it stopped."""
    from medllm.weights import pull

    with download_progress() as progress:
        path = pull(name, progress=progress)
    typer.echo(path)


@app.command("verify")
def verify_models(name: Annotated[str | None, typer.Argument(help="A model's name or alias, else all that are here.")] = None) -> None:
    """Read model files anew, compare their SHA-256 with the pinned ones, and print the paths of those that are right."""
    from medllm.errors import ModelError
    from medllm.weights import LEXICON_FILES, MODELS, status, verify

    names = [name] if name else [card.name for card in (*MODELS, *LEXICON_FILES) if status(card).state in ("ready", "damaged")]
    if not names:
        raise ModelError("no model is on this machine", hint="Fetch one: medllm models pull NAME")
    for each in names:
        with download_progress() as progress:
            path = verify(each, progress=progress)
        typer.echo(path)


def _table(found: list[Status]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("name", "size", "licence", "state", Column("path", overflow="fold"), box=None)
    for each in found:
        state = f"partial ({each.present / each.card.size:.0%})" if each.state == "partial" else each.state
        table.add_row(each.card.name, f"{each.card.size / 1e6:,.0f} MB", each.card.licence, state, str(each.path or ""))
    Console().print(table)
