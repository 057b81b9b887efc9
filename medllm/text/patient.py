"""Sex and age of the patient, where an English or Chinese note tells them.

Made for slicing scores, not for care: a note that does not say is left out rather than guessed. An age counts if the words
around it say that a person of that age is the patient ("a 70-year-old man", "Age: 45", "患者，男，58岁"); ages of relatives, of things
("a 3-year-old pacemaker") and of events ("at the age of 12") do not. Sex comes from a field, from the noun of the age, from
titles (Mr., Mrs.), from a noun that introduces the patient, or, as the last, from pronouns that agree.
"""

from dataclasses import dataclass
from typing import Literal

import regex

from medllm.text.sections import split_sections

Sex = Literal["female", "male"]

PRONOUNS = 3
"""At least so many pronouns of one sex, and at most one of the other for every eight, tell the patient's."""


@dataclass(frozen=True)
class Patient:
    """What a note tells of its patient. ``age`` is in years, a fraction for infants; None where the note does not say."""

    sex: Sex | None = None
    age: float | None = None


_YEARS = {"y": 1, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25, "岁": 1, "周岁": 1, "个月": 1 / 12, "月龄": 1 / 12, "天": 1 / 365.25}
"""By the first letter of an English unit, and by the whole Chinese one."""
_OLDEST = 120

_FEMALE = "female|woman|lady|girl|gentlewoman|WF|BF|HF|AAF|primigravida|multigravida"
_MALE = "male|gentleman|man|boy|WM|BM|HM|AAM"
_NEUTRAL = "patient|infant|baby|newborn|neonate|child|toddler|teenager|adolescent|adult|person|individual|resident|veteran"
_PERSON = f"{_FEMALE}|{_MALE}|{_NEUTRAL}"
_RELATIVE = (
    "mother|father|parents?|mom|dad|sisters?|brothers?|siblings?|twins?|sons?|daughters?|children|wife|husband|spouse|partner|aunt|uncle|"
    "cousin|niece|nephew|grand(?:mother|father|son|daughter|parents?|child(?:ren)?)|roommate|friend|boyfriend|girlfriend|donor"
)
_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: i + 1 for i, word in enumerate([*_ONES, *_TEENS])} | {word: 10 * i + 20 for i, word in enumerate(_TENS)}
_NUMBER = rf"(?:\d{{1,3}}(?:\.\d)?|(?:{'|'.join(_TENS)})[ -](?:{'|'.join(_ONES)})|{'|'.join(reversed(_WORDS))})"
_UNIT = r"(?:years?|yrs?|y|months?|mos?|mths?|m|weeks?|wks?|w|days?|d)"
_AGE = rf"(?<![\w./])(?P<n>{_NUMBER})\+?[\s-]*(?P<u>{_UNIT})(?:[\s.-]*old\b|[\s-]+of[\s-]+age\b|\.?[\s/-]*o(?:ld)?\b\.?)"
_FLAGS = regex.IGNORECASE | regex.MULTILINE

