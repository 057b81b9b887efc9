"""What stands in the place of identifying text: the like of it, the same for the same text of one patient, and not to be guessed without
the salt.

Everything follows from HMAC-SHA-256 over salt, patient and text (RFC 2104), so nothing needs to be kept, and notes may come in any order.
"""

import hmac
from collections.abc import Callable
from functools import cache

import regex

from medllm.deid.findings import CATEGORIES
from medllm.deid.lexicons import fold, is_eponym, is_word, lexicon
from medllm.deid.places import STATE_CODES, STATES
from medllm.deid.shifting import shift_date

WEEKS = range(4, 53)
"""By so many weeks dates are moved, to the past or to the future: whole weeks, so that days of the week stay right."""

_WORD = regex.compile(r"[\p{L}\p{M}]+(?:['’](?![sS]\b)\p{L}+)?")
_SIGN = regex.compile(r"[\p{L}\p{N}]")
_KEPT = lexicon("place_words")
_DIGITS, _LETTERS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Surrogates:
    """Surrogates for the notes of one patient. ``salt`` is the secret; ``patient`` may be any text that names the patient."""

    def __init__(self, salt: bytes, patient: str) -> None:
        self._key = hmac.digest(salt, patient.encode("utf-8", "surrogatepass"), "sha256")
        number = self._number("days", "") % (2 * len(WEEKS))
        self.days = 7 * (WEEKS[number // 2] if number % 2 else -WEEKS[number // 2])
        """How far the patient's dates are moved."""

    def of(self, kind: str, text: str) -> str:
        """What stands for ``text`` of an i2b2-2014 type; never the text itself, but for days of the week, which are not moved."""
        return _MAKERS.get(kind, _MAKERS[CATEGORIES.get(kind, "ID")])(self, text)

    def date(self, text: str) -> str:
        """The date, moved; ``[DATE]`` if it cannot be read."""
        return shift_date(text, self.days) or "[DATE]"

    def name(self, text: str) -> str:
        """Each word of a name by another: given names by given names, the others by family names, initials by initials."""
        return _WORD.sub(lambda match: self._name_word(match[0]), text) if _WORD.search(text) else self.number(text)

    def number(self, text: str) -> str:
        """Digits by digits, letters by letters; what is between them stays, and does not count: 555-0147 is 555 0147."""
        signs = "".join(sign.upper() if len(sign.upper()) == 1 else sign for sign in _SIGN.findall(text))
        if not signs:
            return text
        made = iter(self._signs(signs))
        return str(_SIGN.sub(lambda match: _as(match[0], next(made)), text))

    def place(self, text: str) -> str:
        """The words that name a place or an organization by family names, its numbers by numbers; ``Hospital`` and ``Street`` stay."""
        words = _WORD.sub(lambda match: match[0] if fold(match[0]) in _KEPT else self._chosen("place", match[0], _surnames()), text)
        new = regex.sub(r"\d+", lambda match: self.number(match[0]), words)
        return new if new != text else self._chosen("place", text, _surnames())

    def city(self, text: str) -> str:
        """Another city."""
        return self._chosen("city", text, _cities())

    def country(self, text: str) -> str:
        """Another country."""
        return self._chosen("country", text, tuple(sorted(lexicon("countries"))))

    def state(self, text: str) -> str:
        """Another state, as a code where it is one."""
        return self._chosen("state", text, STATE_CODES if len(text) == 2 else STATES)

    def email(self, text: str) -> str:
        """An address of nobody, at example.org (RFC 2606)."""
        return f"{self.number(text.partition('@')[0])}@example.org"

    def url(self, text: str) -> str:
        """A page of nobody."""
        return f"www.example.org/{self._number('url', text) % 10_000}"

    def ip(self, text: str) -> str:
        """An address for documentation (RFC 5737)."""
        new = f"192.0.2.{self._number('ip', text) % 256}"
        return new if new != text else "198.51.100.7"

    def age(self, text: str) -> str:
        """All ages over 89 are 90."""
        return "90"

    # --- inside ----------------------------------------------------------------------------------------------------

    def _name_word(self, word: str) -> str:
        if len(word) == 1:
            return _as(word, self._signs(word.upper()))
        return self._chosen("name", word, _given() if fold(word) in lexicon("given_names") else _surnames())

    def _signs(self, signs: str) -> str:
        """As many digits and letters, at least one of them another."""
        for attempt in range(100):
            draws = self._bytes(f"signs {attempt}", signs, 2 * len(signs))
            pairs = zip(signs, draws[::2], draws[1::2], strict=True)
            made = "".join(
                (_DIGITS if sign.isdigit() else _LETTERS)[(256 * a + b) % (10 if sign.isdigit() else 26)] for sign, a, b in pairs
            )
            if made != signs:
                return made
        raise AssertionError("unreachable: a hundred equal draws")  # pragma: no cover

    def _chosen(self, what: str, text: str, among: tuple[str, ...]) -> str:
        """One of ``among`` in the case of ``text``, and not the text."""
        first = self._number(what, fold(text)) % len(among)
        new = next(each for each in (among[first], among[(first + 1) % len(among)]) if fold(each) != fold(text))
        return new.upper() if text.isupper() else new.lower() if text.islower() else new.title() if new.islower() else new

    def _number(self, what: str, text: str) -> int:
        return int.from_bytes(self._bytes(what, text, 8), "big")

    def _bytes(self, what: str, text: str, size: int) -> bytes:
        seed, drawn = f"{what}\0{text}".encode("utf-8", "surrogatepass"), b""
        while len(drawn) < size:
            drawn += hmac.digest(self._key, len(drawn).to_bytes(4, "big") + seed, "sha256")
        return drawn[:size]


_MAKERS: dict[str, Callable[[Surrogates, str], str]] = {
    "NAME": Surrogates.name,
    "USERNAME": Surrogates.number,
    "DATE": Surrogates.date,
    "AGE": Surrogates.age,
    "ID": Surrogates.number,
    "CONTACT": Surrogates.number,
    "EMAIL": Surrogates.email,
    "URL": Surrogates.url,
    "IPADDRESS": Surrogates.ip,
    "IPADDR": Surrogates.ip,
    "LOCATION": Surrogates.place,
    "PROFESSION": Surrogates.place,
    "CITY": Surrogates.city,
    "STATE": Surrogates.state,
    "COUNTRY": Surrogates.country,
    "ZIP": Surrogates.number,
    "ROOM": Surrogates.number,
}


def _as(sign: str, new: str) -> str:
    return new if sign.isupper() or sign.isdigit() else new.lower()


@cache
def _given() -> tuple[str, ...]:
    return _plain("given_names")


@cache
def _surnames() -> tuple[str, ...]:
    return _plain("surnames")


@cache
def _cities() -> tuple[str, ...]:
    return tuple(sorted(city for city in lexicon("cities") if city.isascii() and not is_word(city)))


def _plain(name: str) -> tuple[str, ...]:
    """Entries that nobody takes for a word or a disease."""
    return tuple(sorted(w for w in lexicon(name) if 3 < len(w) < 10 and not is_word(w) and not is_eponym(w)))
