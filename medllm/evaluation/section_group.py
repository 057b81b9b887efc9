"""Sections of a note under a dozen names that notes of any hospital share, so that scores can be told apart by section.

Headings are written in hundreds of ways; here each falls, by its words, into a group of the usual order of a note. A heading that
names an organ system ("HEENT", "Lungs") belongs to the review of systems or the physical examination that it stands in. Where no heading
tells, paragraphs are told by their words, if those are telling enough (``medllm.text.kinds``).
"""

from bisect import bisect_right
from functools import lru_cache

import regex

from medllm.text.kinds import passages
from medllm.text.sections import split_sections

NO_HEADING = "before any heading"
OTHER = "other sections"

_REVIEW, _EXAMINATION, _SYSTEM = "review of systems", "physical examination", ""
_GROUPS = (
    (_REVIEW, r"review of systems|\bros\b|系统回顾"),
    (_EXAMINATION, r"(?<!history and )physical|examination|\bexam\b|objective|vital|general appearance|\bpe\b|查体|体格检查|专科检查"),
    ("family history", r"family|家族史"),
    ("social history", r"social|habits|tobacco|alcohol|personal history|occupation|个人史|婚育史|月经史"),
    ("allergies", r"allerg|过敏"),
    ("medications", r"medication|medicine|\bmeds\b|drugs|prescri|immuni[sz]ation|医嘱|用药"),
    ("hospital course", r"course|summary|interval|诊疗经过"),
    ("past history", r"past|surgical history|medical history|previous|prior|birth history|history of (?!pre)|\bpmh\b|\bpsh\b|既往"),
    ("history of present illness", r"present|history|subjective|\bhpi\b|\bhx\b|现病史"),
    ("chief complaint", r"complaint|reason for|indication|\bcc\b|主诉"),
    (
        "tests and imaging",
        r"\blabs?\b|laborator|\btests?\b|studies|radiolog|x-?ray|imaging|\be[ck]g\b|\bct\b|\bmri\b|findings|diagnostic|\bdata\b|results|检查",
    ),
    ("diagnoses and assessment", r"diagnos|assessment|impression|problem|axis|诊断|印象|结论"),
    ("procedures", r"procedure|operati|surgery|anesthe|complication|手术|治疗"),
    ("plan and follow-up", r"plan|recommend|follow|instruction|disposition|discharge|goal|diet|activity|prognosis|condition|处理|计划"),
    (
        _SYSTEM,
        r"heent|\bent\b|head|eyes?\b|ears?\b|nose|throat|mouth|oral|oropharynx|neck|chest|breast|lungs?\b|respirat|pulmonary|heart|cardi|"
        r"vascular|\bcor\b|abdom|gastro|\bgi\b|\bgu\b|genit|urolog|rectal|pelvic|back|spine|extremit|musculo|skelet|skin|integument|dermat|"
        r"neuro|nervous|\bcns\b|mental|psych|endocrin|hemat|heme|lymph|immunolog|constitutional|general|joint|knee|hip|foot|ankle|wrist|elbow",
    ),
)
_PATTERNS = tuple((name, regex.compile(pattern, regex.IGNORECASE)) for name, pattern in _GROUPS)

SECTION_GROUPS = (
    "chief complaint",
    "history of present illness",
    "past history",
    "medications",
    "allergies",
    "family history",
    "social history",
    _REVIEW,
    _EXAMINATION,
    "tests and imaging",
    "hospital course",
    "procedures",
    "diagnoses and assessment",
    "plan and follow-up",
    OTHER,
    NO_HEADING,
)
"""Every group, in the usual order of a note."""


def section_group(text: str, offset: int) -> str:
    """The group of the section that stands at ``offset``.

    >>> note = "HPI: cough.\\nREVIEW OF SYSTEMS: fine.\\nSKIN: dry.\\nPHYSICAL EXAM:\\nSKIN: a rash."
    >>> [section_group(note, note.index(word)) for word in ("cough", "dry", "rash")]
    ['history of present illness', 'review of systems', 'physical examination']
    """
    starts, groups = _sections(text)
    return groups[bisect_right(starts, offset) - 1]


@lru_cache(maxsize=64)
def _sections(text: str) -> tuple[list[int], list[str]]:
    starts, groups, frame = [], [], _EXAMINATION
    for section in split_sections(text):
        group = _group(section.title)
        if group in (_REVIEW, _EXAMINATION):
            frame = group
        if group in (OTHER, NO_HEADING):
            for passage in passages(text, section.start, section.end):
                starts.append(passage.start)
                groups.append(passage.kind or group)
        else:
            starts.append(section.start)
            groups.append(group or frame)
    return starts, groups


def _group(title: str) -> str:
    if not title:
        return NO_HEADING
    return next((name for name, pattern in _PATTERNS if pattern.search(title)), OTHER)
