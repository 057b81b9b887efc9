"""i2b2 2012 and 2014: XML with a text and tags, written for the project."""

from pathlib import Path

import pytest

from medllm.document import Extraction, Note, any_entity
from medllm.errors import FormatError
from medllm.formats import i2b2_2012, i2b2_2014
from medllm.formats.base import Parsed
from medllm.formats.tags_xml import Tag, dumps, loads

HEAD = '<?xml version="1.0" encoding="UTF-8" ?>\n'
TEMPORAL = f"""{HEAD}<ClinicalNarrativeTemporalAnnotation>
<TEXT><![CDATA[
Admission Date :
09/14/2031
He had a fever & chills Qwyzzk .
]]></TEXT>
<TAGS>
<EVENT id="E0" start="1" end="10" text="Admission" modality="FACTUAL" polarity="POS" type="OCCURRENCE" />
<EVENT id="E1" start="36" end="52" text="a fever &amp; chills" modality="FACTUAL" polarity="POS" type="PROBLEM" />
<TIMEX3 id="T0" start="18" end="28" text="09/14/2031" type="DATE" val="2031-09-14" mod="NA" />
<TLINK id="TL0" fromID="E0" fromText="Admission" toID="T0" toText="09/14/2031" type="OVERLAP" />
<TLINK id="TL1" fromID="E1" fromText="a fever &amp; chills" toID="E0" toText="Admission" type="" />
<SECTIME id="S0" start="18" end="28" text="09/14/2031" type="ADMISSION" dvalue="2031-09-14" />
</TAGS>
</ClinicalNarrativeTemporalAnnotation>
"""
PHI = f"""{HEAD}<deIdi2b2>
<TEXT><![CDATA[Ms Zofia Quillburn came in on 04/05/2031 .
Seen by Dr Qwyzzk at Harrowfen Clinic .
]]></TEXT>
<TAGS>
<NAME id="P0" start="3" end="18" text="Zofia Quillburn" TYPE="PATIENT" comment="" />
<DATE id="P1" start="30" end="40" text="04/05/2031" TYPE="DATE" comment="a &lt; b" />
<LOCATION id="P2" start="64" end="80" text="Harrowfen Clinic" TYPE="HOSPITAL" comment="" />
</TAGS>
</deIdi2b2>
"""


def read_2012(content: str, schema=None) -> Parsed:
    return i2b2_2012.to_extraction(content, "n", schema, path="n.xml")


def told(parsed: Parsed) -> list[tuple[int | None, str, bool]]:
    assert not any("Qwyzzk" in problem.detail for problem in parsed.problems)
    return [(p.line, p.kind, p.dropped) for p in parsed.problems]


def test_2012():
    parsed = read_2012(TEMPORAL)
    assert told(parsed) == []
    assert parsed.extraction.note.text.startswith("\nAdmission")
    found = [(e.id, e.label, e.text, e.attributes["type"]) for e in parsed.extraction.entities]
    assert found == [
        ("E0", "EVENT", "Admission", "OCCURRENCE"),
        ("S0", "SECTIME", "09/14/2031", "ADMISSION"),
        ("T0", "TIMEX3", "09/14/2031", "DATE"),
        ("E1", "EVENT", "a fever & chills", "PROBLEM"),
    ]
    assert parsed.extraction.entities[2].attributes == {"type": "DATE", "val": "2031-09-14", "mod": "NA"}
    links = [(r.id, r.label, r.head.id, r.tail.id) for r in parsed.extraction.relations]
    assert links == [("TL0", "OVERLAP", "E0", "T0"), ("TL1", "TLINK", "E1", "E0")]


def test_2012_is_written_back_byte_for_byte():
    assert i2b2_2012.from_extraction(read_2012(TEMPORAL).extraction) == TEMPORAL
    windows = TEMPORAL.replace("\n", "\r\n")
    assert read_2012(windows).extraction == read_2012(TEMPORAL).extraction


