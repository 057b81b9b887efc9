"""The lossless model of a PubTator document (https://www.ncbi.nlm.nih.gov/research/bionlp/APIs/format/): every line, in order.

::

    6794356|t|Tricuspid valve regurgitation and lithium carbonate toxicity in a newborn infant.
    6794356|a|A newborn with massive tricuspid regurgitation ...
    6794356<TAB>34<TAB>51<TAB>lithium carbonate<TAB>Chemical<TAB>D016651
    6794356<TAB>CID<TAB>D016651<TAB>D003490

A line that was not changed is written back byte for byte.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

TITLE, ABSTRACT = "t", "a"

_TEXT = re.compile(r"(?P<document>[^|\t]+)\|(?P<kind>[ta])\|(?P<text>.*)", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line. ``raw`` is how the file had it, without its end; it plays no part in comparison."""

    raw: str = field(default="", compare=False, repr=False)
    end: str = field(default="\n", compare=False, repr=False)
    number: int = field(default=0, compare=False, repr=False)

    def render(self) -> str:
        """The line from its fields, without its end."""
        return self.raw


@dataclass(frozen=True)
class Other(Line):
    """A blank line, or one that breaks the format."""


@dataclass(frozen=True)
class Text(Line):
    """``id|t|title`` or ``id|a|abstract``."""

    document: str
    kind: str
    text: str

    def render(self) -> str:
        """The line from its fields, without its end."""
        return f"{self.document}|{self.kind}|{self.text}"


@dataclass(frozen=True)
class Mention(Line):
    """Id, start, end, text, type, concept ids, and for a mention of several concepts the text of each. The last two may be missing."""

    document: str
    start: int
    end_offset: int
    text: str
    type: str
    concepts: str | None = None
    more: tuple[str, ...] = ()

    def render(self) -> str:
        """The line from its fields, without its end."""
        concepts = () if self.concepts is None else (self.concepts,)
        return "\t".join((self.document, str(self.start), str(self.end_offset), self.text, self.type, *concepts, *self.more))


@dataclass(frozen=True)
class Link(Line):
    """Id, type and two concepts; BioRED adds ``Novel`` or ``No``."""

    document: str
    type: str
    head: str
    tail: str
    more: tuple[str, ...] = ()

    def render(self) -> str:
        """The line from its fields, without its end."""
        return "\t".join((self.document, self.type, self.head, self.tail, *self.more))


@dataclass(frozen=True)
class Document:
    """The lines of one document, with the blank lines after it. ``id`` is empty before the first title."""

    id: str
    lines: tuple[Line, ...] = ()

    def dumps(self) -> str:
        """The lines as text."""
        return "".join((line.raw if line.raw and parse_line(line.raw) == line else line.render()) + line.end for line in self.lines)


def parse_line(raw: str, end: str = "\n", number: int = 0) -> Line:
    """A line without its end; what breaks the format is Other.

    >>> parse_line("1\\t0\\t3\\tflu\\tDisease\\tD007251")
    Mention(document='1', start=0, end_offset=3, text='flu', type='Disease', concepts='D007251', more=())
    """
    if match := _TEXT.fullmatch(raw):
        return Text(*match.groups(), raw=raw, end=end, number=number)
    columns = raw.split("\t")
    if len(columns) >= 5 and _NUMBER.fullmatch(columns[1]) and _NUMBER.fullmatch(columns[2]) and columns[4]:
        concepts = columns[5] if len(columns) > 5 else None
        begin, stop = int(columns[1]), int(columns[2])
        return Mention(columns[0], begin, stop, columns[3], columns[4], concepts, tuple(columns[6:]), raw=raw, end=end, number=number)
    if len(columns) >= 4 and all(columns[:4]) and not re.fullmatch("[-+0-9.]+", columns[1]):
        return Link(columns[0], columns[1], columns[2], columns[3], tuple(columns[4:]), raw=raw, end=end, number=number)
    return Other(raw=raw, end=end, number=number)


def documents(lines: Iterable[str]) -> Iterator[Document]:
    r"""The documents of a file, given its lines with their ends. A title begins one; ``\n`` and ``\r\n`` end a line."""
    name, held = "", list[Line]()
    for number, whole in enumerate(lines, 1):
        raw = whole.removesuffix("\n").removesuffix("\r") if whole.endswith("\n") else whole
        line = parse_line(raw, whole[len(raw) :], number)
        if isinstance(line, Text) and (line.kind == TITLE or line.document != name):
            if held:
                yield Document(name, tuple(held))
            name, held = line.document, []
        held.append(line)
    if held:
        yield Document(name, tuple(held))
