"""A Chinese note through the pipeline: Chinese prompts, nested mentions, relation groups, assertions by rules."""

import pytest

from medllm.document import Assertion, Note
from medllm.errors import UsageError
from medllm.pipeline import Extractor
from medllm.rules.voice import assert_by_rules
from medllm.schemas.clinical import Problem
from medllm.schemas.clinical_zh import Department, Disease, Symptom
from medllm.schemas.clinical_zh import schema as CHINESE
from tests.scripted import Reader, Scripted, task_of

TEXT = "患者主诉头痛、发热，查体体温 38.5℃，考虑上呼吸道感染，请呼吸科会诊。"
LEXICON = {"头痛": "symptom", "发热": "symptom", "体温": "test", "上呼吸道感染": "disease", "呼吸科": "department"}
READER = Reader(CHINESE, LEXICON, {"38.5℃": "value"}, links={("disease", "symptom"): "has_symptom", ("disease", "test"): "examined_by"})


async def read(text, answer=READER, schema=CHINESE, **options):
    engine = Scripted(answer)
    extractor = Extractor(schema, engine=engine, **options)
    reading = await extractor.read(Note(id="n", text=text))
    extractor.close()
    assert reading.accounted_for
    return reading.extraction, engine.calls


async def test_the_example_of_the_project():
    extraction, calls = await read(TEXT)
    assert [(e.label, e.text, e.span.of(TEXT)) for e in extraction.entities] == [
        (label, words, words)
        for label, words in [("symptom", "头痛"), ("symptom", "发热"), ("test", "体温"), ("value", "38.5℃"), ("disease", "上呼吸道感染"),
                             ("department", "呼吸科")]
    ]  # fmt: skip
    assert [s.assertion for s in extraction.of(Symptom)] == [Assertion.PRESENT, Assertion.PRESENT]
    assert [d.assertion for d in extraction.of(Disease)] == [Assertion.POSSIBLE]
    assert [d.text for d in extraction.of(Department)] == ["呼吸科"]
    assert {(r.label, r.head.text, r.tail.text) for r in extraction.relations} == {
        ("has_value", "体温", "38.5℃"),
        ("has_symptom", "上呼吸道感染", "头痛"),
        ("has_symptom", "上呼吸道感染", "发热"),
        ("examined_by", "上呼吸道感染", "体温"),
    }
    assert [task_of(call) for call in calls].count("relations") == len(CHINESE.relation_groups) == 2
    assert all("你阅读病历" in call.messages[0].content for call in calls)


async def test_a_broken_word_is_one_mention():
    text = "患者三天前受凉后出现咳嗽，咳少量白痰，无胸闷，无头\n痛。"
    extraction, _ = await read(text)
    assert [(s.text, s.assertion) for s in extraction.of(Symptom)] == [("头\n痛", Assertion.ABSENT)]


async def test_a_mention_may_stand_inside_another():
    answer = '1: anatomy "头", symptom "头痛" (assertion: absent)'
    extraction, _ = await read("无头痛", lambda request: answer if task_of(request) == "entities" else "1: -\n2: -", relations=False)
    assert [(e.label, e.span.start, e.span.end) for e in extraction.entities] == [("anatomy", 1, 2), ("symptom", 1, 3)]


@pytest.mark.parametrize(
    ("text", "language", "said"),
    [
        ("患者头痛。", None, "你阅读病历"),
        ("The patient has a headache.", None, "You read clinical notes"),
        ("患者头痛。", "en", "You read clinical notes"),
        ("The patient has a headache.", "zh", "你阅读病历"),
    ],
)
@pytest.mark.parametrize("schema", ["clinical", "clinical-zh"])
async def test_each_note_is_asked_in_its_own_language_unless_one_is_given(text, language, said, schema):
    _, (call,) = await read(text, lambda request: "1: -", schema, language=language)
    assert call.messages[0].content.startswith(said)


async def test_guidelines_are_in_the_language_of_the_prompt_where_the_pack_has_them():
    _, (chinese,) = await read("患者头痛。", lambda request: "1: -", "clinical")
    _, (english,) = await read("He has a headache.", lambda request: "1: -", "clinical")
    assert "症状" in chinese.messages[0].content
    assert "symptom" not in chinese.messages[0].content
    assert "symptom" in english.messages[0].content


async def test_both_voices_on_an_assertion_are_kept():
    (problem,), _ = await _problem("rules")
    assert problem.assertion == Assertion.ABSENT
    assert [(v.reader, v.about) for v in problem.votes] == [("llm", ""), ("llm", "assertion=present"), ("rules", "assertion=absent")]
    (problem,), _ = await _problem("llm")
    assert problem.assertion == Assertion.PRESENT
    assert [v.about for v in problem.votes] == ["", "assertion=present", "assertion=absent"]
    (problem,), _ = await _problem("rules", "He has fever.")
    assert [(v.reader, v.about) for v in problem.votes] == [("llm", "")]


async def _problem(voice, text="He has no fever."):
    extraction, calls = await read(text, lambda request: '1: problem "fever"', "clinical", relations=False, assertion=voice)
    return extraction.of(Problem), calls


def test_an_unknown_voice_is_refused():
    with pytest.raises(UsageError, match="'tagger'"):
        Extractor("clinical", engine=Scripted(READER), assertion="tagger")


def test_mentions_without_an_assertion_are_left_alone():
    department = Department.at("无呼吸科", 1, 4)
    assert assert_by_rules("无呼吸科", [department]) == [department]
