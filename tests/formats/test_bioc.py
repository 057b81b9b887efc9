"""BioC XML and JSON: documents written for the project, and the bioc package as another program's opinion."""

import io
import json

import pytest

from medllm.document import Extraction, Note, any_entity, any_relation
from medllm.errors import FormatError
from medllm.formats import bioc, bioc_json, bioc_xml
from medllm.formats.base import Parsed
from medllm.formats.bioc_model import Annotation, Document, Header, Link, Location, Node, Passage

XML = """\
<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE collection SYSTEM 'BioC.dtd'>
<collection>
<source>made for medllm</source>
<date>2031</date>
<key>none</key>
<document>
<id>101</id>
<infon key="journal">none</infon>
<passage>
<infon key="type">title</infon>
<offset>0</offset>
<text>Lithium &amp; ataxia</text>
<annotation id='0'>
<infon key="type">Chemical</infon>
<infon key="MESH">D008094</infon>
<location offset='0' length='7' />
<text>Lithium</text>
</annotation>
</passage>
<passage>
<infon key="type">abstract</infon>
<offset>17</offset>
<text>Ataxia and gait tremor. Qwyzzk.</text>
<annotation id='1'>
<infon key="type">Disease</infon>
<infon key="CompositeRole">IndividualMention</infon>
<infon key="MESH">D001259|D014202</infon>
<location offset='17' length='6' />
<location offset='33' length='6' />
<text>Ataxia tremor</text>
</annotation>
</passage>
<relation id='R0'>
<infon key="relation">CID</infon>
<infon key="Chemical">D008094</infon>
<infon key="Disease">D014202</infon>
</relation>
<relation id='R1'>
<infon key="type">near</infon>
<node refid='1' role='Arg2' />
<node refid='0' role='Arg1' />
</relation>
</document>
</collection>
"""


def read_xml(tmp_path, content: str | bytes) -> list[Parsed]:
    path = tmp_path / "x.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return checked(list(bioc_xml.read(path)))


def read_json(tmp_path, content: str) -> list[Parsed]:
    path = tmp_path / "x.json"
    path.write_text(content)
    return checked(list(bioc_json.read(path)))


def checked(parsed: list[Parsed]) -> list[Parsed]:
    assert not any("Qwyzzk" in problem.detail for one in parsed for problem in one.problems)
    return parsed


def told(parsed: list[Parsed]) -> list[tuple[int | None, str]]:
    return [(p.line, p.kind) for one in parsed for p in one.problems]


def written(header: Header, *documents: Document) -> str:
    return bioc_xml.dumps_header(header) + "".join(map(bioc_xml.dumps_document, documents)) + bioc_xml.END


def test_xml(tmp_path):
    (parsed,) = read_xml(tmp_path, XML)
    assert told([parsed]) == []
    note = parsed.extraction.note
    assert (note.id, note.text, note.meta) == ("101", "Lithium & ataxia\nAtaxia and gait tremor. Qwyzzk.", {"journal": "none"})
    lithium, ataxia = parsed.extraction.entities
    assert (lithium.label, lithium.codes, lithium.attributes) == ("Chemical", ("MESH:D008094",), {})
    assert ([(s.start, s.end) for s in ataxia.spans], ataxia.text) == ([(17, 23), (33, 39)], "Ataxia tremor")
    assert (ataxia.codes, ataxia.attributes) == (("MESH:D001259", "MESH:D014202"), {"CompositeRole": "IndividualMention"})
    assert [(r.id, r.label, r.head, r.tail) for r in parsed.extraction.relations] == [
        ("CID(MESH:D008094,MESH:D014202)", "CID", lithium, ataxia),
        ("R1", "near", lithium, ataxia),
    ]


def test_the_model_is_without_loss(tmp_path):
    path = tmp_path / "x.xml"
    path.write_text(XML)
    header, document = bioc_xml.read_documents(path)
    assert isinstance(header, Header)
    assert isinstance(document, Document)
    assert written(header, document) == XML
    writer = bioc_json.Writer(tmp_path / "x.json", header=header)
    writer.write_document(document)
    writer.close()
    assert list(bioc_json.read_documents(tmp_path / "x.json")) == [header, document]


def test_concept_relations_are_written_as_such(tmp_path):
    (parsed,) = read_xml(tmp_path, XML)
    document = bioc.from_extraction(parsed.extraction)
    assert document.relations == (
        Link("CID(MESH:D008094,MESH:D014202)", {"relation": "CID", "Chemical": "D008094", "Disease": "D014202"}),
        Link("R1", {"type": "near"}, (Node("0", "Arg1"), Node("1", "Arg2"))),
    )
    (again,) = read_xml(tmp_path, written(Header(), document))
    assert again.extraction == parsed.extraction


