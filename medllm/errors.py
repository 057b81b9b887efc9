"""The errors a user can cause, each with a hint that says what to do.

::

    MedllmError
    ├── UsageError     wrong option or combination of options        (exit code 2)
    ├── InputError     a note or a file that cannot be read
    ├── FormatError    an annotation file that breaks its format
    ├── SchemaError    a schema pack that cannot be used
    ├── PromptError    a template that cannot be rendered
    ├── EngineError    a language-model engine that cannot answer
    ├── ServerLostError  a server that has gone away: a run stops, and can be taken up again
    ├── ModelError     a model that cannot be found, fetched or verified
    ├── CacheError     a completion cache that cannot be used
    └── RunError       a run directory that cannot be used

Messages never hold note text: offsets, counts and hashes only.
"""

from collections.abc import Iterable


class MedllmError(Exception):
    """Base class. ``str(error)`` is one sentence; ``error.hint`` says what to do, and may be empty.

    ``names`` are the paths and ids of notes that the two quote: who keeps messages replaces them (``medllm.pseudonyms``).
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.hint = hint
        self.names = tuple(names)


class UsageError(MedllmError):
    """An option, or a combination of options, that makes no sense."""

    exit_code = 2


class InputError(MedllmError):
    """A note or a file of notes that cannot be read."""


class FormatError(MedllmError):
    """An annotation file that breaks its format. ``path`` and ``line`` (1-based) say where, when known."""

    def __init__(self, message: str, *, hint: str = "", path: str = "", line: int | None = None, names: Iterable[str] = ()) -> None:
        where = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        super().__init__(where + message, hint=hint, names=(path, *names))
        self.path = path
        self.line = line


class SchemaError(MedllmError):
    """A schema pack that cannot be loaded or contradicts itself."""


class PromptError(MedllmError):
    """A prompt template that is missing or cannot be rendered."""


class EngineError(MedllmError):
    """An engine that cannot start or cannot answer. ``retryable`` says whether the same call may succeed later."""

    def __init__(self, message: str, *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable


class ServerLostError(MedllmError):
    """A server that answered and does so no more. Unlike an EngineError it stops a run: no further note could be read."""


class ModelError(MedllmError):
    """A model that is unknown, unreachable, incomplete or not the one its hash names."""


class CacheError(MedllmError):
    """A completion cache that cannot be used. ``damaged``: it is not a database, or not a whole one."""

    def __init__(self, message: str, *, hint: str = "", damaged: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.damaged = damaged


class RunError(MedllmError):
    """A run directory that is locked, foreign or from another configuration."""
