"""``medllm models``: what is known, what is here, fetch, check, export, serve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medllm.cli.progress import download_progress

if TYPE_CHECKING:
    from medllm.weights import Status

app = typer.Typer(help="List, fetch, check, export and serve models.", no_args_is_help=True)


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


@app.command("export")
def export_model(
    name: Annotated[str, typer.Argument(help="A model's name or alias, or the path of a .gguf file.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="The folder; one in the cache otherwise.")] = None,
    dtype: Annotated[str, typer.Option(help="bfloat16, float16 or float32.")] = "bfloat16",
) -> None:
    """Unpack a GGUF model into a folder that vLLM and transformers load, and print its path. Needs medllm[transformers]."""
    typer.echo(_exported(name, out, dtype))


@app.command("serve", context_settings={"ignore_unknown_options": True})
def serve_model(
    name: Annotated[str, typer.Argument(help="A model's name or alias, a .gguf file, a folder, or a hub name.")],
    more: Annotated[list[str] | None, typer.Argument(metavar="[-- VLLM_OPTIONS]", help="Further options of vLLM, as they are.")] = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print the command and start nothing.")] = False,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for others too (then set VLLM_API_KEY).")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    context: Annotated[int, typer.Option(min=256, help="Tokens of one prompt with its answer.")] = 4096,
    quantization: Annotated[str | None, typer.Option(help="Such as fp8, awq, gptq_marlin.")] = None,
    dtype: Annotated[str, typer.Option(help="auto, bfloat16, float16 or float32.")] = "auto",
    tensor_parallel: Annotated[int, typer.Option(min=1, help="GPUs to spread the model over.")] = 1,
    lora: Annotated[list[str] | None, typer.Option(metavar="NAME=FOLDER", help="A LoRA adapter to serve too; may be repeated.")] = None,
    reasoning_parser: Annotated[str | None, typer.Option(help="For a reasoning model: its parser in vLLM, such as qwen3.")] = None,
    speculate: Annotated[int, typer.Option(min=0, help="Tokens to guess from the prompt's n-grams; see docs/serving.md.")] = 0,
    python: Annotated[str | None, typer.Option(help="The Python that has vLLM; else MEDLLM_VLLM, else this one.")] = None,
) -> None:
    """Start a vLLM server with the flags that extraction needs, and print the command.

    A GGUF model is exported first, once. Then: medllm extract ... --base-url http://localhost:8000
    """
    from medllm.engines.serving import Serving, adapters_of, shown, start
    from medllm.weights import find, is_known

    packed = name.endswith(".gguf") or is_known(name)
    served = find(name).name if is_known(name) else Path(name).stem if packed or Path(name).is_dir() else name
    folder = name if not packed else str(_export_folder(name) if only_print else _exported(name, None, "bfloat16"))
    serving = Serving(
        folder,
        served,
        host=host,
        port=port,
        context_tokens=context,
        quantization=quantization,
        dtype=dtype,
        tensor_parallel=tensor_parallel,
        adapters=adapters_of(lora or []),
        reasoning_parser=reasoning_parser,
        speculate=speculate,
        python=python,
        more=more or (),
    )
    typer.echo(shown(serving))
    if not only_print:
        start(serving)


def _exported(name: str, out: Path | None, dtype: str) -> Path:
    from medllm.engines.export import export
    from medllm.weights import pull

    with download_progress() as progress:
        source = pull(name, progress=progress)
    return export(source, out or _export_folder(name), dtype=dtype)


def _export_folder(name: str) -> Path:
    from medllm.weights import find, models_folder

    stem = Path(name).stem if name.endswith(".gguf") else Path(find(name).file).stem
    return models_folder() / "exported" / stem


def _table(found: list[Status]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("name", "size", "licence", "state", Column("path", overflow="fold"), box=None)
    for each in found:
        state = f"partial ({each.present / each.card.size:.0%})" if each.state == "partial" else each.state
        table.add_row(each.card.name, f"{each.card.size / 1e6:,.0f} MB", each.card.licence, state, str(each.path or ""))
    Console().print(table)