def test_biored_relations(tmp_path):
    link = Link("R0", {"entity1": "D008094", "entity2": "D001259", "type": "Association", "novel": "Novel"})
    passage = Passage(0, "Lithium", {}, (), (Annotation("1", {"type": "C", "identifier": "D008094;MESH:D001259"}, (Location(0, 7),)),))
    parsed = bioc.to_extraction(Document("1", {}, (passage,), (link,)))
    assert told([parsed]) == []
    assert [(r.label, r.id) for r in parsed.extraction.relations] == [("Association", "Association(MESH:D008094,MESH:D001259)")]


def test_sentences_and_passages_that_overlap(tmp_path):
    def said(text: str, offset: int, start: int, line: int, name: str) -> Passage:
        return Passage(offset, text, {}, (), (Annotation(name, {"type": "x"}, (Location(start, 3),), line=line),), line=line)

    passages = (
        Passage(0, None, {}, (said("One.", 0, 0, 3, "a"), said("Two.", 5, 5, 4, "b")), line=2),
        said("Six again.", 4, 4, 7, "c"),
        said("Far.", 10**8, 10**8, 9, "d"),
        Passage(40, "", line=11),
    )
    parsed = bioc.to_extraction(Document("n", {}, passages))
    assert parsed.extraction.note.text == "One.\nTwo.\nSix again.\nFar."
    assert [(e.id, e.text) for e in parsed.extraction.entities] == [("a", "One"), ("b", "Two"), ("c", "Six"), ("d", "Far")]
    assert told([parsed]) == [(7, "span-order"), (9, "span-order")]


@pytest.mark.parametrize(
    ("old", "new", "line", "kind"),
    [
        ("<location offset='0' length='7' />", "<location offset='x' length='7' />", 16, "malformed-line"),
        ("<location offset='0' length='7' />", "<location offset='0' length='0' />", 13, "bad-span"),
        ("<location offset='0' length='7' />", "<location offset='0' length='700' />", 13, "bad-span"),
        ("<text>Lithium</text>", "<text>Qwyzzk</text>", 13, "text-mismatch"),
        ("<annotation id='1'>", "<annotation id='0'>", 24, "duplicate-id"),
        ('<infon key="type">Chemical</infon>\n', "", 13, "unknown-label"),
        ("refid='1'", "refid='7'", 38, "unknown-reference"),
        ("<node refid='1' role='Arg2' />\n", "", 38, "not-held"),
        ('<infon key="Chemical">D008094</infon>', '<infon key="Chemical">D000000</infon>', 33, "unknown-reference"),
        ("<offset>17</offset>", "<offset>x</offset>", 20, "malformed-line"),
    ],
)
def test_a_bad_annotation_is_told(tmp_path, old, new, line, kind):
    assert old in XML
    parsed = read_xml(tmp_path, XML.replace(old, new))
    assert (line, kind) in told(parsed)
    assert all(e.text in ("Lithium", "Ataxia tremor") for e in parsed[0].extraction.entities)


def test_xml_that_breaks(tmp_path):
    second = XML[XML.index("<document>") : XML.index("</collection>")].replace("101", "102")
    two = XML.replace("</collection>", second + "</collection>")
    parsed = read_xml(tmp_path, two.replace("<id>102</id>", "<id>Qwyzzk & 102</id>"))
    assert [p.extraction.note.id for p in parsed] == ["101"]
    assert told(parsed) == [(45, "malformed-line")]
    for content in ("", "Qwyzzk", XML[: XML.index("</document>")]):
        with pytest.raises(FormatError, match="no note can be read") as caught:
            read_xml(tmp_path, content)
        assert "Qwyzzk" not in str(caught.value)


@pytest.mark.parametrize("declared", ["<!ENTITY a 'b'>", "<!ENTITY a SYSTEM '/etc/passwd'>"])
def test_entities_are_refused(tmp_path, declared):
    with pytest.raises(FormatError, match="declares entities"):
        read_xml(tmp_path, f"<!DOCTYPE collection [{declared}]><collection><source>&a;</source></collection>")


@pytest.mark.parametrize("encoding", ["klingon", "utf-7", "big5"])
def test_encodings_that_expat_lacks_are_refused(tmp_path, encoding):
    with pytest.raises(FormatError, match="encoding"):
        read_xml(tmp_path, XML.replace("UTF-8", encoding))


def test_another_root_is_refused(tmp_path):
    with pytest.raises(FormatError, match="not a BioC collection"):
        read_xml(tmp_path, "<deIdi2b2></deIdi2b2>")


