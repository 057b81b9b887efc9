"""Words and abbreviations that mean the same in clinical notes, written for this project."""

import random
import re
from functools import cached_property

_GROUPS = """
patient | pt
history of | h/o | hx of
complains of | c/o | reports | endorses
status post | s/p
with | w/
without | w/o
rule out | r/o
shortness of breath | SOB | dyspnea
hypertension | HTN | high blood pressure
diabetes mellitus | DM
type 2 diabetes | T2DM
coronary artery disease | CAD
congestive heart failure | CHF
chronic obstructive pulmonary disease | COPD
chronic kidney disease | CKD
atrial fibrillation | AFib | AF
deep venous thrombosis | DVT
pulmonary embolism | PE
urinary tract infection | UTI
myocardial infarction | MI | heart attack
cerebrovascular accident | CVA | stroke
gastroesophageal reflux disease | GERD
hyperlipidemia | HLD
blood pressure | BP
heart rate | HR | pulse
respiratory rate | RR
complete blood count | CBC
white blood cell count | WBC
electrocardiogram | EKG | ECG
chest x-ray | CXR | chest radiograph
magnetic resonance imaging | MRI
computed tomography | CT
by mouth | p.o. | PO
twice a day | b.i.d. | BID | twice daily
three times a day | t.i.d. | TID
once a day | daily | q.d.
as needed | p.r.n. | PRN
at bedtime | q.h.s. | nightly
every day | daily
showed | revealed | demonstrated
significant | marked | notable
prior | previous | earlier
began | started
about | approximately
performed | done
noted | seen | found
secondary to | due to | because of
evaluation | assessment
currently | presently | at this time
continue | keep on
admitted | hospitalized
pain | discomfort
swelling | edema
nausea and vomiting | N/V
abdomen | belly
left | L
right | R
lower extremity | leg
upper extremity | arm
increased | elevated
decreased | reduced
severe | marked
mild | slight
"""


class _Synonyms:
    """Groups of phrases; ``pattern`` finds any of them as whole words, the longest first, whatever its case."""

    def __init__(self, groups: str) -> None:
        self._groups: dict[str, list[str]] = {}
        for line in groups.strip().splitlines():
            phrases = [phrase.strip() for phrase in line.split("|")]
            for phrase in phrases:
                known = self._groups.setdefault(phrase.casefold(), [])
                known += [other for other in phrases if other != phrase and other not in known]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches a phrase of any group."""
        phrases = sorted(self._groups, key=len, reverse=True)
        return re.compile(rf"(?<![\w/.])(?:{'|'.join(map(re.escape, phrases))})(?![\w/])", re.IGNORECASE)

    def other(self, phrase: str, chance: random.Random) -> str:
        """Another phrase of its group; a capital first letter stays one."""
        found = chance.choice(self._groups[phrase.casefold()])
        return found[0].upper() + found[1:] if phrase[0].isupper() else found


SYNONYMS = _Synonyms(_GROUPS)
