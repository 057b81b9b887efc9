"""A small schema, notes with random mentions, and a reader of pages."""

import runpy
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st

from medllm.document import Assertion, Entity, Extraction, Modifier, Note, Relation, Vote
from medllm.schema import Schema

VOID = {"meta", "input"}


class Problem(Entity):
    """A problem."""

    assertion: Assertion = Assertion.PRESENT


class Drug(Entity):
    """A drug."""


class Dose(Modifier):
    """A dose."""


class Causes(Relation[Drug, Problem]):
    """The drug causes the problem."""


class HasDose(Relation[Drug, Dose]):
    """The drug's dose."""


class Page(HTMLParser):
    """The elements of a page in order, and the text of those that have an id; elements must close as they opened."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.marked: dict[str, str] = {}
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, dict(attrs))
        assert len(element[1]) == len(attrs), "an attribute is given twice"
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)
        if "id" in element[1]:
            assert element[1]["id"] not in self.texts, "an id is given twice"
            self.texts[str(element[1]["id"])] = ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for tag, attributes in self.open:
            if "id" in attributes:
                self.texts[str(attributes["id"])] += data
            if tag == "mark":
                number = str(attributes["data-m"])
                self.marked[number] = self.marked.get(number, "") + data
        if self.open and self.open[-1][0] in ("script", "style"):
            {"script": self.scripts, "style": self.styles}[self.open[-1][0]].append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of the elements with this tag."""
        return [attributes for name, attributes in self.elements if name == tag]


AWKWARD = "a b</>&\"'\n\r\t\x0b\x0c\x85\u2028\u2029\u202e\0ل中\U0001f600\u0301\ud800"


@st.composite
def extractions(draw: st.DrawFn) -> Extraction:
    """A note in every kind of character, with overlapping and discontinuous mentions."""
    text = draw(st.text(st.one_of(st.sampled_from(AWKWARD), st.characters()), max_size=40))
    entities: list[Entity] = []
    if text:
        for kind in draw(st.lists(st.sampled_from([Problem, Drug, Dose]), max_size=7)):
            offsets = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=6)))
            fields: dict[str, Any] = {"assertion": draw(st.sampled_from(Assertion))} if kind is Problem else {}
            votes = tuple(Vote(reader=r) for r in draw(st.sets(st.sampled_from(["llm", "tagger", "rules"]))))
            confidence = draw(st.none() | st.floats(0, 1))
            entities.append(kind.at(text, *offsets[: len(offsets) // 2 * 2], votes=votes, confidence=confidence, **fields))
    heads = [e for e in entities if isinstance(e, Drug)]
    tails = [e for e in entities if isinstance(e, Problem)]
    relations = (Causes(head=heads[0], tail=tails[0]),) if heads and tails else ()
    return Extraction(note=Note(id="n", text=text), entities=tuple(sorted(entities, key=Entity.sort_key)), relations=relations)


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The classes above, for test modules (which cannot import this one)."""
    schema = Schema("small", entities=[Problem, Drug, Dose], relations=[Causes, HasDose], nested=True, discontinuous=True)
    return SimpleNamespace(Problem=Problem, Drug=Drug, Dose=Dose, Causes=Causes, Page=Page, schema=schema, extractions=extractions)


@pytest.fixture(scope="session")
def demo() -> Callable[[], Any]:
    """The example's run."""
    path = Path(__file__).parents[2] / "examples" / "view_demo.py"
    return runpy.run_path(str(path))["demo"]
