"""n2c2-2018: drugs, their details and adverse events, as the 2018 n2c2 challenge has them in track 2 (Henry et al. 2020, JAMIA 27:3).

Labels and directions are the challenge's own, so that its official scorer reads what comes out.
"""

from medllm.document import Entity, Relation
from medllm.schema import Schema


class Drug(Entity, label="Drug"):
    """A medication, by its generic, brand or class name, or an abbreviation ("aspirin", "Coumadin", "antibiotics", "KCl")."""


class Strength(Entity, label="Strength"):
    """The amount of drug in one unit, or its concentration: "40 mg", "5 %", "100 unit/mL"."""


class Form(Entity, label="Form"):
    """The form that the drug comes in: "tablet", "inhaler", "drip", "solution"."""


class Dosage(Entity, label="Dosage"):
    """How much is taken at a time: "one (1)", "two puffs", "10 units"."""


class Frequency(Entity, label="Frequency"):
    """How often it is taken: "daily", "q6h", "twice a day", "as needed", "at bedtime"."""


class Route(Entity, label="Route"):
    """The way it is given: "PO", "IV", "by mouth", "topical"."""


class Duration(Entity, label="Duration"):
    """For how long it is given: "for 7 days", "5 day course"."""


class Reason(Entity, label="Reason"):
    """The problem that a drug is given for. Only where the note says so of a drug."""


class ADE(Entity, label="ADE"):
    """An adverse event that a drug caused, or that is suspected of it: "rash" after penicillin."""


class StrengthOfDrug(Relation[Strength, Drug], label="Strength-Drug"):
    """It is the strength of the drug."""


class FormOfDrug(Relation[Form, Drug], label="Form-Drug"):
    """It is the form of the drug."""


class DosageOfDrug(Relation[Dosage, Drug], label="Dosage-Drug"):
    """It is the dosage of the drug."""


class FrequencyOfDrug(Relation[Frequency, Drug], label="Frequency-Drug"):
    """It is how often the drug is taken."""


class RouteOfDrug(Relation[Route, Drug], label="Route-Drug"):
    """It is the way the drug is given."""


class DurationOfDrug(Relation[Duration, Drug], label="Duration-Drug"):
    """It is how long the drug is given."""


class ReasonForDrug(Relation[Reason, Drug], label="Reason-Drug", group="problems"):
    """The drug is given for it."""


class ADEOfDrug(Relation[ADE, Drug], label="ADE-Drug", group="problems"):
    """The drug caused it."""


schema = Schema(
    "n2c2-2018",
    entities=[Drug, Strength, Form, Dosage, Frequency, Route, Duration, Reason, ADE],
    relations=[
        StrengthOfDrug,
        FormOfDrug,
        DosageOfDrug,
        FrequencyOfDrug,
        RouteOfDrug,
        DurationOfDrug,
        ReasonForDrug,
        ADEOfDrug,
    ],
    description="Drugs of a discharge summary with their details, reasons and adverse events.",
    examples=[
        """DISCHARGE MEDICATIONS:
1. [Drug <Strength-Drug#2 <Form-Drug#3 <Dosage-Drug#4 <Route-Drug#5 <Frequency-Drug#6|Furosemide] [Strength #2|40 mg] [Form #3|Tablet] \
Sig: [Dosage #4|One (1)] Tablet [Route #5|PO] [Frequency #6|DAILY].
2. [Drug <Duration-Drug#8 <Reason-Drug#9|Levofloxacin] [Duration #8|for 7 days] for [Reason #9|pneumonia].
Her [Drug <ADE-Drug#11|penicillin] was stopped because of [ADE #11|a rash]. She walks with a cane.""",
    ],
)
