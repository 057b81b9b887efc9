"""Whatever Unicode a note holds, what is written is read back: Hypothesis on jsonl and brat."""

import itertools
import json
import tempfile
from enum import StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medllm.document import (
    AnyEntity,
    Assertion,
    Entity,
    Extraction,
    LedgerEntry,
    Modifier,
    Note,
    Relation,
    Span,
    Vote,
    any_entity,
    any_relation,
)
from medllm.formats import brat, jsonl
from medllm.formats.standoff import Standoff
from medllm.schema import Schema


class Course(StrEnum):
    STABLE = "stable"
    WORSE = "getting worse"


class Problem(Entity):
    """A problem."""

    assertion: Assertion = Assertion.PRESENT
    chronic: bool = False
    reported: bool = True
    course: Course = Course.STABLE


class Drug(Entity):
    """A drug."""


class Dose(Modifier):
    """A dose."""


class Treats(Relation[Drug, Problem]):
    """The drug is given for the problem."""


class HasDose(Relation[Drug, Dose]):
    """The drug's dose."""


quick = settings(max_examples=40, deadline=None)

SCHEMA = Schema("round-trip", entities=[Problem, Drug, Dose], relations=[Treats, HasDose], discontinuous=True)

PIECES = [
    "fever ",
    "\r\n",
    "\n",
    "\r",
    "\t",
    "e\u0301",
    "\U0001f912",
    "👩‍⚕️",
    "\u2028",
    "\x85",
    "\x0b\x0c",
    "\ufeff",
    "\0",
    '"',
    "\\u0041",
    "发热",
    "ﷺ",
]
pieces = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)
texts = st.one_of(st.text(min_size=1, max_size=40), pieces, st.text(st.characters(categories=["Cs", "Lu"]), min_size=1, max_size=8))
shares = st.none() | st.floats(0, 1)
votes = st.lists(
    st.builds(Vote, reader=st.sampled_from(["llm", "tagger"]), model=st.text(max_size=5), placed=st.just("grammar"), score=shares)
)


@st.composite
def spans(draw, length: int) -> tuple[Span, ...]:
    cuts = sorted(draw(st.sets(st.integers(0, length), min_size=2, max_size=6)))
    cuts = cuts[: len(cuts) // 2 * 2]
    return tuple(Span(start=a, end=b) for a, b in zip(cuts[::2], cuts[1::2], strict=True))


@st.composite
def extractions(draw, *, schema: bool, full: bool) -> Extraction:
    """``full``: with what brat does not hold."""
    text = draw(texts)
    entities = []
    codes = st.lists(st.sampled_from(["MESH:D003920", "UMLS:C0011849", "plain", "ICD-10:E11.9"]), max_size=2).map(tuple)
    words = st.sampled_from(["present", "très grave", "no", "yes", "a:b", "3 mg"])
    for n in range(draw(st.integers(0, 4))):
        where = draw(spans(len(text)))
        if schema:
            kind: type[Entity] = draw(st.sampled_from(SCHEMA.entities))
            own = {"assertion": draw(st.sampled_from(Assertion)), "chronic": draw(st.booleans())} if kind is Problem else {}
            own |= {"reported": draw(st.booleans()), "course": draw(st.sampled_from(Course))} if kind is Problem else {}
        else:
            kind = any_entity(draw(st.sampled_from(["problem", "Übel-1", "A.b"])))
            own = draw(st.dictionaries(st.sampled_from(["assertion", "Severity", "π"]), words))
        more = {"confidence": draw(shares), "votes": tuple(draw(votes))} if full else {}
        entities.append(kind(id=f"T{n + 1}", spans=where, text=" ".join(s.of(text) for s in where), codes=draw(codes), **own, **more))
    entities.sort(key=Entity.sort_key)
    relations = []
    for _ in range(draw(st.integers(0, 3)) if entities else 0):
        head, tail = draw(st.sampled_from(entities)), draw(st.sampled_from(entities))
        kinds = SCHEMA.relations_between(head.label, tail.label) if schema else (any_relation("TrAP"), any_relation("x-of"))
        more = {"confidence": draw(shares), "votes": tuple(draw(votes))} if full else {}
        relations += [kind(id=f"R{len(relations) + 1}", head=head, tail=tail, **more) for kind in kinds[:1]]
    meta = draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)) if full else {}
    note = Note(id="ward/n 1", text=text, meta=meta)
    ledger = (LedgerEntry(note_id=note.id, reader="llm", reason="cut", end=draw(st.none() | st.integers(1, 9))),) if full else ()
    return Extraction(note=note, entities=tuple(entities), relations=tuple(relations), ledger=ledger)


