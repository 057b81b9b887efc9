"""What the command line says, in the user's language: gettext catalogues in ``locale/``, chosen by ``MEDLLM_LANG``; English otherwise.

Help and summaries are looked up before values are put in (``translated``). Errors, hints, warnings and problems of files come put
together: they are matched against the catalogue's templates (``localized``).
"""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gettext import NullTranslations

    from medllm.message_templates import Templates

FOLDER = Path(__file__).parent / "locale"
DOMAIN = "medllm"


def language() -> str:
    """The language that ``MEDLLM_LANG`` names (``zh``, ``zh_CN.UTF-8``), ``en`` where it names none."""
    return os.environ.get("MEDLLM_LANG", "").partition(".")[0].replace("-", "_").partition("_")[0].lower() or "en"


def translated(text: str) -> str:
    """A message in the user's language; as it is where the catalogue has none."""
    catalogue = _catalogue(language())
    return text if catalogue is None or not text else catalogue.gettext(text)


def localized(message: str) -> str:
    """A message that was put together in English, in the user's language; what matches no template stays as it is."""
    templates = _templates(language())
    return message if templates is None else templates.localize(message)


def translate_help(command: Any) -> None:
    """The help of a click command, its options and the commands below it, in the user's language. Costs nothing in English."""
    if _catalogue(language()) is None:
        return
    for name in ("help", "short_help", "epilog"):
        if isinstance(text := getattr(command, name, None), str):
            setattr(command, name, _paragraphs(text))
    for parameter in command.params:
        if isinstance(text := getattr(parameter, "help", None), str):
            parameter.help = translated(text)
    for each in getattr(command, "commands", {}).values():
        translate_help(each)


@cache
def _catalogue(code: str) -> "NullTranslations | None":
    if code == "en":
        return None
    import gettext

    return gettext.translation(DOMAIN, FOLDER, languages=[code], fallback=True)


@cache
def _templates(code: str) -> "Templates | None":
    if (catalogue := _catalogue(code)) is None:
        return None
    from medllm.message_templates import Templates

    return Templates(getattr(catalogue, "_catalog", {}))  # gettext has no public way to list a catalogue


def _paragraphs(text: str) -> str:
    """Docstrings are translated as a whole."""
    return translated(text.strip())
