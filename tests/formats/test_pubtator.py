"""PubTator and MedMentions: documents written for the project."""

import pytest

from medllm.document import Extraction, Note, any_entity, any_relation
from medllm.errors import FormatError
from medllm.formats import medmentions, pubtator
from medllm.formats.base import Parsed
from medllm.formats.concepts import code_of, codes_of, concept_mention, field_of, identifier_of
from medllm.formats.pubtator_lines import documents

CDR = """\
101|t|Lithium toxicity: a case.
101|a|A woman given lithium had ataxia and tremor. Qwyzzk.
101\t0\t7\tLithium\tChemical\tD008094
101\t8\t16\ttoxicity\tDisease\t-1
101\t40\t47\tlithium\tChemical\tD008094
101\t52\t69\tataxia and tremor\tDisease\tD001259|D014202\tataxia|tremor
101\t63\t69\ttremor\tDisease\tD014202
101\tCID\tD008094\tD001259
101\tCID\tD008094\tD014202

102|t|Nothing here.
102|a|

"""


def read(tmp_path, content: str, module=pubtator, schema=None) -> list[Parsed]:
    path = tmp_path / "x.PubTator.txt"
    path.write_bytes(content.encode())
    parsed = list(module.read(path, schema))
    assert not any("Qwyzzk" in problem.detail for one in parsed for problem in one.problems)
    return parsed


def told(parsed: list[Parsed]) -> list[tuple[int | None, str]]:
    return [(p.line, p.kind) for one in parsed for p in one.problems]


def test_mentions_concepts_and_relations(tmp_path):
    first, second = read(tmp_path, CDR)
    assert told([first, second]) == []
    assert first.extraction.note.text == "Lithium toxicity: a case.\nA woman given lithium had ataxia and tremor. Qwyzzk."
    assert [(e.text, e.label, e.codes) for e in first.extraction.entities] == [
        ("Lithium", "Chemical", ("MESH:D008094",)),
        ("toxicity", "Disease", ()),
        ("lithium", "Chemical", ("MESH:D008094",)),
        ("ataxia and tremor", "Disease", ("MESH:D001259", "MESH:D014202")),
        ("tremor", "Disease", ("MESH:D014202",)),
    ]
    assert [(r.id, r.head.text, r.tail.text) for r in first.extraction.relations] == [
        ("CID(MESH:D008094,MESH:D001259)", "Lithium", "ataxia and tremor"),
        ("CID(MESH:D008094,MESH:D014202)", "Lithium", "tremor"),
    ]
    assert (second.extraction.note.id, second.extraction.note.text) == ("102", "Nothing here.")


def test_what_is_read_is_written_back(tmp_path):
    writer = pubtator.Writer(tmp_path / "out.txt")
    for parsed in read(tmp_path, CDR):
        writer.write(parsed.extraction)
    writer.close()
    assert (tmp_path / "out.txt").read_text() == CDR.replace("\tataxia|tremor", "")
    for ends in ("\n", "\r\n"):
        whole = CDR.replace("\n", ends)
        assert "".join(document.dumps() for document in documents(whole.splitlines(keepends=True))) == whole


def test_biored(tmp_path):
    content = (
        "7|t|MODY in a patient.\n7|a|NIS variant c.1A.\n"
        "7\t0\t4\tMODY\tGeneOrGeneProduct\t3172,3651\n"
        "7\t10\t17\tpatient\tOrganismTaxon\t9606\n"
        "7\t19\t22\tNIS\tGeneOrGeneProduct\t6528\n"
        "7\t31\t35\tc.1A\tSequenceVariant\tc|DEL|1314_1328|\n"
        "7\tAssociation\tc|DEL|1314_1328|\t3651\tNovel\n"
    )
    (parsed,) = read(tmp_path, content)
    assert told([parsed]) == []
    assert [e.codes for e in parsed.extraction.entities] == [
        ("NCBIGENE:3172", "NCBIGENE:3651"),
        ("NCBITAXON:9606",),
        ("NCBIGENE:6528",),
        ("TMVAR:c|DEL|1314_1328|",),
    ]
    (relation,) = parsed.extraction.relations
    assert (relation.label, relation.head.text, relation.tail.text) == ("Association", "c.1A", "MODY")
    written = pubtator.from_extraction(parsed.extraction).dumps().splitlines()
    assert written[-2:] == ["7\tAssociation\tc|DEL|1314_1328|\t3651", ""]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Qwyzzk", "malformed-line"),
        ("101\tQwyzzk", "malformed-line"),
        ("101\t3\t7\tQwyzzk", "malformed-line"),
        ("101\tx\t7\tQwyzzk", "relation"),
        (f"101\t3\t{'9' * 5000}\tQwyzzk\tChemical\t-1", "malformed-line"),
        ("101\t-3\t7\tQwyzzk\tChemical\t-1", "malformed-line"),
        ("101\t7\t7\t\tChemical\t-1", "bad-span"),
        ("101\t7\t700\tQwyzzk\tChemical\t-1", "bad-span"),
        ("101\t8\t15\tQwyzzk\tDisease\t-1", "text-mismatch"),
        ("103\t8\t16\ttoxicity\tDisease\t-1", "unknown-reference"),
        ("101\tCID\tD008094\tD000000", "unknown-reference"),
        ("101\tCID\t-1\tD008094", "unknown-reference"),
        ("101|a|Qwyzzk", "duplicate-id"),
    ],
)
def test_a_bad_line_is_told_and_moves_nothing(tmp_path, line, kind):
    clean, _ = read(tmp_path, CDR)
    lines = CDR.split("\n")
    lines.insert(6, line)
    found = read(tmp_path, "\n".join(lines))
    if kind == "relation":
        assert told(found) == [(7, "unknown-reference")]
    else:
        assert told(found) == [(7, kind)]
    kept = [e for e in found[0].extraction.entities if (e.span, e.codes) in [(c.span, c.codes) for c in clean.extraction.entities]]
    assert len(kept) == 5
    assert [(r.id, r.head.span) for r in found[0].extraction.relations] == [(r.id, r.head.span) for r in clean.extraction.relations]


