"""Places and occupations: hospitals, organizations, addresses, cities, states, countries, rooms; what people work as."""

from collections.abc import Iterator

import regex

from medllm.deid.findings import Finding, matched
from medllm.deid.lexicons import fold, is_eponym, is_word, lexicon

_STATES = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland"
    "|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New"
    " York(?! Heart)|North Carolina|North Dakota|Ohio|Oklahoma"
    "|Oregon|Pennsylvania|Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West"
    " Virginia|Wisconsin|Wyoming|Puerto Rico"
)
_CODES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI"
    "|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY"
)
STATES = tuple(name.partition("(")[0] for name in _STATES.split("|"))
STATE_CODES = tuple(_CODES.split("|"))

_NAME = r"(?:St\.|Mt\.|\p{Lu}[\p{L}'’-]*)"
_RUN = rf"{_NAME}(?:[ ](?:{_NAME}|of|the|at|for|and|&|de|la|in(?= \p{{Lu}}))){{0,5}}"
_STREET_WORD = (
    "Street|St\\.?|Avenue|Ave\\.?|Road|Rd\\.?|Boulevard|Blvd\\.?|Drive|Dr\\.?(?=,|\\n|$)|Lane|Ln\\.?|Court|Ct\\.?|Way|Place"
    "|Pl\\.?|Parkway|Pkwy|Highway|Hwy|Circle|Cir|Terrace|Square|Sq|Trail|Gardens|Turnpike|Fields"
)
_STREET = regex.compile(
    rf"\b\d{{1,5}}[ ](?:(?:[NSEW]|SE|SW|NE|NW)\.?[ ])?(?:[\p{{L}}\d'-]+\.?[ ]){{1,4}}?(?:{_STREET_WORD})\b(?:[ ](?:[NSEW]|SE|SW"
    rf"|NE|NW)\b)?(?:,?[ ](?:Suite|Ste|Apt|Unit|#)\.?[ ]?\w+)?"
    rf"|\bP\.?O\.? Box \d+|\b{_NAME}(?:[ ](?:{_NAME}|de)){{0,3}}[ ](?:Street|Avenue|Ave|Boulevard|Blvd|Road|Lane|Drive|Highway)\b",
    regex.IGNORECASE,
)
_ZIP = regex.compile(rf"(?<=\b(?:{_CODES}|{_STATES}|\p{{L}}{{4,}})[ ,]{{1,2}})\d{{5}}(?:-\d{{4}})?(?![\w/-]|[ ]?(?:mg|units))")
_CITY_STATE = regex.compile(
    rf"(?P<city>{_NAME}(?:[ ]{_NAME}){{0,2}})(?:,[ ]?|[ ])(?P<state>{_STATES}|{_CODES}|(?i:(?:{_CODES})(?=[ ]\d{{5}}"
    rf"|[ ]*\n)))(?![\p{{L}}'-])"
)
_ZIP_NEXT = regex.compile(r"[ ,]{1,2}\d{5}\b")
_STATE = regex.compile(rf"\b(?:{_STATES})\b(?!['’-]|[ ](?:Ave|St|Street|Hospital|Medical))")
_IN = regex.compile(rf"(?:\b(?:in|from|near|to|of|at|for|outside|visiting)|,)[ ](?P<city>{_NAME}(?:[ ]{_NAME}){{0,2}})")
_HOSPITAL = regex.compile(
    rf"(?<![\p{{L}}])(?:(?:{_NAME}|&|(?<=\p{{L}} )of|(?<=\p{{L}} )the"
    rf"|at(?= \p{{Lu}}))[ ]){{0,5}}(?:{_NAME}['’]s[ ])?(?:Hospitals?|HOSPITALS?|Hosp|Medical Cent(?:er|re)|MEDICAL CENTER"
    rf"|Med Center|Health Center|Clinic(?=[ ,.;)\n])"
    r"|Infirmary|Sanatorium|Nursing Home|Cancer Center|Manor|Children['’]s|Rehab(?:ilitation)?(?: Center)?"
    r"|Behavioral Health)\b(?:[ ](?:of|at|for)[ ](?:the[ ])?\p{Lu}[\p{L}]+(?:[ ]\p{Lu}[\p{L}]+){0,2})?"
)
_ORGANIZATION = regex.compile(
    rf"(?<![\p{{L}}])(?:{_NAME}|&)(?:[ ](?:{_NAME}|&|of|and|the)){{0,4}}[ ](?:Ambulance|EMS|Associates|Group|Inc\.?|LLC|Company"
    rf"|Corp(?:oration)?|Health System|HEALTH SYSTEM|Health Plan|Healthcare|University|College|School"
    r"|Elementary|Academy|Practice|Cardiology|Dialysis|Pharmacy|Hospice|Church|AME|Insurance|Blue (?:Cross|Shield)"
    r"|Assisted Living|Fire Rescue|Home Health|County|Club|Lounge|Kidney Care|Heart|Care Center|Physicians|Partners)\b"
)
_WORKS = regex.compile(
    r"\b(?:works?|worked|working|employed|retired|job|back to work|employee|student|freshman|sophomore|junior"
    r"|senior)(?:[ ](?:as[ ]an?[ ][\p{L} ]{3,25}|\p{Ll}+))?[ ](?:at|for|from"
    r"|with)[ ](?:the[ ])?(?P<v>\p{Lu}[\p{L}'’&-]*(?:[ ]\p{Lu}[\p{L}'’&-]*){0,3})"
)
_AT = regex.compile(
    rf"\b(?:at|from|to|via|by)[ ](?:the[ ])?(?P<v>(?:St\.?|Saint|Mount|Mt\.?|Mercy|Providence|Sacred|Holy|Our Lady|Good|Baptist"
    rf"|Methodist|Presbyterian|University|Emory|Mayo|Kaiser|Veterans|VA|IU|Henry|Grady|Parkland|Sentara)\b(?:[ ]{_NAME}){{0,3}})"
)
_SOMEWHERE = regex.compile(r"\b(?:at|from|to|transferred by)[ ](?P<v>\p{Lu}\p{Ll}[\p{L}'’-]*(?:[ ]\p{Lu}\p{Ll}[\p{L}'’-]*){0,2})")
_ROOM = regex.compile(
    r"\b(?:rm|room|bed|location)\b\.?[ ]?#?:?[ ]?(?P<v>(?:\d{1,2}[ ](?:North|South|East|West|N|S|E"
    r"|W)[ ])?[A-Z\d-]*\d[A-Z\d-]*)(?![\w/])(?!['’])",
    regex.IGNORECASE,
)

