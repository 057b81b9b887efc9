"""Why something was found, as the page shows it: the words near it, shaded by what they add."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medllm.taggers.explain import Explanation

Reasons = Mapping[str, Sequence["Explanation"]]
"""By the ids of a note's mentions."""
SHADES = 4


def shaded(reason: "Explanation", text: str) -> dict[str, Any]:
    """The text from the first word to the last in pieces: each word with its worth and a shade from -4 to 4, and what is between words.

    The shade is in proportion to the greatest worth among the words.
    """
    most = max((abs(word.value) for word in reason.words), default=0.0) or 1.0
    pieces: list[tuple[str, str, int]] = []
    end = reason.words[0].start if reason.words else 0
    for word in reason.words:
        if word.start > end:
            pieces.append((text[end : word.start], "", 0))
        pieces.append((text[word.start : word.end], f"{word.value:+.3f}", round(SHADES * word.value / most)))
        end = word.end
    return {"what": reason.what, "method": reason.method, "pieces": pieces}
