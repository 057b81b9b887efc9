"""Dates: with figures, with the names of months, days of the week, holidays, and years alone. Not times, durations or ages."""

from collections.abc import Iterator

import regex

from medllm.deid.findings import Finding, matched

MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()  # noqa: SIM905

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\b"
)
_WEEKDAY = r"(?:Mon(?:day)?|Tue(?:s|sday)?|Wed(?:s|nesday)?|Thu(?:r|rs|rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)\b"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:19|20|21)\d\d"
_MON = r"(?:0?[1-9]|1[0-2])"
_ORDINAL = rf"{_DAY}(?:st|nd|rd|th)?"
_EDGE = r"(?<![\d/.,-])(?<!\d\s?[xX])"
_OFF = r"(?![\d/]|[.,-]\d|%|-?(?:year|yr|y/?o)\b)"
_FLAGS = regex.IGNORECASE

_FULL = (
    rf"{_MON}(?P<s>[/.-]){_DAY}(?P=s)(?:{_YEAR}|'?\d\d)|{_DAY}(?P<t>[/.-]){_MON}(?P=t)(?:{_YEAR}|\d\d)"
    rf"|{_YEAR}(?P<u>[/.-]){_MON}(?P=u){_DAY}"
)
_NAMED = (
    rf"{_DAY}(?:st|nd|rd|th)?[ -]?(?:of[ ])?{_MONTH}\.?(?:[ ,-]{{1,2}}(?:{_YEAR}|'?\d\d(?!\d|:|/)))?"
    rf"|{_MONTH}\.?[ -]?{_ORDINAL}(?!\d|:|[ ]?(?:mg|mL|units))(?:[ ]?,?[ -]{{1,2}}(?:{_YEAR}|'\d\d)\b)?"
    rf"|{_MONTH}\.?(?:,?[ ](?:of[ ])?|/|-)(?:{_YEAR}|'\d\d)\b|{_MONTH}[ ]'\d\d\b"
)
_WITH_DAY = regex.compile(rf"(?<![\w-]){_WEEKDAY}\.?,?[ ](?:the[ ])?(?:{_NAMED}|{_FULL}|{_MON}/{_DAY})\b{_OFF}", _FLAGS)
_DATE = regex.compile(rf"{_EDGE}\b(?:{_FULL}){_OFF}|(?<![\w-])(?:{_NAMED})\b(?!\d)", _FLAGS)
_SHORT = regex.compile(rf"{_EDGE}(?<![\w<>=+~:]){_MON}/{_DAY}(?:-{_MON}/{_DAY})?{_OFF}(?!\w)")
_MONTH_YEAR = regex.compile(rf"{_EDGE}\b{_MON}[/-]{_YEAR}\b{_OFF}|(?<![\w/])'\d\d\b(?!\w)")
_HOLIDAY = regex.compile(
    r"\b(?:Christmas(?: Day| Eve)?|Xmas|Thanksgiving(?: Day)?|New Year['’]?s(?: Day| Eve)?|Labor Day|Memorial Day"
    r"|(?:the )?(?:Fourth|4th) of July|July 4th|Easter(?: Sunday)?"
    r"|Halloween|Mother['’]s Day|Father['’]s Day|Valentine['’]s Day|Veterans Day|Columbus Day|Presidents['’]? Day"
    r"|St\.? Patrick['’]s Day|Hanukkah|Passover|Ramadan|Diwali"
    r"|Good Friday|Independence Day|Juneteenth|Yom Kippur|Rosh Hashanah|Mardi Gras|Ash Wednesday)\b",
    _FLAGS,
)
_SEASON = regex.compile(rf"\b(?:spring|summer|fall|autumn|winter)(?: of)? (?:{_YEAR}|'\d\d)\b", _FLAGS)
_CUED_MONTH = regex.compile(
    rf"(?<=\b(?:in|since|until|till|last|this|next|from|of|through|thru|late|early|mid|by|to|for|before|after|during|around"
    rf"|between|and|or)[ -])(?<![\d]-){_MONTH}(?!['’]s)(?![ ](?:be|have|not)\b)",
    _FLAGS,
)
_LONG_MONTH = regex.compile(
    rf"(?<![\w/])(?!MAY|MARCH)\p{{Lu}}(?:{'|'.join(m[1:] for m in MONTHS if m not in ('March', 'May', 'April', 'June', 'August'))})\b"
)
_BARE_MONTH = regex.compile(r"(?<=\p{Ll}[ ])(?:April|June|July|August)(?=[,.;)])")
_PAREN_MONTH = regex.compile(rf"(?<=[(,/][ ]?)(?!may\b){_MONTH}(?=\.?[ ]?[),])", _FLAGS)
_LONG_DAY = regex.compile(r"(?<![\w-])(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b", _FLAGS)
_SHORT_DAY = regex.compile(
    r"(?<=(?:Mon|Tues?|Weds?|Thurs?|Fri|Sat)/)(?:Tues?|Weds?|Thurs?|Fri|Sat|Sun)\b|"
    r"(?<![\w/-])(?:Mon|Tues?|Weds?|Thurs?|Fri|Sun)\b(?![ ]?(?:exposure|\d))|(?<=(?:on|since|until|last|this|next|by|seen"
    r"|till)[ ])(?:sat|Sat|SAT|sun|SUN)\b|(?<![\w/-])Sat\b(?![ ]?\d)"
    r"|(?<![\w/-])(?:mon|tues?|weds|thurs?|fri|TUES?|THURS?|FRI|WED|MON)\b(?![ ]?\d)|(?<=[}\)][ ])sat\b|\bsat(?=\.[ \n])"
)
_DAY_LETTERS = regex.compile(r"(?<![\w/])[MTWFS](?:/(?:Tu?|W|Th?|F|Sa?|Su?))+(?![\w/])")
_YEAR_ALONE = regex.compile(
    rf"(?<=\b(?:in|since|until|till|from|of|by|to|circa|dx|due|early|late|mid|around|about|before|after|s/p|and|approx|year"
    rf"|summer|fall|to|ago,)[ -]|[(~@])(?:{_YEAR})(?:s\b)?{_OFF}(?![ ]?(?:mg|ml|mL|cc|g\b|gm|units?|kcal|cal|IU|u\b|x\b))"
    rf"|(?<=[\p{{L}})?'],?[ ])(?<!\bat )(?:19[2-9]\d|20[0-4]\d)(?:s\b)?(?=[,;.)\n](?!\d)|\s*$|[ ](?:with|and|for|by|at|showed"
    rf"|was|due|per|c/b|for|nl|normal)\b|[ ]ASC)(?<!\b(?:heparin|epo|received|gave|to|of|UF|cal)[ ]{_YEAR})",
    _FLAGS | regex.MULTILINE,
)
_THE_DAY = regex.compile(
    r"\b(?:on|by|until|since|of|from|to|for|,)[ ](?P<d>the[ ](?:[1-9]|[12]\d|3[01])(?:st|nd|rd|th))\b(?![ ](?:percentile|rib"
    r"|toe|finger|digit|floor|grade|time|day|metatarsal|intercostal|degree|cycle|dose|trimester|ward|hospital))",
    _FLAGS,
)