def test_2012_offsets_that_count_from_one_are_told():
    parsed = read_2012(TEMPORAL.replace("CDATA[\n", "CDATA["))
    assert {p.kind for p in parsed.problems} == {"text-mismatch"}
    assert parsed.problems[0].line is None
    assert "counts from 1" in parsed.problems[0].detail
    assert parsed.extraction.entities[0].text == "dmission "


@pytest.mark.parametrize(
    ("line", "kind", "dropped"),
    [
        ("Qwyzzk", "malformed-line", True),
        ('<EVENT id="E9" start="36" end="42" text="Qwyzzk', "malformed-line", True),
        ("<EVENT id=E9 start=36 />", "malformed-line", True),
        ('<EVENT id="E9" start="x" end="42" text="a" />', "malformed-line", True),
        ('<EVENT id="E9" text="a" />', "malformed-line", True),
        ('<EVENT id="E9" start="36" end="36" text="" />', "bad-span", True),
        ('<EVENT id="E9" start="36" end="999" text="Qwyzzk" />', "bad-span", True),
        (f'<EVENT id="E9" start="36" end="{"9" * 5000}" text="a" />', "malformed-line", True),
        ('<EVENT id="E0" start="36" end="37" text="a" />', "duplicate-id", False),
        ('<EVENT id="E9" start="36" end="37" text="Qwyzzk" />', "text-mismatch", False),
        ('<TLINK id="TL9" fromID="E0" toID="E77" type="AFTER" />', "unknown-reference", True),
        ('<TLINK id="TL9" fromID="E0" toID="E1" type="AFTER" more="x" />', "not-held", False),
    ],
)
def test_2012_a_bad_tag_is_told_and_moves_nothing(line, kind, dropped):
    clean = read_2012(TEMPORAL)
    lines = TEMPORAL.split("\n")
    lines.insert(11, line)
    parsed = read_2012("\n".join(lines))
    assert told(parsed) == [(12, kind, dropped)]
    kept = [e for e in parsed.extraction.entities if e in clean.extraction.entities]
    assert kept == list(clean.extraction.entities)
    assert [r for r in parsed.extraction.relations if r.id != "TL9"] == list(clean.extraction.relations)


def test_tags_that_are_no_xml_are_read_all_the_same():
    broken = TEMPORAL.replace("a fever &amp; chills", "a fever & chills")
    assert broken != TEMPORAL
    assert read_2012(broken).extraction == read_2012(TEMPORAL).extraction
    assert told(read_2012(broken)) == []


def test_2014():
    parsed = i2b2_2014.to_extraction(PHI, "n")
    assert told(parsed) == []
    found = [(e.id, e.label, e.text, e.attributes) for e in parsed.extraction.entities]
    assert found == [
        ("P0", "PATIENT", "Zofia Quillburn", {}),
        ("P1", "DATE", "04/05/2031", {"comment": "a < b"}),
        ("P2", "HOSPITAL", "Harrowfen Clinic", {}),
    ]
    assert i2b2_2014.from_extraction(parsed.extraction) == PHI


def test_2014_categories_that_the_guideline_does_not_have():
    content = PHI.replace('<NAME id="P0"', '<PERSON id="P0"').replace('TYPE="HOSPITAL"', 'TYPE=""')
    parsed = i2b2_2014.to_extraction(content, "n")
    assert [(e.label, e.attributes.get("category")) for e in parsed.extraction.entities] == [
        ("PATIENT", "PERSON"),
        ("DATE", None),
        ("LOCATION", "LOCATION"),
    ]
    again = i2b2_2014.to_extraction(i2b2_2014.from_extraction(parsed.extraction), "n")
    assert again.extraction == parsed.extraction


