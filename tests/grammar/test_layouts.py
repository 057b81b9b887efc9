"""The layouts: what is written is admitted and read back as it was, in every form of the grammar alike."""

import re
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from medllm.errors import SchemaError
from medllm.grammar.json_answer import answer_schema, from_notation, to_notation
from medllm.grammar.layout import Attribute, Found, Label, Part, Slot, get_layout, is_separator
from medllm.text.lines import MAX_PIECES, split_lines
from medllm.text.pieces import join_pieces

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

ASSERTION = Attribute("assertion", ("present", "absent", "possible"), "present")
PROBLEM = Label("problem", (ASSERTION,))
DRUG = Label("drug")
LABELS = (
    PROBLEM,
    DRUG,
    Label("problem_"),
    Label(
        "test-1",
        (Attribute("certain", ("yes", "no")), Attribute("kind", ("a", "b: c", "no-d"), "a"), Attribute("old", ("yes", "no"), "no")),
    ),
    Label("问题", (Attribute("only", ("x",), "x"),)),
)
WORDS = (
    *(
        "pain",
        "pain",
        "no",
        "a",
        "a",
        "120",
        "/",
        ".",
        ",",
        "--",
        "...",
        "-",
        '"',
        "\\",
        '\\"',
        "'",
        "//",
        "#2",
        "# 1",
        "%",
        "+",
        "(",
        ")",
        "{}",
        "&",
    ),
    *(
        "<",
        ">",
        "</",
        "problem",
        "drug",
        "<problem>",
        "</problem>",
        "<drug ",
        'problem "a"',
        '1: problem "x"',
        '{"a": 1}',
        "2: -",
        "assertion: absent",
    ),
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
    words = st.lists(
        st.one_of(st.sampled_from(WORDS), st.text(st.characters(exclude_categories=["Cs"]), max_size=3)), min_size=1, max_size=9
    )
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
        other = draw(
            st.sampled_from(
                ["", text[at : at + 1] * 2, '"', "\\", " ", "#", ",", "-", "a", "pain", "problem", " #1", " #2", ' + "a"', "\n", ">"]
            )
        )
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


@quick
@given(data=st.data())
def test_an_answer_in_json_names_the_same_mentions_and_keeps_to_its_schema(data):
    slots = data.draw(slots_of_notes())
    found = data.draw(answers(slots, FLAT))
    answer = from_notation(FLAT.write(slots, found))
    texts = {slot.number: slot.line.pieces for slot in slots}
    said = [(int(number), item["label"], item["text"]) for number, items in answer.items() for item in items]
    assert said == [(f.slot, f.label, join_pieces(texts[f.slot][f.parts[0].first : f.parts[0].end])) for f in found]
    schema = answer_schema(slots)
    assert schema["required"] == list(answer)
    for number, items in answer.items():
        kinds = {kind["properties"]["label"]["enum"][0]: kind["properties"] for kind in schema["properties"][number]["items"]["anyOf"]}
        assert all(value in kinds[item["label"]][name]["enum"] for item in items for name, value in item.items() if name != "text")
    assert from_notation(to_notation(answer)) == answer


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


@FORMS
@settings(quick, max_examples=12)
@given(data=st.data())
def test_of_an_answer_cut_off_anywhere_what_is_complete_is_kept(form, data):
    slots = data.draw(slots_of_notes())
    text = form.write(slots, data.draw(answers(slots, form)))
    whole = form.read(slots, text).found
    lines = text.split("\n")
    ends = [sum(len(line) + 1 for line in lines[: n + 1]) - 1 for n in range(len(slots))]
    may_go_on = [line.endswith("<") if form is COPY else not line.endswith(": -") for line in lines]
    for cut in range(len(text) + 1):
        answer = form.read(slots, text[:cut], cut_off=True)
        closed = 0 if form is COPY else 1  # a tag closes a mention, else what follows shows that it does not go on
        assert answer.found == tuple(f for f in whole if f.where[1] + closed <= cut)
        assert answer.read_to == sum(end + more <= cut for end, more in zip(ends, may_go_on, strict=True))
        assert answer.unplaced == 0


# --- by example --------------------------------------------------------------------------------------------------------


def slots_of(text, *labels):
    return tuple(Slot(n, line, labels or (PROBLEM, DRUG)) for n, line in enumerate(split_lines(text), 1))


def mention(slots, slot, label, *texts, **attributes):
    """The mention of these words, each the first of them after the one before."""
    line, parts = slots[slot - 1].line, []
    for text in texts:
        view = [p.text for p in line.pieces]
        wanted = [p.text for p in split_lines(text)[0].pieces]
        first = next(i for i in range(parts[-1].end if parts else 0, len(view)) if view[i : i + len(wanted)] == wanted)
        parts.append(Part(first, first + len(wanted)))
    kind = next(x for x in slots[slot - 1].labels if x.name == label)
    return Found(slot, label, tuple(parts), {a.name: a.default for a in kind.attributes if a.default} | attributes)


def test_the_notation():
    slots = slots_of("No chest pain or fever.\nPlan: rest.\nAspirin for pain, left and right knee pain")
    found = (
        mention(slots, 1, "problem", "chest pain", assertion="absent"),
        mention(slots, 1, "problem", "fever"),
        mention(slots, 3, "drug", "Aspirin"),
        mention(slots, 3, "problem", "left", "knee pain"),
    )
    pinned = '1: problem "chest pain" (assertion: absent), problem "fever"\n2: -\n3: drug "Aspirin", problem "left" + "knee pain"'
    assert DISCONTINUOUS.write(slots, found) == pinned
    copy = (
        '1: No <problem assertion="absent">chest pain</problem> or <problem>fever</problem>.\n'
        "2: Plan: rest.\n3: <drug>Aspirin</drug> for pain, left and right knee pain"
    )
    assert COPY.write(slots, found[:3]) == copy
    assert plain(COPY.read(slots, copy)) == found[:3]


@pytest.mark.parametrize(
    "line",
    [
        'problem "chest"',  # of the other line
        'problem "fever", problem "pain" #1',  # out of order
        'problem "pain"',  # which of the two?
        'problem "pain" #3',
        'problem "pain" #0',
        'problem "fever" #1',  # there is one only
        'problem "pain #1"',
        'problem "Pain" #1',
        'problem "fev"',
        'problem "fever" ',
        'problem "fever",',
        'problem "fever", -',
        'problem "", problem "fever"',
        'problem ","',
        'problem "."',
        'finding "fever"',
        'problem "fever" (assertion: present)',  # the default is not written
        'problem "fever" (assertion: sure)',
        'problem "fever" ()',
        'drug "fever" (assertion: absent)',
        "problem 'fever'",
        "",
        " -",
        "--",
    ],
)
@pytest.mark.parametrize("form", [FLAT, NESTED, DISCONTINUOUS], ids=["flat", "nested", "discontinuous"])
def test_no_matcher_takes_what_is_not_in_the_line(form, line, recognize):
    slots = slots_of("pain, no pain now, but fever.\nchest")
    recognizer = recognize(form.describe(slots))
    assert recognizer.agree('1: problem "pain" #1, problem "pain" #2 (assertion: absent), problem "fever"\n2: -')
    assert not recognizer.agree(f"1: {line}\n2: -")


OVERLAPPING = [
    ('problem "knee pain", problem "pain"', (False, True, True)),
    ('problem "knee", problem "knee pain"', (False, True, True)),
    ('problem "knee", drug "knee"', (False, True, True)),
    ('problem "left" + "pain"', (False, False, True)),
    ('problem "left" + "pain", problem "knee pain"', (False, False, True)),
    ('problem "pain" + "left"', (False, False, False)),
    ('problem "left" + "left"', (False, False, False)),
    ('problem "knee pain", problem "left"', (False, False, False)),
]


@pytest.mark.parametrize(("line", "taken"), OVERLAPPING)
def test_overlapping_mentions_and_parts_are_taken_only_where_the_schema_has_them(line, taken, recognize):
    slots = slots_of("left knee pain")
    assert tuple(recognize(form.describe(slots)).agree(f"1: {line}") for form in (FLAT, NESTED, DISCONTINUOUS)) == taken


@pytest.mark.parametrize(
    "line",
    [
        "No <problem>pain</problem> now",
        "No <problem>pain</problem>",
        "No pain",
        "<problem>No pain",
        "No pain</problem>",
        "no pain.",
        "No  pain.",
        'No <drug assertion="absent">pain</drug>.',
        "No <problem >pain</problem>.",
        "No <problem>pain</drug>.",
        "No pain<problem>.</problem>",
        "<problem>No <drug>pain</drug></problem>.",
        "No<problem> pain</problem>.",
        "No <problem></problem>pain.",
    ],
)
def test_no_matcher_takes_what_is_no_copy(line, recognize):
    recognizer = recognize(COPY.describe(slots_of("No pain.")))
    assert recognizer.agree('1: No <problem assertion="absent">pain</problem>.')
    assert not recognizer.agree(f"1: {line}")


def test_a_mention_may_begin_with_a_full_stop_but_not_be_one(recognize):
    slots = slots_of("gave .5 mg.")
    found = (mention(slots, 1, "drug", ".5 mg"),)
    for form in (FLAT, NESTED, DISCONTINUOUS, COPY):
        recognizer = recognize(form.describe(slots))
        assert recognizer.agree(form.write(slots, found))
        assert not recognizer.agree(form.write(slots, (Found(1, "drug", (Part(1, 2),)),)))


def test_what_may_be_half_a_tag_is_not_taken_for_the_end_of_a_line():
    slots = slots_of("x <")
    assert COPY.read(slots, "1: x <").read_to == 1
    assert COPY.read(slots, "1: x <", cut_off=True).read_to == 0  # of "1: x <drug><</drug>"


@pytest.mark.parametrize("form", [FLAT, NESTED, COPY], ids=["flat", "nested", "copy"])
def test_a_line_in_which_nothing_can_be_found_has_one_answer(form, recognize):
    (slot,) = slots_of("...")
    assert recognize(form.describe([slot])).agree("1: ..." if form is COPY else "1: -")
    (slot,) = slots_of("some text")
    assert recognize(form.describe([replace(slot, labels=())])).agree("1: some text" if form is COPY else "1: -")
    assert form.read([replace(slot, labels=())], "1: some text" if form is COPY else "1: -").read_to == 1


def test_copies_cannot_overlap():
    with pytest.raises(SchemaError):
        Form("copy", nested=True).describe(slots_of("pain"))


def test_a_long_mention_is_no_longer_than_its_line(recognize):
    slots = slots_of(" ".join(f"word{n}" for n in range(100)) + " and again word1 word2")
    everything = (Found(1, "drug", (Part(0, len(slots[0].line.pieces)),)),)
    for form in (FLAT, DISCONTINUOUS, COPY):
        text = form.write(slots, everything)
        assert recognize(form.describe(slots)).agree(text)
        assert plain(form.read(slots, text)) == everything


def test_bounds_that_were_reached_are_reported(recognize):
    slots = slots_of("left knee pain\n" + "la " * 30)
    recognizer = recognize(NESTED.describe(slots))
    at_one_start = 'drug "left", drug "left knee", drug "left knee pain", problem "left", problem "left knee"'
    repeated = 'drug "' + " ".join(["la"] * 12)
    cases = [(f"1: {at_one_start}\n2: -", (1,)), (f'1: drug "left"\n2: {repeated}" #1', (2,)), ('1: -\n2: drug "la la" #2', ())]
    for text, bounded in cases:
        assert recognizer.agree(text)
        assert NESTED.read(slots, text).bounded == bounded
    assert not recognizer.agree(f'1: {at_one_start}, problem "left knee pain"\n2: -')
    assert not recognizer.agree(f'1: -\n2: {repeated} la" #1')


def test_what_no_grammar_held_does_no_harm():
    slots = slots_of("left knee pain\nno fever", PROBLEM, Label("test", (Attribute("sure", ("yes", "no")),)))
    for form, text in [
        (FLAT, "9" * 5000 + ": -"),
        (FLAT, '1: problem "left" #' + "9" * 5000),
        (FLAT, '1: test "knee"\n2: -'),  # sure must be written
        (FLAT, '1: problem "fever"\n2: -'),
        (FLAT, "I found nothing"),
        (COPY, "1: left <test>knee</test> pain\n2: no fever"),
        (COPY, "1: left pain\n2: no fever"),
        (COPY, "I found nothing"),
    ]:
        answer = form.read(slots, text)
        assert answer.found == ()
        assert answer.unplaced == 1
        assert form.read(slots, text + "\n3: -" * 9).read_to <= len(slots)
    assert FLAT.read(slots, "2: -\n1: -\n1: -").read_to < len(slots)


# --- size and depth ----------------------------------------------------------------------------------------------------

MANY = (PROBLEM, *(Label(f"label{n}") for n in range(6)))


@FORMS
def test_a_grammar_grows_with_its_line_and_no_faster(form, recognize):
    def sizes(words):
        constraint = recognize(form.describe(slots_of(" ".join(f"word{n % 97}" for n in range(words)), *MANY))).constraint
        return len(constraint.lark), len(constraint.gbnf)

    for small, large in zip(sizes(25), sizes(100), strict=True):
        assert large < 5 * small


@pytest.mark.parametrize("form", [FLAT, NESTED, COPY], ids=["flat", "nested", "copy"])
def test_a_grammar_grows_with_the_attributes_of_its_labels_and_no_faster_than_their_square(form, recognize):
    def size(attributes):
        label = Label("finding", tuple(Attribute(f"attribute{n}", ("yes", "no"), "no") for n in range(attributes)))
        return len(recognize(form.describe(slots_of("chest pain", label))).constraint.lark)

    assert size(20) < 5 * size(10)


@FORMS
@pytest.mark.parametrize(
    "words", [[f"word{n} " for n in range(200)], ["痛"], ["a", " b", ", ", '"', "\\"]], ids=["distinct", "equal", "mixed"]
)
def test_a_long_line_compiles_in_a_thread_with_a_small_stack(form, words, recognize, small_stack):
    (slot, *_) = slots_of("".join(words[n % len(words)] for n in range(MAX_PIECES)), *MANY)
    assert len(slot.line.pieces) > MAX_PIECES // 2
    answer = form.write([slot], (Found(1, "problem", (Part(0, 2),), {"assertion": "absent"}), Found(1, "label0", (Part(100, 110),))))
    assert small_stack(lambda: recognize(form.describe([slot])).llguidance(answer))
