"""The language that a note is written in, as far as prompts need to know it."""

import re
from typing import Literal

Language = Literal["en", "zh"]

CHINESE_FROM = 0.3
"""A text is Chinese if so large a share of its words is: notes name drugs and units in English. Two characters count as a word."""

_HAN = re.compile(r"[\u3400-\u9fff]")
_WESTERN = re.compile(r"[^\W\d_\u3400-\u9fff]{2,}")


def language_of(text: str) -> Language:
    """``zh`` or ``en``; ``en`` for a text without words.

    >>> language_of("患者服用 Aspirin 100 mg qd、Metoprolol 25 mg bid，无胸痛。"), language_of("Seen with Dr. 王. No chest pain.")
    ('zh', 'en')
    """
    han, western = len(_HAN.findall(text)) / 2, len(_WESTERN.findall(text))
    return "zh" if han and han / (han + western) >= CHINESE_FROM else "en"
