"""What the command line says, in the user's language: gettext catalogues in ``locale/``, chosen by ``MEDLLM_LANG``; English otherwise."""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gettext import NullTranslations

FOLDER = Path(__file__).parent / "locale"
DOMAIN = "medllm"


def language() -> str:
    """The language that ``MEDLLM_LANG`` names (``zh``, ``zh_CN.UTF-8``), ``en`` where it names none."""
    return os.environ.get("MEDLLM_LANG", "").partition(".")[0].replace("-", "_").partition("_")[0].lower() or "en"


def translated(text: str) -> str:
    """A message in the user's language; as it is where the catalogue has none."""
    catalogue = _catalogue(language())
    return text if catalogue is None or not text else catalogue.gettext(text)


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


def _paragraphs(text: str) -> str:
    """Docstrings are translated as a whole."""
    return translated(text.strip())
