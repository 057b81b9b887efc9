"""n2c2 2018 track 2 and n2c2 2022: brat with customs of their own, on notes written for the project."""

from medllm.document import Extraction, Note, any_entity, any_relation
from medllm.formats import n2c2
from medllm.formats.base import Parsed

TEXT = "Ibuprofen 400\n mg daily\nfor knee and hip pain ."


def put(folder, ann: str, text: str = TEXT) -> Parsed:
    folder.mkdir(exist_ok=True)
    (folder / "n.txt").write_bytes(text.encode())
    (folder / "n.ann").write_bytes(ann.encode())
    (parsed,) = n2c2.read(folder)
    return parsed


def test_mentions_that_run_over_lines_are_joined(tmp_path):
    ann = (
        "T1\tDrug 0 9\tIbuprofen\nT2\tStrength 10 13;15 17\t400 mg\nT3\tReason 28 32;41 45\tknee pain\n"
        "T4\tFrequency 18 23;24 32\tdaily for knee\nR1\tStrength-Drug Arg1:T2 Arg2:T1\n"
    )
    parsed = put(tmp_path, ann)
    assert parsed.problems == ()
    found = {e.id: ([(s.start, s.end) for s in e.spans], e.text) for e in parsed.extraction.entities}
    assert found == {
        "T1": ([(0, 9)], "Ibuprofen"),
        "T2": ([(10, 17)], "400\n mg"),
        "T3": ([(28, 32), (41, 45)], "knee pain"),
        "T4": ([(18, 32)], "daily\nfor knee"),
    }
    (relation,) = parsed.extraction.relations
    assert relation.head is next(e for e in parsed.extraction.entities if e.id == "T2")
    n2c2.Writer2018(tmp_path / "out").write(parsed.extraction)
    assert sorted((tmp_path / "out" / "n.ann").read_text().splitlines()) == sorted(ann.splitlines())
    assert (tmp_path / "out" / "n.txt").read_bytes() == TEXT.encode()


def test_white_space_and_single_lines_are_left_alone(tmp_path):
    text = "a\n\nb  c"
    entity = any_entity("x").at(text, 1, 3, id="T1")
    other = any_entity("x").at(text, 0, 7, id="T2")
    n2c2.Writer2018(tmp_path).write(Extraction(note=Note(id="n", text=text), entities=(other, entity)))
    assert (tmp_path / "n.ann").read_text() == "T2\tx 0 1;3 7\ta b  c\nT1\tx 1 3\t  \n"


def test_one_file(tmp_path):
    put(tmp_path, "T1\tDrug 0 9\tIbuprofen\n")
    (parsed,) = n2c2.read(tmp_path / "n.ann")
    assert parsed.extraction.note.id == "n"


def test_medication_changes_as_events(tmp_path):
    ann = "T1\tDisposition 0 9\tIbuprofen\nE1\tDisposition:T1\nA1\tAction E1 Stop\nA2\tNegation E1 NotNegated\n"
    parsed = put(tmp_path, ann.replace("E1\tDisposition:T1\n", "E1\tDisposition:T1 \n"))
    assert parsed.problems == ()
    assert parsed.extraction.entities[0].attributes == {"Action": "Stop", "Negation": "NotNegated"}
    n2c2.Writer2022(tmp_path / "out").write(parsed.extraction)
    assert (tmp_path / "out" / "n.ann").read_text() == ann


def test_social_determinants_as_events(tmp_path):
    text = "Smokes , a pack a day , cigars ."
    ann = (
        "T1\tTobacco 0 6\tSmokes\nT2\tStatusTime 0 6\tSmokes\nT3\tAmount 9 21\ta pack a day\nT4\tType 24 30\tcigars\n"
        "E1\tTobacco:T1 Status:T2 Amount:T3 Type:T4 Type2:T3\nA1\tStatusTimeVal T2 current\n"
    )
    parsed = put(tmp_path, ann, text)
    assert parsed.problems == ()
    assert [(r.label, r.head.label, r.tail.label) for r in parsed.extraction.relations] == [
        ("Status", "Tobacco", "StatusTime"),
        ("Amount", "Tobacco", "Amount"),
        ("Type", "Tobacco", "Type"),
        ("Type", "Tobacco", "Amount"),
    ]
    n2c2.Writer2022(tmp_path / "out").write(parsed.extraction)
    written = (tmp_path / "out" / "n.ann").read_text().splitlines()
    assert sorted(written) == sorted(ann.splitlines())


def test_events_that_are_arguments(tmp_path):
    text = "a b c"
    a, b, c = (any_entity(name).at(text, n, n + 1, id=f"T{n}") for n, name in ((0, "A"), (2, "B"), (4, "C")))
    relations = (any_relation("has")(head=a, tail=b), any_relation("has")(head=b, tail=c))
    n2c2.Writer2022(tmp_path).write(Extraction(note=Note(id="n", text=text), entities=(a, b, c), relations=relations))
    lines = (tmp_path / "n.ann").read_text().splitlines()
    assert lines[3:] == ["E1\tA:T0 has:E2", "E2\tB:T2 has:T4"]
    (parsed,) = n2c2.read(tmp_path)
    assert [(r.head.id, r.tail.id) for r in parsed.extraction.relations] == [("T0", "T2"), ("T2", "T4")]
