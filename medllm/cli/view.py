"""``medllm view``: a run as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer


def view(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A run directory.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file to write; OUT/view.html otherwise.")] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write one self-contained HTML file that shows the notes with what was found in them. It holds patients' data."""
    import webbrowser

    from medllm.report.view import write_view
    from medllm.runs.directory import read_run

    run = read_run(out)
    path = write_view(
        run.extractions,
        schema=run.schema,
        title=f"medllm: {out.name}",
        run_info=run.summary,
        ledger=run.ledger,
        out=output or out / "view.html",
        audit=run.manifest,
    )
    typer.echo(str(path))
    if browser:
        webbrowser.open(path.resolve().as_uri())
