"""Every corpus format: what an extraction has comes back as far as the format can hold it, and nothing else changes.

Each test says, as code, what its format does not hold.
"""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from medllm.document import Entity, Extraction, Note, Relation, Span, any_entity, any_relation
from medllm.errors import FormatError
from medllm.formats import conll, registry
from medllm.formats.concepts import concepts_of
from medllm.formats.line_tokens import LineTokens

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])

PIECES = [
    "fever ",
    "Chest",
    " pain",
    "\n",
    "  ",
    "\t",
    ".",
    " no",
    "\r\n",
    "\u00a0",
    "é",
    "e\u0301",
    "\U0001f912",
    "发热",
    "\x85",
    "]]>",
    '"',
    "||",
    "<&",
]
CODES = ["MESH:D003920", "UMLS:C0011849", "OMIM:601696", "TMVAR:c|DEL|657|5", "ICD-10:E11.9"]
ASSERTIONS = ["present", "absent", "associated_with_someone_else"]
XML_HAS_NOT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@st.composite
def extractions(
    draw, labels=("problem", "Übel-1", "T047"), parts=2, codes=1, attributes=True, note_id="ward/n 1", texts=None
) -> Extraction:
    text = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join) if texts is None else texts)
    entities: list[Entity] = []
    for _ in range(draw(st.integers(0, 4))):
        cuts = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=2 * parts)))
        spans = tuple(Span(start=a, end=b) for a, b in zip(cuts[::2], cuts[1::2], strict=False))
        if all(span.of(text).strip() for span in spans):
            own = {"assertion": draw(st.sampled_from(ASSERTIONS))} if attributes and draw(st.booleans()) else {}
            found = tuple(draw(st.lists(st.sampled_from(CODES), max_size=codes, unique=True)))
            kind = any_entity(draw(st.sampled_from(labels)))
            entities.append(kind(spans=spans, text=" ".join(s.of(text) for s in spans), codes=found, **own))
    entities.sort(key=Entity.sort_key)
    entities = [e.model_copy(update={"id": f"T{n}"}) for n, e in enumerate(entities, 1)]
    relations = []
    for n in range(draw(st.integers(0, 3)) if entities else 0):
        head, tail = draw(st.sampled_from(entities)), draw(st.sampled_from(entities))
        relations.append(any_relation(draw(st.sampled_from(["TrAP", "x-of"])))(id=f"R{n + 1}", head=head, tail=tail))
    return Extraction(note=Note(id=note_id, text=text), entities=tuple(entities), relations=tuple(relations))


@dataclass
class Held:
    """What a format holds of an extraction."""

    text: Callable[[str], str] = str
    spans: Callable[[Entity, str], Any] = lambda e, _: [(s.start, s.end) for s in e.spans]
    codes: bool = False
    attributes: bool = False
    relations: bool = False
    where: dict[str, Any] = field(default_factory=dict)

    def of(self, extraction: Extraction) -> tuple[Any, ...]:
        text = extraction.note.text
        return (
            self.text(text),
            sorted(map(repr, (self.mention(e, text) for e in extraction.entities))),
            [(r.label, self.mention(r.head, text), self.mention(r.tail, text)) for r in extraction.relations if self.relations],
        )

    def mention(self, entity: Entity, text: str) -> tuple[Any, ...]:
        return entity.label, self.spans(entity, text), entity.codes if self.codes else (), entity.attributes if self.attributes else {}


def _sample() -> Extraction:
    text = "Ms Qwyzzk took aspirin daily\nfor her severe chest pain ."
    drug = any_entity("medication").at(text, 15, 22, id="T1", codes=("MESH:D001241",), assertion="present")
    often, pain = any_entity("frequency").at(text, 23, 28, id="T2"), any_entity("reason").at(text, 33, 40, 47, 51, id="T3")
    relations = tuple(any_relation(tail.label)(id=f"R{n}", head=drug, tail=tail) for n, tail in enumerate((often, pain)))
    return Extraction(note=Note(id="n", text=text), entities=(drug, often, pain), relations=relations)