def test_2014_bad_tags():
    content = PHI.replace("<TAGS>\n", '<TAGS>\n?\n<ID id="P0" start="0" end="2" text="Ms" TYPE="IDNUM" />\n<ID id="P9" TYPE="IDNUM" />\n')
    parsed = i2b2_2014.to_extraction(content, "n", path="n.xml")
    assert told(parsed) == [(7, "malformed-line", True), (9, "malformed-line", True), (10, "duplicate-id", False)]
    assert len(parsed.extraction.entities) == 4


def test_a_folder(tmp_path):
    for name in ("b.xml", "a/c.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PHI)
    assert [p.extraction.note.id for p in i2b2_2014.read(tmp_path)] == ["a/c", "b"]
    assert [p.extraction.note.id for p in i2b2_2014.read(tmp_path / "b.xml")] == ["b"]
    (tmp_path / "b.xml").write_bytes(PHI.encode("utf-16"))
    with pytest.raises(FormatError, match="not UTF-8"):
        list(i2b2_2014.read(Path(tmp_path / "b.xml")))


# --- the XML ---------------------------------------------------------------------------------------------------------


def test_texts_in_every_spelling():
    def text(inside: str) -> str:
        return loads(f"<a>\n<TEXT>{inside}</TEXT><TAGS></TAGS></a>").text

    assert text("x &lt;&amp;&#65;&#x42; &unknown; & y") == "x <&AB &unknown; & y"
    assert text("<![CDATA[a]]>b<![CDATA[</TEXT>&amp;]]>") == "ab</TEXT>&amp;"
    assert text("a\r\nb\rc&#13;") == "a\nb\nc\r"
    assert text("") == ""


@pytest.mark.parametrize("text", ["]]>", "a]]]>b", "<![CDATA[x]]>", "\r\n]]>\r", "</TEXT>", "<TAGS>", "&amp;", "é\U0001f912\u2028"])
def test_any_text_is_written_and_read(text):
    written = dumps("a", text, [Tag("T", {"text": text})])
    back = loads(written)
    assert (back.text, back.tags[0].attributes, back.faults) == (text, {"text": text}, ())
    from xml.etree import ElementTree

    root = ElementTree.fromstring(written.encode())
    assert root.findtext("TEXT") == text
    assert root.find("TAGS/T").get("text") == text  # type: ignore[union-attr]


def test_what_xml_cannot_have_keeps_its_place():
    note = Note(id="n", text="a\x00b\x0c\ud800 fever")
    written = i2b2_2014.from_extraction(Extraction(note=note, entities=(any_entity("PATIENT").at(note.text, 6, 11),)))
    parsed = i2b2_2014.to_extraction(written, "n")
    assert parsed.problems == ()
    assert parsed.extraction.note.text == "a\ufffdb\ufffd\ufffd fever"
    assert parsed.extraction.entities[0].text == "fever"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", None),
        ("Qwyzzk", None),
        ("<a><TAGS></TAGS></a>", None),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><a><TEXT>&x;</TEXT></a>", None),
        ("<a>\n<TEXT>x\n<b>y</b></TEXT></a>", 3),
        ("<a>\n<TEXT><![CDATA[x", 2),
        ("<a>\n<TEXT>x", 2),
    ],
)
def test_a_file_without_a_text(content, line):
    with pytest.raises(FormatError, match=r"n\.xml") as caught:
        loads(content, "n.xml")
    assert caught.value.line == line
    assert "Qwyzzk" not in str(caught.value)


def test_tags_that_are_cut_short():
    whole = '<a><TEXT>x</TEXT>\n<TAGS>\n<T id="1" />\n'
    assert [(f.faults, len(f.tags)) for f in map(loads, (whole, whole + '<T id="2', whole + "</a>", "<a><TEXT>x</TEXT></a>"))] == [
        (((4, 0),), 1),
        (((4, 0), (4, 8)), 1),
        (((4, 0),), 1),
        (((1, 0),), 0),
    ]
    assert loads("<a><TEXT>x</TEXT><TAGS /></a>").faults == ()
