"""Abbreviations that a text defines: "myocardial infarction (MI)".

The algorithm of Schwartz and Hearst 2003 (A simple algorithm for identifying abbreviation definitions in biomedical text, PSB 8:451).
"""

import re

_BRACKETED = re.compile(r"[(\[]\s*([^()\[\]]{1,80}?)\s*[)\]]")
_LONGEST = 10
_CLAUSE = re.compile(r"[.;:!?](?=\s)|\n\s*\n|[()\[\]]")
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
            if inner not in found and (long := _long_form(inner, before)):
                found[inner] = long
        elif before and _is_short(short := before.split()[-1]) and short not in found and (long := _long_form(short, inner)):
            found[short] = long
    return found


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
