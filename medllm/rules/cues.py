"""Cues: the words that tell of a mention near them, in tables (``tables/en.toml``, ``tables/zh.toml``), found in a text.

Phrases in a table are plain text with four signs: ``(a|b|)`` is one of these, or none; a blank is any white space; ``#`` a
number; ``$`` at the end of a phrase asks that nothing but punctuation follows in its clause. Brackets are written （ and ）. Case does
not count, nor white space between Chinese characters (line breaks of scanned pages), and traditional characters are read as the
simplified ones of the table. Where phrases overlap, the one that begins first counts, and of those the longest; so a pseudo-cue
("no increase") hides the cue in it.

The tables of all languages are always in force: notes mix them.
"""

import itertools
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from medllm.text.breaks import is_han

LANGUAGES = ("en", "zh")
SENTENCE = "sentence"


class Kind(StrEnum):
    """What a cue tells. ``END`` is none: it ends the scopes of others."""

    NEGATION = "negation"
    POSSIBLE = "possible"
    HYPOTHETICAL = "hypothetical"
    CONDITIONAL = "conditional"
    EXPERIENCER = "experiencer"
    HISTORICAL = "historical"
    END = "end"


class Direction(StrEnum):
    """Which mentions a cue tells of: those after it, those before it, or none (``PSEUDO`` and ``END``)."""

    FORWARD = "forward"
    BACKWARD = "backward"
    PSEUDO = "pseudo"
    END = "end"


@dataclass(frozen=True)
class Group:
    """Cues of a table that share everything but their words.

    ``reach``: at most so many words lie between cue and mention; None: to the end of the clause, SENTENCE: of the sentence.
    ``ends``: the kinds whose scopes end here, for END.
    """

    kind: Kind
    direction: Direction
    reach: int | str | None = None
    ends: frozenset[Kind] = frozenset()


class Cue(NamedTuple):
    """A cue in a text: half-open offsets, and its group."""

    start: int
    end: int
    group: Group

    @property
    def kind(self) -> Kind:
        """What it tells."""
        return self.group.kind


@dataclass(eq=False)
class _Node:
    """A place in the phrases, which are one automaton: ``next`` by character, ``free`` without any.

    ``whole`` is the group of a phrase that ends here, ``final`` of one with ``$``.
    """

    next: dict[str, "_Node"] = field(default_factory=dict)
    free: list["_Node"] = field(default_factory=list)
    whole: Group | None = None
    final: Group | None = None


@dataclass(frozen=True)
class Tables:
    """All tables: their phrases by first character, words without meaning of their own, and what section titles tell."""

    phrases: Mapping[str, Sequence[_Node]]
    simplified: Mapping[int, str]
    function_words: frozenset[str]
    sections: Mapping[str, Kind]


@cache
def tables() -> Tables:
    """The tables, read once."""
    root, simplified = _Node(), dict[int, str]()
    words: set[str] = set()
    sections: dict[str, Kind] = {}
    for language in LANGUAGES:
        data = tomllib.loads((resources.files("medllm.rules") / "tables" / f"{language}.toml").read_text(encoding="utf-8"))
        simplified |= {ord("("): "（", ord(")"): "）"}
        simplified |= {ord(pair[0]): pair[1] for pair in data.get("traditional", "").split()}
        words.update(data["function_words"])
        words.update(itertools.chain.from_iterable(word for word in data["function_words"] if is_han(word[0])))
        for group in data["cues"]:
            for phrase in group["phrases"]:
                _add(root, phrase, _group(group))
        sections |= {title: Kind(s["kind"]) for s in data["sections"] for title in s["titles"]}
    first: dict[str, list[_Node]] = {}
    for node in _reachable([root], blank=True):
        for character, after in node.next.items():
            first.setdefault(character, []).append(after)
    return Tables(first, simplified, frozenset(words), sections)


_OPTIONAL_END = re.compile(r" \(([^()]*)\|\)(\$?)$")


def _add(root: _Node, phrase: str, group: Group) -> None:
    """Add a phrase, its alternatives side by side."""
    if end := _OPTIONAL_END.search(phrase):  # "x (a|b|)": no blank where none follows
        phrase = phrase[: end.start()] + "(" + "|".join(f" {option}" for option in end[1].split("|")) + "|)" + end[2]
    final = phrase.endswith("$")
    node = root
    for at, part in enumerate(re.split(r"[()]", phrase.removesuffix("$"))):
        if at % 2:
            enter, leave = _Node(), _Node()
            node.free.append(enter)
            for option in part.split("|"):
                _chain(enter, option).free.append(leave)
            node = leave
        else:
            node = _chain(node, part)
    if final:
        node.final = node.final or group
    else:
        node.whole = node.whole or group


