"""Names of people, by what stands around them: titles, degrees, fields, relatives, salutations, signatures; then by lists; then again
wherever a name that was found is repeated."""

from collections.abc import Iterator

import regex

from medllm.deid.findings import Finding, matched
from medllm.deid.lexicons import fold, is_eponym, is_given, is_place, is_surname, is_word, lexicon

PATIENT, DOCTOR, USERNAME = "PATIENT", "DOCTOR", "USERNAME"

_LETTERS = r"[\p{L}\p{M}]"
_WORD = (
    rf"(?:Mc|Mac|O['’]|D['’]|S[Tt]\.[ ])?{_LETTERS}{_LETTERS}*(?:['’](?![sS]\b){_LETTERS}+)*(?:-{_LETTERS}+(?:['’](?![sS]\b){_LETTERS}+)*)*"
)
_TOKEN = regex.compile(rf"(?P<word>{_WORD})(?P<dot>\.?)")
_GAP = regex.compile(r"[ \t]{1,2}(?:\(|\"|“)?|\.(?=\p{Lu})|(?<=\.)(?=\p{Lu})")
_COMMA = regex.compile(r"[ \t]?,[ \t]{0,2}")
_PARTICLES = frozenset(
    ["van", "von", "den", "der", "de", "del", "della", "la", "le", "di", "da", "dos", "bin", "al", "el", "ter", "ben", "mac", "st"]
)
_SUFFIXES = frozenset(["jr", "sr", "ii", "iii", "iv"])

_DEGREE = (
    r"(?:M\.?D\.?|D\.?O\.?|R\.?N\.?|L\.?P\.?N\.?|C\.?R\.?N\.?A\.?|C\.?N\.?[MPS]\.?|N\.?P\.?|D\.?N\.?P\.?|F\.?N\.?P\.?"
    r"|A\.?P\.?R\.?N\.?|A\.?R\.?N\.?P\.?"
    r"|P\.?A\.?|P\.?A\.?-C|PA-S|Ph\.?D\.?|Pharm\.?D\.?|R\.?Ph\.?|D\.?D\.?S\.?|D\.?M\.?D\.?|D\.?P\.?M\.?|D\.?P\.?T\.?"
    r"|P\.?T\.?A?|O\.?T\.?R?(?:/L)?|O\.?D\.?"
    r"|L\.?C\.?S\.?W\.?|LI?SW(?:-S)?|L\.?M\.?S\.?W\.?|MSW|Psy\.?D\.?|LMFT|LMHC|LGC|CGC|CCC-SLP|SLP|R\.?R\.?T\.?|RPSGT|RDCS"
    r"|RDMS|R\.?D\.?|R\.?T\.?"
    r"|EMT(?:-[PBI])?|NREMT|CMA|CNA|MA|M\.?B\.?B\.?S\.?|F\.?A\.?C\.?[SPC]\.?|BSN|MSN|MPH|OCN|CCRN|PGY ?-?\d|MS ?-?(?:3|4|III"
    r"|IV)|R[1-6]|CRNP|CPNP|ATC|(?:nocturnist|hospitalist|intern|resident|attending|fellow|pathologist|chaplain|paramedic)\b)"
)
_NOT_NAMES = lexicon("not_names")

