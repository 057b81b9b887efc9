"""The report that ``medllm view`` makes, on four invented notes; needs no model.

    python examples/view_demo.py demo.html

Every patient, name and number in it is made up.
"""
# ruff: noqa: E501  a note's paragraph is one line

import sys
from pathlib import Path
from typing import Any, Literal, TypeVar

from medllm.document import Assertion, Entity, Extraction, Modifier, Note, Relation, Vote
from medllm.report.view import ViewData, write_view
from medllm.schema import Schema


class Problem(Entity):
    """A disease, symptom, sign or abnormal finding."""

    assertion: Assertion = Assertion.PRESENT


class Test(Entity):
    """An examination or measurement."""


class Treatment(Entity):
    """A procedure or therapy other than a drug."""

    status: Literal["done", "planned", "refused"] = "done"


class Drug(Entity):
    """A medication, by any of its names."""


class BodySite(Entity):
    """Where a problem is."""


class Dose(Modifier):
    """How much of a drug."""


class Frequency(Modifier):
    """How often a drug is taken."""


class TreatmentFor(Relation[Treatment | Drug, Problem], label="given_for"):
    """The treatment is given for the problem."""


class Worsens(Relation[Treatment | Drug, Problem], label="causes"):
    """The treatment causes or worsens the problem."""


class Reveals(Relation[Test, Problem], label="reveals"):
    """The test shows the problem."""


class Investigates(Relation[Test, Problem], label="done_for"):
    """The test is done because of the problem."""


class HasDose(Relation[Drug, Dose], label="has_dose"):
    """The drug's dose."""


class HasFrequency(Relation[Drug, Frequency], label="has_frequency"):
    """The drug's frequency."""


schema = Schema(
    "clinical",
    entities=[Problem, Test, Treatment, Drug, BodySite, Dose, Frequency],
    relations=[TreatmentFor, Worsens, Reveals, Investigates, HasDose, HasFrequency],
    nested=True,
    discontinuous=True,
)

DISCHARGE = """DISCHARGE SUMMARY

Reason for admission
68-year-old woman with worsening shortness of breath and three days of chest pressure, worse on climbing stairs.

History of present illness
Known with atrial fibrillation and long-standing hypertension. Two weeks before admission she noticed swelling of both ankles and slept on three pillows. She denies fever, cough or haemoptysis. Her mother died of an aortic aneurysm at 71. No known drug allergies, but lisinopril was stopped in 2019 because of a dry cough.

Hospital course
Chest X-ray showed small bilateral pleural effusions and vascular congestion. NT-proBNP was 4,820 ng/L, troponin T was not raised. Echocardiography: ejection fraction 35 %, moderate mitral regurgitation, no pericardial effusion. Acute decompensated heart failure was treated with intravenous furosemide 40 mg twice daily; she lost 5.2 kg. Pulmonary embolism was considered, and CT angiography was negative. A nodule in the left upper lobe, 6 mm, is possibly a granuloma.

Creatinine rose to 148 µmol/L under furosemide, consistent with prerenal kidney injury, and recovered after the dose was halved. Electrical cardioversion was discussed; she prefers rate control for now.

Discharge medication
Bisoprolol 5 mg once daily, apixaban 5 mg twice daily, furosemide 40 mg in the morning, dapagliflozin 10 mg once daily.

Plan
If she becomes dizzy on standing, halve the furosemide. Chest pain on exertion should prompt a stress test. Repeat CT of the chest in six months for the nodule. Return at once for sudden breathlessness or bleeding.
"""

MEDICATION = """MEDICATION LIST                                   as of 14.03.2031

Drug                  Dose        How often        For
--------------------------------------------------------------------
Bisoprolol            5 mg        once daily       atrial fibrillation
Apixaban              5 mg        twice daily      stroke prevention
Furosemide            40 mg       morning          heart failure
Dapagliflozin         10 mg       once daily       heart failure
Paracetamol           1 g         as needed        knee pain
--------------------------------------------------------------------
Stopped: lisinopril (dry cough), ibuprofen (kidney injury)

Scanned addendum, page 2:
~|l1 ,, pat. r ~ep0rts  ....  8lack st00ls  |~~ _ / ; . ,.,   rn0rn1ng
~~ __ . ,,  see l~tter  .. //  |
"""

