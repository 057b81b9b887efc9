"""CMeEE, CMeIE, CCKS and CMDD: files written for the project."""

import json
from typing import Any

import pytest

from medllm.errors import FormatError
from medllm.evaluation.score import score
from medllm.formats import ccks, cmdd, cmeee, cmeie
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


def test_the_official_figure_is_strict_micro_f1(tmp_path):
    """CBLUE counts a nested mention as any other, by both edges and type, and a triple by its strings and types."""
    gold = {p.extraction.note.id: p.extraction for p in cmeee.read(put(tmp_path, [{"text": TEXT, "entities": entities()}]))}
    short = {"start_idx": 3, "end_idx": 5, "type": "pro", "entity": "房室结"}
    found = {p.extraction.note.id: p.extraction for p in cmeee.read(put(tmp_path, [{"text": TEXT, "entities": [entities()[0], short]}]))}
    assert score(gold, found, "exact").micro.f1 == pytest.approx(1 / 2)
    triple = LINE["spo_list"][0]
    wrong = triple | {"object": {"@value": "麻风病"}}
    triples = {p.extraction.note.id: p.extraction for p in cmeie.read(put(tmp_path, lines(LINE)))}
    answers = {p.extraction.note.id: p.extraction for p in cmeie.read(put(tmp_path, lines(LINE | {"spo_list": [triple, wrong]})))}
    assert score(triples, answers, "relations").micro.f1 == pytest.approx(2 / 3)


YIDU = "患者因胆石症、急性胆囊炎就诊。"
RECORD = {
    "originalText": YIDU,
    "entities": [
        {"label_type": "疾病和诊断", "overlap": 0, "start_pos": 3, "end_pos": 6},
        {"label_type": "疾病和诊断", "overlap": 0, "start_pos": 7, "end_pos": 12},
    ],
}


def test_ccks_ends_are_exclusive(tmp_path):
    path = put(tmp_path, "\ufeff" + lines(RECORD, {"originalText": "好", "entities": []}), "part1.txt")
    parsed = list(ccks.read(tmp_path))
    assert told(parsed) == []
    assert [p.extraction.note.id for p in parsed] == ["part1/1", "part1/2"]
    assert [e.text for e in parsed[0].extraction.entities] == ["胆石症", "急性胆囊炎"]
    writer = ccks.Writer(tmp_path / "out.txt")
    for one in parsed:
        writer.write(one.extraction)
    writer.close()
    assert (tmp_path / "out.txt").read_text() == path.read_text("utf-8-sig")


def test_ccks_bad_records(tmp_path):
    bad = [{"start_pos": 3, "label_type": "x"}, {"start_pos": 3, "end_pos": 99, "label_type": "x"}, 7, RECORD["entities"][0]]
    parsed = list(ccks.read(put(tmp_path, lines(RECORD | {"entities": bad}, {"text": "Qwyzzk"}, RECORD))))
    assert sorted(told(parsed)) == [(1, "bad-span"), (1, "malformed-line"), (1, "malformed-line"), (2, "malformed-line")]
    assert [len(p.extraction.entities) for p in parsed] == [1, 2]


def test_ccks_2017_ends_are_inclusive(tmp_path):
    put(tmp_path, "患者腹痛3天。", "病史-1.txtoriginal.txt")
    put(tmp_path, "腹痛\t2\t3\t症状和体征\n腹\t2\t2\t身体部位\nQwyzzk\t2\n", "病史-1.txt")
    put(tmp_path, "好", "病史-2.txtoriginal.txt")
    one, two = ccks.read(tmp_path)
    assert [(e.label, e.text) for e in one.extraction.entities] == [("身体部位", "腹"), ("症状和体征", "腹痛")]
    assert one.extraction.note.id == "病史-1"
    assert told([one, two]) == [(3, "malformed-line"), (None, "missing-file")]


DIALOGUE = {
    "example-id": "10",
    "dialogue-content": [
        {"speaker": "医生", "sentence": "有没有发烧", "label": "OOOBI", "normalized": ["发热"], "type": ["3"]},
        {"speaker": "患者", "sentence": "不烧，咳嗽", "label": "OBOBI", "normalized": ["发热", "咳嗽"], "type": ["2", "1"]},
        {"speaker": "患者", "sentence": "好的", "label": "OO", "normalized": [], "type": []},
    ],
}


def test_cmdd_symptoms_have_a_status(tmp_path):
    (parsed,) = cmdd.read(put(tmp_path, DIALOGUE, "train_0.json"))
    assert told([parsed]) == []
    extraction = parsed.extraction
    assert extraction.note.text == "医生：有没有发烧\n患者：不烧，咳嗽\n患者：好的"
    assert [(e.text, e.attributes) for e in extraction.entities] == [
        ("发烧", {"assertion": "possible", "normalized": "发热"}),
        ("烧", {"assertion": "absent", "normalized": "发热"}),
        ("咳嗽", {"assertion": "present", "normalized": "咳嗽"}),
    ]
    writer = cmdd.Writer(tmp_path / "out")
    writer.write(extraction)
    writer.close()
    assert json.loads((tmp_path / "out" / "train_0.json").read_text()) == DIALOGUE | {"example-id": "train_0"}


def test_cmdd_bad_sentences(tmp_path):
    first, *_ = DIALOGUE["dialogue-content"]
    bad = [first | {"label": "OB"}, first | {"type": []}, {"speaker": "患者"}, 7, first | {"label": "O O O B-Symptom I-Symptom"}]
    (parsed,) = cmdd.read(put(tmp_path, {"dialogue-content": bad}))
    assert sorted(kind for _, kind in told([parsed])) == ["attribute", "malformed-line", "malformed-line"]
    assert [e.attributes.get("assertion") for e in parsed.extraction.entities] == [None, "possible"]
