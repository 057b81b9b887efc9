"""``medllm cache``: what the completion cache holds, and its end."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medllm.messages import localized
from medllm.messages import translated as _

if TYPE_CHECKING:
    from medllm.engines import Engine

app = typer.Typer(
    help="The completion cache of extract --cache: answers of models, which quote the notes. Patients' data.", no_args_is_help=True
)

_Folder = Annotated[Path | None, typer.Option(metavar="DIR", help="The folder that was given to extract; the usual one otherwise.")]


@app.command("info")
def show_cache(cache_dir: _Folder = None) -> None:
    """Print the cache's file, its answers and bytes, and the days of the oldest and the newest answer, tab-separated."""
    from medllm.engines.completion_cache import CacheInfo, CompletionCache, place

    path = place(cache_dir)
    info = CacheInfo(path)
    if path.exists():
        cache = CompletionCache(cache_dir)
        info = cache.info()
        cache.close()
    typer.echo("\t".join(map(str, (info.path, info.answers, info.bytes, info.oldest, info.newest))))


@app.command("purge")
def purge_cache(
    cache_dir: _Folder = None,
    older_than: Annotated[float, typer.Option(metavar="DAYS", min=0, help="Only answers that are so many days old.")] = 0,
) -> None:
    """Delete the cache's answers, and overwrite where they stood. A damaged cache is removed."""
    from medllm.engines.completion_cache import purge

    gone = purge(cache_dir, older_than)
    typer.echo(_("the damaged cache is removed") if gone is None else _("{count} answers deleted").format(count=gone), err=True)


def with_cache(engine: "Engine", folder: Path | None) -> "Engine":
    """The engine with its cache; without one that cannot be used, which is told."""
    from medllm.engines.cached import CachedEngine
    from medllm.engines.completion_cache import CompletionCache
    from medllm.errors import CacheError

    def warn(error: CacheError) -> None:
        what, hint = localized(str(error)), localized(error.hint)
        typer.echo(_("warning: {what}; going on without it ({hint})").format(what=what, hint=hint), err=True)

    try:
        return CachedEngine(engine, CompletionCache(folder), warn=warn)
    except CacheError as error:
        warn(error)
        return engine
