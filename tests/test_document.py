"""Spans, mentions, relations and extractions as values."""

import hashlib

import pytest
from pydantic import ValidationError

from medllm.document import Assertion, Entity, Extraction, Modifier, Note, Relation, Span, any_entity, any_relation, sha256, snake_case
from medllm.schemas.clinical import BodyLocation, Drug, DrugModifier, Problem, ProblemModifier, Strength

TEXT = "No severe left knee pain on aspirin 81 mg. 头痛 💊 pain."


def at(kind: type[Entity], text: str) -> Entity:
    start = TEXT.index(text)
    return kind.at(TEXT, start, start + len(text))


@pytest.mark.parametrize(("start", "end"), [(3, 3), (4, 3), (-1, 2)])
def test_a_span_holds_at_least_one_character(start: int, end: int) -> None:
    with pytest.raises(ValidationError):
        Span(start=start, end=end)


def test_spans_are_half_open_code_points() -> None:
    start = TEXT.index("头痛")
    span = Span(start=start, end=start + 2)
    assert (span.of(TEXT), len(span)) == ("头痛", 2)
    assert Span(start=start + 3, end=start + 4).of(TEXT) == "💊"
    assert not span.overlaps(Span(start=start + 2, end=start + 3))
    assert span.overlaps(Span(start=start + 1, end=start + 9))


def test_everything_is_frozen() -> None:
    note = Note(id="n", text=TEXT)
    mention = Problem.at(TEXT, 20, 24)
    extraction = Extraction(note=note, entities=(mention,))
    for thing, name, value in ((note, "text", "x"), (mention, "assertion", Assertion.ABSENT), (extraction, "entities", ())):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(thing, name, value)


def test_the_hash_of_a_note_is_that_of_its_text_in_utf_8() -> None:
    assert Note(id="a", text=TEXT).sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    assert Note(id="a", text="x").sha256 == Note(id="b", text="x", meta={"ward": "3"}).sha256
    assert sha256("\ud800") != sha256("\ud801")


@pytest.mark.parametrize(
    ("name", "label"), [("Problem", "problem"), ("BodyLocation", "body_location"), ("HTTPCode", "http_code"), ("TNMStage2", "tnm_stage2")]
)
def test_labels_are_the_class_names_in_snake_case(name: str, label: str) -> None:
    assert snake_case(name) == label
    assert type(name, (Entity,), {"__doc__": "A test.", "__module__": __name__}).label == label


def test_a_label_can_be_given_and_is_not_inherited() -> None:
    class Body(Entity, label="bodyloc"):
        """A part of the body."""

    class LeftSide(Body):
        """A left one."""

    class Goes(Relation[Body, LeftSide], label="hasAttr"):
        """A relation."""

    assert (Body.label, LeftSide.label, Goes.label, DrugModifier.label) == ("bodyloc", "left_side", "hasAttr", "hasAttr")
    assert (any_entity("TIMEX3").label, any_relation("TLINK").label) == ("TIMEX3", "TLINK")
    assert any_entity("TIMEX3") is any_entity("TIMEX3")


def test_a_mention_holds_its_own_text_and_place() -> None:
    mention = Problem.at(TEXT, 10, 14, 20, 24, assertion="absent", codes=("SNOMED:22253000",))
    assert (mention.text, mention.span) == ("left pain", Span(start=10, end=24))
    assert mention.attributes == {"assertion": Assertion.ABSENT}
    assert mention.sort_key() == (10, 24, "problem")


@pytest.mark.parametrize("offsets", [(), (20, 24, 10, 14), (10, 20, 15, 24), (10,)])
def test_the_parts_of_a_mention_are_in_order_and_apart(offsets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"parts|shorter|at least"):
        Problem.at(TEXT, *offsets)


def test_an_offset_without_its_partner_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Entity.at(TEXT, 0, 2, 5)


def test_an_attribute_is_one_of_its_closed_set() -> None:
    with pytest.raises(ValidationError):
        Problem.at(TEXT, 20, 24, assertion="perhaps")
    with pytest.raises(ValidationError):
        Drug.at(TEXT, 28, 35, dose="81 mg")


def test_the_signature_of_a_relation_is_its_generic_arguments() -> None:
    assert DrugModifier.heads() == (Drug,)
    assert Strength in DrugModifier.tails()
    assert BodyLocation not in DrugModifier.tails()

    class Either(Relation[Drug | Problem, Problem]):
        """One of two heads."""

    assert (Either.heads(), Either.tails()) == ((Drug, Problem), (Problem,))


def test_an_ill_typed_relation_is_refused() -> None:
    drug, strength, body = at(Drug, "aspirin"), at(Strength, "81 mg"), at(BodyLocation, "left knee")
    relation = DrugModifier(head=drug, tail=strength)
    assert (relation.head, relation.tail) == (drug, strength)
    for kind, head, tail in ((DrugModifier, strength, drug), (DrugModifier, drug, body), (ProblemModifier, drug, strength)):
        with pytest.raises(ValidationError):
            kind(head=head, tail=tail)


def test_an_extraction_gives_objects_by_their_class() -> None:
    drug, strength, pain, knee = at(Drug, "aspirin"), at(Strength, "81 mg"), at(Problem, "pain"), at(BodyLocation, "left knee")
    links = (DrugModifier(head=drug, tail=strength), ProblemModifier(head=pain, tail=knee))
    extraction = Extraction(note=Note(id="n", text=TEXT), entities=(knee, pain, drug, strength), relations=links)
    assert extraction.of(Problem) == (pain,)
    assert extraction.of(Modifier) == (knee, strength)
    assert extraction.of(Entity) == extraction.entities
    assert extraction.relations_of(DrugModifier) == links[:1]
    assert extraction.relations[0].head is extraction.of(Drug)[0]


def test_a_dump_keeps_what_subclasses_add() -> None:
    mention = Problem.at(TEXT, 20, 24, assertion=Assertion.POSSIBLE)
    dumped = Extraction(note=Note(id="n", text=TEXT), entities=(mention,)).model_dump(mode="json")
    assert dumped["entities"][0]["assertion"] == "possible"