_FIELD_AGE = regex.compile(rf"^[ \t]*(?:patient(?:'s)?[ ]+)?age[ \t]*[:=][ \t]*(?P<n>{_NUMBER})(?![\d/-])[ \t]*(?P<u>{_UNIT}\b)?", _FLAGS)
_FIELD_SEX = regex.compile(r"\b(?:sex|gender)[ \t]*[:=][ \t]*(?P<sex>female|male|woman|man|f|m)\b", _FLAGS)
_AGED_PERSON = regex.compile(rf"{_AGE}(?P<between>(?:[\s,]+[\w/.-]+){{0,5}}?)[\s,]+(?P<noun>{_PERSON})\b", _FLAGS)
_AGED_WHO = regex.compile(
    rf"{_AGE}(?P<between>(?:[\s,]+[\w/.-]+){{0,2}}?)[\s,]+(?:who|with|had|has|presents?|presenting|admitted)\b", _FLAGS
)
_IS_AGED = regex.compile(
    rf"\b(?:patient|he|she|(?:mr|mrs|ms|miss)\.?[ ]\w+)[ ](?:\w+[ ]){{0,3}}?(?:is|was)[ ](?:now[ ]|an?[ ])?{_AGE}", _FLAGS
)
_SHORT = regex.compile(
    r"(?<![\w.])(?P<n>\d{1,3})[ ]?(?:y/?o[ ]?|yo[ ]?|-?year-old[ ]?)?(?P<sex>[MF])\b"
    r"(?=[ ,]+(?:with|w/|who|presents?|admitted|c/o|s/p|h/o|p/w|hx|here)\b)"
)
_CHINESE = regex.compile(
    r"(?:患者|病人|患儿|姓名)?[^\n。；]{0,12}?(?P<sex>[男女])(?:性|童|婴|孩)?[，,、\s]{0,3}(?:年龄[：:]?)?(?P<n>\d{1,3})\s*(?P<u>岁|周岁|个月|月龄|天)"
    r"|(?:患者|病人|患儿)[^\n。；，,]{0,8}[，,、]?(?P<n>\d{1,3})\s*(?P<u>岁|周岁)|年龄\s*[：:]\s*(?P<n>\d{1,3})\s*(?P<u>岁|周岁|个月|天)?"
)
_CHINESE_SEX = regex.compile(r"(?:性别\s*[：:]\s*(?P<sex>[男女])|(?:患者|病人|患儿)[^\n。；]{0,6}?(?P<sex>[男女])性?[，,、\s])")
_NOT_THE_PATIENT = regex.compile(rf"\b(?:{_RELATIVE})\b[^.;:\n]{{0,40}}$", _FLAGS)
_SOMEONE = regex.compile(rf"\b(?:{_RELATIVE})\b", _FLAGS)
_EVENT = regex.compile(
    r"\b(?:at|by|since|until|from|before|after|age of|until)[ ](?:the[ ]age[ ]of[ ]|age[ ]|about[ ]|approximately[ ])*$", _FLAGS
)
_TITLES = {"female": regex.compile(r"\b(?:Mrs|Ms|Miss)\b\.?[ ]"), "male": regex.compile(r"\bMr\b\.?[ ]")}
_INTRODUCED = regex.compile(
    rf"\b(?:this|the patient is|patient is|he is|she is|pleasant|(?:well|poorly)[ -](?:developed|nourished|appearing))[ ,]"
    rf"(?:[\w/.-]+[ ,]+){{0,6}}?(?P<noun>{_FEMALE}|{_MALE})\b",
    _FLAGS,
)
_PRONOUN = {"female": regex.compile(r"\b(?:she|her|hers|herself)\b", _FLAGS), "male": regex.compile(r"\b(?:he|him|his|himself)\b", _FLAGS)}
_WOMAN = regex.compile(rf"(?:{_FEMALE})", _FLAGS)
_MAN = regex.compile(rf"(?:{_MALE})", _FLAGS)


def patient_of(text: str) -> Patient:
    """Sex and age of the patient of a note, None where it does not tell.

    >>> patient_of("This is a 70-year-old right-handed male. His mother died at 81 years of age.")
    Patient(sex='male', age=70.0)
    >>> patient_of("患者，女，45岁，因头痛3天入院。")
    Patient(sex='female', age=45.0)
    >>> patient_of("No acute distress.")
    Patient(sex=None, age=None)
    """
    own = _without_family_history(text)
    age, sex = _age(own)
    return Patient(sex or _sex(own), age)


def _without_family_history(text: str) -> str:
    return "".join(text[s.start : s.end] for s in split_sections(text) if "family" not in s.title.casefold() and s.title != "家族史")


def _age(text: str) -> tuple[float | None, Sex | None]:
    """The age, and the sex that is told with it."""
    for pattern in (_FIELD_AGE, _AGED_PERSON, _IS_AGED, _SHORT, _AGED_WHO, _CHINESE):
        for match in pattern.finditer(text):
            found = match.groupdict()
            noun, between = found.get("noun") or "", found.get("between") or ""
            before = text[max(0, match.start() - 60) : match.start()]
            if _NOT_THE_PATIENT.search(before) or _EVENT.search(before) or _SOMEONE.search(between + " " + noun):
                continue
            unit = (found.get("u") or "y").lower()
            years = _number(found["n"]) * _YEARS[unit[0] if unit.isascii() else unit]
            if years <= _OLDEST:
                return years, _sex_of_word(found.get("sex") or noun)
    return None, None


def _sex(text: str) -> Sex | None:
    for pattern in (_FIELD_SEX, _CHINESE_SEX):
        if match := pattern.search(text):
            return _sex_of_word(match["sex"])
    titles = {sex: len(pattern.findall(text)) for sex, pattern in _TITLES.items()}
    if (found := _agreed(titles, least=1)) is not None:
        return found
    for match in _INTRODUCED.finditer(text):
        if not _SOMEONE.search(match[0]) and not _NOT_THE_PATIENT.search(text[max(0, match.start() - 60) : match.start()]):
            return _sex_of_word(match["noun"])
    return _agreed({sex: len(pattern.findall(text)) for sex, pattern in _PRONOUN.items()}, least=PRONOUNS)


def _agreed(counts: dict[str, int], *, least: int) -> Sex | None:
    female, male = counts["female"], counts["male"]
    if max(female, male) < least or min(female, male) * 8 > max(female, male):
        return None
    return "female" if female > male else "male"


def _sex_of_word(word: str) -> Sex | None:
    if word in ("女", "F", "f") or _WOMAN.fullmatch(word):
        return "female"
    return "male" if word in ("男", "M", "m") or _MAN.fullmatch(word) else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float(sum(_WORDS[word] for word in regex.split("[ -]", text.lower())))