_JOBS = (
    "accountant|actor|architect|artist|attorney|baker|banker|barber|bartender|bookkeeper|bus"
    " driver|butcher|carpenter|cashier|chef|clerk|construction worker|contractor|cook|coal miner|custodian|dairy farmer|dentist"
    "|dishwasher|driver|electrician|engineer|factory worker|farmer|firefighter|fisherman|flight attendant|florist|golf"
    " pro|hairdresser|homemaker|housekeeper|housekeeping|janitor|journalist|judge|laborer"
    "|landscaper|lawyer|librarian|logger|machinist|mail carrier|maintenance worker|manager|marine|mechanic|mechanical"
    " engineer|miner|minister|musician|nurse|owner|painter|paralegal|paramedic|personal trainer|pharmacist|phlebotomist"
    "|photographer|physicist|piano teacher|pilot|pipe fitter|plumber|police officer|postal"
    " worker|priest|professor|programmer|realtor|receptionist|roofer|sailor|salesman|salesperson|school ?teacher|seamstress|secretary"
    "|security guard|social worker|software (?:developer|engineer)|soldier|steelworker|tailor|taxi driver|teacher|telephone"
    " operator|tobacco farmer|truck driver|veterinarian|waiter|waitress|warehouse worker|welder|writer"
    "|grain elevator operator|forklift operator|machine operator|Army|Navy|Marines?|Air Force|Coast Guard|National Guard"
)
_JOB = regex.compile(
    rf"(?:\b(?:retired|former|works?(?: full[- ]time| part[- ]time)? as(?: an?)?|worked as(?: an?)?|occupation:"
    rf"|employed as(?: an?)?|is an?|was an?|a|an|line|dad is|deployed \(|as a|,|works"
    rf"|;)[ ]?(?:a[ ])?(?:[\w/-]+[ ]){{0,1}}?)(?P<v>(?:{_JOBS}))\b(?![ ]?(?:'s|manager|station|note|visit|practitioner))",
    regex.IGNORECASE,
)