_TITLE = regex.compile(
    r"(?<![\p{L}\p{N}])(?:(?P<doctor>[Dd][Rr]s?|DRS?|Dra|[Dd]octor|DOCTOR|Prof(?:essor)?|Nurse|RN|NP|NURSE|[Tt]herapist)"
    r"|(?P<other>M[Rr]s?|MRS?|mrs?|M[Ss](?=[. ][ ]?\p{Lu}\p{Ll})|MS(?=\. ?\p{Lu})|Miss|MISS|Mx|Fr|Rev(?:erend)?|Father|Pastor"
    r"|Rabbi|Sister|Coach|[Oo]fficer|Chaplain|Sra?"
    r"|Deacon|Captain|Sgt))\b(?:\.[ ]?|[ ])(?:and[ ]M(?:rs|s|r)\b\.?[ ])?"
)
_AFTER_DEGREE = regex.compile(rf"(?:[ ]?,[ ]{{0,2}}|[ ]{{1,2}}|[ ]{{0,2}}/[ ]{{0,2}}(?=PGY))(?:{_DEGREE})(?![\w'’])")
_WHOLE_DEGREE = regex.compile(rf"{_DEGREE}(?!\w)")
_LINE_BEGINS = regex.compile(r"(?:^|\n)[ \t]*$")
_LINE_ENDS = regex.compile(r"[ ,.]*(?:\n|\Z)")
_LOWER_DEGREE = regex.compile(r"[ ](?:md|np|rn|dpt|pa-c|do)(?=[ ]*(?:$|[\n,;/.]))", regex.MULTILINE)
_FIELD = regex.compile(
    r"(?:(?P<doctor>\b(?:attending(?: physician| md| of record)?|surgeons?|assistants?|(?:assisting|referring|requesting"
    r"|ordering|primary(?: care)?|admitting"
    r"|consulting|treating|ref|ordered|reading)(?:[ ](?:physicians?|provider|md|doctor|surgeon|by))?|physicians?|providers?"
    r"|pcp|md|m\.d\.|ref md|pharmacist|therapist"
    r"|consultants?|anesthesiologist|operators?|authors?|(?:exp )?cosigner|cosigned(?: by)?|cardiologist|oncologist|home doc"
    r"|ob|peds|pediatrician"
    r"|(?:dictated|signed|read|entered|completed|reviewed|transcribed|prepared|written|seen|edited|reported|verified|performed"
    r"|interpreted|ordered|referred|updated)"
    r"(?: electronically)? by|nurses?|technologist|sonographer|crew|copy to|copies to|report to|cc|from|therapist|pathologist"
    r"|radiologist|resident|fellow|intern"
    r"|supervisor|scribe|midwife|dentist))"
    r"|(?P<patient>\b(?:patient(?:'s)?(?: name| id)?|pt(?:\.|'s)?(?: name)?|name(?: of (?:patient|pt))?|member(?: name)?"
    r"|client|re|regarding|subject|resident name|mother|father"
    r"|guardian|spouse|emergency contact|next of kin|nok|parent|signature(?: of \w+)?|caller|fob|hcp|contact|identified as"
    r"|baby(?: boy| girl)?|informant|insured)))"
    r"[ ]?(?:[:=|#]|[ ]{2,}|(?<=by)[ ]|(?<=re)[ ]|(?<=as)[ ]|(?<=boy|girl)[ ]|(?<=pt|Pt"
    r"|PT)\.?[ ](?=\p{Lu}\p{L}+,[ ]?\p{Lu}))[ \t]*(?:Dr\.?[ ]|DR\.?[ ])?",
    regex.IGNORECASE,
)
_KIN = regex.compile(
    r"\b(?:wife|husband|spouse|sons?|daughters?|dtr|mothers?|mom|fathers?|dad|sisters?|brothers?|siblings?|aunt|uncle|partner"
    r"|roommate|friend|neighbou?r|caregiver"
    r"|grand(?:daughter|son|mother|father)|niece|nephew|fianc[eé]e?|girlfriend|boyfriend|ex-?wife|ex-?husband"
    r"|daughter[ -]in[ -]law|son[ -]in[ -]law|step(?:son|daughter|mother|father)|cousin|aide|staff|kid|child|baby's name"
    r"|teacher|coach|name[sd]?|called|twin|baby)(?:[ ](?:is|was|named|called)|[ ]?[,(:]|[ ]?,?[ ]aged?)?[ ](?:M(?:r|s"
    r"|rs)\.?[ ])?(?=\p{Lu})",
    regex.IGNORECASE,
)
_AFTER = regex.compile(
    r"\b(?:seen by|followed by|d/w|w/|c/o Dr|per|discussed with|along with|by|with|via|sees|saw|from|referred by|under"
    r"|spoke to|spoke with|talked to|assisted by|to see"
    r"|reach|join|approved by|evaluated by|informed|about|for|and)[ ]{1,2}(?=\p{Lu})",
    regex.IGNORECASE,
)
_BEFORE = regex.compile(r"(?<![\p{L}\d'’./-])(?P<word>\p{Lu}[\p{Ll}-]+)(?:[ ]\p{Lu}\.?)?[ ]$")
_BEHIND = regex.compile(r"[ ](?P<word>\p{Lu}\p{Ll}+)(?![\p{L}\d'’/-])")
_SIGNATURE = regex.compile(r"(?<=\n)(?P<a>\p{Lu}[\p{L}'’-]+)(?:/(?P<b>\p{Lu}[\p{L}'’-]+))?[ ]*(?=\n?$|\n*\Z)")
_GREETING = regex.compile(r"^[ \t]*(?:Dear|Hi|Hello)[ ](?:Dr\.?[ ]|M(?:r|s|rs)\.?[ ])?(?=\p{Lu})", regex.MULTILINE)
_CLOSING = regex.compile(
    r"(?:thank you|thanks|sincerely|regards|yours(?: truly)?|best|cheers|this is|certify that"
    r"|\b(?:my|the|his|her|their|legal|maiden|full|first|last|middle)[ ](?:(?:legal|maiden|full|first|last|middle)[ ])?name"
    r"(?:[ ](?:is|was)|\?)"
    r"|/e?s/)[, ]{0,2}[ ]*\n?[ ]*(?=\p{Lu})",
    regex.IGNORECASE,
)
_INITIALS = regex.compile(r"(?<=^[ \t]*/|\b[DT]ictated:[ ])[a-z]{2,3}(?=[ \t]*$)", regex.MULTILINE)
_LOGIN = regex.compile(r"(?<![\w@.])(?=[\p{L}\d]{4,12}\b)(?:\p{Ll}{2,}\d{1,5}|\p{Lu}{2,3}\d{2,4}(?=[ ]?\)))(?![\w@])")
_LOGIN_CUE = regex.compile(r"(?:(?:edited|entered|signed|user|login|portal|by|\d|/|\()[\w :]{0,16}|\bMD[ ]+)$", regex.IGNORECASE)
_THING = regex.compile(
    r"(?:['’]s)?[ -](?:disease|syndrome|sign|palsy|catheter|tube|drain|lymphoma|contracture|phenomenon|fracture|maneuver|test"
    r"|score|scale|index|criteria|procedure"
    r"|valve|clamp|forceps|retractor|cyst|nodes?|paralysis|thyroiditis|esophagus|ulcer|line|body|bodies|stain|block|position"
    r"|brace|collar|bag|solution|sarcoma|needle"
    r"|joint|forms?|class|stage|grade|type|spots|network|gangrene|dementia|procedures?|insulin|protocol|trial|study|technique"
    r"|incision|limb|repair|arthroplasty"
    r"|hospital|clinic|center|street|st\.|ave|avenue|road|rd|county|university|college|high school|elementary)\b",
    regex.IGNORECASE,
)


