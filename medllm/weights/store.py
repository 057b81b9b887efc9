"""Getting a model file: from the cache, else from its sources; never one whose SHA-256 is not the pinned one."""

import errno
import glob
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from medllm.errors import ModelError
from medllm.weights.cache import candidates, checksum, models_folder, read_checksum, remember_checksum
from medllm.weights.registry import ModelCard, find
from medllm.weights.source import Progress, Source, length

State = Literal["ready", "partial", "damaged", "absent"]


@dataclass(frozen=True)
class Status:
    """Where a model stands on this machine.

    ``partial``: a pull was begun, and ``present`` bytes of it are here. ``damaged``: ``path`` has another hash than the pinned one.
    """

    card: ModelCard
    state: State
    present: int
    path: Path | None


def pull(name: str | ModelCard, *, progress: Progress | None = None, sources: Sequence[Source] | None = None) -> Path:
    """The path of a model file whose hash is right, fetched where it is not in the cache.

    ``name`` is a model's name, an alias, a card, or the path of a ``.gguf`` file, which is used as it is. ``sources`` stand in for
    those of the card. An interrupted call leaves what it has, and the next one goes on from there; calls at the same time wait
    for each other. Raises ModelError.
    """
    if path := _own_file(name):
        return _checked_own_file(path)
    card = _card(name)
    tell = progress or _silent
    with _disk_errors():
        if ready := _in_cache(card, tell):
            return ready
        folder = models_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(card, folder, tell):
            return _in_cache(card, tell) or _fetch(card, folder, card.sources if sources is None else sources, tell)


def locate(name: str | ModelCard, *, progress: Progress | None = None) -> Path | None:
    """The path of a model file that is on this machine and whose hash is right, else None. Touches no network.

    The first call after a file is placed or changed reads all of it. Raises ModelError for an unknown name or an unreadable file.
    """
    if path := _own_file(name):
        return path if path.is_file() else None
    with _disk_errors():
        return _in_cache(_card(name), progress or _silent)


def verify(name: str | ModelCard, *, progress: Progress | None = None) -> Path:
    """Read a model file that is on this machine anew and compare its hash; gives its path.

    A file of medllm's own that is not right is renamed to ``….rejected``. Raises ModelError where it is not right or not there.
    For the path of a ``.gguf`` file, whose hash nobody has pinned, the remembered hash is renewed.
    """
    tell = progress or _silent
    with _disk_errors():
        if path := _own_file(name):
            checksum(_checked_own_file(path), fresh=True, report=partial(tell, "checking"))
            return path
        card = _card(name)
        found = next(candidates(card.file), None)
        if found is None:
            raise ModelError(f"{card.name} is not on this machine", hint=f"Fetch it: medllm models pull {card.name}")
        actual = checksum(found, fresh=True, report=partial(tell, "checking"))
        if actual == card.sha256:
            return found
        moved = _move_aside(found) if found.parent == models_folder() else None
        where = f"It was renamed to {moved}." if moved else f"Delete {found}."
        raise ModelError(
            f"{found} is not {card.name}: its SHA-256 begins with {actual[:12]} and not {card.sha256[:12]}",
            hint=f"{where} Fetch it again: medllm models pull {card.name}",
        )


def status(name: str | ModelCard) -> Status:
    """Where a model stands on this machine. Touches no network. Raises ModelError."""
    card = _card(name)
    if path := locate(card):
        return Status(card, "ready", card.size, path)
    if damaged := next(candidates(card.file), None):
        return Status(card, "damaged", length(damaged), damaged)
    present = max((length(_part(card, models_folder(), source)) for source in card.sources), default=0)
    return Status(card, "partial" if present else "absent", present, None)


def _fetch(card: ModelCard, folder: Path, sources: Sequence[Source], tell: Progress) -> Path:
    """Fetch from the first source that gives the right file. The lock is held, and the cache does not have it."""
    target = folder / card.file
    if target.exists():
        _move_aside(target)
    failures: list[str] = []
    for source in sources:
        part = _part(card, folder, source)
        _make_sure_of_room(card, folder, length(part))
        try:
            source.fetch(part, card.size, partial(tell, source.label))
            if read_checksum(part, report=partial(tell, "checking")) != card.sha256:
                _remove_partial(card, folder, source.slug)
                raise ModelError("the file it gave is not the pinned one (SHA-256 differs), and was deleted")
        except ModelError as error:
            failures.append(". ".join(filter(None, (f"{source.label}: {error}", error.hint.rstrip(".")))) + ".")
        else:
            part.replace(target)
            remember_checksum(target, card.sha256)
            _remove_partial(card, folder)
            return target
    advice = f"Or place {card.file}, fetched by any other way, in {folder}: its hash will be checked."
    raise ModelError(f"{card.name} could not be fetched from any of its sources", hint="\n".join([*failures, advice]))


def _in_cache(card: ModelCard, tell: Progress) -> Path | None:
    for path in candidates(card.file):
        if length(path) == card.size and checksum(path, report=partial(tell, "checking")) == card.sha256:
            return path
    return None


def _card(name: str | ModelCard) -> ModelCard:
    return name if isinstance(name, ModelCard) else find(name)


def _own_file(name: str | ModelCard) -> Path | None:
    if isinstance(name, str) and name.lower().endswith(".gguf"):
        return Path(name).expanduser()
    return None


def _checked_own_file(path: Path) -> Path:
    """A user's own file, if it is a GGUF file by its first four bytes. Raises ModelError."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", hint="Give the path of a .gguf file, or a model's name.") from error
    if magic != b"GGUF":
        raise ModelError(f"{path} is not a GGUF file", hint="It may be a pointer of Git LFS, or the download was cut.")
    return path


def _part(card: ModelCard, folder: Path, source: Source) -> Path:
    return folder / f"{card.file}.{source.slug}.part"


def _remove_partial(card: ModelCard, folder: Path, slug: str = "*") -> None:
    for path in folder.glob(f"{glob.escape(card.file)}.{slug}.part*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _move_aside(path: Path) -> Path | None:
    aside = path.with_name(f"{path.name}.rejected")
    with suppress(OSError):
        return path.replace(aside)
    return None


def _make_sure_of_room(card: ModelCard, folder: Path, present: int) -> None:
    free, missing = shutil.disk_usage(folder).free, card.size - present
    if free < missing:
        raise OSError(errno.ENOSPC, f"{missing / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB free", str(folder))


@contextmanager
def _lock(card: ModelCard, folder: Path, tell: Progress) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / f"{card.file}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("waiting for another pull", 0, card.size)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or models_folder()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(f"the disk is full: {where}", hint=f"{error.strerror}. {_ELSEWHERE}") from error
        raise ModelError(f"{where} cannot be read or written: {error.strerror or error}", hint=_ELSEWHERE) from error


_ELSEWHERE = "Set MEDLLM_CACHE to a folder with room and with write permission."


def _silent(stage: str, done: int, total: int) -> None:
    pass