CHINESE = """出院小结

主诉：反复胸闷、气促2周，加重3天。
现病史：患者2周前无明显诱因出现活动后胸闷，伴双下肢水肿，无发热、无咳血。既往高血压病史10年，其父患有糖尿病。
辅助检查：胸部CT示双侧胸腔积液；超声心动图提示左室射血分数38%。疑似肺部感染，复查血常规。
诊断：1. 慢性心力衰竭急性加重  2. 高血压病3级
治疗：予呋塞米20mg每日一次静脉注射，美托洛尔25mg每日两次口服，症状好转。
"""

ARABIC = """ملاحظة العيادة
يشكو المريض من ألم في الصدر وضيق في التنفس منذ يومين، ولا توجد حمى.
تم إعطاء أسبرين 100 mg مرة يومياً.
Referred to cardiology.
"""

E = TypeVar("E", bound=Entity)


class Notebook:
    """Finds phrases in a note and collects what is found, in the order of the text."""

    def __init__(self, note_id: str, text: str, **meta: str) -> None:
        self.note = Note(id=note_id, text=text, meta=meta)
        self.entities: list[Entity] = []
        self.relations: list[Relation[Any, Any]] = []

    def find(self, kind: type[E], *parts: str, nth: int = 0, p: float = 0.97, by: str = "both", codes: str = "", **fields: Any) -> E:
        """The mention whose first part is the ``nth`` occurrence of its text; further parts are looked for after it."""
        at, offsets = -1, []
        for i, part in enumerate(parts):
            for _ in range(1 + nth * (i == 0)):
                at = self.note.text.index(part, at + 1)
            offsets += [at, at + len(part)]
        llm = Vote(reader="llm", model="Qwen3-8B", placed="grammar", score=round(min(p + 0.015, 0.99), 3))
        tagger = Vote(reader="tagger", model="clinical-base", placed="aligned", score=round(p - 0.04, 3))
        votes = {"both": (llm, tagger), "llm": (llm,), "tagger": (tagger,)}[by]
        found = kind.at(self.note.text, *offsets, confidence=p, votes=votes, codes=tuple(codes.split()), **fields)
        self.entities.append(found)
        return found

    def link(self, kind: type[Relation[Any, Any]], head: Entity, *tails: Entity, p: float = 0.9) -> None:
        """Relate one mention to others."""
        vote = Vote(reader="llm", model="Qwen3-8B", placed="grammar", score=p)
        self.relations += [kind(head=head, tail=tail, confidence=p, votes=(vote,)) for tail in tails]

    def drug(self, name: str, dose: str, frequency: str, *, nth: int = 0, codes: str = "") -> Drug:
        """A drug with the dose and frequency that follow it."""
        drug = self.find(Drug, name, nth=nth, codes=codes, p=0.99)
        for kind, relation, phrase in ((Dose, HasDose, dose), (Frequency, HasFrequency, frequency)):
            if phrase:
                start = self.note.text.index(phrase, drug.span.end)
                vote = Vote(reader="llm", model="Qwen3-8B", placed="grammar", score=0.96)
                modifier = kind.at(self.note.text, start, start + len(phrase), confidence=0.95, votes=(vote,))
                self.entities.append(modifier)
                self.link(relation, drug, modifier, p=0.96)
        return drug

    def done(self) -> Extraction:
        """Everything found, with ids in reading order."""
        ordered = sorted(self.entities, key=Entity.sort_key)
        named = {id(e): e.model_copy(update={"id": f"T{i}"}) for i, e in enumerate(ordered, 1)}
        relations = [
            r.model_copy(update={"id": f"R{i}", "head": named[id(r.head)], "tail": named[id(r.tail)]})
            for i, r in enumerate(self.relations, 1)
        ]
        return Extraction(note=self.note, entities=tuple(named.values()), relations=tuple(relations))


