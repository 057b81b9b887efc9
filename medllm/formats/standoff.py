"""The lossless model of a brat ``.ann`` file (https://brat.nlplab.org/standoff.html): every line, in order, with its fields.

A file that was not changed is written back byte for byte; of a line that was changed, only that line is.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_LINE_BREAKS = {ord(c): " " for c in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line. ``raw`` is how the file had it, without its end; it plays no part in comparison."""

    raw: str = field(default="", compare=False, repr=False)
    end: str = field(default="\n", compare=False, repr=False)

    def render(self) -> str:
        """The line from its fields, without its end."""
        return self._fields()

    def _fields(self) -> str:
        return self.raw


@dataclass(frozen=True)
class Unparsed(Line):
    """A blank line, or one that breaks the format."""

    @property
    def blank(self) -> bool:
        """True if there is nothing on the line."""
        return not self.raw.strip()


@dataclass(frozen=True)
class TextBound(Line):
    """``T1<TAB>label 0 5;8 12<TAB>text``: half-open offsets in code points of the ``.txt`` as it is on disk."""

    id: str
    label: str
    spans: tuple[tuple[int, int], ...]
    text: str

    def _fields(self) -> str:
        offsets = ";".join(f"{start} {end}" for start, end in self.spans)
        return f"{self.id}\t{self.label} {offsets}\t{one_line(self.text)}"


@dataclass(frozen=True)
class Link(Line):
    """``R1<TAB>label Arg1:T1 Arg2:T2``: a binary relation; the targets may be events."""

    id: str
    label: str
    args: tuple[tuple[str, str], tuple[str, str]]

    def _fields(self) -> str:
        return f"{self.id}\t{self.label} {_args(self.args)}"


@dataclass(frozen=True)
class Event(Line):
    """``E1<TAB>label:T1 Role:T2 Role2:E2``: a trigger with arguments."""

    id: str
    label: str
    trigger: str
    args: tuple[tuple[str, str], ...] = ()

    def _fields(self) -> str:
        return f"{self.id}\t{_args(((self.label, self.trigger), *self.args))}"


@dataclass(frozen=True)
class Flag(Line):
    """``A1<TAB>name T1 value``: an attribute (``M`` in old files). Without a value it is a binary one, which holds."""

    id: str
    name: str
    target: str
    value: str | None = None

    def _fields(self) -> str:
        return f"{self.id}\t{self.name} {self.target}" + ("" if self.value is None else f" {one_line(self.value)}")


@dataclass(frozen=True)
class Normalization(Line):
    """``N1<TAB>Reference T1 system:code<TAB>name``: an entry of a terminology; the name may be missing."""

    id: str
    kind: str
    target: str
    system: str
    code: str
    name: str = ""

    def _fields(self) -> str:
        return f"{self.id}\t{self.kind} {self.target} {self.system}:{self.code}" + (f"\t{one_line(self.name)}" if self.name else "")


@dataclass(frozen=True)
class Remark(Line):
    """``#1<TAB>AnnotatorNotes T1<TAB>text``: what an annotator or a tool noted."""

    id: str
    kind: str
    target: str
    text: str

    def _fields(self) -> str:
        return f"{self.id}\t{self.kind} {self.target}\t{one_line(self.text)}"


@dataclass(frozen=True)
class Equivalence(Line):
    """``*<TAB>label T1 T2 T3``: a set of annotations that are the same in some way."""

    label: str
    members: tuple[str, ...]

    def _fields(self) -> str:
        return f"*\t{self.label} {' '.join(self.members)}"


@dataclass(frozen=True)
class Standoff:
    """The lines of an ``.ann`` file.

    >>> file = Standoff.loads("T1\\tproblem 4 9\\tfever\\nR1\\thas Arg1:T1 Arg2:T1\\t\\n")
    >>> file.lines[0]
    TextBound(id='T1', label='problem', spans=((4, 9),), text='fever')
    >>> file.dumps()
    'T1\\tproblem 4 9\\tfever\\nR1\\thas Arg1:T1 Arg2:T1\\t\\n'
    """

    lines: tuple[Line, ...] = ()

    @classmethod
    def loads(cls, text: str) -> "Standoff":
        """Parse; no line is lost and none moves another. Lines end with ``\\n`` or ``\\r\\n`` alone."""
        *whole, last = text.split("\n")
        lines = [parse_line(line[:-1], "\r\n") if line.endswith("\r") else parse_line(line) for line in whole]
        return cls((*lines, parse_line(last, "")) if last else tuple(lines))

    def dumps(self) -> str:
        """The file's text."""
        last = len(self.lines)
        return "".join(
            (line.raw if _unchanged(line) else line.render()) + (line.end if number == last else line.end or "\n")
            for number, line in self.numbered()
        )

    def numbered(self) -> Iterator[tuple[int, Line]]:
        """The lines with their 1-based numbers."""
        return enumerate(self.lines, 1)


