"""Dates moved by a number of days and written as they were: ``03/14/21`` -> ``01/17/21``, ``March 14, 2021`` -> ``January 17, 2021``.

Days of the week stay as they are, which is right where the shift is a number of whole weeks. A date without a year is moved within a
year that is no leap year; a month alone as its middle, a year alone as its first of July; a holiday becomes the day it would be.
"""

import datetime
from collections.abc import Callable

import regex

from medllm.deid.dates import MONTHS, WEEKDAYS

_PLAIN_YEAR = 2001
_HOLIDAYS = {
    "christmas eve": (12, 24),
    "christmas": (12, 25),
    "xmas": (12, 25),
    "thanksgiving": (11, 25),
    "new year": (1, 1),
    "labor day": (9, 3),
    "memorial day": (5, 28),
    "fourth of july": (7, 4),
    "4th of july": (7, 4),
    "july 4th": (7, 4),
    "independence": (7, 4),
    "easter": (4, 10),
    "good friday": (4, 8),
    "halloween": (10, 31),
    "mother": (5, 11),
    "father": (6, 18),
    "valentine": (2, 14),
    "veterans": (11, 11),
    "columbus": (10, 11),
    "president": (2, 18),
    "patrick": (3, 17),
    "hanukkah": (12, 15),
    "passover": (4, 12),
    "ramadan": (4, 15),
    "diwali": (11, 1),
    "juneteenth": (6, 19),
    "yom kippur": (9, 28),
    "rosh hashanah": (9, 19),
    "mardi gras": (2, 20),
    "ash wednesday": (2, 21),
}
_SEASONS = {"spring": 4, "summer": 7, "fall": 10, "autumn": 10, "winter": 1}

_MONTH = "|".join(
    f"{m[:3]}(?:t(?:ember)?|{m[3:]})?" if m == "September" else f"{m[:3]}(?:{m[3:]})?" if m != "May" else "May" for m in MONTHS
)
_ISO = regex.compile(r"(?P<y>\d{4})(?P<s>[/.-])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})")
_FIGURES = regex.compile(r"(?P<a>\d{1,2})(?P<s>[/.-])(?P<b>\d{1,2})(?:(?P=s)(?P<y>\d{4}|'?\d\d))?(?!\d)")
_MONTH_YEAR = regex.compile(r"^(?P<m>\d{1,2})(?P<s>[/-])(?P<y>\d{4})$")
_NAMED = regex.compile(
    rf"(?:(?P<d>\d{{1,2}})(?P<o>st|nd|rd"
    rf"|th)?(?P<g>[ -]?(?:of[ ])?))?\b?(?P<m>{_MONTH})(?P<p>\.?)(?:(?P<h>[ -]?)(?P<e>\d{{1,2}})(?P<q>st|nd|rd|th)?(?!\d))?"
    rf"(?:(?P<j>[ ]?,?[ ](?:of[ ])?|[-/ ,]{{1,2}})(?P<y>\d{{4}}|'?\d\d)(?!\d))?",
    regex.IGNORECASE,
)
_THE_DAY = regex.compile(r"(?P<d>\d{1,2})(?:st|nd|rd|th)$", regex.IGNORECASE)
_YEAR = regex.compile(r"(?P<q>')?(?P<y>\d{4}|(?<=')\d\d)(?P<s>s?)$")


def shift_date(text: str, days: int) -> str | None:
    """The date, ``days`` later, in the form it has; None where it cannot be read.

    >>> shift_date("03/14/21", 7), shift_date("Dec. 28th, 2020", 7), shift_date("12-FEB-2023", -14), shift_date("Tuesday", 7)
    ('03/21/21', 'Jan. 4th, 2021', '29-JAN-2023', 'Tuesday')
    """
    if _is_weekday(text):
        return text
    for pattern, shifted in _FORMS:
        if match := pattern.search(text):
            try:
                new = shifted(match, days)
            except (ValueError, OverflowError):
                return None
            rest = text[: match.start()] + text[match.end() :]
            if any(c.isdigit() for c in rest):  # a range of two dates
                first, second = text[: match.start()], shift_date(text[match.end() :].lstrip("-"), days)
                return None if first or second is None else f"{new}-{second}"
            return text[: match.start()] + new + text[match.end() :]
    return _shift_holiday(text, days)


def _is_weekday(text: str) -> bool:
    words = regex.split(r"[/ ,.]+", text.lower().strip(" ./,"))
    return all(any(day.lower().startswith(w.removesuffix("s")[:6].removesuffix("day") or "?") for day in WEEKDAYS) for w in words)