SAMPLE = _sample()


def through(name: str, extraction: Extraction, file: str = "") -> Extraction:
    """Written and read again, without problems."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out", file) if file else Path(folder, "out")
        writer = registry.writer(name)(path, None)
        writer.write(extraction)
        writer.close()
        writer.close()
        (parsed,) = registry.reader(name)(path, None)
    assert parsed.problems == ()
    return parsed.extraction


def cover(entity: Entity, _: str) -> Any:
    return entity.span.start, entity.span.end


def tokens(entity: Entity, text: str) -> Any:
    return LineTokens(text).positions(entity.span.start, entity.span.end)


def has_tokens(extraction: Extraction) -> bool:
    found = LineTokens(extraction.note.text)
    return all(found.positions(s.start, s.end) for e in extraction.entities for s in e.spans)


# --- formats that keep the text --------------------------------------------------------------------------------------


@quick
@given(extractions())
def test_i2b2_2010(extraction):
    assume(has_tokens(extraction))
    text = extraction.note.text
    assume(len({tokens(e, text) for e in extraction.entities}) == len(extraction.entities))
    held = Held(spans=tokens, attributes=True, relations=True)
    back = through("i2b2-2010", extraction)
    assert back.note == extraction.note
    assert held.of(back) == held.of(extraction)


ENTRY = ("medication", "dosage", "frequency")


@quick
@given(extractions(labels=ENTRY, attributes=False))
def test_i2b2_2009(extraction):
    assume(has_tokens(extraction))
    text = extraction.note.text
    relations = tuple(
        any_relation(r.tail.label)(head=r.head, tail=r.tail) for r in extraction.relations if r.head.label == "medication" != r.tail.label
    )
    extraction = extraction.model_copy(update={"relations": relations})
    back = through("i2b2-2009", extraction)
    assert back.note == extraction.note

    def phrase(entity: Entity, of: str) -> Any:
        return entity.label, tuple(LineTokens(of).positions(s.start, s.end) for s in entity.spans)

    joined = {phrase(r.tail, text) for r in relations} | {phrase(e, text) for e in extraction.entities if e.label == "medication"}
    spread = {p for p in joined if all(a[1] < b[0] for a, b in zip(p[1], p[1][1:], strict=False))}
    assume(spread == joined)  # parts within one token would be joined
    assert {phrase(e, text) for e in back.entities} == joined
    wanted = {(phrase(r.head, text), phrase(r.tail, text)) for r in relations}
    assert {(phrase(r.head, text), phrase(r.tail, text)) for r in back.relations} == wanted
    again = through("i2b2-2009", back)
    assert [e.model_copy(update={"id": ""}) for e in again.entities] == [e.model_copy(update={"id": ""}) for e in back.entities]
    assert len(again.relations) == len(back.relations)


@pytest.mark.parametrize("name", ["i2b2-2012", "i2b2-2014"])
@quick
@given(extractions())
def test_i2b2_xml(name, extraction):
    back = through(name, extraction)
    held = Held(spans=cover, attributes=True, relations=name == "i2b2-2012")
    if name == "i2b2-2014":
        known = {"category": "OTHER"}
        assert all(known.items() != e.attributes.items() for e in back.entities)
    assert back.note == extraction.note
    assert held.of(back) == held.of(extraction)
    assert [e.id for e in back.entities] == [e.id for e in extraction.entities]


@quick
@given(extractions())
def test_n2c2_2018(extraction):
    parts = [span for e in extraction.entities for span in zip(e.spans, e.spans[1:], strict=False)]
    text = extraction.note.text
    assume(not any("\n" in text[a.end : b.start] and not text[a.end : b.start].strip() for a, b in parts))
    assert through("n2c2-2018", extraction) == extraction


@quick
@given(extractions())
def test_n2c2_2022(extraction):
    assume(all("\n" not in extraction.note.text[e.span.start : e.span.end] for e in extraction.entities))
    back = through("n2c2-2022", extraction)
    held = Held(codes=False, attributes=True)
    assert held.of(back) == held.of(extraction)
    # arguments come grouped by their event, roles numbered where they repeat
    assert sorted((r.label, r.head.id, r.tail.id) for r in back.relations) == sorted(
        (r.label, r.head.id, r.tail.id) for r in extraction.relations
    )


@quick
@given(extractions(attributes=False, codes=1))
def test_share_clef(extraction):
    assert Held(codes=True).of(through("share-clef", extraction)) == Held(codes=True).of(extraction)


@pytest.mark.parametrize("name", ["bioc-json", "bioc-xml"])
@quick
@given(extractions(codes=2, texts=st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=12)))
def test_bioc(name, extraction):
    back = through(name, extraction)
    assert back == extraction


@pytest.mark.parametrize(
    ("name", "file"), [("cmeee", ""), ("cmeee", "x.json"), ("cehrner", ""), ("cehrner", "x.json"), ("ccks", ""), ("ccks", "x.txt")]
)
@quick
@given(extractions(attributes=False, codes=0))
def test_chinese_json(name, file, extraction):
    back = through(name, extraction, file)
    assert Held(spans=cover).of(back) == Held(spans=cover).of(extraction)
    assert back.note.id == ("x/1" if file else "extractions/1")


@quick
@given(extractions(attributes=False, codes=0))
def test_cmeie_holds_triples_of_strings(extraction):
    text = extraction.note.text

    def triples(of: Extraction) -> list[tuple[str, ...]]:
        return [(r.label, r.head.label, cut(r.head), r.tail.label, cut(r.tail)) for r in of.relations]

    def cut(entity: Entity) -> str:
        return entity.span.of(text)

    back = through("cmeie", extraction)
    assert back.note.text == text
    assert triples(back) == triples(extraction)
    assert all(text.index(cut(e)) == e.span.start for e in back.entities)


# --- formats that rebuild the text -----------------------------------------------------------------------------------


def flat(text: str) -> str:
    title, line_feed, abstract = text.partition("\n")
    one = re.sub("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]", " ", abstract)
    return re.sub("[\r\v\f\x1c-\x1e\x85\u2028\u2029]", " ", title) + (line_feed + one if abstract else "")


@pytest.mark.parametrize("name", ["pubtator", "medmentions"])
@quick
@given(extractions(codes=2, attributes=False))
def test_pubtator(name, extraction):
    text = extraction.note.text
    assume(not text.endswith("\n") and all("|" not in code for e in extraction.entities for code in e.codes[: len(e.codes) > 1]))
    back = through(name, extraction)
    held = Held(text=flat, spans=cover, codes=True)
    assert (back.note.id, back.note.text) == ("ward/n 1", flat(text))
    assert held.of(back)[1] == held.of(extraction)[1]

    def concepts(of: Extraction) -> list[Any]:
        pairs = ((r.label, concepts_of(r)) for r in of.relations)
        return list(dict.fromkeys((label, *map(tuple, pair)) for label, pair in pairs if pair))

    assert concepts(back) == concepts(extraction)
    assert through(name, back) == back


@quick
@given(extractions(attributes=False, codes=0, parts=1))
def test_conll_holds_tokens_and_flat_mentions(extraction):
    assume(not any(a.span.overlaps(b.span) for a in extraction.entities for b in extraction.entities if a is not b))
    text = extraction.note.text
    assume(all("\n" not in e.text for e in extraction.entities) and text.strip())
    back = through("conll", extraction)
    assert "".join(back.note.text.split()) == "".join(text.split())
    assert [(e.label, "".join(e.text.split())) for e in back.entities] == [(e.label, "".join(e.text.split())) for e in extraction.entities]
    assert through("conll", back).entities == back.entities


@quick
@given(extractions(attributes=False, codes=0, parts=1))
def test_cehrner_tags_hold_characters_and_flat_mentions(extraction):
    assume(not any(a.span.overlaps(b.span) for a in extraction.entities for b in extraction.entities if a is not b))
    assume(extraction.note.text.strip())
    back = through("cehrner", extraction, "x.txt")
    assert back.note.text == "".join(extraction.note.text.split())
    assert [(e.label, e.text) for e in back.entities] == [(e.label, "".join(e.text.split())) for e in extraction.entities]


GARBAGE = ["", "\n", "||", '"', "<", "&x;", "]]>", "{", "]", "\t", ":", "9" * 20, "-1", "T1", "\u2028", "\x00", "C0000001", "\ud800"]
BRAT = ("brat", "jsonl", "parquet", "spacy")


@pytest.mark.parametrize("name", sorted(registry.WRITERS.keys() & registry.READERS.keys() - {*BRAT}))
@quick
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 30), st.sampled_from(GARBAGE)), min_size=1, max_size=4), st.data())
def test_no_file_is_bad_enough_to_crash(name, changes, data):
    with tempfile.TemporaryDirectory() as folder:
        writer = registry.writer(name)(Path(folder), None)
        writer.write(SAMPLE)
        writer.close()
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        path = data.draw(st.sampled_from(files))
        content = path.read_text()
        for at, length, garbage in changes:
            at %= len(content) + 1
            content = content[:at] + garbage + content[at + length :]
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        told: list[str] = []
        try:
            for parsed in registry.reader(name)(Path(folder), None):
                text = parsed.extraction.note.text
                assert all(e.text == " ".join(s.of(text) for s in e.spans) for e in parsed.extraction.entities)
                told += [problem.detail for problem in parsed.problems]
        except FormatError as error:
            told.append(str(error))
        assert not any("Qwyzzk" in one for one in told)


def test_every_writer_writes_owner_only_files(tmp_path):
    text = "No fever .\nTake aspirin ."
    drug = any_entity("medication").at(text, 16, 23, id="T1")
    for name, factory in registry.WRITERS.items():
        writer = factory(tmp_path / name, None)
        writer.write(Extraction(note=Note(id="n", text=text), entities=(drug,)))
        writer.close()
        files = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        assert files, name
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}, name


def test_every_reader_names_a_folder_without_its_files(tmp_path):
    for name, read in registry.READERS.items():
        with pytest.raises(FormatError) as caught:
            list(read(tmp_path, None))
        assert str(tmp_path) in str(caught.value), name
        for lost in (tmp_path / "none", tmp_path / "none" / "n.con"):
            with pytest.raises(FormatError):
                list(read(lost, None))


def test_relations_point_at_the_mentions_of_the_extraction():
    text = "Take aspirin daily for fever."
    drug, fever = any_entity("medication").at(text, 5, 12, id="T1"), any_entity("reason").at(text, 23, 28, id="T2")
    relation: Relation[Any, Any] = any_relation("reason")(id="R1", head=drug, tail=fever)
    extraction = Extraction(note=Note(id="n", text=text), entities=(drug, fever), relations=(relation,))
    for name in ("i2b2-2009", "i2b2-2010", "i2b2-2012", "n2c2-2018", "n2c2-2022", "bioc-xml", "bioc-json", "cmeie"):
        back = through(name, extraction)
        (found,) = back.relations
        assert any(found.head is e for e in back.entities), name
        assert any(found.tail is e for e in back.entities), name


@quick
@given(extractions(labels=("symptom",), parts=1, codes=0, note_id="d"))
def test_cmdd_holds_flat_symptoms_of_a_line(extraction):
    text = extraction.note.text
    kept = [e for e in conll.flat(extraction.entities)[0] if "\n" not in e.text]
    extraction = extraction.model_copy(update={"entities": tuple(kept), "relations": ()})
    back = through("cmdd", extraction)
    wanted = [(e.label, e.span, {k: v for k, v in e.attributes.items() if v in ("present", "absent")}) for e in kept]
    assert (back.note.text, [(e.label, e.span, e.attributes) for e in back.entities]) == (text, wanted)
