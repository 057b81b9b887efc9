"""A mention as the FHIR R4 resource that says the same (https://hl7.org/fhir/R4/). Pure: dictionaries as JSON has them.

| mention | resource |
|---|---|
| problem, disease, disorder, diagnosis, symptom, sign, finding | ``Condition``; ``verificationStatus`` from the assertion |
| the same, of somebody else | ``FamilyMemberHistory`` |
| drug, medication, medicine, chemical | ``MedicationStatement``; ``dosage`` from related strengths, routes, frequencies ... |
| test, lab, measurement, observation, vital_sign | ``Observation``; ``valueString`` from a related labvalue |
| ade, adverse_event, adverse_drug_event, adverse_reaction | ``AdverseEvent``, if it is asserted; denied, a refuted ``Condition`` |
| treatment, procedure | ``Procedure`` |
| modifiers and all others | ``Basic``, whose code is the label |

What a note says of a medication or a test does not tell its status: it is ``unknown`` (``not-taken`` where the note denies it).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from medllm.document import AnyEntity, Assertion, Entity, Modifier
from medllm.formats.classes import fold
from medllm.schema import attribute_value

Resource = dict[str, Any]

_TYPES = {
    "Condition": ("problem", "condition", "disease", "disorder", "diagnosis", "symptom", "sign", "finding"),
    "MedicationStatement": ("drug", "medication", "medicine", "chemical"),
    "Observation": ("test", "lab", "laboratory", "measurement", "observation", "vital_sign"),
    "AdverseEvent": ("ade", "adverse_event", "adverse_drug_event", "adverse_reaction"),
    "Procedure": ("treatment", "procedure"),
}
_TYPE_OF = {fold(label): name for name, labels in _TYPES.items() for label in labels}
_VERIFICATION = {
    Assertion.PRESENT: "confirmed",
    Assertion.ABSENT: "refuted",
    Assertion.POSSIBLE: "provisional",
    Assertion.CONDITIONAL: "unconfirmed",
    Assertion.HYPOTHETICAL: "unconfirmed",
}
_VERIFICATION_SYSTEM = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_ROLES = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_DOSAGE = frozenset(map(fold, ("strength", "dosage", "dose", "form", "route", "mode", "frequency", "duration")))
_VALUE = frozenset(map(fold, ("labvalue", "lab_value", "value", "result")))
_SITE = frozenset(map(fold, ("bodyloc", "body_location", "body_site", "anatomy")))

SYSTEMS: Mapping[str, str] = {
    "MESH": "urn:oid:2.16.840.1.113883.6.177",
    "UMLS": "http://www.nlm.nih.gov/research/umls",
    "SNOMEDCT": "http://snomed.info/sct",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "LOINC": "http://loinc.org",
    "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "HP": "http://human-phenotype-ontology.org",
    "UNII": "http://fdasis.nlm.nih.gov",
}
"""Names of code systems as ``Entity.codes`` has them, and FHIR's own (https://hl7.org/fhir/R4/terminologies-systems.html)."""

OTHER_SYSTEM = "urn:medllm:code-system:"


class Linked(NamedTuple):
    """A mention that a relation joins to another one, and the reference to its resource."""

    entity: Entity
    reference: str


def resource_type(entity: Entity) -> str:
    """The type of the resource that a mention becomes.

    >>> class Problem(Entity): "A problem."
    >>> resource_type(Problem.at("No fever.", 3, 8))
    'Condition'
    """
    label = fold(entity.label)
    if isinstance(entity, Modifier) or (label == "condition" and isinstance(entity, AnyEntity)):  # it may be "if", as `clinical` has it
        return "Basic"
    found = _TYPE_OF.get(label, "Basic")
    assertion = _assertion(entity)
    if found in ("Condition", "AdverseEvent") and assertion == Assertion.ASSOCIATED_WITH_SOMEONE_ELSE:
        return "FamilyMemberHistory"
    return "Condition" if found == "AdverseEvent" and assertion == Assertion.ABSENT else found