def test_lines_before_the_first_title(tmp_path):
    found = read(tmp_path, "Qwyzzk\n" + CDR)
    assert told(found) == [(1, "malformed-line")]
    with pytest.raises(FormatError, match="no note can be read"):
        read(tmp_path, "Qwyzzk\nQwyzzk\n")


def test_ids_that_cannot_be_written():
    with pytest.raises(FormatError, match="note id"):
        pubtator.from_extraction(Extraction(note=Note(id="a|b", text="x")))


def test_relations_between_mentions_without_concepts_are_left_out():
    text = "aspirin for pain"
    drug, pain = any_entity("Chemical").at(text, 0, 7), any_entity("Disease").at(text, 12, 16, codes=("MESH:D010146",))
    relation = any_relation("CID")(head=drug, tail=pain)
    extraction = Extraction(note=Note(id="1", text=text), entities=(drug, pain), relations=(relation,))
    assert "CID" not in pubtator.from_extraction(extraction).dumps()
    both = drug.model_copy(update={"codes": ("MESH:D001241", "MESH:D000068759")})
    relation = any_relation("CID")(id="R1", head=both, tail=pain)
    extraction = Extraction(note=Note(id="1", text=text), entities=(both, pain), relations=(relation, relation))
    assert pubtator.from_extraction(extraction).dumps().splitlines()[4:] == ["1\tCID\tD001241|D000068759\tD010146", ""]


def test_a_folder_of_several_formats(tmp_path):
    (tmp_path / "a.PubTator.txt").write_text(CDR)
    (tmp_path / "readme.txt").write_text("not this")
    assert [p.extraction.note.id for p in pubtator.read(tmp_path)] == ["101", "102"]


# --- concepts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "label", "code"),
    [
        ("D003920", "", "MESH:D003920"),
        ("C536830", "", "MESH:C536830"),
        ("C000603933", "", "MESH:C000603933"),
        ("C0011849", "", "UMLS:C0011849"),
        ("mesh:D003920", "", "MESH:D003920"),
        ("rs1801133", "", "DBSNP:rs1801133"),
        ("CVCL_0224", "CellLine", "CELLOSAURUS:CVCL_0224"),
        ("6528", "Gene", "NCBIGENE:6528"),
        ("9606", "Species", "NCBITAXON:9606"),
        ("9606", "", "9606"),
        ("p.G9S", "", "p.G9S"),
        ("c|SUB|C|9|T", "", "TMVAR:c|SUB|C|9|T"),
    ],
)
def test_codes(identifier, label, code):
    assert code_of(identifier, label) == code
    assert code_of(identifier_of(code, label), label) == code


def test_fields_of_several_codes():
    assert codes_of(" D1 , D003920;-1|D008094") == ("D1", "MESH:D003920", "MESH:D008094")
    assert field_of(("MESH:D003920", "MESH:D008094")) == "D003920|D008094"
    assert field_of(("TMVAR:c|DEL|1|2", "MESH:D008094")) == "c|DEL|1|2,D008094"
    assert field_of(()) == "-1"


def test_the_first_mention_of_a_concept_that_has_it_alone():
    text = "abcd"
    both, alone, later = (any_entity("x").at(text, n, n + 1, codes=codes) for n, codes in enumerate([("X:1", "X:2"), ("X:2",), ("X:2",)]))
    assert concept_mention([both, alone, later], "X:2") is alone
    assert concept_mention([both], "X:2") is both
    assert concept_mention([both, alone], "X:1|X:2") is both
    assert concept_mention([both], "X:3") is None


# --- MedMentions -----------------------------------------------------------------------------------------------------


MEDMENTIONS = """\
9|t|DCTN4 in cystic fibrosis
9|a|A modifier.
9\t0\t5\tDCTN4\tT116,T123\tC4308010
9\t9\t24\tcystic fibrosis\tT047\tUMLS:C0010674

"""


def test_medmentions(tmp_path):
    (parsed,) = read(tmp_path, MEDMENTIONS, medmentions)
    assert told([parsed]) == []
    assert [(e.label, e.codes, e.attributes) for e in parsed.extraction.entities] == [
        ("T116", ("UMLS:C4308010",), {"semantic_types": "T116,T123"}),
        ("T047", ("UMLS:C0010674",), {}),
    ]
    writer = medmentions.Writer(tmp_path / "out")
    writer.write(parsed.extraction)
    writer.close()
    assert (tmp_path / "out" / "extractions.pubtator.txt").read_text() == MEDMENTIONS.replace("UMLS:", "")
    (again,) = medmentions.read(tmp_path / "out")
    assert again.extraction == parsed.extraction


def test_medmentions_without_a_type(tmp_path):
    found = read(tmp_path, "9|t|DCTN4\n9|a|x\n9\t0\t5\tDCTN4\t,\tC4308010\n", medmentions)
    assert told(found) == [(3, "unknown-label")]