def _iso(match: "regex.Match[str]", days: int) -> str:
    date = _moved(int(match["y"]), int(match["m"]), int(match["d"]), days)
    return str(match["s"]).join([str(date.year), *_written([date.month, date.day], match["m"], match["d"], padded=True)])


def _figures(match: "regex.Match[str]", days: int) -> str:
    month, day, swapped = int(match["a"]), int(match["b"]), False
    if month > 12:
        month, day, swapped = day, month, True
    date = _moved(_year(match["y"]), month, day, days)
    numbers = [date.day, date.month] if swapped else [date.month, date.day]
    written = _written(numbers, match["a"], match["b"], padded=bool(match["y"]))
    return str(match["s"]).join(written + ([_year_like(match["y"], date.year)] if match["y"] else []))


def _month_and_year(match: "regex.Match[str]", days: int) -> str:
    date = _moved(int(match["y"]), int(match["m"]), 15, days)
    return f"{_written([date.month], match['m'], padded=True)[0]}{match['s']}{date.year}"


def _named(match: "regex.Match[str]", days: int) -> str:
    found = match["d"] or match["e"]
    month = next(n for n, name in enumerate(MONTHS, 1) if name[:3].lower() == match["m"][:3].lower())
    date = _moved(_year(match["y"]), month, int(found) if found else 15, days)
    name = MONTHS[date.month - 1]
    short = len(match["m"]) <= 4 and match["m"].lower() not in ("june", "july")
    if match["m"].lower() == "may":  # short or whole, it looks the same: short only where hyphens stand around it
        short = match["g"] == "-"
    name = _case(match["m"], name[:3] if short and (len(match["m"]) < 4 or name != "September") else name)
    new = f"{_day(match['d'], match['o'], date.day, match['g'])}{match['g']}" if match["d"] else ""
    new += name + match["p"]
    new += f"{match['h']}{_day(match['e'], match['q'], date.day)}" if match["e"] else ""
    return str(new) + (f"{match['j']}{_year_like(match['y'], date.year)}" if match["y"] else "")


def _the_day(match: "regex.Match[str]", days: int) -> str:
    day = (int(match["d"]) - 1 + days) % 28 + 1
    return f"{day}{_ordinal(day)}"


def _only_year(match: "regex.Match[str]", days: int) -> str:
    if match["s"]:
        return str(match[0])  # a decade
    return (match["q"] or "") + _year_like(match["y"], _moved(_year(match["y"]), 7, 1, days).year)


def _shift_holiday(text: str, days: int) -> str | None:
    folded = text.lower().replace("’", "'")
    for name, (month, day) in _HOLIDAYS.items():
        if name in folded:
            date = _moved(_PLAIN_YEAR, month, day, days)
            return _case(text, f"{MONTHS[date.month - 1]} {date.day}")
    return None


_FORMS: tuple[tuple["regex.Pattern[str]", Callable[["regex.Match[str]", int], str]], ...] = (
    (regex.compile(r"(?i)(?:^the )?(?:fourth|4th) of july|^july 4th$"), lambda match, days: _shift_holiday(match[0], days) or ""),
    (_ISO, _iso),
    (_MONTH_YEAR, _month_and_year),
    (_FIGURES, _figures),
    (_NAMED, _named),
    (_THE_DAY, _the_day),
    (_YEAR, _only_year),
)


def _moved(year: int, month: int, day: int, days: int) -> datetime.date:
    if (month, day) == (2, 29) and year == _PLAIN_YEAR:
        year -= 1
    return datetime.date(year, month, day) + datetime.timedelta(days=days)


def _year(written: str | None) -> int:
    if not written:
        return _PLAIN_YEAR
    year = int(written.lstrip("'"))
    return year if year > 99 else year + (2000 if year <= 50 else 1900)


def _year_like(written: str, year: int) -> str:
    return str(year) if len(written.lstrip("'")) == 4 else ("'" if written[0] == "'" else "") + f"{year % 100:02}"


def _written(numbers: list[int], *like: str, padded: bool) -> list[str]:
    """Numbers with two digits each if those before had; ``padded``: also where those before tell nothing, such as 12/11."""
    two = any(w[0] == "0" for w in like) or (padded and all(len(w) == 2 for w in like))
    return [f"{n:02}" if two else str(n) for n in numbers]


def _day(written: str, ordinal: str | None, day: int, gap: str = "") -> str:
    two = written[0] == "0" or (gap == "-" and len(written) == 2)
    return (f"{day:02}" if two else str(day)) + (_ordinal(day) if ordinal else "")


def _ordinal(day: int) -> str:
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _case(like: str, text: str) -> str:
    return text.upper() if like.isupper() else text.lower() if like.islower() else text