def find_places(text: str) -> Iterator[Finding]:
    """Places, organizations and occupations in a note."""
    for kind, pattern, score in (("HOSPITAL", _HOSPITAL, 0.72), ("ORGANIZATION", _ORGANIZATION, 0.66)):
        for match in pattern.finditer(text):
            words = match[0].split()
            if all(is_word(w) or fold(w) in _NO_START for w in words[:-1]) and not any(
                fold(" ".join(words[:n])) in lexicon("cities") for n in (1, 2)
            ):
                continue
            if start := _without_common_start(text, *match.span()):
                yield Finding(start - 1, match.end(), kind, score)
    for match in _STREET.finditer(text):
        yield Finding(match.start(), match.end(), "STREET", 0.74)
    for match in _ZIP.finditer(text):
        yield Finding(match.start(), match.end(), "ZIP", 0.76)
    for match in _CITY_STATE.finditer(text):
        code = len(match["state"]) == 2
        if not code or fold(match["city"]) in lexicon("cities") or _ZIP_NEXT.match(text, match.end()):
            yield matched(match, "city", "CITY", 0.68)
            yield matched(match, "state", "STATE", 0.68)
    for match in _STATE.finditer(text):
        yield Finding(match.start(), match.end(), "STATE", 0.6)
    for match in _IN.finditer(text):
        start, name = match.start("city"), match["city"]
        for length in range(len(name.split(" ")), 0, -1):
            city = " ".join(name.split(" ")[:length])
            if fold(city) in lexicon("cities") | lexicon("countries") and not (is_word(city)):
                kind = "COUNTRY" if fold(city) in lexicon("countries") and fold(city) not in lexicon("cities") else "CITY"
                yield Finding(start, start + len(city), kind, 0.62)
                break
    for kind, pattern, score in (("ORGANIZATION", _WORKS, 0.56), ("HOSPITAL", _AT, 0.58), ("ROOM", _ROOM, 0.7), ("PROFESSION", _JOB, 0.6)):
        for match in pattern.finditer(text):
            yield matched(match, "v", kind, score)
    for match in _SOMEWHERE.finditer(text):
        words = match["v"].split()
        plain = is_word(words[0].removesuffix("'s"))
        if not is_eponym(words[0]) and (not plain or (len(words) > 1 and not any(fold(w) in lexicon("not_names") for w in words))):
            yield matched(match, "v", "HOSPITAL", 0.42)
    for country in regex.finditer(r"(?<![\p{L}])\p{Lu}[\p{L}]{3,}\b", text):
        if fold(country[0]) in lexicon("countries") and not is_word(country[0]):
            yield Finding(country.start(), country.end(), "COUNTRY", 0.5)


def _without_common_start(text: str, start: int, end: int) -> int:
    """One more than where the name begins, past words such as "The" or "Admitted to"; 0 if only a common word is left."""
    words = list(regex.finditer(r"\S+", text, pos=start, endpos=end))
    while words and fold(words[0][0]) in _NO_START:
        words.pop(0)
    return words[0].start() + 1 if len(words) > 1 else 0


_NO_START = lexicon("not_places")