def find_names(text: str) -> Iterator[Finding]:
    """The names of people in a note, and their repetitions."""
    found = [*_by_context(text), *_by_lists(text)]
    yield from found
    yield from _repeated(text, found)
    for match in _SIGNATURE.finditer(text):
        for group in ("a", "b"):
            if match[group] and any(w and is_surname(w) for w in match.groups()) and not is_word(match[group]):
                yield matched(match, group, DOCTOR, 0.6)
    for match in _INITIALS.finditer(text):
        yield Finding(match.start(), match.end(), USERNAME, 0.6)
    for match in _LOGIN.finditer(text):
        if _LOGIN_CUE.search(text, max(0, match.start() - 24), match.start()):
            yield Finding(match.start(), match.end(), USERNAME, 0.6)


def _by_context(text: str) -> Iterator[Finding]:
    for match in _TITLE.finditer(text):
        kind = DOCTOR if match["doctor"] else PATIENT
        for start, end in _several(text, match.end(), sure=True, lower=match[0][0].islower() or match[0][:2] == "Dr"):
            yield Finding(start, end, kind, 0.9)
    for pattern in (_AFTER_DEGREE, _LOWER_DEGREE):
        for match in pattern.finditer(text):
            if span := _before(text, match.start(), lower=pattern is _LOWER_DEGREE):
                yield Finding(*span, DOCTOR, 0.92)
    for match in _FIELD.finditer(text):
        kind = DOCTOR if match["doctor"] else PATIENT
        for start, end in _several(text, match.end(), sure=True, comma=True):
            yield Finding(start, end, kind, 0.8)
    for pattern, score, sure in ((_KIN, 0.7, False), (_GREETING, 0.75, True), (_CLOSING, 0.7, False), (_AFTER, 0.55, False)):
        for match in pattern.finditer(text):
            for start, end in _several(text, match.end(), sure=sure):
                first = regex.split(r"[ -]", text[start:end])[0]
                if sure or is_given(first) or is_surname(first) or pattern is not _AFTER:
                    yield Finding(start, end, DOCTOR if pattern is _AFTER else PATIENT, score)


