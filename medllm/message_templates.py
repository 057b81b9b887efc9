"""Messages that were put together already are taken apart again, and put together in another language.

A template is the text of an f-string with numbers for its values: ``{0} is no calibrator``. A value that is a message itself, or a part of
one, is ``{text0}`` and is translated too; all others are kept to the letter.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from string import Formatter

_VALUE = re.compile(r"\{(?:text)?\d+\}")
_PLACE = re.compile(r": ")
"""Messages may begin with the file, the line and the kind of a problem."""
_JOINT = re.compile(r"(\n|(?<=[.?!]) )")
"""Between sentences, or lines, that were joined."""
_AFTER_STOP = re.compile(r"(?<=[。？！]) ")


class Template:
    """A message of the catalogue and its translation.

    >>> Template("{0} lines, but gold has {1}", "{1} in gold, {0} here").values("3 lines, but gold has 4")
    {'0': '3', '1': '4'}
    """

    def __init__(self, source: str, translation: str) -> None:
        self.source = source
        self.parts = _parts(source)
        self.translation = _parts(translation)
        self.words = [text for text, _ in self.parts if text]

    @property
    def rank(self) -> tuple[int, int]:
        """The most specific first: much text, few values, and of these many that are translated."""
        values = [name for _, name in self.parts if name]
        return len(values) - sum(map(len, self.words)), -sum(name.startswith("text") for name in values)

    def values(self, message: str) -> dict[str, str] | None:
        """The values in a message; None if it is not of this template, or has a place before it that the translation would move."""
        if not all(words in message for words in self.words) or (found := self._pattern.fullmatch(message)) is None:
            return None
        values = {name: found[f"_{name}"] for _, name in self.parts if name}
        moved = self.parts[0][0] == "" and self.translation[0] != self.parts[0]
        return None if moved and _PLACE.search(next(iter(values.values()))) else values

    def filled(self, values: Mapping[str, str]) -> str:
        """The translation with values."""
        return "".join(text + (values[name] if name else "") for text, name in self.translation)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Values are anything; of two without words between them the first is one word, as is one before a single word."""
        vague = self.parts[0] == ("", "0") and len(" ".join(self.words).split()) < 2
        short = [text == "" for text, _ in self.parts[1:]] + [False]
        short[0] |= vague
        values = [
            f"(?P<_{name}>{'[^ ,]*' if brief else '.*?'})" if name else "" for (_, name), brief in zip(self.parts, short, strict=True)
        ]
        return re.compile("".join(re.escape(text) + value for (text, _), value in zip(self.parts, values, strict=True)), re.DOTALL)


def _parts(text: str) -> list[tuple[str, str | None]]:
    """Words, and the name of the value after them. Without a value, braces are what they are."""
    return [(words, name) for words, name, *_ in Formatter().parse(text)] if _VALUE.search(text) else [(text, None)]


class Templates:
    """The templates of a catalogue, the most specific first.

    >>> few = Templates({"no {0} here": "{0}: keine", "{0}, {text1}": "{0}; {text1}"})
    >>> few.localize("a.txt:3: no tabs here"), few.localize("tabs, no blanks here"), few.localize("other")
    ('a.txt:3: tabs: keine', 'tabs; blanks: keine', 'other')
    """

    def __init__(self, catalogue: Mapping[str, str]) -> None:
        self._exact = {source: text for source, text in catalogue.items() if isinstance(source, str) and source and text}
        # a single word may be a value, such as the name of a folder
        spoken = [Template(source, text) for source, text in self._exact.items() if " " in source or _VALUE.search(source)]
        self._templates = sorted(spoken, key=lambda template: template.rank)

    def localize(self, message: str) -> str:
        """A message in the catalogue's language; what is unknown in it stays as it is."""
        text = message.strip()
        if (whole := self._exact.get(text) or self._matched(text)) is None:
            pieces = _JOINT.split(text)
            whole = "".join(self._piece(piece) for piece in pieces) if len(pieces) > 1 or text.endswith(".") else text
        return message.replace(text, _AFTER_STOP.sub("", whole)) if text else message

    def _piece(self, piece: str) -> str:
        if (known := self._matched(piece)) is not None or not piece.endswith("."):
            return piece if known is None else known
        known = self._matched(piece[:-1])
        return piece if known is None else f"{known}。"

    def _matched(self, text: str) -> str | None:
        """The translation of a message, or of what stands after its place."""
        for start in (0, *(place.end() for place in _PLACE.finditer(text))):
            for template in self._templates:
                if (values := template.values(text[start:])) is not None:
                    return text[:start] + template.filled(dict(self._values(values)))
        return None

    def _values(self, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        for name, value in values.items():
            said = self.localize(value) if name.startswith("text") else value
            yield name, value if said == value else said.strip()
