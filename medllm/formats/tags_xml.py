"""The XML of i2b2 2012 and 2014, as the annotation tool MAE writes it: a text, then a list of empty tags with attributes.

::

    <?xml version="1.0" encoding="UTF-8" ?>
    <deIdi2b2>
    <TEXT><![CDATA[Seen on 04/05/2031 .
    ]]></TEXT>
    <TAGS>
    <DATE id="P0" start="8" end="18" text="04/05/2031" TYPE="DATE" comment="" />
    </TAGS>
    </deIdi2b2>

Released files are not always well-formed XML (a bare ``&`` or ``<`` in the copied text), so that tags are read one by one: what is no
tag is told with its line, and the others are kept. Entities are the five of XML and numbers; nothing else is expanded, or fetched.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from medllm.errors import FormatError

_NAME = r"[^\W\d][\w.:-]*"
_START = re.compile(rf"\s*(?:<\?xml.*?\?>)?(?:\s|<!--.*?-->|<!DOCTYPE[^>\[]*>)*<(?P<root>{_NAME})\s*>\s*<TEXT>", re.DOTALL)
_OPENED = re.compile(r"<TAGS\s*(?P<none>/?)>")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_PLAIN = re.compile(r"[^<]+")
_ATTRIBUTE = re.compile(rf"\s*({_NAME})\s*=\s*(\"[^\"]*\"|'[^']*')")
_TAG = re.compile(rf"<({_NAME})((?:\s*{_NAME}\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*(?:/>|>\s*</\1\s*>)")
_REFERENCE = re.compile(r"&(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_NAMES = re.compile(r"[^\w.-]|^(?=[\W\d])")


@dataclass(frozen=True)
class Tag:
    """A tag and its attributes, in their order. ``line`` is where it begins, 1-based, 0 where it was not read."""

    name: str
    attributes: Mapping[str, str]
    line: int = 0


@dataclass(frozen=True)
class TagFile:
    """A text with its tags. ``faults`` has the line and the length of each thing among the tags that is none."""

    root: str
    text: str
    tags: tuple[Tag, ...] = ()
    faults: tuple[tuple[int, int], ...] = ()


def loads(content: str, path: str = "") -> TagFile:
    """Parse. Line ends are those of XML: ``\\r\\n`` and ``\\r`` in the file are ``\\n`` in the text. Raises FormatError without a text.

    >>> loads("<a><TEXT>x &lt; y</TEXT><TAGS><T id='1' />?</TAGS></a>").faults
    ((1, 1),)
    """
    content = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    start = _START.match(content)
    if start is None:
        raise FormatError("no root element with a TEXT", path=path, hint="i2b2 2012 and 2014 files begin with the note in <TEXT>")
    text, position = _text(content, start.end(), path)
    tags, faults = [], []
    opened = _OPENED.search(content, position)
    begin = end = opened.end() if opened else len(content)
    if opened is None or not opened["none"]:
        closed = content.rfind("</TAGS>")
        if closed < begin:
            faults.append((content.count("\n") + 1, 0))
            closed = content.rfind(f"</{start['root']}")
        end = closed if closed >= begin else len(content)
    line, counted = 1, 0
    for at, length, tag in _tags(content, begin, end):
        line, counted = line + content.count("\n", counted, at), at
        if tag is None:
            faults.append((line, length))
        else:
            tags.append(Tag(tag.name, tag.attributes, line))
    return TagFile(start["root"], text, tuple(tags), tuple(faults))


def dumps(root: str, text: str, tags: Sequence[Tag]) -> str:
    """The file of a text and its tags.

    What XML cannot have (control characters, lone surrogates) becomes U+FFFD, so that offsets hold. A text with carriage returns is
    written with references instead of CDATA, since a parser would turn them into line feeds.
    """
    lines = "\n".join(f"<{name_of(tag.name)} {_attributes(tag.attributes)}/>" for tag in tags)
    return (
        '<?xml version="1.0" encoding="UTF-8" ?>\n'
        f"<{root}>\n<TEXT>{_written(_FORBIDDEN.sub(chr(0xFFFD), text))}</TEXT>\n<TAGS>\n{lines}\n</TAGS>\n</{root}>\n"
    )


def name_of(name: str) -> str:
    """``name`` as XML can have it; other characters become ``_``."""
    return _NOT_IN_NAMES.sub("_", name) or "_"


def _text(content: str, position: int, path: str) -> tuple[str, int]:
    parts = []
    while not content.startswith("</TEXT>", position):
        if match := _CDATA.match(content, position):
            parts.append(match[1])
        elif match := _PLAIN.match(content, position):
            parts.append(_resolve(match[0]))
        else:
            line = content.count("\n", 0, position) + 1
            raise FormatError("the TEXT is cut short, or has a tag in it", path=path, line=line, hint="the note stands in CDATA")
        position = match.end()
    return "".join(parts), position + len("</TEXT>")


def _tags(content: str, position: int, end: int) -> Iterator[tuple[int, int, Tag | None]]:
    """Where each tag begins, its length and the tag; without one, something that is no tag, up to the end of its line at most."""
    while position < end:
        if match := _TAG.match(content, position, end):
            found = {name: _resolve(" ".join(value[1:-1].split("\n"))) for name, value in _ATTRIBUTE.findall(match[2])}
            yield position, len(match[0]), Tag(match[1], found)
            position = match.end()
        elif content[position].isspace():
            position += 1
        else:
            stop = min(n for n in (content.find("\n", position), end) if n >= 0)
            yield position, stop - position, None
            position = stop


def _resolve(text: str) -> str:
    return _REFERENCE.sub(lambda m: html.unescape(m[0]), text)


def _written(text: str) -> str:
    if "\r" in text:
        return html.escape(text, quote=False).replace("\r", "&#13;")
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(f'{name_of(name)}="{_quoted(value)}" ' for name, value in values.items())


def _quoted(value: str) -> str:
    safe = html.escape(_FORBIDDEN.sub(chr(0xFFFD), value), quote=False).replace('"', "&quot;")
    return re.sub("[\n\r\t]", lambda m: f"&#{ord(m[0])};", safe)