def _by_lists(text: str) -> Iterator[Finding]:
    """A given name with what follows it; LAST, FIRST; lines that hold a name alone."""
    position = 0
    while match := _TOKEN.search(text, position):
        position = match.end()
        word = match["word"]
        if not (word[0].isupper() or match.start() == 0 or text[match.start() - 1] == "\n") or fold(word) in _NOT_NAMES:
            continue
        span = _read(text, match.start(), sure=False, comma=True, lower=not word[0].isupper())
        if span is None:
            continue
        words = [m["word"] for m in _TOKEN.finditer(text, *span) if len(m["word"]) > 1]
        named = [w for w in words if is_given(w) or is_surname(w)]
        comma = "," in text[span[0] : span[1]]
        if not word[0].isupper() and not (comma and all(not is_word(w) for w in words)):
            continue
        whole_line = _LINE_BEGINS.search(text, max(0, span[0] - 40), span[0]) and _LINE_ENDS.match(text, span[1])
        if any(is_eponym(part) for w in words for part in w.split("-")) and not is_given(words[0]):
            continue
        initial = regex.match(r"\p{Lu}\.[ ]?\p{Lu}\p{L}", text[span[0] : span[1]])
        plain = not any(is_word(w) or w.isupper() for w in words)
        pair = len(words) >= 2 and (
            (is_given(words[0]) and not is_word(words[-1]))
            or (comma and is_given(words[1]))
            or (is_given(words[0]) and is_surname(words[-1]))
            or (plain and is_surname(words[-1]))
            or (plain and len(words) == 2 and not comma and not any(is_place(w) for w in words))  # of a people that no list knows
        )
        if pair or (initial and named) or (comma and len(words) >= 2 and named) or (whole_line and len(words) >= 2 and named):
            yield Finding(*span, PATIENT, 0.6)
            position = span[1]
        elif plain and words and is_given(words[0]) and not comma:
            yield Finding(*span, PATIENT, 0.45)


def _repeated(text: str, found: list[Finding]) -> Iterator[Finding]:
    """Each word of a name that was found, wherever it stands again with a capital."""
    kinds: dict[str, tuple[float, str]] = {}
    for finding in found:
        if finding.score < 0.6:
            continue
        for match in _TOKEN.finditer(text, finding.start, finding.end):
            word = fold(match["word"])
            if len(word) > 2 and word not in _NOT_NAMES and word not in _PARTICLES and not is_eponym(word):
                kinds[word] = max(kinds.get(word, (0.0, "")), (finding.score, finding.type))
    for match in _TOKEN.finditer(text):
        word = match["word"]
        if (kind := kinds.get(fold(word))) and (word[0].isupper() or not is_word(word)) and not _THING.match(text, match.end("word")):
            if word.isupper() and is_word(word) and len(word) > 2:
                continue
            yield Finding(*_with_neighbours(text, *match.span("word")), kind[1], 0.5)


def _with_neighbours(text: str, start: int, end: int) -> tuple[int, int]:
    """A name with the unknown words before and after it that are written like names."""
    if (
        (before := _BEFORE.search(text, max(0, start - 30), start))
        and not is_word(before["word"])
        and fold(before["word"]) not in _NOT_NAMES
    ):
        start = before.start() if not is_eponym(before["word"]) else start
    if (
        (after := _BEHIND.match(text, end))
        and not is_word(after["word"])
        and fold(after["word"]) not in _NOT_NAMES
        and not is_eponym(after["word"])
    ):
        end = after.end()
    return start, end


