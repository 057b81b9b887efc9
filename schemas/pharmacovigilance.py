"""pharmacovigilance: drugs, adverse effects, what the drugs were given for, and how sure the writer is that the drug is the cause.

Mentions follow PHEE (Sun et al. 2022, EMNLP, arXiv:2210.12560), whose arguments of events these are; causality is that of its events, told
of the effect.
"""

from enum import StrEnum

from medllm.document import Entity, Modifier, Relation
from medllm.schema import Schema


class Causality(StrEnum):
    """What the writer says of the drug as the cause of the effect."""

    ASSERTED = "asserted"
    SUSPECTED = "suspected"
    DENIED = "denied"


class Drug(Entity):
    """A medication or other substance given to the patient, by its generic, brand or class name, without its dose."""


class Effect(Entity):
    """A harm that a drug did or may have done: a symptom, sign, disease or abnormal finding ("a pruritic bullous eruption"). Take the
    whole phrase with its adjectives. Not what the patient had before, nor what the drug was given for. "causality" is suspected where
    the writer is unsure ("possible", "may be due to"), denied where the writer says that it did not occur or was not due to the drug."""

    causality: Causality = Causality.ASSERTED


class Indication(Entity):
    """The disease or symptom that a drug was given for."""


class History(Entity, label="history"):
    """A disease or condition that the patient has besides, which no drug of the text was given for."""


class Dosage(Modifier):
    """The amount of the drug: "1500 mg/m2", "low-dose"."""


class Route(Modifier):
    """The way the drug was given: "intravenous", "p.o."."""


class Frequency(Modifier):
    """How often it was given: "twice daily"."""


class Duration(Modifier):
    """For how long it was given: "for 3 weeks"."""


class Onset(Modifier):
    """The time from the drug to the effect: "after two days", "within hours"."""


class DrugModifier(Relation[Drug, Dosage | Route | Frequency | Duration], label="hasAttr"):
    """The drug was given so."""


class EffectModifier(Relation[Effect, Onset], label="hasAttr"):
    """The effect came after that time."""


class Causes(Relation[Drug, Effect], label="causes"):
    """The drug is named as the cause of the effect, be it surely, possibly, or by way of denial."""


class GivenFor(Relation[Drug, Indication], label="given_for"):
    """The drug was given for it."""


schema = Schema(
    "pharmacovigilance",
    entities=[Drug, Effect, Indication, History, Dosage, Route, Frequency, Duration, Onset],
    relations=[DrugModifier, EffectModifier, Causes, GivenFor],
    description="Drugs, the harm they did or may have done, and what they were given for.",
    examples=[
        """A 61-year-old man with [history|gout] received [route <hasAttr#1|intravenous] [drug <causes#2 <given_for#3 #1|ceftriaxone] \
[dosage <hasAttr#1|2 g] for [indication #3|pneumonia].
[onset <hasAttr#2|Twenty minutes later] he developed [effect #2|a generalized rash].
[effect causality=suspected #4|Renal failure] on day 4 may have been due to [drug <causes#4|vancomycin].
There was no [effect causality=denied #5|hearing loss] with [drug <causes#5|gentamicin]. He lives alone.""",
    ],
)
