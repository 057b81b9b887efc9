"""clinical: problems, tests, treatments and drugs of any clinical note, with their modifiers.

Concepts and boundaries follow the i2b2/VA 2010 guidelines; drugs apart from other treatments and the fifteen modifiers follow
the annotation of Hu et al. 2024 (Kiwi, arXiv:2411.10020), whose labels these are.
"""

from medllm.document import Assertion, Entity, Modifier, Relation
from medllm.schema import Schema


class Problem(Entity):
    """A disease, symptom, sign, injury or abnormal finding, present or not. Take the whole noun phrase with its adjectives
    ("severe chest pain"), without "no", "denies" or "history of"."""

    assertion: Assertion = Assertion.PRESENT


class Test(Entity):
    """An examination, laboratory test, measurement or imaging study: its name ("blood pressure", "CT of the chest"), not its result."""


class Treatment(Entity):
    """A procedure, operation, device, therapy or supportive measure that is not a drug ("intubation", "physical therapy")."""


class Drug(Entity):
    """A medication, by its generic, brand or class name ("aspirin", "antibiotics"), without its dose."""


class Negation(Modifier):
    """A word that says the finding is absent: "no", "denies", "without", "negative for"."""


class Uncertain(Modifier):
    """A word that says the finding is not sure: "possible", "likely", "rule out"."""


class Condition(Modifier):
    """A word that makes the finding depend on something: "if", "as needed for"."""


class Subject(Modifier):
    """The person who has it, where that is not the patient: "mother"."""


class BodyLocation(Modifier, label="bodyloc"):
    """The part of the body: "left knee"."""


class Severity(Modifier):
    """How severe: "mild"."""


class Course(Modifier):
    """How it develops: "worsening", "resolved", "chronic"."""


class Temporal(Modifier):
    """When, or since when: "yesterday", "in 2004", "for three days"."""


class LabValue(Modifier, label="labvalue"):
    """The result of a test: "120/80", "negative", "within normal limits"."""


class Strength(Modifier):
    """The amount in one unit of the drug: "40 mg"."""


class Dosage(Modifier):
    """How many units at a time: "two tablets"."""


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
HISTORY OF PRESENT ILLNESS: Mr. Lowe is a 58-year-old man with [severity <hasAttr#1|severe] [problem #1|pain] in his \
[bodyloc <hasAttr#1|left knee].
He [negation <hasAttr#2 <hasAttr#3|denies] [problem assertion=absent #2|fever] or [problem assertion=absent #3|chills].
PAST MEDICAL HISTORY:
1. [problem|Hypertension].
2. [problem|Coronary artery disease], status post [treatment|bypass surgery] in 2015.
SOCIAL HISTORY: He is married and lives with his wife.
PLAN: Return to clinic in four weeks.""",
        """PHYSICAL EXAMINATION: [test #1|Blood pressure] [labvalue <hasAttr#1|142/88]. [test #2|Pulse] [labvalue <hasAttr#2|76].
GENERAL: He is a pleasant man in no acute distress.
LUNGS: Clear. [negation <hasAttr#3|No] [problem assertion=absent #3|wheezes].
LABORATORY DATA: [test #4|Sodium] was [labvalue <hasAttr#4|138]; [test #5|hemoglobin] [labvalue <hasAttr#5|9.1].
[test|X-ray of the knee] showed a [problem|joint effusion].
IMPRESSION: [uncertain <hasAttr#6|Possible] [problem assertion=possible #6|gout].""",
        """MEDICATIONS:
[drug #1|Naproxen] [strength <hasAttr#1|500 mg] [route <hasAttr#1|p.o.] [frequency <hasAttr#1|twice a day]
[drug #2|Warfarin] [strength <hasAttr#2|5 mg] [form <hasAttr#2|tablets] [frequency <hasAttr#2|daily] for [problem|atrial fibrillation]
He was advised to start [treatment|physical therapy].""",
    ],
)
