"""CMeEE and CMeIE: files written for the project."""

import json
from typing import Any

import pytest

from medllm.errors import FormatError
from medllm.formats import cmeee, cmeie
from medllm.formats.base import Parsed

TEXT = "(5)房室结消融治疗心动过速"


def put(tmp_path, value, name="x.json"):
    (tmp_path / name).write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1))
    return tmp_path / name


def told(parsed: list[Parsed]) -> list[tuple[int | None, str]]:
    assert not any("Qwyzzk" in problem.detail for one in parsed for problem in one.problems)
    return [(p.line, p.kind) for one in parsed for p in one.problems]


def entities(shift: int = 0) -> list[dict[str, object]]:
    return [
        {"start_idx": 3, "end_idx": 7 + shift, "type": "pro", "entity": "房室结消融"},
        {"start_idx": 3, "end_idx": 5 + shift, "type": "bod", "entity": "房室结"},
    ]


def test_cmeee_ends_are_inclusive_and_mentions_nest(tmp_path):
    path = put(tmp_path, [{"text": TEXT, "entities": entities()}, {"text": "好", "entities": []}])
    parsed = list(cmeee.read(path))
    assert told(parsed) == []
    assert [p.extraction.note.id for p in parsed] == ["x/1", "x/2"]
    assert [(e.label, e.text) for e in parsed[0].extraction.entities] == [("bod", "房室结"), ("pro", "房室结消融")]
    writer = cmeee.Writer(tmp_path / "out")
    for one in parsed:
        writer.write(one.extraction)
    writer.close()
    (out,) = (tmp_path / "out").iterdir()
    assert json.loads(out.read_text()) == [{"text": TEXT, "entities": entities()[::-1]}, {"text": "好", "entities": []}]


def test_cmeee_copies_with_exclusive_ends(tmp_path):
    parsed = list(cmeee.read(put(tmp_path, [{"text": TEXT, "entities": entities(1)}])))
    assert [e.text for e in parsed[0].extraction.entities] == ["房室结", "房室结消融"]
    assert told(parsed) == [(None, "text-mismatch")]


def test_cmeee_an_empty_array(tmp_path):
    writer = cmeee.Writer(tmp_path / "x.json")
    writer.close()
    assert list(cmeee.read(tmp_path / "x.json")) == []


@pytest.mark.parametrize(
    ("entity", "kind"),
    [
        ({"start_idx": 0, "end_idx": 99, "type": "dis"}, "bad-span"),
        ({"start_idx": 4, "end_idx": 2, "type": "dis"}, "bad-span"),
        ({"start_idx": -1, "end_idx": 2, "type": "dis"}, "bad-span"),
        ({"start_idx": "0", "end_idx": 2, "type": "dis"}, "malformed-line"),
        ({"start_idx": True, "end_idx": 2, "type": "dis"}, "malformed-line"),
        ({"start_idx": 0, "end_idx": 2}, "malformed-line"),
        ({"start_idx": 0, "end_idx": 1, "type": "dis", "entity": "Qwyzzk"}, "text-mismatch"),
        ({"start_idx": 0, "end_idx": 1, "type": ""}, "unknown-label"),
        ("Qwyzzk", "malformed-line"),
    ],
)
def test_cmeee_bad_mentions(tmp_path, entity, kind):
    lines = [json.dumps(one, ensure_ascii=False) for one in (*entities(), entity)]
    parsed = list(cmeee.read(put(tmp_path, '[\n{"text": "' + TEXT + '", "entities": [\n' + ",\n".join(lines) + "\n]}\n]")))
    assert told(parsed) == [(2 if isinstance(entity, str) else 5, kind)]
    assert {"房室结", "房室结消融"} <= {e.text for e in parsed[0].extraction.entities}


def test_cmeee_bad_texts(tmp_path):
    good = {"text": TEXT, "entities": entities()}
    parsed = list(cmeee.read(put(tmp_path, [{"entities": []}, 7, {"text": "Qwyzzk", "entities": 7}, good])))
    assert [p.extraction.note.id for p in parsed] == ["x/3", "x/4"]
    assert [kind for _, kind in told(parsed)] == ["malformed-line"] * 3
    with pytest.raises(FormatError, match="no note can be read"):
        list(cmeee.read(put(tmp_path, "Qwyzzk")))


LINE: dict[str, Any] = {
    "text": "麻风病用利福平,利福平治麻风病。",
    "spo_list": [
        {
            "Combined": False,
            "predicate": "药物治疗",
            "subject": "麻风病",
            "subject_type": "疾病",
            "object": {"@value": "利福平"},
            "object_type": {"@value": "药物"},
        }
    ],
}


def lines(*items: object) -> str:
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)


def test_cmeie(tmp_path):
    path = put(tmp_path, lines(LINE, {"text": "好", "spo_list": []}))
    parsed = list(cmeie.read(path))
    assert told(parsed) == []
    extraction = parsed[0].extraction
    assert [(e.label, e.text, e.span.start, e.votes[0].placed) for e in extraction.entities] == [
        ("疾病", "麻风病", 0, "aligned"),
        ("药物", "利福平", 4, "aligned"),
    ]
    assert [(r.label, r.head.text, r.tail.text) for r in extraction.relations] == [("药物治疗", "麻风病", "利福平")]
    writer = cmeie.Writer(tmp_path / "out.json")
    for one in parsed:
        writer.write(one.extraction)
    writer.close()
    assert (tmp_path / "out.json").read_text() == path.read_text()


def test_cmeie_bad_triples(tmp_path):
    triple = LINE["spo_list"][0]
    bad = [triple | {"subject": "Qwyzzk"}, triple | {"object": {}}, triple | {"predicate": ""}, 7]
    parsed = list(cmeie.read(put(tmp_path, lines(LINE, LINE | {"spo_list": [*bad, triple]}, {"spo_list": []}, LINE | {"spo_list": 7}))))
    assert told(parsed) == [
        (2, "unknown-reference"),
        (2, "malformed-line"),
        (2, "malformed-line"),
        (2, "malformed-line"),
        (3, "malformed-line"),
        (4, "malformed-line"),
    ]
    assert [len(p.extraction.relations) for p in parsed] == [1, 1, 0]
    assert [p.extraction.note.id for p in parsed] == ["x/1", "x/2", "x/4"]
