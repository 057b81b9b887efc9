import pytest

from medllm.text.patient import Patient, patient_of


@pytest.mark.parametrize(
    ("text", "sex", "age"),
    [
        ("This is a 70-year-old male who has no complaints.", "male", 70),
        ("The patient is a pleasant, 66-year-old Caucasian female.", "female", 66),
        ("A 74 - year - old female patient admitted here.", "female", 74),
        ("HPI: 45 y/o WM with chest pain.", "male", 45),
        ("58F with dyspnea.", "female", 58),
        ("62 yo M presents with cough.", "male", 62),
        ("A sixty-five year old gentleman.", "male", 65),
        ("A seven-year-old boy.", "male", 7),
        ("A 41-year-old worker who is seen for a foreign body.", None, 41),
        ("Mrs. Lowe is 82 years old. She is well.", "female", 82),
        ("Name: X\nAge: 34 years\nSex: F\n", "female", 34),
        ("AGE: 51\nGENDER: Male", "male", 51),
        ("患者，男，58岁，因胸痛2天入院。", "male", 58),
        ("患者女性，45岁。", "female", 45),
        ("性别：女\n年龄：63岁", "female", 63),
        ("患儿，男，3个月，发热。", "male", 0.25),
        ("This is a 14-month-old baby boy.", "male", 14 / 12),
        ("A 5-day-old infant.", None, 5 / 365.25),
        ("A 3-week-old girl.", "female", 21 / 365.25),
    ],
)
def test_told(text: str, sex: str | None, age: float) -> None:
    found = patient_of(text)
    assert found.sex == sex
    assert found.age == pytest.approx(age)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Heart: normal. Lungs: clear.",
        "mother is a 60-year-old woman.",
        "FAMILY HISTORY: Father died at 70 years of age. Her sister is a 40-year-old female.",
        "A 3-year-old pacemaker was replaced.",
        "Menopause at the age of 50. Smoked for 20 years.",
        "家族史：父亲，男，70岁。",
        "Discharged after 10 days. Seen 2 weeks ago.",
        "DOB: 1/4/12-year-old record",
    ],
)
def test_not_told(text: str) -> None:
    assert patient_of(text) == Patient()


def test_relatives_are_not_the_patient() -> None:
    note = "Her 45-year-old mother has diabetes. The patient is an 18-year-old woman. Her 2-year-old son is well."
    assert patient_of(note) == Patient("female", 18)
    assert patient_of("Brought in by her 50-year-old husband. She fell. She hit her head. She is well.") == Patient("female", None)


def test_sex_from_pronouns_needs_agreement() -> None:
    assert patient_of("He fell. He hit his head.").sex == "male"
    assert patient_of("He fell.").sex is None
    assert patient_of("She says that he fell and that she saw him. Her head hurts, his does not.").sex is None


def test_impossible_ages_are_passed_over() -> None:
    assert patient_of("A 450-year-old man.").age is None
