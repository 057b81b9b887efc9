"""Schema packs: what is read out of their classes, their JSON form, and what is wrong with broken ones."""

import enum
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from medllm.document import Assertion, Entity, Extraction, Modifier, Note, Relation
from medllm.errors import SchemaError
from medllm.schema import Schema, attributes, guideline, shipped_packs
from medllm.schemas import clinical, i2b2_2010


class Grade(enum.StrEnum):
    MILD = "mild"
    SEVERE = "severe"


class Reaction(Entity):
    """An adverse reaction,
    as written.
    """

    grade: Grade
    serious: bool = False
    course: Literal["new", "known"] = "new"
    assertion: Assertion = Assertion.PRESENT


class Medicine(Entity, label="drug"):
    """A medicine."""


class Dose(Modifier):
    """Its dose."""


class HasDose(Relation[Medicine, Dose]):
    """The medicine's dose."""


class Causes(Relation[Medicine, Reaction]):
    """The medicine caused the reaction."""


SCHEMA = Schema("reactions", [Reaction, Medicine, Dose], [HasDose, Causes], description="Reactions.", nested=True)

PACK = '''
from medllm import Entity, Relation, Schema

class Device(Entity):
    """An implanted device."""

class Trouble(Entity):
    """Something wrong with it."""
    serious: bool = False

class Of(Relation[Trouble, Device]):
    """The trouble is with the device."""

schema = Schema("mine", [Device, Trouble], [Of])
'''


def packed(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# --- what is read out of the classes ---


def test_what_is_asked_line_by_line_mention_by_mention_and_over_pairs() -> None:
    assert SCHEMA.labels == ("reaction", "drug", "dose")
    assert (SCHEMA.main_entities, SCHEMA.modifiers, SCHEMA.pair_relations) == ((Reaction, Medicine), (Dose,), (Causes,))
    assert SCHEMA.relations_between("drug", "dose") == (HasDose,)
    assert SCHEMA.relations_between("dose", "drug") == ()
    assert SCHEMA.entity("drug") is Medicine


def test_attributes_are_closed_sets_with_a_default_or_must_be_answered() -> None:
    found = {a.name: (a.values, a.default) for a in attributes(Reaction)}
    assert found == {
        "grade": (("mild", "severe"), None),
        "serious": (("yes", "no"), "no"),
        "course": (("new", "known"), "new"),
        "assertion": (tuple(Assertion), "present"),
    }
    assert guideline(Reaction) == "An adverse reaction,\nas written."


def test_an_unknown_label_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(SchemaError) as caught:
        SCHEMA.entity("droog")
    assert "droog" in str(caught.value)
    assert caught.value.hint == "its labels are reaction, drug, dose"


def test_shipped_packs_load_by_either_spelling() -> None:
    assert shipped_packs() == (
        "case-report",
        "clinical",
        "clinical-zh",
        "i2b2-2010",
        "n2c2-2018",
        "pharmacovigilance",
        "trial-eligibility",
    )
    assert Schema.load("clinical") is clinical.schema
    assert Schema.load("i2b2-2010") is Schema.load("i2b2_2010") is i2b2_2010.schema
    assert Schema.load(SCHEMA) is SCHEMA


@pytest.mark.parametrize("name", ["clinical", "clinical-zh", "i2b2-2010", "n2c2-2018"])
def test_every_class_of_the_shipped_packs_has_a_guideline(name: str) -> None:
    schema = Schema.load(name)
    assert all(guideline(cls) for cls in (*schema.entities, *schema.relations))


# --- the JSON form ---


@pytest.mark.parametrize("schema", [SCHEMA, clinical.schema, i2b2_2010.schema], ids=lambda s: s.name)
def test_the_json_form_gives_the_same_classes(schema: Schema) -> None:
    again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again.digest == schema.digest
    assert again.to_json() == schema.to_json()
    for old, new in zip((*schema.entities, *schema.relations), (*again.entities, *again.relations), strict=True):
        assert (new.__name__, new.label, guideline(new)) == (old.__name__, old.label, guideline(old))
    for old, new in zip(schema.entities, again.entities, strict=True):
        assert attributes(new) == attributes(old)
        assert issubclass(new, Modifier) == issubclass(old, Modifier)
    for old, new in zip(schema.relations, again.relations, strict=True):
        assert [c.__name__ for c in new.heads()] == [c.__name__ for c in old.heads()]
        assert [c.__name__ for c in new.tails()] == [c.__name__ for c in old.tails()]
    assert (again.nested, again.examples, again.description, again.language) == (
        schema.nested,
        schema.examples,
        schema.description,
        schema.language,
    )


def test_the_classes_of_the_json_form_refuse_what_the_pack_refuses() -> None:
    again = Schema.from_json(SCHEMA.to_json())
    reaction, drug, causes = again.entity("reaction"), again.entity("drug"), again.relations[1]
    mention = reaction.at("rash from aspirin", 0, 4, grade="mild")
    assert mention.attributes == {"grade": "mild", "serious": "no", "course": "new", "assertion": "present"}
    with pytest.raises(ValueError, match="grade"):
        reaction.at("rash", 0, 4)
    with pytest.raises(ValueError, match="head"):
        causes(head=mention, tail=mention)
    assert causes(head=drug.at("rash from aspirin", 10, 17), tail=mention).label == "Causes"


def test_the_digest_follows_what_is_asked_and_in_which_words() -> None:
    class Other(Entity, label="drug"):
        """Another guideline."""

    digests = {
        SCHEMA.digest,
        Schema("reactions", [Reaction, Medicine, Dose], [HasDose, Causes], description="Others.", nested=True).digest,
        Schema("reactions", [Reaction, Medicine, Dose], [HasDose, Causes], description="Reactions.").digest,
        Schema("x", [Medicine]).digest,
        Schema("x", [Other]).digest,
    }
    assert len(digests) == 5
    assert Schema("x", [Medicine], source="a.py").digest == Schema("x", [Medicine], source="b.py").digest


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("entities"),
        lambda data: data.update(format="something"),
        lambda data: data.update(version=99),
        lambda data: data["relations"][0].update(heads=["nobody"]),
        lambda data: data["relations"][0].update(tails=[]),
        lambda data: data["entities"][0]["attributes"][0].update(values=[]),
        lambda data: data["entities"][0]["attributes"][0].update(name="_hidden"),
        lambda data: data["entities"].__setitem__(0, "problem"),
    ],
)
def test_a_broken_json_form_is_one_clear_error(change: Callable[[dict[str, object]], object], tmp_path: Path) -> None:
    data = SCHEMA.to_json()
    change(data)
    file = packed(tmp_path / "schema.json", json.dumps(data))
    with pytest.raises(SchemaError) as caught:
        Schema.load(file)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff"])