# --- JSON ------------------------------------------------------------------------------------------------------------

JSON = """\
{"source": "", "date": "", "key": "", "infons": {}, "documents": [
 {"id": "1", "infons": {"n": 7}, "relations": [], "passages": [
  {"offset": 0, "infons": {}, "text": "No fever.", "sentences": [], "relations": [], "annotations": [
    {"id": "T1", "infons": {"type": "problem", "identifier": "MESH:D005334"}, "text": "fever",
     "locations": [{"offset": 3, "length": 5}]}
  ]}
 ]}
]}
"""


def test_json(tmp_path):
    (parsed,) = read_json(tmp_path, JSON)
    assert told([parsed]) == []
    (fever,) = parsed.extraction.entities
    assert (fever.text, fever.codes, parsed.extraction.note.meta) == ("fever", ("MESH:D005334",), {"n": "7"})
    one = json.dumps(json.loads(JSON)["documents"][0])
    for content in (one, f"{one}\n{one.replace('1', '2', 1)}\n", f"[{one}]", json.dumps({"PubTator3": [json.loads(one)]})):
        assert read_json(tmp_path, content)[0].extraction.entities == parsed.extraction.entities


@pytest.mark.parametrize(
    ("old", "new", "line", "kind"),
    [
        ('"offset": 3', '"offset": "3"', 5, "malformed-line"),
        ('"offset": 3', '"offset": 30', 4, "bad-span"),
        ('"text": "fever"', '"text": "Qwyzzk"', 4, "text-mismatch"),
        ('[{"offset": 3, "length": 5}]', "7", 4, "malformed-line"),
        ('[{"offset": 3, "length": 5}]', "[7]", 4, "malformed-line"),
        ('"offset": 0', '"offset": null', 3, "malformed-line"),
    ],
)
def test_json_bad_annotations(tmp_path, old, new, line, kind):
    assert old in JSON
    assert (line, kind) in told(read_json(tmp_path, JSON.replace(old, new)))


def test_json_that_breaks(tmp_path):
    lines = [json.dumps({"id": str(n), "passages": [{"offset": 0, "text": "x", "infons": {}}]}) for n in range(3)]
    lines[1] = lines[1][:-5]
    parsed = read_json(tmp_path, "\n".join(lines) + "\n")
    assert [p.extraction.note.id for p in parsed] == ["0", "2"]
    assert told(parsed) == [(2, "malformed-line")]
    for content in ("", " \n", "[", "7", '{"id": "1"}', "[" * 100_000):
        with pytest.raises(FormatError, match="no note can be read"):
            read_json(tmp_path, content)
    assert read_json(tmp_path, "[]") == []


# --- another program -------------------------------------------------------------------------------------------------


def sample() -> Extraction:
    text = "Lithium <&> caused\nataxia\tand \U0001f912 tremor."
    drug = any_entity("Chemical").at(text, 0, 7, id="T1", codes=("MESH:D008094",))
    both = any_entity("Disease").at(text, 19, 25, 32, 38, id="T2", codes=("UMLS:C0004134",), assertion="absent")
    relation = any_relation("CID")(id="R1", head=drug, tail=both)
    return Extraction(note=Note(id="a/b", text=text, meta={"ward": "7"}), entities=(drug, both), relations=(relation,))


@pytest.mark.parametrize("form", ["xml", "json"])
def test_the_bioc_package_reads_what_is_written_and_is_read(tmp_path, form):
    theirs = pytest.importorskip(f"bioc.bioc{form}", reason="the bioc package is not installed")
    ours = bioc_xml if form == "xml" else bioc_json
    path = tmp_path / f"x.{form}"
    writer = ours.Writer(path)
    writer.write(sample())
    writer.close()
    collection = theirs.load(io.StringIO(path.read_text())) if form == "json" else theirs.load(str(path))
    (document,) = collection.documents
    (passage,) = document.passages
    assert (document.id, passage.text, document.infons) == ("a/b", sample().note.text, {"ward": "7"})
    found = [(a.id, a.infons["type"], [(place.offset, place.length) for place in a.locations]) for a in passage.annotations]
    assert found == [("T1", "Chemical", [(0, 7)]), ("T2", "Disease", [(19, 6), (32, 6)])]
    assert [(n.refid, n.role) for n in document.relations[0].nodes] == [("T1", "Arg1"), ("T2", "Arg2")]
    path.write_text(theirs.dumps(collection) if form == "json" else str(theirs.dumps(collection)))
    (parsed,) = ours.read(path)
    assert parsed.problems == ()
    assert parsed.extraction == sample()