def resource_of(entity: Entity, subject: Resource, linked: Sequence[Linked]) -> Resource:
    """The resource of a mention, without its id and its extensions. ``linked`` are the mentions that relations join to it."""
    kind = resource_type(entity)
    concept = _concept(entity)
    assertion = _assertion(entity)
    if kind == "FamilyMemberHistory":
        member = {"coding": [{"system": _ROLES, "code": "FAMMEMB"}]}
        return {"resourceType": kind, "status": "partial", "patient": subject, "relationship": member, "condition": [{"code": concept}]}
    if kind == "Basic":
        return {"resourceType": kind, "code": {"text": string(entity.label)}, "subject": subject}
    found: Resource = {"resourceType": kind, "subject": subject}
    if kind == "Condition":
        found["code"] = concept
        if assertion is not None:
            found["verificationStatus"] = {"coding": [{"system": _VERIFICATION_SYSTEM, "code": _VERIFICATION[assertion]}]}
        if sites := _texts(linked, _SITE):
            found["bodySite"] = [{"text": text} for text in sites]
        if severities := _texts(linked, frozenset({"severity"})):
            found["severity"] = {"text": severities[0]}
    elif kind == "MedicationStatement":
        found |= {"status": "not-taken" if assertion == Assertion.ABSENT else "unknown", "medicationCodeableConcept": concept}
        if dosage := _texts(linked, _DOSAGE):
            found["dosage"] = [{"text": " ".join(dosage)}]
    elif kind == "Observation":
        found |= {"status": "unknown", "code": concept}
        if values := _texts(linked, _VALUE):
            found["valueString"] = "; ".join(values)
    elif kind == "AdverseEvent":
        found |= {"actuality": "actual" if assertion in (None, Assertion.PRESENT) else "potential", "event": concept}
        if suspects := [one.reference for one in linked if resource_type(one.entity) == "MedicationStatement"]:
            found["suspectEntity"] = [{"instance": {"reference": reference}} for reference in dict.fromkeys(suspects)]
    else:
        found |= {"status": "not-done" if assertion == Assertion.ABSENT else "unknown", "code": concept}
    return found


def coding_of(code: str) -> Resource:
    """A code as FHIR has it.

    >>> coding_of("LOINC:718-7")
    {'system': 'http://loinc.org', 'code': '718-7'}
    """
    system, colon, own = code.partition(":")
    if not colon or not own or not system:
        return {"code": string(code)}
    return {"system": SYSTEMS.get(system) or OTHER_SYSTEM + string(system).replace(" ", "_"), "code": string(own)}


def code_of(coding: Mapping[str, Any]) -> str:
    """The way back.

    >>> code_of({"system": "http://loinc.org", "code": "718-7"})
    'LOINC:718-7'
    """
    system, code = str(coding.get("system") or ""), str(coding.get("code") or "")
    known = next((name for name, url in SYSTEMS.items() if url == system), system.removeprefix(OTHER_SYSTEM))
    return f"{known}:{code}" if known else code


def string(text: str) -> str:
    """``text`` as FHIR's type string admits it: not empty, and no white space but blanks, tabs and line ends."""
    kept = "".join(c if c in " \t\r\n" or not (c.isspace() or c < " " or "\ud800" <= c <= "\udfff" or c == "\x7f") else " " for c in text)
    return kept.strip() or "-"


def _concept(entity: Entity) -> Resource:
    text = {"text": string(" ".join(entity.text.split()))}
    return {"coding": list(map(coding_of, entity.codes)), **text} if entity.codes else text


def _assertion(entity: Entity) -> Assertion | None:
    value = entity.attributes.get("assertion")
    try:
        return None if value is None else Assertion(attribute_value(value))
    except ValueError:
        return None


def _texts(linked: Sequence[Linked], labels: frozenset[str]) -> list[str]:
    """The texts of the mentions of some labels, in reading order."""
    found = sorted((one.entity for one in linked if fold(one.entity.label) in labels), key=Entity.sort_key)
    return [string(" ".join(entity.text.split())) for entity in found]
