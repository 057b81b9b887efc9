"""``medllm score``: anybody's predictions against gold, with this package's metrics or an official scorer's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medllm.messages import translated as _

if TYPE_CHECKING:
    from medllm.evaluation.subgroups import SubgroupTable

_SHOWN = 20
REPORT_SAMPLES = 1000
"""Reports have intervals, of so many samples unless --bootstrap says otherwise."""


def score(
    gold: Annotated[str, typer.Option(metavar="FORMAT:PATH", help="The gold standard, such as brat:gold/ or jsonl:gold.jsonl.")],
    pred: Annotated[str, typer.Option(metavar="FORMAT:PATH", help="The predictions.")],
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            "-m",
            help="exact, overlap, span, span-overlap, token, relations, relations-overlap, relations-given, document-relations, concepts, "
            "attribute:NAME, muc; or an official scorer: i2b2-2010, i2b2-2014, n2c2-2018, bc5cdr, conll, seqeval, seqeval-strict, "
            "nervaluate.",
        ),
    ] = "exact",
    labels: Annotated[str | None, typer.Option(help="The labels that count, separated by commas; all of gold's otherwise.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Samples for intervals over notes; 0 for none.")] = 0,
    level: Annotated[float, typer.Option(help="The level of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="The seed of intervals and tests.")] = 0,
    versus: Annotated[
        str | None, typer.Option(metavar="FORMAT:PATH", help="A second system's predictions: test the difference in micro F1.")
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The notes' .txt files, where gold has none beside its annotations; predictions take gold's."),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Count gold notes without a prediction as missed, instead of stopping.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the result to this file, to be scored again later.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html|FILE.md", help="Write a report: figures and every disagreement (html), or tables only (md)."),
    ] = None,
    train: Annotated[
        str | None, typer.Option(metavar="FORMAT:PATH", help="Training annotations, to divide scores into seen and unseen.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="Divide the score, names separated by commas: section, mention-length, shape, note-length, note-type, language, sex, age, "
            "or with --train seen.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score predictions against gold."""
    import dataclasses
    import json

    from medllm.cli import discreet
    from medllm.errors import UsageError
    from medllm.evaluation.from_files import score_files
    from medllm.evaluation.result import Result
    from medllm.evaluation.tables import console, subgroup_table, tables

    named = _names(labels)
    divisions = _names(by) or []
    scored = score_files(
        gold, pred, metric, named, bootstrap, level=level, seed=seed, allow_missing=allow_missing, versus=versus, texts=texts
    )
    for problem in scored.problems[:_SHOWN]:
        typer.echo(discreet.problem(problem), err=True)
    if scored.problems:
        typer.echo(_("{count} problems in the files").format(count=len(scored.problems)), err=True)
    divided: tuple[SubgroupTable, ...] = ()
    if divisions:
        from medllm.evaluation.report.from_files import subgroups_of_files

        divided = subgroups_of_files(scored, divisions, allow_missing=allow_missing, samples=bootstrap, train=train)
        for name in set(divisions) - {table.name for table in divided}:
            typer.echo(_("not divided by {name}: these notes are in fewer than two groups").format(name=name), err=True)
    if output is not None:
        if not isinstance(scored.result, Result):
            raise UsageError(f"{metric} has no result file", hint="its figures are all in --json")
        scored.result.save(output)
    if report is not None:
        from medllm.evaluation.report import Options
        from medllm.evaluation.report.from_files import report_files

        wanted = tuple(named) if named else None
        options = Options(wanted, samples=bootstrap or REPORT_SAMPLES, level=level, seed=seed, allow_missing=allow_missing)
        path = report_files(scored, report, gold=gold, pred=pred, options=options, versus=versus, train=train)
        typer.echo(_("{file}: it holds text of the notes").format(file=path) if path.suffix == ".html" else str(path), err=True)
    if as_json:
        found = scored.result.summary()
        if scored.significance:
            found["versus"] = dataclasses.asdict(scored.significance)
        if divisions:
            found["by"] = {t.name: {row.name: row.to_json() for row in t.rows} for t in divided}
        typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    terminal = console()
    for table in (*tables(scored.result), *(subgroup_table(t, scored.result.metric) for t in divided)):
        terminal.print(table)
    if test := scored.significance:
        said = _("micro F1 {difference:+.4f} against {versus}, p = {p:.4f} ({samples} randomisations)")
        terminal.print(said.format(difference=test.difference, versus=versus, p=test.p, samples=test.samples), markup=False)


def _names(listed: str | None) -> list[str] | None:
    return None if listed is None else [name.strip() for name in listed.split(",") if name.strip()]
