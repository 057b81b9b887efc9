"""Numbers and addresses that name a person: telephone, fax, record and account numbers, licences, devices, e-mail, web; and ages."""

from collections.abc import Iterator

import regex

from medllm.deid.findings import Finding, matched

_FLAGS = regex.IGNORECASE
_SEPARATOR = r"[ \t]*(?:no\.?|number|num|id|#)?[ \t]*[:#=]?[ \t]*(?:no\.?|id|#)?[ \t]*(?:is[ ])?"
_NUMBER = r"(?P<v>(?=[\w#.-]*[ ]?\d)(?-i:[A-Z]{1,4}[ ](?=\d))?[A-Z0-9][A-Z0-9]*(?:[-./][A-Z0-9]+)*(?:[ ]\d{3,}(?:-[A-Z0-9]+)?)*)(?![\w])"


def _labelled(labels: str, value: str = _NUMBER) -> "regex.Pattern[str]":
    return regex.compile(rf"(?<![\w])(?:{labels})(?![\p{{L}}]){_SEPARATOR}{value}", _FLAGS)


_LABELLED = (
    (
        "MEDICALRECORD",
        _labelled(
            r"mrn|mr ?#|mr(?= ?[:#\d])|mr(?= [A-Z]{0,4}\d{4})|m\.r\.(?:n\.)?|med(?:ical)? rec(?:ord)?(?: number| no\.?| #)?"
            r"|unit(?: number|#)|chart(?: number| no\.?|#)?|our number"
            r"|hospital number|patient (?:id|number)|pt id|record number|chart"
        ),
    ),
    ("SSN", _labelled(r"ssn|social security(?: number)?|ss#", r"(?P<v>\d{3}-?\d{2}-?\d{4})\b")),
    ("ACCOUNT", _labelled(r"acct|account|acc?t(?: no\.?| number)|visit(?: number| id| #)|csn|har|fin|encounter(?: number| id| #)")),
    (
        "HEALTHPLAN",
        _labelled(
            r"member id|member(?: number| #)|policy(?: number| no\.?| #)?|group(?: number| #| no\.?|(?=:))|insurance,? id"
            r"|subscriber(?: id)?|medicare(?: id| number| #)|medicaid(?: id| number)|plan id"
        ),
    ),
    ("LICENSE", _labelled(r"lic(?:ense)?(?: no\.?| number)?|driver'?s license|npi|dea|dl|EMT-P|certificate|DPT|PT|upin")),
    ("DEVICE", _labelled(r"serial(?: number| no\.?)?|ser\.?(?: no\.?)|s/n|lot(?: number| no\.?)?|device id|model/serial|udi|unit")),
    (
        "IDNUM",
        _labelled(
            r"accession(?: number)?|specimen(?: number| id)?|case(?: number| no\.?)?|job(?: number| id)?|ref(?:erence)?(?: number"
            r"| no\.?| #)?|claim(?: number)?|run no\.?|armband|badge|document"
            r"|surgical pathology number|confirmation(?: number)?|order(?: number| id| #)|interpreter id"
            r"|auth(?:orization)?(?: number| #)?|id|escription document|medic ?alert|ticket|protocol(?: id)|biopsy|bx"
            r"|path(?:ology)?(?: no\.?| number)?|report(?: number| #)|lab(?: no\.?| number)|ddnr|truck|plate|number|requisition"
        ),
    ),
)
_SSN = regex.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
_CODE = regex.compile(
    r"(?<![\w/.-])(?:[A-Z]{1,4}-?\d{2}-\d{3,}|[A-Z]{1,3}-\d{4}-\d{3,}|[A-Z]{2}\d{2}-\d{3,}"
    r"|[A-Z]{1,3}-\d{3,}(?:-[A-Z0-9]+)*|[A-Z]{1,3}\d{6,}[A-Z]?|\d{2,}-\d{2,}-\d{2,}(?:-\d+)*|\d{2}-\d{3}-\d{4,})(?![\w/])"
)
_PREFIXED = regex.compile(r"(?<![\w/.-])[A-Z]{2,4}[ ]\d{3}-\d{4}(?![\w/-])(?<!(?:TEL|FAX|PH|CELL|PAGE|CALL|EXT|HOME)[ ]\d{3}-\d{4})")
_LONG = regex.compile(r"(?<![\w/.$-])\d{6,}(?:-\d{1,2})?(?![\w/%]|\.\d|[ ]?(?:mg|mL|units|cells|copies|IU|u/))")

