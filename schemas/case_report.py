"""case-report: the course of one patient, as case reports tell it: findings, tests and treatments, with when they were.

Mentions follow MACCROBAT (Caufield et al. 2018, Sci Data 5:180258; annotations of 2020, doi:10.6084/m9.figshare.9764942).
"""

from medllm.document import Assertion, Entity, Modifier, Relation
from medllm.schema import Schema


class SignSymptom(Entity):
    """A symptom, sign or abnormal finding, without its place and severity: "pain", "dyspnea", "mass"."""

    assertion: Assertion = Assertion.PRESENT


class DiseaseDisorder(Entity):
    """A disease or a diagnosis: "pneumonia", "Ebstein's anomaly"."""

    assertion: Assertion = Assertion.PRESENT


class DiagnosticProcedure(Entity):
    """An examination, test or image, or what it measures: "electrocardiogram", "CRP", "biopsy"."""


class TherapeuticProcedure(Entity):
    """An operation, device or therapy that is not a drug: "radiofrequency ablation"."""


class Medication(Entity):
    """A drug, by its name or class."""


class ClinicalEvent(Entity):
    """A step of the patient's way: "presented", "admitted", "discharged", "follow-up", "died"."""


class LabValue(Modifier):
    """The result of a test: "12.1 g/dL", "normal", "positive"."""


class BiologicalStructure(Modifier):
    """The part of the body: "left atrium"."""


class Severity(Modifier):
    """How severe: "mild"."""


class Dosage(Modifier):
    """The amount of a drug or of a therapy: "70 mg daily"."""


class Date(Modifier):
    """When it was: "in March 2011", "on day 21", "two weeks later", "4 years before"."""


class Duration(Modifier):
    """How long it lasted: "6-week", "for 3 days"."""


class FindingModifier(Relation[SignSymptom | DiseaseDisorder, BiologicalStructure | Severity | Date | Duration], label="hasAttr"):
    """The finding is described by it."""


class TestModifier(Relation[DiagnosticProcedure, LabValue | BiologicalStructure | Date], label="hasAttr"):
    """The test is described by it."""


class TherapyModifier(Relation[TherapeuticProcedure | Medication, Dosage | BiologicalStructure | Date | Duration], label="hasAttr"):
    """The treatment is described by it."""


class EventModifier(Relation[ClinicalEvent, Date | Duration], label="hasAttr"):
    """The event was then, or lasted so long."""


schema = Schema(
    "case-report",
    entities=[
        SignSymptom,
        DiseaseDisorder,
        DiagnosticProcedure,
        TherapeuticProcedure,
        Medication,
        ClinicalEvent,
        LabValue,
        BiologicalStructure,
        Severity,
        Dosage,
        Date,
        Duration,
    ],
    relations=[FindingModifier, TestModifier, TherapyModifier, EventModifier],
    description="The course of one patient: findings, tests and treatments, and when they were.",
    examples=[
        """A woman of 47 was [clinical_event #1|admitted] [date <hasAttr#1|in May 2016] with a [duration <hasAttr#2|3-day] history of \
[severity <hasAttr#2|severe] [biological_structure <hasAttr#2|abdominal] [sign_symptom #2|pain].
There was no [sign_symptom assertion=absent|fever]. [diagnostic_procedure #3|Lipase] was [lab_value <hasAttr#3|812 U/L].
[diagnostic_procedure|Ultrasound] showed gallstones, and [disease_disorder|acute pancreatitis] was diagnosed.
She received [medication #4|morphine] [dosage <hasAttr#4|5 mg], and [therapeutic_procedure #5|cholecystectomy] was done \
[date <hasAttr#5|on day 6]. She thanked the team.""",
    ],
)
