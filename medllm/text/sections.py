"""Sections: headings of clinical notes, English and Chinese, by their form.

A heading is a line, or the beginning of one, in capitals or title case before a colon (``HISTORY OF PRESENT ILLNESS:``,
``Allergies: none``), a short line all in capitals, a Markdown heading, or one of the usual Chinese ones (主诉：), which
may be numbered (一、), spaced out (主　诉), in traditional characters, alone on their line, or in the middle of one, after a full stop.
"""

from typing import NamedTuple

import regex

from medllm.text.breaks import BREAKS

_BLANKS = r"[ \t\xa0\u3000]*+"
_END = rf"(?=[{BREAKS}]|\Z)"
_UNMISTAKABLE = (
    "主诉|现病史|既往史|既往病史|过去史|个人史|婚育史|月经史|家族史|过敏史|体格检查|专科检查|辅助检查|实验室检查|初步诊断|入院诊断|出院诊断|"
    "鉴别诊断|诊疗经过|诊疗计划|出院医嘱"
)
"""These are headings with a blank after them too ("主诉 头痛3天")."""
_CHINESE = (
    f"{_UNMISTAKABLE}|婚姻史|生育史|家族病史|药物过敏史|手术史|外伤史|输血史|预防接种史|传染病史|系统回顾|生命体征|一般情况|"
    "查体|体检|体查|专科情况|神经系统检查|辅检|化验|化验检查|影像学检查|检查|检查结果|检验结果|检查所见|检查结论|影像所见|影像诊断|超声所见|"
    "超声提示|病理诊断|诊断|诊断依据|目前诊断|临床诊断|术前诊断|术后诊断|修正诊断|补充诊断|确定诊断|西医诊断|中医诊断|印象|结论|"
    "诊治经过|治疗经过|手术经过|手术名称|诊疗方案|治疗计划|治疗原则|治疗|处理|处理意见|处置|建议|会诊意见|医嘱|出院带药|入院情况|出院情况|"
    "病史|简要病史|病史摘要"
)
_TRADITIONAL = dict(
    zip(
        "诉现过个体专检验实诊断处疗医嘱结论见经计划鉴别药术输传种况统顾简会议声学临补确带征后录据",
        "訴現過個體專檢驗實診斷處療醫囑結論見經計劃鑑別藥術輸傳種況統顧簡會議聲學臨補確帶徵後錄據",
        strict=True,
    )
)
_NUMBER = r"(?:[一二三四五六七八九十]{1,2}、|[（(][一二三四五六七八九十\d]{1,2}[）)]|\d{1,2}[.、．](?!\d))?"


def _titles(alternatives: str) -> str:
    """Their pattern: each character in both scripts, blanks between them."""
    written = (
        r"[ \t\u3000]{0,4}+".join(f"[{character}{_TRADITIONAL.get(character, '')}]" for character in title)
        for title in sorted(alternatives.split("|"), key=len, reverse=True)
    )
    return "|".join(written)


_HEADING = regex.compile(
    rf"""(?:\A|(?<=[{BREAKS}]))(?:{_BLANKS}{_NUMBER}{_BLANKS}(?P<title>{_titles(_CHINESE)}){_BLANKS}(?:[：:]|{_END})
      | {_BLANKS}{_NUMBER}{_BLANKS}(?P<title>{_titles(_UNMISTAKABLE)})[ \t\u3000])
    | (?<=[。；;]){_BLANKS}{_NUMBER}(?P<title>{_titles(_CHINESE)})[：:]
    | (?:\A|(?<=[{BREAKS}])){_BLANKS}(?:
        \#{{1,6}}[ \t]++(?P<title>[^{BREAKS}]{{1,80}}?){_BLANKS}{_END}
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


def starts_heading(text: str, start: int) -> bool:
    """True if a heading begins at ``start``, the beginning of a line."""
    return _HEADING.match(text, start) is not None
