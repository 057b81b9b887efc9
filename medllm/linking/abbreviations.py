"""Abbreviations that a text defines: "myocardial infarction (MI)".

The algorithm of Schwartz and Hearst 2003 (A simple algorithm for identifying abbreviation definitions in biomedical text, PSB 8:451);
besides, short forms whose letters stand in another order than the words ("myotonic dystrophy (DM)"), and those that a note uses without
a definition beside the mention that they stand for.
"""

import re
from collections.abc import Iterable

from medllm.lexicons.lexicon import FUNCTION_WORDS

_BRACKETED = re.compile(r"[(\[]\s*([^()\[\]]{1,80}?)\s*[)\]]")
_LONGEST = 10
_CLAUSE = re.compile(r"[.;:!?](?=\s)|\n\s*\n|[()\[\]]")
_WORDS = re.compile(r"[^\W\d_]+")
_APART = re.compile(r"[;,]\s")


def defined_abbreviations(text: str) -> dict[str, str]:
    """The short forms that ``text`` defines, each with the long form of its first definition.

    >>> defined_abbreviations("Acute myocardial infarction (AMI), MI (myocardial infarction). In AMI (n = 3) ...")
    {'AMI': 'Acute myocardial infarction', 'MI': 'myocardial infarction'}
    """
    found: dict[str, str] = {}
    for match in _BRACKETED.finditer(text):
        inner = _APART.split(match[1])[0].strip()
        before = _CLAUSE.split(text[max(0, match.start() - 200) : match.start()])[-1].rstrip()
        if _is_short(inner):
            if inner not in found and (long := _long_form(inner, before) or _in_any_order(inner, before)):
                found[inner] = long
        elif before and _is_short(short := before.split()[-1]) and short not in found and (long := _long_form(short, inner)):
            found[short] = long
    return found


def used_abbreviations(mentions: Iterable[str]) -> dict[str, str]:
    """Mentions in capitals that stand for another mention of the note, whose words they are made of in order.

    >>> used_abbreviations(["PDS", "goitre", "Pendred syndrome", "Pendred syndrome"])
    {'PDS': 'Pendred syndrome'}
    """
    texts = list(dict.fromkeys(mentions))
    longs = [text for text in texts if len(_initials(text)) > 1]
    found: dict[str, str] = {}
    for short in texts:
        if 2 <= len(short) <= 6 and short.isalpha() and short.isupper():
            fitting = [long for long in longs if _long_form(short, long) == long and _within(_initials(long), short)]
            if fitting:
                found[short] = min(fitting, key=len)
    return found


def _initials(text: str) -> str:
    return "".join(word[0].upper() for word in _WORDS.findall(text) if word.lower() not in FUNCTION_WORDS)


def _within(wanted: str, text: str) -> bool:
    """Whether the letters stand in the text in order."""
    rest = iter(text)
    return all(letter in rest for letter in wanted)


def _in_any_order(short: str, before: str) -> str | None:
    """The last words of ``before`` whose initials are the letters of ``short``."""
    if not (2 <= len(short) <= 5 and short.isalpha() and short.isupper()):
        return None
    found = list(_WORDS.finditer(before))[-len(short) :]
    long = before[found[0].start() :] if found else ""
    return long if sorted(word[0][0].upper() for word in found) == sorted(short) and "," not in long else None


def _is_short(form: str) -> bool:
    return 2 <= len(form) <= _LONGEST and len(form.split()) <= 2 and form[0].isalnum() and any(c.isalpha() for c in form)


def _long_form(short: str, before: str) -> str | None:
    """The shortest end of ``before`` whose characters hold those of ``short`` in order, the first one at the beginning of a word."""
    window = " ".join(before.split()[-min(len(short) + 5, 2 * len(short)) :])
    place = len(window)
    for position in range(len(short) - 1, -1, -1):
        wanted = short[position].lower()
        if not wanted.isalnum():
            continue
        place -= 1
        while place >= 0 and (window[place].lower() != wanted or (position == 0 and place > 0 and window[place - 1].isalnum())):
            place -= 1
        if place < 0:
            return None
    long = window[place:].strip(" ,")
    return long if len(long) > len(short) and short not in re.split(r"\W+", long) else None
