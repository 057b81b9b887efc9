"""Sections: headings of clinical notes, English and Chinese, by their form.

A heading is a line, or the beginning of one, in capitals or title case before a colon (``HISTORY OF PRESENT ILLNESS:``,
``Allergies: none``), a short line all in capitals, a Markdown heading, or one of the usual Chinese ones (主诉：).
"""

from typing import NamedTuple

import regex

from medllm.text.lines import BREAKS

_BLANKS = r"[ \t\xa0\u3000]*+"
_END = rf"(?=[{BREAKS}]|\Z)"
_CHINESE = (
    "主诉|现病史|既往史|个人史|婚育史|月经史|家族史|过敏史|查体|体格检查|专科检查|辅助检查|实验室检查|初步诊断|入院诊断|出院诊断|诊断|"
    "鉴别诊断|诊疗经过|诊疗计划|处理|治疗|出院医嘱|医嘱|检查所见|检查结论|印象"
)
_HEADING = regex.compile(
    rf"""(?:\A|(?<=[{BREAKS}])){_BLANKS}(?:
        \#{{1,6}}[ \t]++(?P<title>[^{BREAKS}]{{1,80}}?){_BLANKS}{_END}
      | (?P<title>{_CHINESE}){_BLANKS}[：:]
      | 【(?P<title>[^】{BREAKS}]{{1,20}})】
      | (?P<title>\p{{Lu}}[\p{{Lu}}\p{{Nd}} /&,'()-]{{1,60}}?){_BLANKS}(?::|{_END})
      | (?P<title>\p{{Lu}}[\p{{L}}\p{{Nd}}/&'-]*(?:[ ](?:\p{{Lu}}[\p{{L}}/&'-]*|of|and|on|the|for|in|to|at|with)){{0,6}}){_BLANKS}:
    )""",
    regex.VERBOSE,
)


class Section(NamedTuple):
    """From one heading to the next: its title as written, and half-open offsets in the note (the heading included)."""

    title: str
    start: int
    end: int


def split_sections(text: str) -> list[Section]:
    """The sections of a note, in order; together they cover it. What stands before the first heading has the title ``""``.

    >>> [s.title for s in split_sections("CC: cough\\nPast Medical History:\\nCOPD.\\n主诉：头痛")]
    ['CC', 'Past Medical History', '主诉']
    """
    starts = [(m.start(), m["title"].strip()) for m in _HEADING.finditer(text) if any(c.isalpha() for c in m["title"])]
    if not starts or starts[0][0] > 0:
        starts.insert(0, (0, ""))
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return [Section(title, start, end) for (start, title), end in zip(starts, ends, strict=True)]
