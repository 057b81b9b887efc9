"""HTML -> text, by the parser of the standard library. Blocks are lines, a table's cells are divided by tabs, runs of blanks are one.

The encoding is that of a byte order mark, of ``<meta charset>``, else the one given. Not read: scripts, styles, titles, templates,
attributes (such as ``alt``).
"""

import re
from html.parser import HTMLParser

from medllm.errors import InputError
from medllm.formats.decoding import Refusal, check_encoding, decode, sniff
from medllm.formats.documents.base import Document

_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_HEAD_BYTES = 4096
_HIDDEN = frozenset({"script", "style", "title", "template", "noscript", "svg"})
_CELLS = frozenset({"td", "th"})
_BLOCK = re.compile(
    "address|article|aside|blockquote|body|caption|center|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header|hr|html|li"
    "|main|menu|nav|ol|p|pre|section|summary|table|tbody|tfoot|thead|tr|ul"
)
_BLANKS = re.compile(r"[ \t\n\r\f]+")


def read(data: bytes, encoding: str) -> Document:
    """The text of an HTML file. Raises Refusal."""
    declared = _META.search(data[:_HEAD_BYTES])
    used = sniff(data[:4], encoding)
    if declared and used == encoding:
        try:
            check_encoding(named := declared[1].decode("ascii"))
        except InputError:
            raise Refusal("encoding", "it names an encoding that is not known") from None
        used = named
    text, used = decode(data, used)
    page = _Page()
    try:
        page.feed(text)
        page.close()
    except AssertionError:  # html.parser's way to refuse a declaration; its message quotes the page
        raise Refusal("unreadable", "a declaration (<!...) that is not HTML") from None
    return Document(page.text(), {} if used.lower() == encoding.lower() else {"encoding": used})


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[list[str]] = [[]]
        self._hidden = self._kept = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag == "br":
            self._lines.append([])
        elif tag in _CELLS:
            self._lines[-1].append("\t")
        elif _BLOCK.fullmatch(tag):
            self._begin_line()
        self._kept += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif _BLOCK.fullmatch(tag):
            self._begin_line()
        if tag == "pre":
            self._kept = max(0, self._kept - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag in _HIDDEN or tag == "pre":
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._kept:
            first, *others = data.split("\n")
            self._lines[-1].append(first)
            self._lines += [[line] for line in others]
        else:
            self._lines[-1].append(_BLANKS.sub(" ", data))

    def text(self) -> str:
        """The lines, trimmed, without those that only blocks made."""
        joined = (re.sub(" *\t *", "\t", re.sub(" +", " ", "".join(parts))).strip() for parts in self._lines)
        return re.sub("\n{3,}", "\n\n", "\n".join(joined)).strip("\n")

    def _begin_line(self) -> None:
        if any(part.strip() for part in self._lines[-1]):
            self._lines.append([])
