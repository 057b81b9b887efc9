"""What is found in clinical text, and what looks like it and is not."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.deid.dates import find_dates
from medllm.deid.findings import Finding, resolve
from medllm.deid.names import find_names
from medllm.deid.numbers import find_ages, find_numbers
from medllm.deid.places import find_places

FINDERS: tuple[Callable[[str], Iterator[Finding]], ...] = (find_names, find_dates, find_numbers, find_ages, find_places)


def found(text: str) -> list[tuple[str, str]]:
    return [(text[f.start : f.end], f.type) for f in resolve(text, [f for find in FINDERS for f in find(text)])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Seen by Dr. Foley for her Foley catheter.", [("Foley", "DOCTOR")]),
        ("PATIENT: TREVINO, ALMA R\n", [("TREVINO, ALMA R", "PATIENT")]),
        ("Mrs. O'Brien-Vance and Drs. Lund and Amadi agree.", [("O'Brien-Vance", "PATIENT"), ("Lund", "DOCTOR"), ("Amadi", "DOCTOR")]),
        ("Ngaire Poutama, RN, called.", [("Ngaire Poutama", "DOCTOR")]),
        ("His wife Delphine drives.", [("Delphine", "PATIENT")]),
        ("We added Sæbjörg Sigþórsdóttir to the list.", [("Sæbjörg Sigþórsdóttir", "PATIENT")]),
        ("Her maiden name was Uppavaara.", [("Uppavaara", "PATIENT")]),
        ("lives with her kid Zikret", [("Zikret", "PATIENT")]),
        ("seen by dr. kessler\n", [("kessler", "DOCTOR")]),
        ("Mr. Quist fell. QUIST walks.", [("Quist", "PATIENT"), ("QUIST", "PATIENT")]),
        ("DOB: 08/02/1953", [("08/02/1953", "DATE")]),
        ("since last Tuesday, 3 May 2021", [("Tuesday, 3 May 2021", "DATE")]),
        ("CABG in 2009, stent Nov '18", [("2009", "DATE"), ("Nov '18", "DATE")]),
        ("MRN 4471902, SSN 585-00-1294", [("4471902", "MEDICALRECORD"), ("585-00-1294", "SSN")]),
        ("Call (606) 555-0138, fax 606-555-0139.", [("(606) 555-0138", "PHONE"), ("606-555-0139", "FAX")]),
        ("a 97-year-old woman", [("97", "AGE")]),
        ("lives in Tacoma", [("Tacoma", "CITY")]),
        ("admitted to Riverbend General Hospital", [("Riverbend General Hospital", "HOSPITAL")]),
    ],
)
def test_what_identifies_is_found(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Parkinson's disease, Crohn's, Hodgkin lymphoma, Bell's palsy and a Baker's cyst.",
        "Foley removed, Swan-Ganz floated, Penrose drain left; Glasgow Coma Scale 15.",
        "BP 118/64, pain 6/10, strength 5/5, 2/6 systolic murmur, Percocet 5/325.",
        "Gleason 3+4=7, EF 25%, Hgb 9.8, heparin 5000 units, 1/2 tab twice a day.",
        "May have headache; will march on. Second to none.",
    ],
)
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert found(text) == []


@given(st.text(st.one_of(st.sampled_from("Dr. Mrs, MD\n12/3-.:#()'’ÉØß中"), st.characters()), max_size=80))
def test_findings_of_any_text_are_in_order_inside_and_apart(text: str) -> None:
    findings = resolve(text, [f for find in FINDERS for f in find(text)])
    assert all(0 <= f.start < f.end <= len(text) for f in findings)
    assert all(left.end <= right.start for left, right in pairwise(findings))
