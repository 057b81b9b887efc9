"""What stands for identifying text: another text of the same form, the same for the same patient, of which nothing leads back."""

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.deid.findings import CATEGORIES
from medllm.deid.shifting import shift_date
from medllm.deid.surrogates import Surrogates

ONE, OTHER = Surrogates(b"secret", "patient 1"), Surrogates(b"secret", "patient 2")


def form(text: str) -> str:
    return re.sub(r"\d", "9", re.sub(r"[A-Z]", "A", re.sub(r"[a-z]", "a", text)))


@pytest.mark.parametrize("text", ["4471902", "00-83-12-7", "SP-19-40817", "V000381726", "(253) 555-0147", "mp448", "40507-1127"])
def test_numbers_keep_their_form_and_change(text: str) -> None:
    new = ONE.of("IDNUM", text)
    assert form(new) == form(text)
    assert new != text


def test_one_number_written_in_two_ways_stays_one_number() -> None:
    plain = ONE.of("PHONE", "2535550147")
    assert ONE.of("PHONE", "(253) 555-0147").translate({ord(c): None for c in "() -"}) == plain


def test_a_name_is_replaced_word_by_word_in_its_case() -> None:
    whole, upper, part = ONE.of("PATIENT", "Chidi Okafor"), ONE.of("PATIENT", "OKAFOR, CHIDI"), ONE.of("DOCTOR", "Okafor")
    first, last = whole.split()
    assert upper == f"{last}, {first}".upper()
    assert part == last
    assert whole.istitle()
    assert {"Chidi", "Okafor"}.isdisjoint({first, last})
    assert re.fullmatch(r"[A-Z]\. [A-Z][a-z]+", ONE.of("DOCTOR", "J. Begay"))


def test_patients_and_salts_have_surrogates_of_their_own() -> None:
    text = "4471902771"
    assert len({s.of("MEDICALRECORD", text) for s in (ONE, OTHER, Surrogates(b"another", "patient 1"))}) == 3
    assert Surrogates(b"secret", "patient 1").of("MEDICALRECORD", text) == ONE.of("MEDICALRECORD", text)


@given(st.sampled_from(sorted(CATEGORIES)), st.text(min_size=1, max_size=12))
def test_whatever_is_found_something_stands_for_it(kind: str, text: str) -> None:
    assert ONE.of(kind, text)


@given(st.binary(min_size=1, max_size=8), st.text(max_size=8))
def test_dates_are_moved_by_whole_weeks_and_never_by_none(salt: bytes, patient: str) -> None:
    days = Surrogates(salt, patient).days
    assert days % 7 == 0
    assert 28 <= abs(days) <= 364


@given(st.dates(datetime.date(1920, 1, 1), datetime.date(2090, 1, 1)), st.integers(-364, 364))
def test_a_date_moved_is_that_date_in_the_same_form(date: datetime.date, days: int) -> None:
    moved = date + datetime.timedelta(days=days)
    for pattern in ("%Y-%m-%d", "%m/%d/%Y", "%d-%b-%Y"):
        assert shift_date(date.strftime(pattern), days) == moved.strftime(pattern)
    assert shift_date(f"{date:%B} {date.day}, {date.year}", days) == f"{moved:%B} {moved.day}, {moved.year}"


@pytest.mark.parametrize(
    ("text", "days", "expected"),
    [
        ("3/14/21", 28, "4/11/21"),
        ("7/4", 28, "8/1"),
        ("31.12.2020", 7, "07.01.2021"),
        ("12/22-12/26", 7, "12/29-1/2"),
        ("APR 09, 2023", 28, "MAY 07, 2023"),
        ("March '17", 56, "May '17"),
        ("June 26th", 7, "July 3rd"),
        ("Sept 3", 28, "Oct 1"),
        ("2/29/2024", 7, "3/7/2024"),
        ("2009", 364, "2010"),
        ("'08", -364, "'07"),
        ("1970s", 364, "1970s"),
        ("Christmas", 28, "January 22"),
        ("Tuesdays", 28, "Tuesdays"),
        ("Sat", 28, "Sat"),
        ("99/99", 28, None),
    ],
)
def test_dates_as_notes_have_them(text: str, days: int, expected: str | None) -> None:
    assert shift_date(text, days) == expected
