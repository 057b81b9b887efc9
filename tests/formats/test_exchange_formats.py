"""Formats of other tools: what an extraction has comes back as far as each format holds it, and the tools' own parsers read the files.

Each test says, as code, what its format does not hold.
"""

import base64
import csv
import json
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm.document import Assertion, Entity, Extraction, Note, Relation, Span, Vote, any_entity, any_relation
from medllm.errors import FormatError
from medllm.formats import fhir_resources, registry
from medllm.schema import Schema

quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PIECES = [
    "fever ",
    "Chest",
    " pain",
    "\n",
    "  ",
    "\t",
    "\r\n",
    "\r",
    "é",
    "e\u0301",
    "\U0001f912",
    "发热",
    "\x85",
    "\u2028",
    "]]>",
    '"',
    ";",
    "<&",
    "'''",
    "\\",
]
CODES = ["MESH:D003920", "UMLS:C0011849", "LOINC:718-7", "X:1", "plain", "ICD10CM:E11.9"]
LABELS = ("problem", "drug", "test", "ade", "treatment", "Übel-1")
ASSERTIONS = ["present", "absent", "possible", "associated_with_someone_else", "très=grave, oui"]
confidences = st.none() | st.floats(0, 1)
votes = st.lists(
    st.builds(Vote, reader=st.sampled_from(["llm", "tagger"]), model=st.just("m"), placed=st.just("grammar"), score=confidences), max_size=2
)


@st.composite
def extractions(draw, meta: bool = True) -> Extraction:
    text = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join))
    entities: list[Entity] = []
    for _ in range(draw(st.integers(0, 4))):
        cuts = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=4)))
        spans = tuple(Span(start=a, end=b) for a, b in zip(cuts[::2], cuts[1::2], strict=False))
        own = draw(st.dictionaries(st.sampled_from(["assertion", "label_", "π=1,2"]), st.sampled_from(ASSERTIONS), max_size=2))
        found = tuple(draw(st.lists(st.sampled_from(CODES), max_size=2, unique=True)))
        kind = any_entity(draw(st.sampled_from(LABELS)))
        belief = {"confidence": draw(confidences), "votes": tuple(draw(votes))}
        entities.append(kind(spans=spans, text=" ".join(s.of(text) for s in spans), codes=found, **own, **belief))
    entities.sort(key=Entity.sort_key)
    entities = [e.model_copy(update={"id": f"T{n}"}) for n, e in enumerate(entities, 1)]
    relations = []
    for n in range(draw(st.integers(0, 3)) if entities else 0):
        head, tail = draw(st.sampled_from(entities)), draw(st.sampled_from(entities))
        kind_of = any_relation(draw(st.sampled_from(["TrAP", "x-of"])))
        relations.append(kind_of(id=f"R{n + 1}", head=head, tail=tail, confidence=draw(confidences), votes=tuple(draw(votes))))
    own_meta = draw(st.dictionaries(st.sampled_from(["ward", "patient_id"]), st.sampled_from(["B2", "7", "a=b; c"]))) if meta else {}
    return Extraction(note=Note(id="ward/n 1", text=text, meta=own_meta), entities=tuple(entities), relations=tuple(relations))


def without(extraction: Extraction, *what: str) -> Extraction:
    """The extraction without ``parts`` (mentions from start to end), ``attributes``, ``codes``, ``confidence``, ``votes``, ``relations`` or
    ``meta``; ``ids`` of relations are given anew."""
    text = extraction.note.text
    bare: dict[int, Entity] = {}
    for entity in extraction.entities:
        spans = (entity.span,) if "parts" in what else entity.spans
        bare[id(entity)] = any_entity(entity.label)(
            id=entity.id,
            spans=spans,
            text=" ".join(s.of(text) for s in spans),
            codes=() if "codes" in what else entity.codes,
            confidence=None if "confidence" in what else entity.confidence,
            votes=() if "votes" in what else entity.votes,
            **({} if "attributes" in what else entity.attributes),
        )
    relations = tuple(
        any_relation(r.label)(
            id=f"R{n}" if "ids" in what else r.id,
            head=bare[id(r.head)],
            tail=bare[id(r.tail)],
            confidence=None if "confidence" in what else r.confidence,
            votes=() if "votes" in what else r.votes,
        )
        for n, r in enumerate(extraction.relations, 1)
        if "relations" not in what
    )
    note = Note(id=extraction.note.id, text=text, meta={} if "meta" in what else extraction.note.meta)
    entities = tuple(sorted(bare.values(), key=Entity.sort_key)) if "parts" in what else tuple(bare.values())
    return Extraction(note=note, entities=entities, relations=relations)


