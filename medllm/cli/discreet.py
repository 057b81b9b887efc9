"""What may be said on stderr, which ends in log files: no note text, no file name that was not typed, nothing that a library says.

Names of files and notes that were found, in a folder or a table, are told as pseudonyms (``medllm.pseudonyms``). Errors that nobody
foresaw are told by their class and place: their messages may quote a note. ``MEDLLM_DEBUG=1`` shows everything.
"""

import logging
import os
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, get_args

from medllm.messages import localized

DEBUG = "MEDLLM_DEBUG"
WITHIN_WORDS = 4
"""A name of more characters is replaced wherever it stands, a shorter one (``b``) only as a word."""
TYPED_FILES = 3
"""A command line with more files than this was written by a shell, from a pattern: their names were found, not typed."""


def keep_quiet() -> None:
    """Libraries' log messages, warnings and errors in threads are not shown, and no core is dumped: each may hold notes."""
    if os.environ.get(DEBUG):
        return
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    threading.excepthook = lambda args: _unforeseen(args.exc_value)
    sys.unraisablehook = lambda args: None
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except (ImportError, ValueError, OSError):
        pass  # not every system has it


def _unforeseen(error: BaseException | None) -> None:
    if error is not None:
        print(unforeseen(error), file=sys.stderr)


def unforeseen(error: BaseException) -> str:
    """The class and the place of an error, nothing of its message."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}medllm{os.sep}" in frame.filename] or frames
    place = ""
    if own:
        parts = PurePath(own[-1].filename).parts
        first = max((n for n, part in enumerate(parts) if part == "medllm"), default=len(parts) - 1)
        place = f" at {'/'.join(parts[first:])}:{own[-1].lineno}"
    return f"unforeseen {type(error).__name__}{place}"


def typed() -> list[str]:
    """The words of the command line, and what they hold after ``FORMAT:`` or ``--option=``; without files that a pattern stood for."""
    files = {word for word in sys.argv[1:] if os.path.isfile(word)}
    words = sys.argv[1:] if len(files) <= TYPED_FILES else [word for word in sys.argv[1:] if word not in files]
    return [part for word in words for part in (word, word.partition(":")[2], word.partition("=")[2]) if part]


def shown(name: str) -> str:
    """The path or id of a note as it may be told: what was typed as it is, what was found by its pseudonym."""
    from medllm.pseudonyms import of_path, pseudonym

    words = typed()
    if name in words or str(PurePath(name).with_suffix("")) in words:
        return name
    for word in sorted(words, key=len, reverse=True):
        base = word.rstrip("/" + os.sep) if os.path.isdir(word) else os.path.dirname(re.split(r"[*?\[]", word)[0])
        if base and os.path.isdir(base) and PurePath(name).is_relative_to(base) and PurePath(name) != PurePath(base):
            return of_path(name, base)
    return pseudonym(PurePath(name).with_suffix("").as_posix() if os.path.lexists(name) else name)


def told(message: str, names: "Iterable[str]") -> str:
    """A message with the names that it quotes as they may be told, and then in the user's language."""
    known = {form: name for name in names if name for form in (name, repr(name))}
    if known:  # the longest first, all at once, and a short name not within a word: no name may change what stands for another
        forms = "|".join(_form(form) for form in sorted(known, key=len, reverse=True))
        message = re.sub(forms, lambda found: shown(known[found[0]]), message)
    return localized(message)


def _form(name: str) -> str:
    return re.escape(name) if len(name) > WITHIN_WORDS else rf"(?<!\w){re.escape(name)}(?!\w)"


def problem(said: Any) -> str:
    """A problem with a file (``Problem``, ``Unreadable``, or its text) in one line."""
    from medllm.formats.base import ProblemKind

    text = str(said)
    where = re.match(rf"(.*?)(:\d+)?: (?:{'|'.join(get_args(ProblemKind))}): ", text, re.DOTALL)
    path = getattr(said, "path", None) or getattr(said, "source", None) or (where[1] if where else "")
    return told(text, [path])
