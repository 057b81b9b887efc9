"""trial-eligibility: the criteria by which a clinical trial takes patients in or leaves them out.

Mentions follow Chia (Kury et al. 2020, Sci Data 7:281), after the domains of the OMOP common data model.
"""

from medllm.document import Entity, Modifier, Relation
from medllm.schema import Schema


class Condition(Entity):
    """A disease, symptom or finding that a patient must have or must not have ("type 2 diabetes"), without "history of"."""


class Drug(Entity):
    """A medication or a class of them ("anticoagulants")."""


class Procedure(Entity):
    """An operation, examination or therapy that is not a drug ("hemodialysis", "coronary angiography")."""


class Measurement(Entity):
    """Something that is measured or scored: "HbA1c", "body mass index", "ECOG performance status". Not its value."""


class Device(Entity):
    """A device that a patient has or uses: "pacemaker", "contact lenses"."""


class Person(Entity):
    """What kind of person: age as a word, sex: "aged", "women", "male"."""


class Value(Modifier):
    """The bound or the value: "> 7 %", "18 to 75 years", "at least 2"."""


class Temporal(Modifier):
    """When: "within 6 months", "in the past year", "prior to randomization"."""


class Negation(Modifier):
    """A word that turns it round: "no", "without", "other than"."""


class Qualifier(Modifier):
    """A word that narrows it: "uncontrolled", "severe", "oral"."""


class ConditionModifier(Relation[Condition, Temporal | Negation | Qualifier | Value], label="hasAttr"):
    """The condition is narrowed by it."""


class DrugModifier(Relation[Drug, Temporal | Negation | Qualifier | Value], label="hasAttr"):
    """The drug is narrowed by it."""


class ProcedureModifier(Relation[Procedure | Device, Temporal | Negation | Qualifier | Value], label="hasAttr"):
    """The procedure or the device is narrowed by it."""


class MeasurementModifier(Relation[Measurement | Person, Value | Temporal | Negation | Qualifier], label="hasAttr"):
    """It must have this value, or have it then."""


schema = Schema(
    "trial-eligibility",
    entities=[Condition, Drug, Procedure, Measurement, Device, Person, Value, Temporal, Negation, Qualifier],
    relations=[ConditionModifier, DrugModifier, ProcedureModifier, MeasurementModifier],
    description="The criteria by which a trial takes patients in or leaves them out.",
    examples=[
        """Inclusion Criteria:
[person #1|Aged] [value <hasAttr#1|18 to 75 years]
[condition #2|Heart failure] [temporal <hasAttr#2|for at least 3 months]
[measurement #3|Left ventricular ejection fraction] [value <hasAttr#3|below 40 %]
Able to give consent
Exclusion Criteria:
[qualifier <hasAttr#4|Uncontrolled] [condition #4|hypertension]
[procedure #5|Cardiac surgery] [temporal <hasAttr#5|within 30 days]
Treatment with [qualifier <hasAttr#6|oral] [drug #6|anticoagulants]
[device|Pacemaker]""",
    ],
)