def test_a_file_that_is_no_schema_is_one_clear_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "schema.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SchemaError):
        Schema.load(file)
    with pytest.raises(SchemaError, match="cannot be read"):
        Schema.load(tmp_path / "missing.json")


# --- restrict ---


def test_restrict_keeps_the_labels_and_what_is_left_of_the_relations() -> None:
    some = clinical.schema.restrict(["drug", "strength", "problem"])
    assert some.labels == ("problem", "drug", "strength")
    (left,) = some.relations
    assert issubclass(left, clinical.DrugModifier)
    assert ([c.label for c in left.heads()], [c.label for c in left.tails()]) == (["drug"], ["strength"])
    assert guideline(left) == guideline(clinical.DrugModifier)
    assert Schema.from_json(some.to_json()).digest == some.digest != clinical.schema.digest
    text = "aspirin 81 mg"
    relation = left(head=clinical.Drug.at(text, 0, 7), tail=clinical.Strength.at(text, 8, 13))
    extraction = Extraction(note=Note(id="n", text=text), entities=(relation.head, relation.tail), relations=(relation,))
    assert extraction.relations_of(clinical.DrugModifier) == (relation,)


def test_restrict_to_everything_changes_nothing() -> None:
    same = clinical.schema.restrict(clinical.schema.labels)
    assert (same.digest, same.relations) == (clinical.schema.digest, clinical.schema.relations)


def test_restrict_refuses_unknown_labels_and_modifiers_of_nothing() -> None:
    with pytest.raises(SchemaError, match="'droog'"):
        clinical.schema.restrict(["drug", "droog"])
    with pytest.raises(SchemaError, match="'strength'") as caught:
        clinical.schema.restrict(["problem", "strength"])
    assert "drug" in caught.value.hint
    with pytest.raises(SchemaError, match="no entity classes"):
        clinical.schema.restrict([])


# --- the user's own file ---


def test_a_pack_is_loaded_by_path(tmp_path: Path) -> None:
    schema = Schema.load(packed(tmp_path / "mine.py", PACK))
    assert (schema.name, schema.labels, schema.source) == ("mine", ("device", "trouble"), str(tmp_path / "mine.py"))
    assert Schema.load(str(tmp_path / "mine.py")).digest == schema.digest


def test_a_pack_may_put_off_its_annotations(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nimport enum\n" + PACK.replace("serious: bool = False", "size: Size = Size.BIG").replace(
        "class Device", 'class Size(enum.Enum):\n    BIG = "big"\n    SMALL = "small"\n\nclass Device'
    )
    schema = Schema.load(packed(tmp_path / "mine.py", text))
    (size,) = attributes(schema.entity("trouble"))
    assert (size.values, size.default) == (("big", "small"), "big")


def test_a_pack_is_read_again_when_its_file_has_changed(tmp_path: Path) -> None:
    file = packed(tmp_path / "mine.py", PACK)
    before = Schema.load(file)
    packed(file, PACK.replace("An implanted device.", "Any device at all, implanted or not."))
    assert Schema.load(file).digest != before.digest


def test_a_pack_that_the_program_has_imported_gives_the_program_s_own_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed(tmp_path / "own_devices.py", PACK)
    monkeypatch.syspath_prepend(tmp_path)
    import own_devices  # type: ignore[import-not-found]

    try:
        assert Schema.load(tmp_path / "own_devices.py") is own_devices.schema
    finally:
        del sys.modules["own_devices"]