def discharge() -> Extraction:
    """A long note with every assertion, nested and discontinuous mentions."""
    n = Notebook("ward-3/discharge-0412", DISCHARGE, kind="discharge summary", department="cardiology", date="2031-03-14")
    absent, possible = {"assertion": Assertion.ABSENT}, {"assertion": Assertion.POSSIBLE}
    n.find(Problem, "worsening shortness of breath", codes="MESH:D004417")
    n.find(Problem, "chest pressure")
    n.find(BodySite, "chest", nth=0, p=0.88, by="tagger")
    af = n.find(Problem, "atrial fibrillation", codes="MESH:D001281 ICD10:I48")
    n.find(Problem, "long-standing hypertension", p=0.93)
    n.find(Problem, "swelling of both ankles", p=0.95)
    n.find(BodySite, "both ankles", p=0.9)
    for phrase in ("fever", "cough", "haemoptysis"):
        n.find(Problem, phrase, **absent)
    n.find(Problem, "an aortic aneurysm", assertion=Assertion.ASSOCIATED_WITH_SOMEONE_ELSE, p=0.94)
    n.find(Problem, "drug allergies", **absent, p=0.91)
    lisinopril = n.find(Drug, "lisinopril", p=0.99)
    n.link(Worsens, lisinopril, n.find(Problem, "a dry cough"), p=0.88)
    xray = n.find(Test, "Chest X-ray", p=0.98)
    n.link(Reveals, xray, n.find(Problem, "small bilateral pleural effusions"), n.find(Problem, "vascular congestion", p=0.86))
    n.find(Test, "NT-proBNP")
    n.find(Test, "troponin T")
    echo = n.find(Test, "Echocardiography")
    n.find(Test, "ejection fraction", p=0.92)
    regurgitation = n.find(Problem, "moderate mitral regurgitation")
    n.link(Reveals, echo, regurgitation, p=0.95)
    n.find(Problem, "pericardial effusion", **absent)
    failure = n.find(Problem, "Acute decompensated heart failure", codes="MESH:D006333 ICD10:I50.9")
    iv = n.find(Treatment, "intravenous furosemide 40 mg twice daily", p=0.71, by="llm")
    furosemide = n.drug("furosemide", "40 mg", "twice daily")
    n.link(TreatmentFor, furosemide, failure, p=0.97)
    n.link(TreatmentFor, iv, failure, p=0.68)
    embolism = n.find(Problem, "Pulmonary embolism", **possible, p=0.9)
    n.link(Investigates, n.find(Test, "CT angiography"), embolism, p=0.84)
    n.find(Problem, "nodule", "left upper lobe", p=0.83, by="llm")
    n.find(BodySite, "left upper lobe", p=0.95)
    n.find(Problem, "a granuloma", **possible)
    creatinine = n.find(Test, "Creatinine")
    injury = n.find(Problem, "prerenal kidney injury", p=0.89)
    n.link(Reveals, creatinine, injury, p=0.9)
    n.link(Worsens, n.find(Drug, "furosemide", nth=1), injury, p=0.79)
    cardioversion = n.find(Treatment, "Electrical cardioversion", status="planned", p=0.87)
    n.link(TreatmentFor, cardioversion, af, p=0.64)
    n.find(Treatment, "rate control", p=0.74, by="tagger")
    n.link(TreatmentFor, n.drug("Bisoprolol", "5 mg", "once daily", codes="RXNORM:19484"), af, p=0.8)
    n.drug("apixaban", "5 mg", "twice daily", codes="RXNORM:1364430")
    n.drug("furosemide", "40 mg", "in the morning", nth=2)
    n.drug("dapagliflozin", "10 mg", "once daily")
    n.find(Problem, "dizzy on standing", assertion=Assertion.HYPOTHETICAL)
    n.find(Drug, "furosemide", nth=3)
    pain = n.find(Problem, "Chest pain on exertion", assertion=Assertion.CONDITIONAL, p=0.77)
    n.link(Investigates, n.find(Test, "a stress test"), pain, p=0.81)
    n.find(Test, "Repeat CT of the chest", p=0.9)
    n.find(BodySite, "the chest", p=0.7, by="tagger")
    n.find(Problem, "nodule", nth=1)
    n.find(Problem, "sudden breathlessness", assertion=Assertion.HYPOTHETICAL)
    n.find(Problem, "bleeding", assertion=Assertion.HYPOTHETICAL)
    return n.done()


