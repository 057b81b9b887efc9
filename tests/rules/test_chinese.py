"""What the rules say of Chinese sentences; the mention judged stands in square brackets. None of them is in evals/sets."""

import pytest

from medllm.document import Assertion
from medllm.rules import Experiencer, Kind, Temporality
from tests.rules.test_english import judge

SHORT = {"p": "present", "a": "absent", "q": "possible", "c": "conditional", "h": "hypothetical", "o": "associated_with_someone_else"}


@pytest.mark.parametrize(
    ("marked", "wanted"),
    [
        ("患者入院前1周无明显诱因出现[上腹部疼痛]，无[放射痛]，伴[反酸]，无[呕血]、[黑便]。", "papaa"),
        ("既往[高血压病]史5年，规律服药。否认[肝炎]、[结核]等传染病史，否认[食物过敏]史。", "paaa"),
        ("胸廓无[畸形]，双肺未闻及明显[干湿啰音]，[心律不齐]，[移动性浊音]阴性，双下肢无[水肿]。", "aapaa"),
        ("无[尿频]、[尿急]，无[头痛]、[关节痛]，无[糖尿病]史，无[牙龈出血]。", "aaaaaa"),
        ("患者[无尿]1天，[咳嗽]无力，[腹痛]明显缓解。", "ppp"),
        ("未及时就诊，[腹痛]加重。治疗后[咳嗽]无好转。", "pp"),
        ("[未分化型甲状腺癌]术后2年，未见[复发]及[转移]征象。", "paa"),
        ("否认[肝炎]，[结核]，[伤寒]等传染病史。", "aaa"),
        ("无[发热]，[咳嗽]3天，[气促]。", "app"),
        ("考虑诊断为[急性胆囊炎]，[胆总管结石]待排除。", "qq"),
        ("[肝硬化]可能性大，[肝癌]不排除。[垂体瘤]？", "qqq"),
        ("不排除[肝癌]，[心梗]已排除。", "qa"),
        ("建议进一步检查以排除[恶性肿瘤]。[贫血]原因待查。", "qp"),
        ("1.[慢性支气管炎] 2.[肺心病]？3.[肺气肿]", "pqp"),
        ("接触花粉后出现[喷嚏]，活动后出现[胸闷]，昨日受凉后出现[咽痛]。", "ccp"),
        ("嘱患者如出现[胸闷]、[气促]加重，立即就诊。注意有无[皮疹]。", "hhh"),
        ("予抑酸、预防[感染]治疗，术后有[出血]风险。", "hh"),
        ("其母患有[糖尿病]，其父否认[高血压]。家属诉患者[抽搐]1次。", "oop"),
        ("家族史：[高血压]。\n查体：[水肿]。", "op"),
        ("否認[糖尿病]病史，無[發熱]，疑似[肺炎]，如出現[頭暈]請就診。", "aaqh"),
        ("无[发\n热]、否\n认[头痛]。", "aa"),
        ("[腹泻]（-），[呕吐](-)，[皮疹](+)。", "aap"),
        ("CT: no evidence of [PE], 未见[胸腔积液].", "aa"),
    ],
)
def test_the_assertion_of_a_mention(marked, wanted):
    judgements, _ = judge(marked)
    assert [j.assertion for j in judgements] == [Assertion(SHORT[w]) for w in wanted]


def test_the_past_and_relatives():
    (past, family), _ = judge("既往史：[哮喘]。\n家族史：否认[遗传病]史。")
    assert (past.assertion, past.temporality) == (Assertion.PRESENT, Temporality.HISTORICAL)
    assert (family.experiencer, family.has(Kind.NEGATION)) == (Experiencer.OTHER, True)