UNLINKED = PACK.replace("import Entity", "import Entity, Modifier").replace("Trouble], [Of]", "Trouble, Size], [Of]")
UNLINKED = UNLINKED.replace("class Of", 'class Size(Modifier):\n    """How big it is."""\n\nclass Of')

BROKEN = {
    "syntax error": ("class Device(Entity:\n", "SyntaxError"),
    "no schema": ("x = 1\n", "no module-level `schema`"),
    "another schema": ("schema = 'clinical'\n", "no module-level `schema`"),
    "failing import": ("import nothing_of_this_name\n", "nothing_of_this_name"),
    "duplicate label": (PACK.replace("[Device, Trouble]", "[Device, Trouble, Device]"), "label 'device'"),
    "free text": (PACK.replace("serious: bool = False", "name: str"), "Trouble.name is not a closed set"),
    "unknown class": (PACK.replace("[Device, Trouble]", "[Trouble]"), "'Device'"),
    "modifier of nothing": (UNLINKED, "nothing leads to the modifier 'size'"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_pack_is_one_clear_error_that_names_the_file(tmp_path: Path, what: str) -> None:
    text, said = BROKEN[what]
    file = packed(tmp_path / "mine.py", text)
    with pytest.raises(SchemaError) as caught:
        Schema.load(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert caught.value.hint


def test_what_is_not_there_is_an_error_that_names_the_shipped_packs(tmp_path: Path) -> None:
    for name in ("clinicle", str(tmp_path / "mine.py")):
        with pytest.raises(SchemaError) as caught:
            Schema.load(name)
        assert "clinical, clinical-zh, i2b2-2010, n2c2-2018" in caught.value.hint


# --- contradictions, each in one error ---


class Bare(Relation):  # type: ignore[type-arg]
    """Without its two types."""


class Blank(Relation[Medicine, Reaction], label="has reaction"):
    """Not a word."""


class Also(Relation[Medicine, Reaction], label="Causes"):
    """The label of another, between the same."""


class Mixed(Relation[Medicine, Dose | Reaction]):
    """To a modifier and to another."""


class FromModifier(Relation[Dose, Medicine]):
    """From a modifier."""


class Bracket(Entity):
    kind: Literal["a (b)", "c"] = "c"


class Number(Entity):
    stage: Literal[1, 2] = 1


class Astray(Entity):
    kind: Literal["a", "b"] = "c"  # type: ignore[assignment]


class Maybe(Entity):
    kind: Literal["a", "b"] | None = None


class Spaced(Entity, label="a b"):
    pass


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pydantic warns of the name too

    class Shadow(Entity):
        span: Literal["long", "short"] = "long"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("entities", "relations", "said"),
    [
        ([], [], "no entity classes"),
        ([Medicine, Reaction], [Bare], "'Bare'"),
        ([Medicine, Reaction], [Blank], "'has reaction' is not a word"),
        ([Medicine, Reaction], [Causes, Also], "two relation classes are 'Causes' from 'drug' to 'reaction'"),
        ([Medicine, Reaction, Dose], [Mixed], "mixes modifiers"),
        ([Medicine, Dose], [FromModifier], "mixes modifiers"),
        ([Medicine, Dose], [], "nothing leads to the modifier 'dose'"),
        ([Medicine], [Causes], "'Reaction'"),
        ([Bracket], [], "Bracket.kind"),
        ([Number], [], "Number.stage is not a closed set of strings"),
        ([Maybe], [], "Maybe.kind is not a closed set of strings"),
        ([Astray], [], "default of Astray.kind"),
        ([Spaced], [], "'a b' is not a word"),
        ([Shadow], [], "'span'"),
        ([int], [], "no subclass of Entity"),
        (["problem"], [], "no subclass of Entity"),
        ([Medicine], [Medicine], "no subclass of Relation"),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(entities: list[type], relations: list[type], said: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema("mine", entities, relations)
    assert said in str(caught.value)
    assert caught.value.hint


def test_discontinuous_implies_nested() -> None:
    assert Schema("x", [Medicine], discontinuous=True).nested
    assert not Schema("x", [Medicine]).nested


def test_relations_of_one_group_are_asked_together_and_the_json_form_keeps_it() -> None:
    schema = Schema.load("clinical-zh")
    again = Schema.from_json(schema.to_json())
    for one in (schema, again, schema.restrict(["disease", "symptom", "anatomy", "drug"])):
        assert {tuple(r.group for r in group) for group in one.relation_groups} <= {
            ("findings",) * 3,
            ("findings",) * 2,
            ("care",) * 4,
            ("care",),
        }
    assert [[r.label for r in group] for group in again.relation_groups] == [
        ["has_symptom", "located_in", "complication"],
        ["treated_with_drug", "treated_by_procedure", "examined_by", "cared_for_in"],
    ]
    assert len(Schema.load("i2b2-2010").relation_groups) == 1
    assert "group" not in str(Schema.load("i2b2-2010").to_json())