def medication() -> Extraction:
    """A table of drugs whose scanned end could not be read."""
    n = Notebook("ward-3/medication-0412", MEDICATION, kind="medication list")
    af = n.find(Problem, "atrial fibrillation")
    n.link(TreatmentFor, n.drug("Bisoprolol", "5 mg", "once daily"), af)
    n.drug("Apixaban", "5 mg", "twice daily")
    for name, dose, frequency, nth in (("Furosemide", "40 mg", "morning", 0), ("Dapagliflozin", "10 mg", "once daily", 1)):
        n.link(TreatmentFor, n.drug(name, dose, frequency), n.find(Problem, "heart failure", nth=nth))
    n.link(TreatmentFor, n.drug("Paracetamol", "1 g", "as needed"), n.find(Problem, "knee pain"))
    n.link(Worsens, n.find(Drug, "lisinopril"), n.find(Problem, "dry cough"))
    n.link(Worsens, n.find(Drug, "ibuprofen"), n.find(Problem, "kidney injury"))
    return n.done()


def chinese() -> Extraction:
    """A note without blanks between words."""
    n = Notebook("心内科/出院小结-0087", CHINESE, kind="出院小结")
    n.find(Problem, "胸闷")
    n.find(Problem, "气促")
    n.find(Problem, "活动后胸闷", p=0.9)
    n.find(Problem, "双下肢水肿")
    n.find(BodySite, "双下肢", p=0.86)
    n.find(Problem, "发热", assertion=Assertion.ABSENT)
    n.find(Problem, "咳血", assertion=Assertion.ABSENT)
    n.find(Problem, "高血压")
    n.find(Problem, "糖尿病", assertion=Assertion.ASSOCIATED_WITH_SOMEONE_ELSE)
    ct = n.find(Test, "胸部CT")
    n.link(Reveals, ct, n.find(Problem, "双侧胸腔积液"))
    n.find(Test, "超声心动图")
    n.find(Test, "左室射血分数", p=0.8)
    n.find(Problem, "肺部感染", assertion=Assertion.POSSIBLE)
    n.find(Test, "血常规")
    failure = n.find(Problem, "慢性心力衰竭急性加重")
    n.find(Problem, "高血压病3级")
    n.link(TreatmentFor, n.drug("呋塞米", "20mg", "每日一次"), failure)
    n.link(TreatmentFor, n.drug("美托洛尔", "25mg", "每日两次"), failure)
    return n.done()


def arabic() -> Extraction:
    """A note that is written from right to left."""
    n = Notebook("clinic/note-0033", ARABIC)
    n.find(Problem, "ألم في الصدر")
    n.find(BodySite, "الصدر")
    n.find(Problem, "ضيق في التنفس")
    n.find(Problem, "حمى", assertion=Assertion.ABSENT)
    n.drug("أسبرين", "100 mg", "مرة يومياً")
    return n.done()


def demo() -> ViewData:
    """A run over the four notes, with its record and its ledger."""
    scan = MEDICATION.index("~|l1")
    return ViewData(
        title="Cardiology, March 2031",
        schema=schema,
        extractions=(discharge(), medication(), chinese(), arabic()),
        run_info={
            "model": "Qwen3-8B",
            "tagger": "clinical-base",
            "engine": "vllm",
            "finished": "2031-03-20T16:42:10+01:00",
            "versions": {"medllm": "0.1.0", "vllm": "0.33.0", "outlines": "1.3.3", "python": "3.12.4"},
            "readers": ["llm", "tagger"],
            "decoding": {"temperature": 0.0, "seed": 7, "layout": "line-pinned"},
            "schema": {"name": schema.name, "sha256": schema.digest},
        },
        ledger=(
            {
                "note_id": "ward-3/medication-0412",
                "reader": "llm",
                "reason": "not_language",
                "start": scan,
                "end": len(MEDICATION) - 1,
                "detail": "71 % of the characters are no letters",
            },
            {"note_id": "clinic/note-0033", "reader": "tagger", "reason": "script_not_known", "start": None, "end": None, "detail": ""},
        ),
    )


if __name__ == "__main__":
    run = demo()
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "demo.html")
    write_view(run.extractions, schema=run.schema, title=run.title, run_info=run.run_info, ledger=run.ledger, out=out)
    print(out)
