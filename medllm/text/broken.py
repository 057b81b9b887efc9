"""Chinese lines that were broken to fit a page: scans and old systems break them anywhere, inside words too."""

from medllm.text.breaks import is_han, physical_lines
from medllm.text.sections import starts_heading

BROKEN_FROM = 15
BROKEN_SLACK = 4
"""A line that was broken to fit a page has at least so many characters, and at most so many fewer than the longest line."""


def broken_lines(text: str) -> list[tuple[int, int]]:
    """The physical lines of a text, their breaks included; Chinese lines that were broken to fit a page are put together again.

    A line goes on in the next one if it ends and the next begins with a Chinese character (or it ends with a comma), it is about as
    long as the longest of the note, and the next is no heading.

    >>> page = "患者三天前受凉后出现头痛、发热，无恶心、呕吐，无寒\\n战，自服退热药物后体温可降至正常。\\n否认药物过敏。"
    >>> [end for _, end in broken_lines(page)]
    [44, 51, 51]
    """
    lines = list(physical_lines(text))
    longest = max((end - start for start, end in lines), default=0)
    joined: list[tuple[int, int]] = []
    for start, end in lines:
        if joined and _goes_on(text, *joined[-1], start, longest):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _goes_on(text: str, begin: int, stop: int, start: int, longest: int) -> bool:
    last = stop
    while last > begin and (text[last - 1].isspace()):
        last -= 1
    if last == begin or not is_han(text[start : start + 1]) or not (is_han(text[last - 1]) or text[last - 1] in "，、,"):
        return False
    line = max(text.rfind(mark, begin, last) for mark in "\n\r") + 1
    return last - max(line, begin) >= max(BROKEN_FROM, longest - BROKEN_SLACK) and not starts_heading(text, start)