def one_line(text: str) -> str:
    """``text`` with each line break as one blank, as an ``.ann`` file has it: the length stays."""
    return text.translate(_LINE_BREAKS)


def parse_line(raw: str, end: str = "\n") -> Line:
    """A line without its end; what breaks the format is Unparsed."""
    if rule := _GRAMMAR.get(raw[:1]):
        pattern, build = rule
        if match := pattern.fullmatch(raw):
            return build(match, raw, end)
    return Unparsed(raw=raw, end=end)


def _unchanged(line: Line) -> bool:
    return bool(line.raw or isinstance(line, Unparsed)) and parse_line(line.raw) == line


def _args(args: tuple[tuple[str, str], ...]) -> str:
    return " ".join(f"{role}:{target}" for role, target in args)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((role, target) for role, _, target in (part.rpartition(":") for part in text.split()))


def _text_bound(m: re.Match[str], raw: str, end: str) -> Line:
    spans = tuple((int(a), int(b)) for a, b in (part.split() for part in m["spans"].split(";")))
    return TextBound(m["id"], m["label"], spans, m["text"] or "", raw=raw, end=end)


def _link(m: re.Match[str], raw: str, end: str) -> Line:
    first, second = _pairs(m["args"])
    return Link(m["id"], m["label"], (first, second), raw=raw, end=end)


def _event(m: re.Match[str], raw: str, end: str) -> Line:
    (label, trigger), *args = _pairs(m["args"])
    return Event(m["id"], label, trigger, tuple(args), raw=raw, end=end)


def _flag(m: re.Match[str], raw: str, end: str) -> Line:
    return Flag(m["id"], m["name"], m["target"], m["value"], raw=raw, end=end)


def _normalization(m: re.Match[str], raw: str, end: str) -> Line:
    return Normalization(m["id"], m["kind"], m["target"], m["system"], m["code"], m["name"] or "", raw=raw, end=end)


def _remark(m: re.Match[str], raw: str, end: str) -> Line:
    return Remark(m["id"], m["kind"], m["target"], m["text"] or "", raw=raw, end=end)


def _equivalence(m: re.Match[str], raw: str, end: str) -> Line:
    return Equivalence(m["label"], tuple(m["members"].split()), raw=raw, end=end)


_Build = Callable[[re.Match[str], str, str], Line]
_PAIR = r"\S+:[^\s:]+"
_SPAN = r"[0-9]{1,15} [0-9]{1,15}"
_RULES: tuple[tuple[str, str, _Build], ...] = (
    ("T", rf"(?P<id>T\S+)\t(?P<label>\S+) +(?P<spans>{_SPAN}(?:;{_SPAN})*) *(?:\t(?P<text>.*))?", _text_bound),
    ("R", rf"(?P<id>R\S+)\t(?P<label>\S+) +(?P<args>{_PAIR} +{_PAIR})\s*", _link),
    ("E", rf"(?P<id>E\S+)\t(?P<args>{_PAIR}(?: +{_PAIR})*)\s*", _event),
    ("AM", r"(?P<id>[AM]\S+)\t(?P<name>\S+) +(?P<target>\S+)(?: +(?P<value>\S|\S.*\S))?\s*", _flag),
    ("N", r"(?P<id>N\S+)\t(?P<kind>\S+) +(?P<target>\S+) +(?P<system>[^\s:]*):(?P<code>[^\t]+)(?:\t(?P<name>.*))?", _normalization),
    ("#", r"(?P<id>#\S*)\t(?P<kind>\S+) +(?P<target>\S+) *(?:\t(?P<text>.*))?", _remark),
    ("*", r"\*\t(?P<label>\S+)(?P<members>(?: +\S+)+)\s*", _equivalence),
)
_GRAMMAR = {first: (re.compile(pattern), build) for firsts, pattern, build in _RULES for first in firsts}
