"""i2b2-2010: concepts, assertions and relations of the 2010 i2b2/VA challenge (Uzuner et al. 2011, JAMIA 18:552)."""

from medllm.document import Assertion, Entity, Relation
from medllm.schema import Schema


class Problem(Entity):
    """An abnormality of the patient's body or mind, present or not: disease, symptom, sign, injury. A complete noun phrase with its
    article or possessive, its adjectives and its body part ("his chest pain", "a mild fever", "swelling of the left leg"), but not "no",
    "denies", "possible" or "history of". Lists are several mentions. Not a normal finding ("clear lungs")."""

    assertion: Assertion = Assertion.PRESENT


class Treatment(Entity):
    """A procedure, intervention or substance given to a patient to resolve a problem, drugs included. A complete noun phrase ("the
    bypass operation", "her insulin"), without dose, route or frequency."""


class Test(Entity):
    """A procedure, panel or measure done to discover, rule out or learn more about a problem. A complete noun phrase ("a chest CT",
    "his blood pressure"), without its result."""


class TrIP(Relation[Treatment, Problem]):
    """The treatment improves or cures the problem."""


class TrWP(Relation[Treatment, Problem]):
    """The treatment worsens the problem."""


class TrCP(Relation[Treatment, Problem]):
    """The treatment causes the problem."""


class TrAP(Relation[Treatment, Problem]):
    """The treatment is given for the problem; how it went is not said."""


class TrNAP(Relation[Treatment, Problem]):
    """The treatment is not given, or stopped, because of the problem."""


class TeRP(Relation[Test, Problem]):
    """The test reveals the problem."""


class TeCP(Relation[Test, Problem]):
    """The test is done to investigate the problem; what it found is not said."""


class PIP(Relation[Problem, Problem]):
    """The first problem indicates, or is a part or a cause of, the second."""


schema = Schema(
    "i2b2-2010",
    entities=[Problem, Treatment, Test],
    relations=[TrIP, TrWP, TrCP, TrAP, TrNAP, TeRP, TeCP, PIP],
    description="Problems, treatments and tests of a discharge summary or progress note.",
    examples=[
        """He was admitted with [problem #1 <TeRP#2 <TrAP#3|a left lower lobe pneumonia] seen on [test #2|chest x-ray].
We gave [treatment #3|ceftriaxone]. He denied [problem assertion=absent|any chest pain].
[problem assertion=possible #4 <TeCP#5|Pulmonary embolus] is possible; [test #5|a CT scan] will be done.
[treatment #6|The ceftriaxone] was stopped after [problem #7 <TrCP#6|a rash]. Discharged home on Tuesday."""
    ],
)