# --- reading a name -----------------------------------------------------------------------------------------------


def _several(text: str, position: int, *, sure: bool, comma: bool = False, lower: bool = False) -> Iterator[tuple[int, int]]:
    """The name at a position, and those that are joined to it: ``A and B``, ``A/B``, ``A; B``."""
    while span := _read(text, position, sure=sure, comma=comma, lower=lower):
        yield span
        joined = regex.match(
            rf"(?:[ ]?,?[ ]{_DEGREE})*(?:[ ]?(?:;|/)[ ]?|[ ](?:and|&)[ ])(?:Dr\.?[ ]|DR\.?[ ]|M(?:r|s|rs)\.?[ ])?(?=\p{{Lu}})",
            text[span[1] : span[1] + 40],
        )
        if joined is None:
            return
        position = span[1] + joined.end()


def _read(text: str, position: int, *, sure: bool, comma: bool = False, lower: bool = False, most: int = 5) -> tuple[int, int] | None:
    """The name that begins at a position. ``sure``: something before it says that it is one; ``comma``: LAST, FIRST; ``lower``: also in
    small letters."""
    start = end = position
    count, commas = 0, 0
    while count < most and (match := _TOKEN.match(text, end if count == 0 else position)):
        word = match["word"]
        folded = fold(word)
        if folded in _SUFFIXES and count:
            end = match.end("word")
            break
        if folded in _PARTICLES and _particle_goes_on(text, match):
            position = match.end("word") + 1
            count += 1
            continue
        if not _may_be_name(text, match, sure=sure and (count == 0 or commas > 0), lower=lower, begun=count > 0):
            break
        count += 1
        end = match.end() if len(word) == 1 and match["dot"] else match.end("word")
        gap = _GAP.match(text, end)
        quoted = text[gap.end() - 1] if gap and gap.end() > gap.start() else ""
        if gap and quoted not in '("“':
            position = gap.end()
        elif comma and not commas and (found := _COMMA.match(text, end)) and (nxt := _TOKEN.match(text, found.end())):
            if _may_be_name(text, nxt, sure=sure, lower=lower, begun=True) and not _WHOLE_DEGREE.match(text, found.end()):
                commas, position = 1, found.end()
            else:
                break
        else:
            break
    letters = [m["word"] for m in _TOKEN.finditer(text, start, end)]
    return (start, end) if any(len(w) > 1 for w in letters) else None


def _may_be_name(text: str, match: "regex.Match[str]", *, sure: bool, lower: bool, begun: bool) -> bool:
    word = match["word"]
    folded = fold(word)
    if any(c.isdigit() for c in text[match.end("word") : match.end("word") + 1]):
        return False
    if len(word) == 1:
        return (word.isupper() and (bool(match["dot"]) or begun or sure)) or (lower and not begun)
    if folded in _NOT_NAMES:
        return False
    if not word[0].isupper():
        return lower and not is_word(word)
    known = is_given(word) or is_surname(word)
    if word.isupper() and len(word) < 4 and not (sure or begun):
        return False  # MI, CHF
    if sure:
        return known or not is_word(word) or not word.isupper() or text[match.end("word") : match.end("word") + 1] == ","
    if _THING.match(text, match.end("word")):
        return False
    if is_eponym(word):
        return begun
    if is_word(word):
        return known and (begun or is_given(word)) and not (word.isupper() and not begun)
    return True


def _particle_goes_on(text: str, match: "regex.Match[str]") -> bool:
    return bool(regex.match(r"\.?[ ]\p{Lu}", text[match.end("word") : match.end("word") + 3]))


def _before(text: str, end: int, *, lower: bool) -> tuple[int, int] | None:
    """The name that ends at a position, on the same line."""
    line = max(text.rfind("\n", 0, end), end - 60) + 1
    best = None
    for match in _TOKEN.finditer(text, line, end):
        if best is not None and match.start() < best[1]:
            continue
        if match.start() > line and text[match.start() - 1] not in " \t/(;,:.|@":
            continue
        span = _read(text, match.start(), sure=True, comma=True, lower=lower)
        if span and span[1] == end:
            best = span
            break
    return best
