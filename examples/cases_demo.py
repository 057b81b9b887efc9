"""The pictures that ``medllm view OUT --picture NAME`` makes, of three invented cases marked up by hand; needs no model.

    python examples/cases_demo.py OUT

Every patient, trial and number in it is made up. The texts without marks are the notes of ``examples/cases``.
"""
# ruff: noqa: E501  a note's paragraph is one line

import sys
from pathlib import Path

from medllm.document import Extraction, Note
from medllm.prompting.examples import parse_example
from medllm.report.cases import picture_of, write_picture
from medllm.schema import Schema

CASES: dict[str, dict[str, str]] = {
    "pharmacovigilance": {
        "safety-report-1": """A 61-year-old man with [history|gout] was given [route <hasAttr#1|intravenous] [drug #1|ceftriaxone] [dosage <hasAttr#1|2 g daily] for [indication <given_for#1|pneumonia].
[onset <hasAttr#2|Twenty minutes after the first dose] he developed [effect <causes#1 #2|a rash] and [effect <causes#1|wheezing].
[effect causality=suspected <causes#3|Acute kidney injury] on day 4 may have been due to [drug #3|vancomycin]; [effect causality=denied <causes#4|hearing loss] was not found with [drug #4|gentamicin].
""",
        "safety-report-2": """[drug #1|Vancomycin] for [indication <given_for#1|cellulitis] was followed by [effect <causes#1 #2|acute kidney injury] [onset <hasAttr#2|within six days].
After a change to [drug #3|ceftriaxone] [effect causality=suspected <causes#3|a rash] was noted, possibly due to the antibiotic.
""",
        "safety-report-3": """Under [drug #1|amiodarone] for [indication <given_for#1|atrial fibrillation] she developed [effect <causes#1 #2|hypothyroidism] [onset <hasAttr#2|after ten months]; [effect causality=suspected <causes#1|a rash] was perhaps related.
[drug #4|Gentamicin] caused no [effect causality=denied <causes#4|acute kidney injury].
""",
    },
    "trial-eligibility": {
        "trial-heart-failure": """Inclusion Criteria:
[person #1|Aged] [value <hasAttr#1|18 to 75 years]
[condition #2|Heart failure] [temporal <hasAttr#2|for at least 3 months], [measurement #3|left ventricular ejection fraction] [value <hasAttr#3|below 40 %]
Treated with [qualifier <hasAttr#4|stable doses of] [drug #4|beta blockers] [temporal <hasAttr#4|for 4 weeks]
[negation <hasAttr#8|No] [condition #8|dementia]
Exclusion Criteria:
[qualifier <hasAttr#5|Uncontrolled] [condition #5|hypertension]
[procedure #6|Cardiac surgery] [temporal <hasAttr#6|within 30 days] or planned
[measurement #7|Estimated glomerular filtration rate] [value <hasAttr#7|< 30 mL/min]
[device|Left ventricular assist device]
""",
    },
    "case-report": {
        "case-pancreatitis": """A woman of 47 was [clinical_event #1|admitted] [date <hasAttr#1|in May 2016] with a [duration <hasAttr#2|3-day] history of [severity <hasAttr#2|severe] [biological_structure <hasAttr#2|abdominal] [sign_symptom #2|pain] and [sign_symptom|vomiting].
There was no [sign_symptom assertion=absent|fever]. [diagnostic_procedure #3|Lipase] was [lab_value <hasAttr#3|812 U/L], and [diagnostic_procedure|ultrasound] showed [disease_disorder|gallstones]; [disease_disorder|acute pancreatitis] was diagnosed.
She received [medication #4|morphine] [dosage <hasAttr#4|5 mg] and [therapeutic_procedure|intravenous fluids].
[date <hasAttr#5 <hasAttr#6|On day 3] she became [sign_symptom #5|dyspneic], and a [diagnostic_procedure #6|CT scan] showed [disease_disorder assertion=possible|a possible pseudocyst].
[date <hasAttr#7|On day 6] [therapeutic_procedure #7|cholecystectomy] was done, with [medication|cefazolin] before it.
[date <hasAttr#8|Six weeks later] she was [clinical_event #8|seen in clinic]: no [sign_symptom assertion=absent|pain], [diagnostic_procedure #9|lipase] [lab_value <hasAttr#9|normal].
""",
    },
}


def extraction(marked: str, note_id: str, schema: Schema) -> Extraction:
    """The extraction of a text that is marked up as the examples of schema packs are."""
    example = parse_example(marked)
    classes = {c.label: c for c in schema.entities}
    entities = [classes[m.label].at(example.text, m.start, m.end, **m.attributes) for m in example.mentions]
    relations = []
    for label, head, tail in example.links:
        kinds = schema.relations_between(entities[head].label, entities[tail].label)
        relations.append(next(kind for kind in kinds if kind.label == label)(head=entities[head], tail=entities[tail]))
    return Extraction(note=Note(id=note_id, text=example.text), entities=tuple(entities), relations=tuple(relations))


def demo(out: Path) -> list[Path]:
    """Write the three pictures to a folder."""
    paths = []
    for name, marked in CASES.items():
        schema = Schema.load(name)
        picture = picture_of(schema)
        found = [extraction(text, note_id, schema) for note_id, text in marked.items()]
        paths.append(write_picture(picture, found, title=f"{name}: invented cases", out=out / f"{picture}.html"))
    return paths


if __name__ == "__main__":
    for path in demo(Path(sys.argv[1])):
        print(path)
