"""medllm's own JSON lines: the exact form, and what is refused."""

import json
import stat

import pytest

from medllm.document import Assertion, Entity, Extraction, Note, Relation, Vote, any_entity
from medllm.errors import FormatError
from medllm.formats import jsonl
from medllm.schema import Schema


class Problem(Entity):
    """A problem."""

    assertion: Assertion = Assertion.PRESENT


class Drug(Entity):
    """A drug."""


class Treats(Relation[Drug, Problem]):
    """The drug is given for the problem."""


SCHEMA = Schema("jsonl-test", entities=[Problem, Drug], relations=[Treats])
TEXT = "Aspirin for Qwyzzk pain."


def extraction() -> Extraction:
    vote = Vote(reader="llm", model="m", placed="grammar", score=0.93)
    drug = Drug.at(TEXT, 0, 7, id="T1", codes=("MESH:D001241",), votes=(vote,))
    pain = Problem.at(TEXT, 12, 18, 19, 23, id="T2", assertion=Assertion.POSSIBLE, confidence=0.5)
    return Extraction(
        note=Note(id="a/b", text=TEXT, meta={"ward": "B2"}), entities=(drug, pain), relations=(Treats(id="R1", head=drug, tail=pain),)
    )


def record() -> dict:
    return json.loads(jsonl.dump(extraction()))


def test_the_form_is_the_documented_one():
    assert record() == {
        "version": 1,
        "note_id": "a/b",
        "sha256": Note(id="x", text=TEXT).sha256,
        "text": TEXT,
        "meta": {"ward": "B2"},
        "entities": [
            {
                "id": "T1",
                "label": "drug",
                "spans": [[0, 7]],
                "text": "Aspirin",
                "attributes": {},
                "codes": ["MESH:D001241"],
                "confidence": None,
                "votes": [{"reader": "llm", "model": "m", "placed": "grammar", "score": 0.93}],
            },
            {
                "id": "T2",
                "label": "problem",
                "spans": [[12, 18], [19, 23]],
                "text": "Qwyzzk pain",
                "attributes": {"assertion": "possible"},
                "codes": [],
                "confidence": 0.5,
                "votes": [],
            },
        ],
        "relations": [{"id": "R1", "label": "Treats", "head": "T1", "tail": "T2", "confidence": None, "votes": []}],
        "ledger": [],
    }


def test_with_a_schema_the_classes_come_back():
    back = jsonl.load(jsonl.dump(extraction()), SCHEMA)
    assert back.of(Problem)[0].assertion is Assertion.POSSIBLE
    assert back.relations_of(Treats)[0].head is back.entities[0]


def test_missing_and_repeated_ids_are_given():
    first, second, third = (any_entity("x").at("abc", n, n + 1, id=name) for n, name in enumerate(["", "T1", "T1"]))
    back = jsonl.load(jsonl.dump(Extraction(note=Note(id="n", text="abc"), entities=(first, second, third))))
    assert [e.id for e in back.entities] == ["T2", "T1", "T3"]


def test_a_relation_to_a_foreign_mention_is_refused():
    drug, pain = extraction().entities
    with pytest.raises(FormatError, match="points at a mention"):
        jsonl.dump(Extraction(note=extraction().note, entities=(drug,), relations=(Treats(head=drug, tail=pain),)))


def test_infinity_is_refused():
    entity = any_entity("x").at("abc", 0, 1, confidence=float("inf"))
    with pytest.raises(FormatError):
        jsonl.dump(Extraction(note=Note(id="n", text="abc"), entities=(entity,)))


def broken(**changes: object) -> str:
    return json.dumps(record() | changes)


def broken_entity(number: int = 1, **changes: object) -> str:
    data = record()
    data["entities"][number] |= changes
    return json.dumps(data)


FAULTS = {
    "not JSON": '{"text": "Qwyzzk',
    "a list": "[]",
    "another version": broken(version=2),
    "no version": json.dumps({"id": "n", "text": "Qwyzzk"}),
    "nested too deep": "[" * 100_000,
    "no text": json.dumps({k: v for k, v in record().items() if k != "text"}),
    "empty id": broken(note_id=""),
    "changed text": broken(text=TEXT + " "),
    "text of another kind": broken(text=["Qwyzzk"]),
    "span outside": broken_entity(spans=[[12, 999]]),
    "span reversed": broken_entity(spans=[[18, 12]]),
    "span negative": broken_entity(spans=[[-3, 2]]),
    "span of three": broken_entity(spans=[[12, 18, 19]]),
    "no span": broken_entity(spans=[], text=""),
    "span shifted": broken_entity(spans=[[11, 17], [19, 23]]),
    "parts out of order": broken_entity(spans=[[19, 23], [12, 18]], text="pain Qwyzzk"),
    "text of another place": broken_entity(text="Qwyzzk"),
    "float offset": broken_entity(spans=[[12.5, 18], [19, 23]]),
    "id repeated": broken_entity(id="T1"),
    "unknown label": broken_entity(label="disease"),
    "unknown attribute": broken_entity(attributes={"severity": "Qwyzzk"}),
    "unknown value": broken_entity(attributes={"assertion": "Qwyzzk"}),
    "attribute named text": broken_entity(attributes={"text": "Qwyzzk"}),
    "vote broken": broken_entity(votes=[{"model": "Qwyzzk"}]),
    "relation to nothing": broken(relations=[record()["relations"][0] | {"head": "T9"}]),
    "relation ill typed": broken(relations=[record()["relations"][0] | {"head": "T2", "tail": "T1"}]),
    "relation unknown": broken(relations=[record()["relations"][0] | {"label": "treats"}]),
}


@pytest.mark.parametrize("line", FAULTS.values(), ids=FAULTS)
def test_faults_name_file_and_line_and_never_the_text(tmp_path, line):
    path = tmp_path / "x.jsonl"
    path.write_text(jsonl.dump(extraction()) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        list(jsonl.read(path, SCHEMA))
    assert str(caught.value).startswith(f"{path}:3: ")
    assert (caught.value.path, caught.value.line) == (str(path), 3)
    assert caught.value.hint
    assert "Qwyzzk" not in str(caught.value) + caught.value.hint
    assert caught.value.__cause__ is None


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b"\xff\n")
    for name in ("x.jsonl", "gone.jsonl"):
        with pytest.raises(FormatError):
            list(jsonl.read(tmp_path / name))


def test_files_are_private_and_streamed(tmp_path):
    path = tmp_path / "new" / "x.jsonl"
    jsonl.write(path, (extraction() for _ in range(3)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    reading = jsonl.read(path)
    assert next(reading).note == extraction().note
    assert len(list(reading)) == 2
    with pytest.raises(FormatError):
        jsonl.write(path / "below", [])