@quick
@given(extractions(schema=False, full=True))
def test_jsonl_without_a_schema(extraction):
    line = jsonl.dump(extraction)
    assert line.splitlines() == [line]
    assert jsonl.load(line) == extraction


@quick
@given(extractions(schema=True, full=True))
def test_jsonl_with_a_schema(extraction):
    back = jsonl.load(jsonl.dump(extraction), SCHEMA)
    assert back == extraction
    assert [type(e) for e in back.entities] == [type(e) for e in extraction.entities]
    assert all(any(r.head is e for e in back.entities) for r in back.relations)


@quick
@given(extractions(schema=True, full=True))
def test_jsonl_with_the_schema_a_run_keeps(extraction):
    kept = Schema.from_json(SCHEMA.to_json())
    assert jsonl.dump(jsonl.load(jsonl.dump(extraction), kept)) == jsonl.dump(extraction)


@quick
@given(st.text(st.characters(), min_size=1))
def test_jsonl_holds_any_string(text):
    note = Note(id="n", text=text)
    line = jsonl.dump(Extraction(note=note))
    assert jsonl.load(line).note == note
    pair = any(0xD800 <= ord(a) < 0xDC00 <= ord(b) < 0xE000 for a, b in itertools.pairwise(text))
    assert pair or json.loads(line.encode())["text"] == text


@pytest.mark.parametrize("text", ["\ud83d\ude00", "\ud83d\ud83d\ude00\ude00", "a\ud83d", "x\ude00\ud83d", "\ud83d\\ude00", "\0\x7f"])
def test_jsonl_holds_lone_surrogates_on_disk(tmp_path, text):
    extraction = Extraction(note=Note(id="n", text=text), entities=(Entity.at(text, 0, len(text), id="T1"),))
    jsonl.write(tmp_path / "x.jsonl", [extraction, extraction])
    assert [e.note.text for e in jsonl.read(tmp_path / "x.jsonl")] == [text, text]


@quick
@given(extractions(schema=False, full=False))
def test_brat_without_a_schema(extraction):
    with tempfile.TemporaryDirectory() as folder:
        brat.write(folder, extraction)
        (parsed,) = brat.read_folder(folder)
    assert parsed.problems == ()
    assert parsed.extraction == extraction


@quick
@given(extractions(schema=True, full=False))
def test_brat_with_a_schema(extraction):
    standoff = brat.from_extraction(extraction)
    for schema in (SCHEMA, Schema.from_json(SCHEMA.to_json())):
        parsed = brat.to_extraction(Standoff.loads(standoff.dumps()), extraction.note, schema)
        assert parsed.problems == ()
        assert jsonl.dump(parsed.extraction) == jsonl.dump(extraction)
        assert brat.from_extraction(parsed.extraction) == standoff


@quick
@given(
    st.lists(
        st.sampled_from(
            ["T1\tx 0 1\ta", "R1\tx Arg1:T1 Arg2:T1\t", "E1\tx:T1 ", "#1\tNote T1\t", "*\tOR T1 E1", "", " ", "\r", "5", "\x85", "T"]
        )
    )
)
def test_standoff_is_lossless(lines):
    for text in ("\n".join(lines), "\r\n".join(lines), "\n".join(lines) + "\n"):
        assert Standoff.loads(text).dumps() == text


@quick
@given(st.text())
def test_standoff_is_lossless_for_any_text(text):
    assert Standoff.loads(text).dumps() == text
    brat.to_extraction(Standoff.loads(text), Note(id="n", text="x"))


def test_any_attribute_names_round_trip_as_any_entity():
    entity = any_entity("x").at("abc", 0, 1, severity="high")
    assert isinstance(entity, AnyEntity)
    extraction = Extraction(note=Note(id="n", text="abc"), entities=(entity,))
    assert jsonl.load(jsonl.dump(extraction)).entities[0].attributes == {"severity": "high"}