_PHONE = regex.compile(
    r"(?<![\w-])(?:\+?1[-. ]?)?(?:\(\d{3}\)[ ]?|\d{3}[-./ ]{1,2})(?:\d{3})[-. ]\d{4}(?!\d)(?:[ ]?(?:x|ext\.?)[ ]?\d{2,5})?"
    r"|(?<![\w.-])(?:\d{3}-\d{4}|\d{10})(?![\w-])(?<!\d{3}-\d{2}-\d{4})"
)
_EXTENSION = regex.compile(
    r"(?<![\p{L}])(?:(?:pager|pgr|page|pg|beeper|bpr|p|ext(?:ension)?|x|extn|tel|phone|ph|cell|pain pgr|call|vocera"
    r"|ascom)[ \t]*(?:no\.?|number)?[ \t]*[:#.]{0,2}[ \t]*#?|#(?=\d{5}\b))(?P<v>\d{1,2}-\d{4}|\d{4,7})(?![\w.-]|[ ]?mg)",
    _FLAGS,
)
_SIGNED = regex.compile(r"(?<=(?:MD|PGY ?-?\d|RN|NP|DO|fellow)[ ,]{1,3}(?:#|x|X)?)(?P<v>\d{5}|\d{1,2}-\d{4})(?![\w/-])")
_FAX = regex.compile(r"\b(?:fax(?:ed)?(?: to)?|facsimile|f)[ \t]*(?:no\.?|number)?[ \t]*[:#.]?[ \t]*$", _FLAGS)
_EMAIL = regex.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_URL = regex.compile(r"\b(?:https?://|www\.)[^\s<>()\"]+[^\s<>()\".,;]", _FLAGS)
_IP = regex.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])")

_AGES = (
    regex.compile(r"(?<![\d./-])(?P<v>1[0-2]\d|\d{1,2})(?=[ ]?-?[ ]?(?:years?|yrs?|yr\.?)[ -]{0,2}(?:old|of age|young)\b)", _FLAGS),
    regex.compile(r"(?<![\d./-])(?P<v>1[0-2]\d|\d{1,2})(?=[ -]?y(?:ear|r)?\.?[ /-]?o(?:ld)?\b)", _FLAGS),
    regex.compile(r"(?<![\d./-])(?P<v>1[0-2]\d|\d{1,2})(?=(?:[ ]?|/|, ?)(?:M|F|male|female|MALE|FEMALE|y)\b)(?<![ .]A[ ]\d)"),
    regex.compile(r"(?<=\p{Lu}\p{L}+[ ]{2,})(?P<v>1[0-2]\d|\d{1,2})(?=[ ]{2,}|[ ]*\n)"),
    regex.compile(r"\b(?:aged?|age[ ]?/[ ]?sex)(?:[ ]of)?[ ]?[:(]?[ ]?(?P<v>1[0-2]\d|\d{1,2})(?![\d/%]|\.\d|[ ]?(?:weeks|months))", _FLAGS),
    regex.compile(
        r"(?<=\b(?:diagnosed|died|MI|CVA|CAD|disease|cancer|stroke|dx|onset|T&A|menarche|menopause|turned|he is|she is)(?:[ ](?:at"
        r"|at age))?[ ])(?P<v>1[0-2]\d|\d{2})(?=[,.;:)]|[ ](?:by|on|c/b|of|from)\b)",
        _FLAGS,
    ),
    regex.compile(
        r"(?<=\p{L}[ ]?[(,][ ]?)(?P<v>1[0-2]\d|\d{1,2})(?=[ ]?[),](?![ ]?(?:\d|mg)))(?<=\p{L}{2,}[ ]?[(,][ ]?(?:1[0-2]\d|\d{1,2}))"
    ),
    regex.compile(
        r"\b(?P<v>(?:[2-9]0)'?s)(?=[ ](?:male|female|man|woman|M\b|F\b))|(?<=\b(?:in (?:his|her|their)|early|mid"
        r"|late)[ ])(?P<v>[2-9]0'?s)\b",
        _FLAGS,
    ),
)
_NAME_BEFORE_AGE = regex.compile(r"\p{Lu}\p{L}+['’]?(?:-\p{L}+)?[ ]?[(,][ ]?$")


def find_numbers(text: str) -> Iterator[Finding]:
    """Telephone numbers, identifiers, addresses of the net, and ages, in a note."""
    for kind, pattern in _LABELLED:
        for match in pattern.finditer(text):
            if sum(c.isdigit() for c in match["v"]) >= (3 if "#" in match[0] or ":" in match[0] else 4) and not regex.fullmatch(
                r"(?:19|20)\d\d", match["v"]
            ):
                yield matched(match, "v", kind, 0.85 if kind != "IDNUM" else 0.8)
    for match in _SSN.finditer(text):
        yield Finding(match.start(), match.end(), "SSN", 0.89)
    for match in _CODE.finditer(text):
        yield Finding(match.start(), match.end(), "IDNUM", 0.8)
    for match in _PREFIXED.finditer(text):
        yield Finding(match.start(), match.end(), "MEDICALRECORD", 0.88)
    for match in _LONG.finditer(text):
        yield Finding(match.start(), match.end(), "MEDICALRECORD", 0.5)
    for match in _PHONE.finditer(text):
        fax = _FAX.search(text, max(0, match.start() - 24), match.start())
        yield Finding(match.start(), match.end(), "FAX" if fax else "PHONE", 0.87)
    for pattern in (_EXTENSION, _SIGNED):
        for match in pattern.finditer(text):
            yield matched(match, "v", "PHONE", 0.75)
    for kind, pattern in (("EMAIL", _EMAIL), ("URL", _URL), ("IPADDRESS", _IP)):
        for match in pattern.finditer(text):
            yield Finding(match.start(), match.end(), kind, 0.95)


def find_ages(text: str) -> Iterator[Finding]:
    """Ages in years, as figures."""
    for pattern in _AGES:
        for match in pattern.finditer(text):
            if pattern is _AGES[6] and not _NAME_BEFORE_AGE.search(text, max(0, match.start() - 30), match.start()):
                continue
            yield matched(match, "v", "AGE", 0.78)
