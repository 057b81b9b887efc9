"""The command line: one module a verb, no logic of its own."""

import os
import sys

import typer

from medllm.cli import discreet
from medllm.errors import MedllmError
from medllm.messages import translate_help, translated

app = typer.Typer(
    name="medllm",
    help="Clinical notes in; typed, grounded entities and relations out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would cost a third of the time of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from medllm import __version__

        typer.echo(f"medllm {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and stop."),
) -> None:
    pass


def _register() -> None:
    from medllm.cli import cache, convert, doctor, eval, extract, models, score, train, view

    app.command()(extract.extract)
    app.command("eval")(eval.evaluate)
    app.command()(score.score)
    app.command()(convert.convert)
    app.command()(view.view)
    app.add_typer(train.app, name="train")
    app.add_typer(models.app, name="models")
    app.add_typer(cache.app, name="cache")
    app.command()(doctor.doctor)


_register()


def main() -> None:
    """The entry point: errors that a user can cause become one sentence and a hint on stderr, and an exit code; so do all others.

    Typer itself ends with 130 on an interrupt, and with 1 where nobody reads standard output any more.
    """
    discreet.keep_quiet()
    try:
        command = typer.main.get_command(app)
        translate_help(command)
        command()
    except MedllmError as error:
        _say(discreet.told(str(error), error.names), discreet.told(error.hint, error.names))
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get(discreet.DEBUG):
            raise
        _say(discreet.unforeseen(error), translated("please report it; MEDLLM_DEBUG=1 shows more, which may quote notes"))
        sys.exit(1)


def _say(message: str, hint: str) -> None:
    typer.secho(f"{translated('error')}: {message}", err=True, fg="red", bold=True)
    if hint:
        typer.echo(f"{translated('hint')}: {hint}", err=True)
