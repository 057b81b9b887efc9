"""``medllm view``: a run as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer


def view(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A run directory.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file to write; OUT/view.html otherwise.")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what each mention of the tagger rests on: its words left out, one by one.")
    ] = False,
    tagger: Annotated[str | None, typer.Option(help="With --explain, the tagger that read the notes; the shipped one otherwise.")] = None,
    tagger_relations: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="With --explain, the relation classifier that read them.")
    ] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write one self-contained HTML file that shows the notes with what was found in them. It holds patients' data."""
    import webbrowser

    from medllm.report.view import write_view
    from medllm.runs.directory import read_run

    run = read_run(out)
    reasons = {}
    if explain:
        from medllm.runs.explaining import explain_run

        reasons = explain_run(run, tagger, tagger_relations)
    path = write_view(
        run.extractions,
        schema=run.schema,
        title=f"medllm: {out.name}",
        run_info=run.summary,
        ledger=run.ledger,
        out=output or out / "view.html",
        audit=run.manifest,
        reasons=reasons,
    )
    typer.echo(str(path))
    if browser:
        webbrowser.open(path.resolve().as_uri())
