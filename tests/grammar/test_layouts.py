"""The layouts: what is written is admitted and read back as it was, in every form of the grammar alike."""

import random
import re
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from medllm.errors import SchemaError
from medllm.grammar.layout import Attribute, Found, Label, Part, Slot, get_layout, is_separator
from medllm.text.lines import split_lines

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

ASSERTION = Attribute("assertion", ("present", "absent", "possible"), "present")
PROBLEM = Label("problem", (ASSERTION,))
DRUG = Label("drug")
LABELS = (
    PROBLEM,
    DRUG,
    Label("problem_"),
    Label("test-1", (Attribute("certain", ("yes", "no")), Attribute("kind", ("a", "b: c", "no-d"), "a"), Attribute("old", ("yes", "no"), "no"))),
    Label("问题", (Attribute("only", ("x",), "x"),)),
)
WORDS = (
    *("pain", "pain", "no", "a", "a", "120", "/", ".", ",", "--", "...", "-", '"', "\\", '\\"', "'", "//", "#2", "# 1", "%", "+", "(", ")", "{}", "&"),
    *("<", ">", "</", "problem", "drug", "<problem>", "</problem>", "<drug ", 'problem "a"', '1: problem "x"', '{"a": 1}', "2: -", "assertion: absent"),
    *("头", "痛", "，", "e\u0301", "🙂", "👩\u200d⚕\ufe0f", "עברית", "ไทย", "\u0301", "\ufffe", "\u00ad", "\x00", "\u200b", "\t"),
)


@dataclass(frozen=True)
class Form:
    """A layout, and what its mentions may do."""

    layout: str
    nested: bool = False
    discontinuous: bool = False

    def describe(self, slots):
        return get_layout(self.layout).describe(slots, nested=self.nested, discontinuous=self.discontinuous)

    def write(self, slots, found):
        return get_layout(self.layout).write(slots, found)

    def read(self, slots, text, **options):
        return get_layout(self.layout).read(slots, text, **options)


FLAT, NESTED, DISCONTINUOUS = Form("lines"), Form("lines", nested=True), Form("lines", nested=True, discontinuous=True)
COPY = Form("copy")
FORMS = pytest.mark.parametrize("form", [FLAT, NESTED, DISCONTINUOUS, COPY], ids=["flat", "nested", "discontinuous", "copy"])


@st.composite
def slots_of_notes(draw):
    words = st.lists(st.one_of(st.sampled_from(WORDS), st.text(st.characters(exclude_categories=["Cs"]), max_size=3)), min_size=1, max_size=9)
    texts = draw(st.lists(st.builds(str.join, st.sampled_from(["", " ", "  "]), words), min_size=1, max_size=3))
    lines = split_lines("\n".join(texts))
    assume(lines)
    labels = tuple(draw(st.lists(st.sampled_from(LABELS), min_size=1, unique=True)))
    return tuple(Slot(n, line, labels) for n, line in enumerate(lines, draw(st.sampled_from([1, 9]))))


@st.composite
def answers(draw, slots, form):
    """Mentions in the order in which they are read."""
    found: list[Found] = []
    for slot in slots:
        here: dict[object, Found] = {}
        for start in sorted(draw(st.lists(st.integers(0, len(slot.line.pieces) - 1), max_size=6))):
            parts = draw(_parts(slot, start, 3 if form.discontinuous else 1))
            label = draw(st.sampled_from(slot.labels))
            attributes = {a.name: draw(st.sampled_from(a.values)) for a in label.attributes}
            begun = sum(f.parts[0].first == start for f in here.values())
            after = max((f.parts[-1].end for f in here.values()), default=0)
            if parts and (begun < 4 if form.nested else start >= after):
                here[label, parts] = Found(slot.number, label.name, parts, attributes)
        found += sorted(here.values(), key=lambda f: (f.parts[0].first, f.parts[-1].end))
    return tuple(found)


@st.composite
def _parts(draw, slot, start, most):
    pieces = slot.line.pieces
    parts: list[Part] = []
    for _ in range(draw(st.integers(1, most))):
        length = draw(st.integers(2 if start < len(pieces) and is_separator(pieces[start]) else 1, 5))
        if start + length > len(pieces):
            break
        parts.append(Part(start, start + length))
        start = parts[-1].end + draw(st.integers(0, 3))
    return tuple(parts)


@st.composite
def mutants(draw, text):
    """The text with one to three small changes: a character dropped, doubled or replaced, items swapped, numbers put in or left out."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(text) - 1)))
        other = draw(st.sampled_from(["", text[at : at + 1] * 2, '"', "\\", " ", "#", ",", "-", "a", "pain", "problem", " #1", " #2", ' + "a"', "\n", ">"]))
        kind = draw(st.sampled_from(["character", "items", "number", "lines"]))
        if kind == "character":
            text = text[:at] + other + text[at + 1 :]
        elif kind == "number":
            text = re.sub(r" #\d+", draw(st.sampled_from(["", " #1", " #2", " #3"])), text, count=draw(st.integers(0, 2)))
        else:
            separator = ", " if kind == "items" else "\n"
            items = text.split(separator)
            first, second = (draw(st.integers(0, len(items) - 1)) for _ in range(2))
            items[first], items[second] = items[second], items[first]
            text = separator.join(items)
    return text


def plain(answer):
    return tuple(replace(f, where=(0, 0)) for f in answer.found)


def understood(form, slots, text):
    """Everything in ``text`` is understood; where mentions do not overlap there is no other way to write it."""
    answer = form.read(slots, text)
    assert (answer.unplaced, answer.read_to) == (0, len(slots))
    if not form.nested:
        assert form.write(slots, answer.found) == text
    return answer


@FORMS
@quick
@given(data=st.data())
def test_what_is_written_is_read_back_and_says_where_it_stands(form, data):
    slots = data.draw(slots_of_notes())
    found = data.draw(answers(slots, form))
    text = form.write(slots, found)
    answer = understood(form, slots, text)
    assert plain(answer) == found
    for one in answer.found:
        itself = text[slice(*one.where)]
        assert itself.startswith(f"<{one.label}" if form is COPY else f'{one.label} "')
        assert itself.endswith((">",) if form is COPY else ('"', ")", *"0123456789"))


@FORMS
@quick
@given(data=st.data())
def test_what_is_written_is_admitted_and_changes_of_it_alike_by_all_matchers(form, data, recognize):
    slots = data.draw(slots_of_notes())
    recognizer = recognize(form.describe(slots))
    text = form.write(slots, data.draw(answers(slots, form)))
    assert recognizer.agree(text)
    for _ in range(8):
        changed = data.draw(mutants(text))
        if recognizer.agree(changed):
            understood(form, slots, changed)


@FORMS
@quick
@given(slots=slots_of_notes(), chance=st.randoms(use_true_random=False))
def test_a_random_walk_under_the_masks_is_understood(form, slots, chance, recognize):
    recognizer = recognize(form.describe(slots))
    for _ in range(3):
        text = recognizer.walk(chance)
        assert recognizer.agree(text)
        understood(form, slots, text)