def canonical(extraction: Extraction, *unordered: str) -> Any:
    """The extraction as comparable data; ``unordered`` names what the format keeps no order of: entities, codes, relations."""
    data = extraction.model_dump()
    for entity in data["entities"]:
        entity["codes"] = sorted(entity["codes"]) if "codes" in unordered else entity["codes"]
    relations = [(r.id, r.label, r.head.id, r.tail.id, r.confidence, r.votes) for r in extraction.relations]
    labelled = [(e.label, d) for e, d in zip(extraction.entities, data["entities"], strict=True)]
    if "entities" in unordered:
        labelled.sort(key=repr)
    return extraction.note, labelled, sorted(relations) if "relations" in unordered else relations


def save(name: str, path: Path, *given: Extraction, schema: Schema | None = None) -> None:
    writer = registry.writer(name)(path, schema)
    for one in given:
        writer.write(one)
    writer.close()
    writer.close()  # a second time does no harm


def through(name: str, extraction: Extraction, file: str = "", schema: Schema | None = None) -> Extraction:
    """Written and read again, without problems."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out", file) if file else Path(folder, "out")
        save(name, path, extraction, schema=schema)
        (parsed,) = registry.reader(name)(path, schema)
    assert parsed.problems == ()
    return parsed.extraction


ROUND_TRIPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "csv": (("votes",), ()),
    "doccano": (("parts", "attributes", "codes", "confidence", "votes", "meta"), ()),
    "fhir": ((), ("relations",)),
    "graphml": (("votes",), ("entities",)),
    "label-studio": (("parts", "votes", "ids"), ()),
    "neo4j": (("votes",), ()),
    "omop": (("parts", "votes", "relations", "meta"), ()),
    "parquet": (("votes",), ()),
    "rdf": (("votes",), ("entities", "codes", "relations")),
    "spacy": (("votes",), ()),
    "web-annotation": (("confidence", "votes", "meta"), ()),
}
"""What each format does not hold, and what it keeps no order of."""


@pytest.mark.parametrize("name", ROUND_TRIPS)
@quick
@given(data=st.data())
def test_what_a_format_holds_comes_back(name: str, data: st.DataObject) -> None:
    lost, unordered = ROUND_TRIPS[name]
    extraction = data.draw(extractions(meta=name != "omop"))
    back = through(name, extraction)
    held = without(extraction, *lost)
    if "parts" in lost:
        unordered = (*unordered, "entities")  # ends that move change the reading order
    assert canonical(back, *unordered) == canonical(held, *unordered)
    assert all(e.text == " ".join(s.of(back.note.text) for s in e.spans) for e in back.entities)


@pytest.mark.parametrize(("name", "file"), [("doccano", "x.jsonl"), ("label-studio", "x.json"), ("spacy", "x.spacy")])
def test_one_file_can_be_named(name: str, file: str) -> None:
    assert len(through(name, SAMPLE, file).entities) == 3


def _sample() -> Extraction:
    text = "Ms Qwyzzk \U0001f912 took aspirin daily\nfor her severe chest pain ."
    votes = (Vote(reader="llm", model="m1", placed="grammar", score=0.5), Vote(reader="tagger", model="m2"))
    drug = any_entity("drug").at(text, 17, 24, id="T1", codes=("MESH:D001241", "X:2"), confidence=0.75, votes=votes)
    often = any_entity("frequency").at(text, 25, 30, id="T2")
    pain = any_entity("problem").at(text, 39, 45, 52, 56, id="T3", assertion="absent")
    relations = (any_relation("hasAttr")(id="R1", head=drug, tail=often), any_relation("TrAP")(id="R2", head=drug, tail=pain))
    return Extraction(note=Note(id="ward/n", text=text, meta={"patient_id": "7"}), entities=(drug, often, pain), relations=relations)


SAMPLE = _sample()
TEXT = SAMPLE.note.text


class Problem(Entity):
    """A problem."""

    assertion: Assertion = Assertion.PRESENT


class Drug(Entity):
    """A drug."""


class Frequency(Entity):
    """How often."""


class TrAP(Relation[Drug, Problem]):
    """Given for it."""


class HasAttr(Relation[Drug, Frequency], label="hasAttr"):
    """So often."""


SCHEMA = Schema("exchange", entities=[Problem, Drug, Frequency], relations=[TrAP, HasAttr])


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_a_schema_gives_its_own_classes(name: str) -> None:
    typed = SAMPLE.model_copy(
        update={
            "entities": (
                Drug.at(TEXT, 17, 24, id="T1"),
                Frequency.at(TEXT, 25, 30, id="T2"),
                Problem.at(TEXT, 39, 45, id="T3", assertion=Assertion.ABSENT),
            ),
            "relations": (),
        }
    )
    back = through(name, typed, schema=SCHEMA)
    assert [type(e) for e in back.entities] == [Drug, Frequency, Problem]
    if name != "doccano":
        assert back.of(Problem)[0].assertion is Assertion.ABSENT


# --- other people's parsers ------------------------------------------------------------------------------------------


def test_spacy_reads_the_docs(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    save("spacy", tmp_path, SAMPLE)
    (doc,) = spacy.tokens.DocBin().from_disk(tmp_path / "docs-0001.spacy").get_docs(spacy.blank("en").vocab)
    assert doc.text == TEXT
    assert [(s.text, s.label_, s.id_) for s in doc.spans["sc"]] == [
        ("aspirin", "drug", "T1"),
        ("daily", "frequency", "T2"),
        ("severe", "problem", "T3"),
        ("pain", "problem", "T3"),
    ]
    assert [(e.text, e.label_, e.kb_id_) for e in doc.ents] == [
        ("aspirin", "drug", "MESH:D001241"),
        ("daily", "frequency", ""),
        ("severe chest pain", "problem", ""),
    ]


def test_docs_of_others_are_read_by_their_entities(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    doc = nlp("No fever today")
    doc.ents = [doc.char_span(3, 8, label="SYMPTOM", kb_id="C1")]
    spacy.tokens.DocBin(docs=[doc]).to_disk(tmp_path / "x.spacy")
    (parsed,) = registry.reader("spacy")(tmp_path, None)
    (found,) = parsed.extraction.entities
    assert (parsed.extraction.note.id, found.label, found.text, found.codes) == ("x/1", "SYMPTOM", "fever", ("C1",))


@given(st.binary(max_size=60))
@quick
def test_no_doc_bin_is_bad_enough_to_crash(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.spacy").write_bytes(content)
        with pytest.raises(FormatError, match="not a DocBin"):
            list(registry.reader("spacy")(Path(folder), None))


def test_docs_are_divided_among_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medllm.formats.spacy_docs.DOCS_A_FILE", 2)
    given = [Extraction(note=Note(id=f"n{n}", text=f"Fever {n}.")) for n in range(5)]
    save("spacy", tmp_path, *given)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"docs-000{n}.spacy" for n in (1, 2, 3)]
    assert [p.extraction for p in registry.reader("spacy")(tmp_path, None)] == given


def test_rdflib_answers_questions(tmp_path: Path) -> None:
    rdflib = pytest.importorskip("rdflib")
    save("rdf", tmp_path, SAMPLE)
    graph = rdflib.Graph().parse(tmp_path / "ward" / "n.ttl")
    nif = "http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#"
    rows = graph.query(
        f"PREFIX nif: <{nif}> SELECT ?drug ?problem ?text WHERE {{ ?d <urn:medllm:relation:TrAP> ?p ; nif:anchorOf ?drug ; "
        "nif:referenceContext ?n . ?p nif:anchorOf ?problem . ?n nif:isString ?text }"
    )
    assert [tuple(map(str, row)) for row in rows] == [("aspirin", "severe pain", TEXT)]


def test_a_graph_of_many_notes_is_read(tmp_path: Path) -> None:
    rdflib = pytest.importorskip("rdflib")
    other = SAMPLE.model_copy(update={"note": SAMPLE.note.model_copy(update={"id": "other"})})
    save("rdf", tmp_path / "each", SAMPLE, other)
    graph = rdflib.Graph()
    for path in (tmp_path / "each").rglob("*.ttl"):
        graph.parse(path)
    graph.serialize(tmp_path / "all.nt", format="nt", encoding="utf-8")
    found = [p.extraction for p in registry.reader("rdf")(tmp_path / "all.nt", None)]
    assert [x.note.id for x in found] == ["other", "ward/n"]
    assert [len(x.entities) for x in found] == [3, 3]


def test_networkx_reads_the_graph(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    save("graphml", tmp_path, SAMPLE)
    graph = networkx.read_graphml(tmp_path / "ward" / "n.graphml", force_multigraph=True)
    assert graph.nodes["note"]["text"] == TEXT
    assert graph.nodes["mention/T1"]["start"] == 17
    assert {d["label"] for *_, d in graph.edges(data=True) if d["kind"] == "relation"} == {"hasAttr", "TrAP"}
    assert networkx.has_path(graph, "note", "code/MESH:D001241")


def test_neo4j_finds_every_end_of_every_relationship(tmp_path: Path) -> None:
    save("neo4j", tmp_path, SAMPLE)

    def rows(name: str) -> list[dict[str, str]]:
        with open(tmp_path / f"{name}.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    nodes = {
        "Note": {row["note_id:ID(Note)"] for row in rows("notes")},
        "Mention": {row["key:ID(Mention)"] for row in rows("mentions")},
        "Code": {row["code:ID(Code)"] for row in rows("codes")},
    }
    assert nodes["Mention"] == {"ward/n#T1", "ward/n#T2", "ward/n#T3"}
    assert nodes["Code"] == {"MESH:D001241", "X:2"}
    count = 0
    for name in ("has_mention", "has_code", "relations"):
        for row in rows(name):
            for header, value in row.items():
                if header.startswith((":START_ID", ":END_ID")):
                    assert value in nodes[header.partition("(")[2][:-1]]
                    count += 1
            assert row[":TYPE"]
    assert count == 2 * (3 + 2 + 2)
    assert {row[":LABEL"] for row in rows("mentions")} == {"Mention;drug", "Mention;frequency", "Mention;problem"}
    assert rows("mentions")[0]["start:long"] == "17"


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib's own use of it
def test_the_annotations_are_linked_data(tmp_path: Path) -> None:
    rdflib = pytest.importorskip("rdflib")
    save("web-annotation", tmp_path, SAMPLE)
    data = json.loads((tmp_path / "ward" / "n.jsonld").read_text(encoding="utf-8"))
    assert data["@context"] == "http://www.w3.org/ns/anno.jsonld"
    oa = "http://www.w3.org/ns/oa#"
    # The part of the model's context that the files use: the context itself stands on the web.
    data["@context"] = {
        "oa": oa,
        "as": "http://www.w3.org/ns/activitystreams#",
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "xsd": "http://www.w3.org/2001/XMLSchema#",
        "id": {"@id": "@id", "@type": "@id"},
        "type": {"@id": "@type", "@type": "@vocab"},
        "@vocab": oa,
        "AnnotationCollection": "as:OrderedCollection",
        "AnnotationPage": "as:OrderedCollectionPage",
        "first": {"@id": "as:first", "@type": "@id"},
        "items": {"@id": "as:items", "@container": "@list"},
        "body": {"@id": "oa:hasBody", "@type": "@id"},
        "target": {"@id": "oa:hasTarget", "@type": "@id"},
        "source": {"@id": "oa:hasSource", "@type": "@id"},
        "selector": {"@id": "oa:hasSelector", "@type": "@id"},
        "motivation": {"@id": "oa:motivatedBy", "@type": "@vocab"},
        "purpose": {"@id": "oa:hasPurpose", "@type": "@vocab"},
        "start": {"@id": "oa:start", "@type": "xsd:nonNegativeInteger"},
        "end": {"@id": "oa:end", "@type": "xsd:nonNegativeInteger"},
        "exact": "oa:exact",
        "value": "rdf:value",
    }
    graph = rdflib.Graph().parse(data=json.dumps(data), format="json-ld", base="file:///notes/")
    rows = graph.query(
        f"PREFIX oa: <{oa}> SELECT ?start ?end ?exact WHERE {{ ?a a oa:Annotation ; oa:hasTarget ?t . ?t oa:hasSource "
        "<file:///notes/n.txt> ; oa:hasSelector ?p, ?q . ?p oa:start ?start ; oa:end ?end . ?q oa:exact ?exact }"
    )
    found = sorted((int(start), int(end), str(exact)) for start, end, exact in rows)
    assert found == [(17, 24, "aspirin"), (25, 30, "daily")]
    assert all(TEXT[start:end] == exact for start, end, exact in found)
    assert len(list(graph.subjects(rdflib.URIRef(f"{oa}motivatedBy"), rdflib.URIRef(f"{oa}linking")))) == 2


def test_omop_columns_are_those_of_the_model(tmp_path: Path) -> None:
    other = Extraction(note=Note(id="note/17", text="No fever.", meta={"person_id": "3", "note_date": "2031-04-05"}))
    save("omop", tmp_path, SAMPLE, other)
    with open(tmp_path / "note.csv", newline="", encoding="utf-8") as file:
        notes = list(csv.DictReader(file))
    with open(tmp_path / "note_nlp.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(n["note_id"], n["person_id"], n["note_date"], n["note_source_value"]) for n in notes] == [
        ("1", "0", "", "ward/n"),
        ("17", "3", "2031-04-05", "note/17"),
    ]
    assert [(r["note_nlp_id"], r["note_id"], r["offset"], r["lexical_variant"], r["term_exists"]) for r in rows] == [
        ("1", "1", "17", "aspirin", "Y"),
        ("2", "1", "25", "daily", "Y"),
        ("3", "1", "39", "severe chest pain", "N"),
    ]
    assert rows[0]["term_modifiers"] == "label=drug,id=T1,code=MESH:D001241,code=X:2,confidence=0.75"


def test_rows_of_another_nlp_system_are_read(tmp_path: Path) -> None:
    (tmp_path / "note.csv").write_text("NOTE_ID,NOTE_TEXT\n5,No fever.\n")
    (tmp_path / "note_nlp.csv").write_text(
        "NOTE_NLP_ID,NOTE_ID,OFFSET,LEXICAL_VARIANT,NOTE_NLP_CONCEPT_ID,TERM_MODIFIERS\n1,5,3,fever,437663,negated=yes\n2,6,0,x,0,\n"
    )
    (parsed,) = registry.reader("omop")(tmp_path, None)
    (found,) = parsed.extraction.entities
    assert (parsed.extraction.note.id, found.label, found.text, found.codes) == ("5", "concept", "fever", ("OMOP:437663",))
    assert found.attributes == {"negated": "yes"}
    assert [p.kind for p in parsed.problems] == ["unknown-reference"]


# --- FHIR ------------------------------------------------------------------------------------------------------------


def resources(extraction: Extraction, tmp_path: Path) -> list[dict[str, Any]]:
    save("fhir", tmp_path, extraction)
    (path,) = tmp_path.rglob("*.json")
    return [entry["resource"] for entry in json.loads(path.read_text(encoding="utf-8"))["entry"]]


@quick
@given(extractions())
def test_fhir_resources_accepts_every_bundle(extraction: Extraction) -> None:
    bundle = pytest.importorskip("fhir.resources.R4B.bundle").Bundle
    with tempfile.TemporaryDirectory() as folder:
        save("fhir", Path(folder), extraction)
        content = Path(folder, "ward", "n 1.json").read_text(encoding="utf-8")
    found = bundle.model_validate_json(content)
    kinds = [type(entry.resource).__name__ for entry in found.entry]
    assert kinds[0] == "DocumentReference"
    assert len([kind for kind in kinds[1:] if kind != "Provenance"]) == len(extraction.entities)
    assert found.entry[0].resource.content[0].attachment.data.decode() == extraction.note.text or not extraction.note.text


@pytest.mark.parametrize(
    ("label", "assertion", "kind", "said"),
    [
        ("problem", None, "Condition", {}),
        ("problem", "present", "Condition", {"verificationStatus": "confirmed"}),
        ("problem", "absent", "Condition", {"verificationStatus": "refuted"}),
        ("problem", "possible", "Condition", {"verificationStatus": "provisional"}),
        ("problem", "hypothetical", "Condition", {"verificationStatus": "unconfirmed"}),
        ("problem", "conditional", "Condition", {"verificationStatus": "unconfirmed"}),
        ("problem", "associated_with_someone_else", "FamilyMemberHistory", {"status": "partial"}),
        ("drug", None, "MedicationStatement", {"status": "unknown"}),
        ("medication", "absent", "MedicationStatement", {"status": "not-taken"}),
        ("test", None, "Observation", {"status": "unknown"}),
        ("adverse_event", None, "AdverseEvent", {"actuality": "actual"}),
        ("ADE", "possible", "AdverseEvent", {"actuality": "potential"}),
        ("ADE", "absent", "Condition", {"verificationStatus": "refuted"}),
        ("treatment", None, "Procedure", {"status": "unknown"}),
        ("condition", None, "Basic", {}),
        ("severity", None, "Basic", {}),
    ],
)
def test_what_a_mention_becomes(label: str, assertion: str | None, kind: str, said: dict[str, str], tmp_path: Path) -> None:
    own = {} if assertion is None else {"assertion": assertion}
    mention = any_entity(label).at("No fever.", 3, 8, **own)
    _, found, _ = resources(Extraction(note=Note(id="n", text="No fever."), entities=(mention,)), tmp_path)
    assert found["resourceType"] == kind
    for key, value in said.items():
        assert (found[key]["coding"][0]["code"] if key == "verificationStatus" else found[key]) == value
    assert ("verificationStatus" in found) == ("verificationStatus" in said)


def test_relations_fill_the_resources(tmp_path: Path) -> None:
    text = "Aspirin 81 mg daily, rash. Sodium 138. Severe pain, left knee."
    parts = {
        "drug": (0, 7),
        "strength": (8, 13),
        "frequency": (14, 19),
        "ade": (21, 25),
        "test": (27, 33),
        "labvalue": (34, 37),
        "severity": (39, 45),
        "problem": (46, 50),
        "bodyloc": (52, 61),
    }
    of = {label: any_entity(label).at(text, *span) for label, span in parts.items()}
    links = [
        ("drug", "strength"),
        ("drug", "frequency"),
        ("drug", "ade"),
        ("test", "labvalue"),
        ("problem", "severity"),
        ("problem", "bodyloc"),
    ]
    relations = tuple(any_relation("hasAttr")(head=of[head], tail=of[tail]) for head, tail in links)
    extraction = Extraction(note=Note(id="n", text=text), entities=tuple(of.values()), relations=relations)
    found = {r["resourceType"]: r for r in resources(extraction, tmp_path)}
    assert found["MedicationStatement"]["dosage"] == [{"text": "81 mg daily"}]
    assert found["Observation"]["valueString"] == "138"
    assert found["Condition"]["bodySite"] == [{"text": "left knee"}]
    assert found["Condition"]["severity"] == {"text": "Severe"}
    drug = found["MedicationStatement"]["id"]
    assert found["AdverseEvent"]["suspectEntity"] == [{"instance": {"reference": f"urn:uuid:{drug}"}}]


def test_provenance_names_who_found_what(tmp_path: Path) -> None:
    found = resources(SAMPLE, tmp_path)
    agents = {r["agent"][0]["who"]["display"].partition(", ")[2]: len(r["target"]) for r in found if r["resourceType"] == "Provenance"}
    assert agents == {"llm, m1": 1, "tagger, m2": 1, "": 2}
    assert {r["subject"]["identifier"]["value"] for r in found if "subject" in r} == {"7"}


def test_bundles_of_others(tmp_path: Path) -> None:
    place = {
        "url": "http://hl7.org/fhir/StructureDefinition/derivation-reference",
        "extension": [{"url": "offset", "valueInteger": 3}, {"url": "length", "valueInteger": 5}],
    }
    data = base64.b64encode(b"No fever.").decode()
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": {"resourceType": "Patient", "id": "p"}},
            {"resource": {"resourceType": "DocumentReference", "id": "d", "content": [{"attachment": {"data": data}}]}},
            {"resource": {"resourceType": "Condition", "id": "c", "extension": [place]}},
            {"resource": {"resourceType": "Observation", "id": "o"}},
        ],
    }
    (tmp_path / "b.json").write_text(json.dumps(bundle))
    (parsed,) = registry.reader("fhir")(tmp_path, None)
    (found,) = parsed.extraction.entities
    assert (parsed.extraction.note.id, found.label, found.text, found.id) == ("b", "condition", "fever", "c")


def test_further_documents_of_a_bundle_are_told(tmp_path: Path) -> None:
    document = {"resourceType": "DocumentReference", "content": [{"attachment": {"data": base64.b64encode(b"Fever.").decode()}}]}
    entries = [{"resource": document | {"id": name}} for name in "abc"]
    parsed = read_one("fhir", tmp_path / "b.json", {"resourceType": "Bundle", "entry": entries})
    assert [(p.kind, p.detail) for p in parsed.problems] == [("not-held", "2 further documents of the bundle")]


@given(st.sampled_from(sorted(fhir_resources.SYSTEMS)), st.text("ABC123.-", min_size=1))
def test_codes_come_back_from_their_systems(system: str, code: str) -> None:
    assert fhir_resources.code_of(fhir_resources.coding_of(f"{system}:{code}")) == f"{system}:{code}"


# --- annotation tools: what people hand back --------------------------------------------------------------------------


def read_one(name: str, path: Path, content: object) -> Any:
    path.write_text(json.dumps(content), encoding="utf-8")
    (parsed,) = registry.reader(name)(path, None)
    return parsed


def region(start: int, end: int, label: str, **more: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": [label]} | more.pop("value", {})
    return {"id": "a", "from_name": "label", "to_name": "text", "type": "labels", "value": value} | more


def test_what_annotators_made_of_the_tasks(tmp_path: Path) -> None:
    save("label-studio", tmp_path, SAMPLE)
    task = json.loads((tmp_path / "tasks.json").read_text())[0]
    cancelled = {"was_cancelled": True, "result": [region(0, 2, "name")]}
    task |= {"id": 5, "annotations": [cancelled, {"result": [region(17, 24, "drug"), region(25, 30, "frequency", id="b")]}]}
    parsed = read_one("label-studio", tmp_path / "export.json", [task])
    assert [(e.label, e.text) for e in parsed.extraction.entities] == [("drug", "aspirin"), ("frequency", "daily")]
    assert (parsed.extraction.note.id, parsed.extraction.note.meta, parsed.problems) == ("ward/n", {"patient_id": "7"}, ())


def test_the_labelling_configuration_has_all_labels(tmp_path: Path) -> None:
    etree = pytest.importorskip("lxml.etree")
    save("label-studio", tmp_path, SAMPLE, schema=SCHEMA)
    view = etree.parse(tmp_path / "labels.xml").getroot()
    assert [x.get("value") for x in view.iter("Label")] == ["problem", "drug", "frequency"]
    assert [x.get("value") for x in view.iter("Relation")] == ["TrAP", "hasAttr"]
    (choices,) = view.iter("Choices")
    assert (choices.get("name"), len(choices)) == ("assertion", len(Assertion))
    names = {x.get("name") for x in view.iter() if x.get("name")}
    results = json.loads((tmp_path / "tasks.json").read_text())[0]["predictions"][0]["result"]
    assert {r["from_name"] for r in results if "from_name" in r} <= names


def test_label_studio_of_old_versions_counts_code_units(tmp_path: Path) -> None:
    task = {"data": {"text": "\U0001f912 fever"}, "predictions": [{"result": [region(3, 8, "x", value={"text": "fever"})]}]}
    parsed = read_one("label-studio", tmp_path / "t.json", [task])
    assert [e.span for e in parsed.extraction.entities] == [Span(start=2, end=7)]
    assert [p.kind for p in parsed.problems] == ["text-mismatch"]


def test_label_studio_tells_what_it_cannot_take(tmp_path: Path) -> None:
    results = [region(0, 99, "x"), region(0, 5, "y", id="b"), {"type": "rectanglelabels", "value": {"x": 1}}]
    results += [{"type": "relation", "from_id": "b", "to_id": "gone", "labels": ["r"]}]
    task = {"data": {"text": "Fever"}, "annotations": [{"result": []}, {"result": results}]}
    parsed = read_one("label-studio", tmp_path / "t.json", [task])
    assert sorted(p.kind for p in parsed.problems) == ["bad-span", "not-held", "not-held", "unknown-reference"]
    assert [e.label for e in parsed.extraction.entities] == ["y"]


def test_doccano_counts_code_units(tmp_path: Path) -> None:
    save("doccano", tmp_path, SAMPLE)
    record = json.loads((tmp_path / "doccano.jsonl").read_text())
    units = TEXT.encode("utf-16-le")
    found = [units[2 * e["start_offset"] : 2 * e["end_offset"]].decode("utf-16-le") for e in record["entities"]]
    assert found == ["aspirin", "daily", "severe chest pain"]


@pytest.mark.parametrize("key", ["label", "labels"])
def test_doccano_without_relations(tmp_path: Path, key: str) -> None:
    parsed = read_one("doccano", tmp_path / "x.jsonl", {"id": 9, "text": "\U0001f912 fever", key: [[3, 8, "SYMPTOM"], [0, 1]]})
    assert [(e.label, e.text) for e in parsed.extraction.entities] == [("SYMPTOM", "fever")]
    assert (parsed.extraction.note.id, [p.kind for p in parsed.problems]) == ("9", ["malformed-line"])


# --- without the library ---------------------------------------------------------------------------------------------

NEEDS: dict[str, tuple[str, str]] = {"spacy": ("spacy", "spacy"), "rdf": ("rdflib", "graph"), "graphml": ("networkx", "graph")}


@pytest.mark.parametrize("name", NEEDS)
def test_a_missing_library_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module, extra = NEEDS[name]
    monkeypatch.setitem(sys.modules, module, None)
    calls: list[Callable[[], Any]] = [lambda: registry.writer(name)(tmp_path, None), lambda: list(registry.reader(name)(tmp_path, None))]
    for call in calls:
        with pytest.raises(FormatError) as caught:
            call()
        assert caught.value.hint == f"pip install medllm[{extra}]"
        assert module in str(caught.value) or name in str(caught.value).lower()


def test_importing_the_registry_loads_no_heavy_library() -> None:
    import subprocess
    import sys

    heavy = "{'spacy', 'rdflib', 'networkx', 'fhir', 'hl7', 'pyarrow', 'docx', 'pypdf', 'sqlalchemy'}"
    code = f"import sys, medllm.formats.registry; print(*{heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert import_module("medllm.formats.registry")
