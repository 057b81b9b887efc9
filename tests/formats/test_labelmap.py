"""Label maps: the shipped ones against their packs, and what a map may and may not say."""

from pathlib import Path

import pytest

import medllm
from medllm.document import Assertion, Extraction, Note, any_entity, any_relation
from medllm.errors import FormatError
from medllm.formats import labelmap
from medllm.schema import Schema

FOLDER = Path(medllm.__file__).parents[1] / "evals" / "labelmaps"
SHIPPED = sorted(FOLDER.glob("*.toml"))
CLINICAL = Schema.load("clinical")

TEXT = "No fever or chills. Mother had cancer. Aspirin 81 mg."
MAP = """
corpus = "mine"
schema = "clinical"

[entities]
Sign = "problem"
Cue = "negation"
Person = "subject"
Drug = "drug"
Strength = "strength"

[relations]
hasAttr = "hasAttr"
Strength-Drug = { to = "hasAttr", reverse = true }

[ignored]
entities = ["Age"]
relations = ["before"]

[[attributes]]
name = "POLARITY"
to = "assertion"
values = { MAYBE = "possible" }

[[modifiers]]
modifier = "subject"
attribute = "assertion"
value = "associated_with_someone_else"

[[modifiers]]
modifier = "negation"
attribute = "assertion"
value = "absent"
"""


def load(tmp_path, content: str = MAP) -> labelmap.LabelMap:
    (tmp_path / "m.toml").write_text(content)
    return labelmap.load(tmp_path / "m.toml")


def at(label: str, word: str, **fields):
    start = TEXT.index(word)
    return any_entity(label).at(TEXT, start, start + len(word), id=word, **fields)


def extraction(*entities, relations=()) -> Extraction:
    return Extraction(note=Note(id="n", text=TEXT), entities=entities, relations=relations)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="evals/ is not part of the installed package")
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_maps_fit_their_packs(path):
    found = labelmap.load(path)
    assert path.stem == f"{found.corpus}-to-{found.schema_name}"
    labelmap.check(found, Schema.load(found.schema_name))


def test_mentions_and_relations_become_those_of_the_pack(tmp_path):
    no, fever = at("Cue", "No"), at("Sign", "fever", codes=("MESH:D005334",))
    chills, mother, cancer = at("Sign", "chills", POLARITY="MAYBE"), at("Person", "Mother"), at("Sign", "cancer", POLARITY="NEG")
    drug, strength, age = at("Drug", "Aspirin"), at("Strength", "81 mg"), at("Age", "had")
    relations = (
        any_relation("hasAttr")(id="R1", head=fever, tail=no),
        any_relation("hasAttr")(head=cancer, tail=mother),
        any_relation("hasAttr")(head=cancer, tail=no),
        any_relation("Strength-Drug")(id="R4", head=strength, tail=drug),
        any_relation("before")(head=fever, tail=cancer),
        any_relation("hasAttr")(head=fever, tail=age),
        any_relation("hasAttr")(head=no, tail=fever),
    )
    source = extraction(no, fever, chills, mother, age, cancer, drug, strength, relations=relations)
    found = labelmap.apply(source, load(tmp_path), CLINICAL)
    assert found.note == source.note
    assert [(e.label, e.id, str(e.attributes.get("assertion", ""))) for e in found.entities] == [
        ("negation", "No", ""),
        ("problem", "fever", "absent"),
        ("problem", "chills", "possible"),
        ("subject", "Mother", ""),
        ("problem", "cancer", "associated_with_someone_else"),
        ("drug", "Aspirin", ""),
        ("strength", "81 mg", ""),
    ]
    assert found.entities[1].codes == ("MESH:D005334",)
    assert [(r.id, r.label, r.head.text, r.tail.text) for r in found.relations] == [
        ("R1", "hasAttr", "fever", "No"),
        ("", "hasAttr", "cancer", "Mother"),
        ("", "hasAttr", "cancer", "No"),
        ("R4", "hasAttr", "Aspirin", "81 mg"),
    ]
    assert all(any(end is e for e in found.entities) for r in found.relations for end in (r.head, r.tail))
    assert [type(e) for e in found.entities[:2]] == [CLINICAL.entity("negation"), CLINICAL.entity("problem")]


def test_attributes_of_the_same_name_need_no_rule(tmp_path):
    found = labelmap.apply(extraction(at("Sign", "fever", assertion="hypothetical", other="x")), load(tmp_path), CLINICAL)
    assert found.entities[0].attributes == {"assertion": Assertion.HYPOTHETICAL}


def test_labels_that_the_map_lacks_are_errors(tmp_path):
    mapped = load(tmp_path)
    with pytest.raises(FormatError, match="no entity label 'Finding'") as caught:
        labelmap.apply(extraction(at("Finding", "fever")), mapped, CLINICAL)
    assert "[ignored]" in caught.value.hint
    fever = at("Sign", "fever")
    with pytest.raises(FormatError, match="no relation label 'causes'"):
        labelmap.apply(extraction(fever, relations=(any_relation("causes")(head=fever, tail=fever),)), mapped, CLINICAL)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('Sign = "problem"', 'Sign = "finding"', "entity label 'finding'"),
        ('hasAttr = "hasAttr"', 'hasAttr = "has"', "relation 'has'"),
        ('modifier = "subject"', 'modifier = "person"', "entity label 'person'"),
        ('MAYBE = "possible"', 'MAYBE = "maybe"', "attribute 'assertion = maybe'"),
        ('value = "absent"', 'value = "gone"', "attribute 'assertion = gone'"),
    ],
)
def test_what_the_pack_lacks_is_an_error(tmp_path, old, new, message):
    with pytest.raises(FormatError, match=message):
        labelmap.check(load(tmp_path, MAP.replace(old, new)), CLINICAL)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("corpus = ", "not TOML"),
        ('corpus = "x"', "schema_name: Field required"),
        (MAP.replace("[ignored]", "[ignore]"), "ignore: Extra inputs"),
        (MAP.replace('["Age"]', '["Sign"]'), "'Sign' is both mapped and ignored"),
        (MAP.replace("reverse = true", "reverse = 3.5"), "relations"),
    ],
)
def test_files_that_are_no_maps(tmp_path, content, message):
    with pytest.raises(FormatError, match=message) as caught:
        load(tmp_path, content)
    assert "m.toml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        labelmap.load(tmp_path / "none.toml")


def test_an_attribute_that_the_pack_demands(tmp_path):
    from enum import StrEnum

    from medllm.document import Entity

    class Kind(StrEnum):
        A = "a"

    class Thing(Entity):
        """A thing."""

        kind: Kind

    schema = Schema("demanding", entities=[Thing])
    mapped = load(tmp_path, 'corpus = "x"\nschema = "demanding"\n[entities]\nSign = "thing"\n')
    with pytest.raises(FormatError, match="has no kind"):
        labelmap.apply(extraction(at("Sign", "fever")), mapped, schema)