_NO_DATE_BEFORE = regex.compile(
    r"(?:\b(?:pain|strength|motor|power|bp|sbp|nibp|map|score|gcs|mmse|moca|epworth|phq-?9?|gad-?7?|apgars?|vision|acuity"
    r"|snellen|va|od|os|ou|ratio|rated?|grade|murmur|rales|hydrocortisone|percocet"
    r"|norco|vicodin|carbidopa-levodopa|carbidopa|sinemet|augmentin|bactrim|advair|symbicort|lisinopril-hctz|taper|bipap|cpap"
    r"|i/o|reflexes|pulses|dtrs?|joints|cores|weinstein|monofilament|relief to|sve|positive in|hypertension"
    r"|cx|intensity|level|insulin|humalog|novolog|peep|tabs?|dose|mg|mcg|dexa|\d of|gnr|gpc|gnrs?|bottles|gravida|para|wk"
    r"|weeks|wks|\d)[ :]{1,2}(?:was |is |of |about |at |now |a )?)$",
    _FLAGS,
)
_NO_DATE_AFTER = regex.compile(
    r"[ ]?(?:(?:systolic|diastolic|holosystolic|sem|murmur|ppd|pack|strips?|tender|swollen|strength|weakness|elsewhere|power"
    r"|motor|,? ?[0-5]/5|ns\b|nss|normal saline|cm\b|mm\b|mg|mcg|tab|cores|lb|inch|in\.|cup|dose|teaspoon|tsp|wk|week|wks|weeks|of the|of a"
    r"|throughout|bilat|on the pain|pain|in (?:the )?(?:bilateral|upper|lower|all|right|left)|u/l|up\b|criteria|bottles|hours"
    r"|hrs|days|gna|nonadherence|vision))",
    _FLAGS,
)


def find_dates(text: str) -> Iterator[Finding]:
    """The dates in a note."""
    for pattern, score in (
        (_WITH_DAY, 0.95),
        (_DATE, 0.9),
        (_MONTH_YEAR, 0.8),
        (_HOLIDAY, 0.85),
        (_SEASON, 0.8),
        (_CUED_MONTH, 0.6),
        (_LONG_MONTH, 0.6),
        (_PAREN_MONTH, 0.6),
        (_BARE_MONTH, 0.55),
        (_LONG_DAY, 0.6),
        (_SHORT_DAY, 0.55),
        (_DAY_LETTERS, 0.5),
        (_YEAR_ALONE, 0.6),
    ):
        for match in pattern.finditer(text):
            yield Finding(match.start(), match.end(), "DATE", score)
    for match in _SHORT.finditer(text):
        before, after = text[max(0, match.start() - 30) : match.start()], text[match.end() : match.end() + 20]
        if not _NO_DATE_BEFORE.search(before) and not _NO_DATE_AFTER.match(after):
            yield Finding(match.start(), match.end(), "DATE", 0.7)
    for match in _THE_DAY.finditer(text):
        yield matched(match, "d", "DATE", 0.55)
