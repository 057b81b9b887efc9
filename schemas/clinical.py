"""clinical: problems, tests, treatments and drugs of any clinical note, with their modifiers.

Concepts and boundaries follow the i2b2/VA 2010 guidelines; drugs apart from other treatments and the fifteen modifiers follow
the annotation of Hu et al. 2024 (Kiwi, arXiv:2411.10020), whose labels these are.
"""

from medllm.document import Assertion, Entity, Modifier, Relation
from medllm.schema import Schema


class Problem(Entity):
    """A disease, symptom, sign, injury or abnormal finding, present or not. Take the whole noun phrase with its article or possessive,
    its adjectives and its body part ("a mild fever", "his severe chest pain", "swelling of both ankles"), but not "no", "denies",
    "possible" or "history of". Lists are several mentions. Not a normal finding ("lungs are clear"), a habit or a plain body part."""

    assertion: Assertion = Assertion.PRESENT


class Test(Entity):
    """An examination, laboratory test, measurement or imaging study: the whole noun phrase ("his blood pressure", "a CT of the chest"),
    without its result. Not a section's heading."""


class Treatment(Entity):
    """A procedure, operation, device, therapy or supportive measure that is not a drug: the whole noun phrase ("a hip replacement",
    "physical therapy"), without "status post". Not a plan to meet ("follow-up")."""


class Drug(Entity):
    """A medication, by its generic, brand or class name ("aspirin", "antibiotics"), without article, dose, form or route. Not the
    word "medications"."""


class Negation(Modifier):
    """A word that says the finding is absent: "no", "denies", "without", "negative for". Without the finding."""


class Uncertain(Modifier):
    """A word that says the finding is not sure: "possible", "likely", "rule out". Not "consistent with"."""


class Condition(Modifier):
    """A word that makes the finding depend on something: "if", "as needed for". Not "p.r.n.", which is a frequency."""


class Subject(Modifier):
    """The person who has it, where that is not the patient: "mother"."""


class BodyLocation(Modifier, label="bodyloc"):
    """The part of the body with its side, without article: "left knee"."""


class Severity(Modifier):
    """How severe: "mild", "marked". Not a size."""


class Course(Modifier):
    """How it develops: "worsening", "resolved", "chronic"."""


class Temporal(Modifier):
    """When, or since when: "yesterday", "in 2004", "for three days"."""


class LabValue(Modifier, label="labvalue"):
    """The result of a test with its unit: "120/80", "negative", "within normal limits"."""


class Strength(Modifier):
    """The amount in one unit of the drug, or its concentration: "40 mg", "1 %"."""


class Dosage(Modifier):
    """How much at a time: "two tablets", "10 units". Not the amount in one unit."""


class Form(Modifier):
    """The form of the drug: "tablet"."""


class Route(Modifier):
    """The way the drug is given: "p.o.", "IV"."""


class Frequency(Modifier):
    """How often the drug is given: "twice daily", "q.6 h."."""


class Duration(Modifier):
    """How long the drug is given: "for ten days"."""


class ProblemModifier(
    Relation[Problem, Negation | Uncertain | Condition | Subject | BodyLocation | Severity | Course | Temporal], label="hasAttr"
):
    """The problem is qualified by it."""


class TestModifier(Relation[Test, LabValue | Temporal | Negation], label="hasAttr"):
    """The test is qualified by it."""


class TreatmentModifier(Relation[Treatment, Temporal | Negation], label="hasAttr"):
    """The treatment is qualified by it."""


class DrugModifier(Relation[Drug, Strength | Dosage | Form | Route | Frequency | Duration | Temporal | Negation], label="hasAttr"):
    """The drug is qualified by it."""


schema = Schema(
    "clinical",
    entities=[
        Problem,
        Test,
        Treatment,
        Drug,
        Negation,
        Uncertain,
        Condition,
        Subject,
        BodyLocation,
        Severity,
        Course,
        Temporal,
        LabValue,
        Strength,
        Dosage,
        Form,
        Route,
        Frequency,
        Duration,
    ],
    relations=[ProblemModifier, TestModifier, TreatmentModifier, DrugModifier],
    description="Problems, tests, treatments and drugs of a clinical note.",
    examples=[
        """CLINIC VISIT
HISTORY OF PRESENT ILLNESS: Mr. Lowe is a 58-year-old man with [problem #1|[severity <hasAttr#1|severe] pain in his \
[bodyloc <hasAttr#1|left knee]].
He [negation <hasAttr#2 <hasAttr#3|denies] [problem assertion=absent #2|any fever] or [problem assertion=absent #3|chills].
PAST MEDICAL HISTORY:
1. [problem|Hypertension].
2. [problem|Coronary artery disease], status post [treatment #4|a bypass operation] [temporal <hasAttr#4|in 2015].
SOCIAL HISTORY: He is married and lives with his wife.
PLAN: Return to clinic in four weeks.""",
        """PHYSICAL EXAMINATION: [test #1|His blood pressure] is [labvalue <hasAttr#1|142/88]. [test #2|Pulse] [labvalue <hasAttr#2|76].
GENERAL: He is a pleasant man, alert and oriented.
LUNGS: Clear. [negation <hasAttr#3|No] [problem assertion=absent #3|wheezes].
LABORATORY DATA: [test #4|Sodium] was [labvalue <hasAttr#4|138]; [test #5|hemoglobin] [labvalue <hasAttr#5|9.1].
[test|An x-ray of the knee] showed [problem|a joint effusion].
IMPRESSION: [uncertain <hasAttr#6|Possible] [problem assertion=possible #6|gout].""",
        """MEDICATIONS:
[drug #1|Naproxen] [strength <hasAttr#1|500 mg] [route <hasAttr#1|p.o.] [frequency <hasAttr#1|twice a day]
[drug #2|Warfarin] [strength <hasAttr#2|5 mg] [form <hasAttr#2|tablets] [frequency <hasAttr#2|daily] for [problem|atrial fibrillation]
He was advised to start [treatment|physical therapy].""",
    ],
)