def _chain(node: _Node, text: str) -> _Node:
    for character in text:
        node = node.next.setdefault(character, _Node())
    return node


def _reachable(nodes: Iterable[_Node], *, blank: bool) -> list[_Node]:
    """These and what can be reached from them for nothing; after a blank, further blanks of the phrase cost nothing."""
    found = list(nodes)
    for node in found:
        found += node.free
        if blank and " " in node.next:
            found.append(node.next[" "])
    return found


def _group(data: Mapping[str, Any]) -> Group:
    every = (Kind.NEGATION, Kind.POSSIBLE, Kind.HYPOTHETICAL, Kind.CONDITIONAL, Kind.HISTORICAL)
    ends = frozenset(map(Kind, data.get("ends", every))) if data["kind"] == Kind.END else frozenset[Kind]()
    return Group(Kind(data["kind"]), Direction(data["direction"]), data.get("reach"), ends)


# --- in a text ---------------------------------------------------------------------------------------------------------


def find_cues(text: str) -> list[Cue]:
    """Every cue in ``text``, in order; pseudo-cues and ends too. They do not overlap.

    >>> [(c.kind.value, "No fever; possible flu."[c.start : c.end]) for c in find_cues("No fever; possible flu.")]
    [('negation', 'No'), ('possible', 'possible')]
    """
    known = tables()
    folded = "".join(map(_folded, text)).translate(known.simplified)
    found: list[Cue] = []
    at = 0
    while at < len(folded):
        cue = _match(folded, at, known.phrases)
        if cue:
            found.append(cue)
        at = cue.end if cue else at + 1
    return found


def _folded(character: str) -> str:
    lower = character.lower()
    return lower if len(lower) == 1 else character


_AFTER = re.compile(r"""[\s\]）】"'”’]*(?:[.,;:!?，。；：！？、]|\Z|\n)""")


def _match(text: str, start: int, phrases: Mapping[str, Sequence[_Node]]) -> Cue | None:
    """The longest cue that begins at ``start``."""
    if text[start].isspace() or (text[start].isascii() and text[start].isalnum() and start and _in_word(text[start - 1])):
        return None
    best: Cue | None = None
    at = start
    nodes: Sequence[_Node] = phrases.get(text[start], ())
    if text[start].isdecimal() and "#" in phrases:
        nodes, at = [*nodes, *phrases["#"]], _run(text, start, str.isdecimal) - 1
    at += 1
    blank = False
    while nodes:
        reached = _reachable(nodes, blank=blank)
        if not _goes_on(text, at):
            group = next((n.final for n in reached if n.final and _AFTER.match(text, at)), None)
            group = group or next((n.whole for n in reached if n.whole), None)
            best = Cue(start, at, group) if group and not blank else best
        nodes, at, blank = _step(text, at, reached)
    return best


def _step(text: str, at: int, nodes: Sequence[_Node]) -> tuple[list[_Node], int, bool]:
    """The nodes after the next character of the text, where that ends, and whether it was a blank."""
    if at == len(text):
        return [], at, False
    character = text[at]
    if character.isspace():
        end = _run(text, at, str.isspace)
        after = [n.next[" "] for n in nodes if " " in n.next]
        if not after and end < len(text) and is_han(text[at - 1]) and is_han(text[end]):
            return [n.next[text[end]] for n in nodes if text[end] in n.next], end + 1, False
        return after, end, True
    if character.isdecimal() and (numbers := [n.next["#"] for n in nodes if "#" in n.next]):
        return numbers, _run(text, at, str.isdecimal), False
    return [n.next[character] for n in nodes if character in n.next], at + 1, False


def _run(text: str, at: int, kind: Callable[[str], bool]) -> int:
    while at < len(text) and kind(text[at]):
        at += 1
    return at


def _in_word(character: str) -> bool:
    return character.isalnum() and not is_han(character)


def _goes_on(text: str, at: int) -> bool:
    """True where a Western word goes on at ``at``."""
    return 0 < at < len(text) and text[at - 1].isascii() and text[at - 1].isalnum() and _in_word(text[at])


def only_function_words(text: str) -> bool:
    """True if nothing in ``text`` has a meaning of its own.

    >>> only_function_words(" there is any "), only_function_words("有明显"), only_function_words("pain, ")
    (True, True, False)
    """
    words = re.findall(r"[a-z'-]+|[^\sa-z]", text.casefold().translate(tables().simplified))
    return all(word in tables().function_words for word in words)
