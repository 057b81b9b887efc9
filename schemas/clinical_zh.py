"""clinical-zh: Chinese notes: diseases, symptoms, tests with their values, drugs with dose and frequency, procedures, anatomy, departments.

Entity types and nesting (a part of the body inside a symptom, 右上腹压痛) follow CMeEE (Zhang et al. 2022, ACL, CBLUE; Hongying et al.
2021), relations follow the larger types of CMeIE (Guan et al. 2020, NLPCC). Relations are asked in two groups.
"""

from medllm.document import Assertion, Entity, Modifier, Relation
from medllm.schema import Schema


class Disease(Entity):
    """疾病或综合征的名称（“2型糖尿病”“急性胃肠炎”），无论是否存在。取完整的名称，连同分型、分期和“急性”等修饰语，不含“无”“否认”“考虑”“病史”等词。并列的几个分别标出。"""

    assertion: Assertion = Assertion.PRESENT


class Symptom(Entity):
    """症状、体征或异常所见（“恶心”“右上腹压痛”“双下肢水肿”），无论是否存在。取完整的短语，其中的身体部位另标 anatomy。
    正常所见（“神志清楚”“双肺呼吸音清”）不算。"""

    assertion: Assertion = Assertion.PRESENT


class Test(Entity):
    """检查、化验或测量项目的名称（“血压”“血常规”“头颅CT”），不含结果。段落标题（“辅助检查：”）不算。"""


class Drug(Entity):
    """药物的通用名、商品名或类别（“阿司匹林”“抗生素”），不含剂型、剂量和频次。“药物”二字不算。"""


class Procedure(Entity):
    """手术、操作或药物以外的治疗（“阑尾切除术”“气管插管”“放疗”）。"""


class Anatomy(Entity):
    """身体部位、器官或组织（“右上腹”“肝脏”），包括症状、疾病名称中的部位。"""


class Department(Entity):
    """科室（“心内科”“急诊科”）。"""


class Value(Modifier):
    """检查的结果：“120/80mmHg”“9.1×10⁹/L”“阴性”“升高”。"""


class Dose(Modifier):
    """药物一次的用量或规格：“0.5g”“100mg”“2片”。"""


class Frequency(Modifier):
    """用药的频次：“每日两次”“bid”“qn”。"""


class TestValue(Relation[Test, Value], label="has_value"):
    """该检查的结果。"""


class DrugDose(Relation[Drug, Dose], label="has_dose"):
    """该药物的用量。"""


class DrugFrequency(Relation[Drug, Frequency], label="has_frequency"):
    """该药物的频次。"""


class HasSymptom(Relation[Disease, Symptom], label="has_symptom", group="findings"):
    """该疾病的临床表现。"""


class LocatedIn(Relation[Disease | Symptom, Anatomy], label="located_in", group="findings"):
    """该疾病或症状的部位。"""


class Complication(Relation[Disease, Disease], label="complication", group="findings"):
    """后者是前者的并发症，或由前者引起。"""


class TreatedWithDrug(Relation[Disease | Symptom, Drug], label="treated_with_drug", group="care"):
    """用该药物治疗该疾病或症状。"""


class TreatedByProcedure(Relation[Disease | Symptom, Procedure], label="treated_by_procedure", group="care"):
    """用该手术或治疗处理该疾病或症状。"""


class ExaminedBy(Relation[Disease | Symptom, Test], label="examined_by", group="care"):
    """用该检查发现、证实或排除该疾病或症状。"""


class CaredForIn(Relation[Disease, Department], label="cared_for_in", group="care"):
    """该疾病就诊或会诊的科室。"""


schema = Schema(
    "clinical-zh",
    entities=[Disease, Symptom, Test, Drug, Procedure, Anatomy, Department, Value, Dose, Frequency],
    relations=[
        TestValue,
        DrugDose,
        DrugFrequency,
        HasSymptom,
        LocatedIn,
        Complication,
        TreatedWithDrug,
        TreatedByProcedure,
        ExaminedBy,
        CaredForIn,
    ],
    description="中文病历中的疾病、症状、检查、药物、治疗、部位和科室。",
    language="zh",
    nested=True,
    examples=[
        """主诉：反复[symptom|咳嗽]、[symptom|咳痰]2年，[symptom|加重]3天。
现病史：患者3天前受凉后[symptom|气促]明显，无[symptom assertion=absent|[anatomy|胸]痛]，否认[disease assertion=absent|结核]病史。
查体：[test #1|血压][value <has_value#1|142/88mmHg]，[test #2|脉搏][value <has_value#2|96次/分]。[anatomy|双肺]可闻及[symptom|湿啰音]。
初步诊断：[disease|慢性支气管炎]；[disease assertion=possible|肺炎]待排。""",
        """患者因[symptom #1|[anatomy <located_in#1|右下腹]痛]1天就诊，[test <examined_by#2|腹部B超]提示[disease #2|急性阑尾炎]，\
急诊行[procedure <treated_by_procedure#2|阑尾切除术]。
术后予[drug #3|头孢呋辛] [dose <has_dose#3|1.5g] [frequency <has_frequency#3|q12h]静滴，预防[disease assertion=hypothetical|切口感染]。
请[department|内分泌科]会诊：[disease #4|2型糖尿病]，予[drug #5 <treated_with_drug#4|二甲双胍] [dose <has_dose#5|0.5g] \
[frequency <has_frequency#5|每日三次]。""",
    ],
)
