"""The released corpora in the formats that are not plain brat: counts, offsets, and what is written back byte for byte.

Set MEDLLM_DATA to a folder that holds them. A text-mismatch is an offset error: the copied text is not what stands at the offsets.
"""

import filecmp
import os
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest

import medllm
from medllm.document import Entity, Extraction
from medllm.formats import bioc, bioc_json, bioc_xml, brat, cehrner, conll, labelmap, pubtator
from medllm.formats.base import Parsed
from medllm.formats.bioc_model import Document, Header
from medllm.formats.pubtator_lines import documents
from medllm.schema import Schema

DATA = os.environ.get("MEDLLM_DATA")
MAPS = Path(medllm.__file__).parents[1] / "evals" / "labelmaps"
pytestmark = pytest.mark.skipif(not DATA, reason="MEDLLM_DATA is not set: no corpora")


def place(name: str) -> Path:
    path = Path(DATA or "") / name
    if not path.exists():
        pytest.skip(f"MEDLLM_DATA has no {name}")
    return path


def counted(parsed: Iterable[Parsed]) -> tuple[int, int, int, dict[str, int]]:
    """Notes, mentions, relations, problems by kind."""
    notes = mentions = relations = 0
    kinds = Counter[str]()
    for one in parsed:
        notes += 1
        mentions += len(one.extraction.entities)
        relations += len(one.extraction.relations)
        kinds.update(p.kind for p in one.problems)
    return notes, mentions, relations, dict(kinds)


@pytest.mark.parametrize(
    ("name", "expected", "composite", "relations"),
    [
        ("bc5cdr/train.PubTator.txt", (489, 9_122, 1_017, {}), 105, 0),
        ("bc5cdr/dev.PubTator.txt", (489, 9_334, 992, {}), 87, 0),
        ("biored/train.PubTator.txt", (346, 11_413, 3_680, {}), None, 3_680),
        ("biored/dev.PubTator.txt", (84, 2_907, 981, {}), None, 981),
    ],
)
def test_pubtator(tmp_path, name, expected, composite, relations):
    data = place(name).read_bytes().decode()
    parsed = list(pubtator.read(place(name)))
    assert counted(parsed) == expected
    assert "".join(document.dumps() for document in documents(data.splitlines(keepends=True))) == data

    writer = pubtator.Writer(tmp_path / "x.txt")
    for one in parsed:
        writer.write(one.extraction)
    writer.close()
    # From an extraction, what it does not hold is missing: BC5CDR's seventh column, the novelty of BioRED's relations; and BioRED
    # divides ids by commas, has some twice, with a blank before them, and "-" for none.
    lines = zip(data.split("\n"), (tmp_path / "x.txt").read_text().split("\n"), strict=True)
    changed = [(old.split("\t"), new.split("\t")) for old, new in lines if old != new]
    assert all(old[: len(new) - 1] == new[:-1] for old, new in changed)
    assert sum(len(old) == 5 for old, _ in changed) == relations
    if composite is not None:
        assert sum(len(old) == 7 for old, _ in changed) == len(changed) == composite
    else:
        assert all(len(old) == 5 or old[5] == "-" or not old[5].isalnum() for old, _ in changed)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The mismatches are the corpus' own: offsets of four single mentions within composite ones are a character or two off.
        ("bc5cdr/train.BioC.xml", (489, 9_305, 1_017, {"text-mismatch": 3})),
        ("bc5cdr/dev.BioC.xml", (489, 9_512, 992, {"text-mismatch": 1})),
    ],
)
def test_bioc(tmp_path, name, expected):
    header, *found = bioc_xml.read_documents(place(name))
    assert isinstance(header, Header)
    items = [item for item in found if isinstance(item, Document)]
    assert len(items) == len(found)
    written = bioc_xml.dumps_header(header) + "".join(map(bioc_xml.dumps_document, items)) + bioc_xml.END
    # Byte for byte, but for the blank lines between some documents.
    assert [line for line in place(name).read_bytes().decode().split("\n") if line] == [line for line in written.split("\n") if line]

    parsed = [bioc.to_extraction(item) for item in items]
    assert counted(parsed) == expected
    if "dev" in name:
        same_as_pubtator([one.extraction for one in parsed], place(name.replace("BioC.xml", "PubTator.txt")))

    writer = bioc_json.Writer(tmp_path / "x.json", header=header)
    for document in items[:40]:
        writer.write_document(document)
    writer.close()
    assert list(bioc_json.read_documents(tmp_path / "x.json")) == [header, *items[:40]]


def same_as_pubtator(extractions: list[Extraction], path: Path) -> None:
    """The two files of BC5CDR agree, but that the XML also has the single mentions of composite ones."""
    other = {one.extraction.note.id: one.extraction for one in pubtator.read(path)}
    for one in extractions:
        single = [e for e in one.entities if e.attributes.get("CompositeRole") != "IndividualMention"]
        there = other[one.note.id]
        assert one.note.text == there.note.text
        assert [(e.spans, e.label, e.codes) for e in single] == [(e.spans, e.label, e.codes) for e in there.entities]
        assert [r.id for r in one.relations] == [r.id for r in there.relations]


def test_bioc_as_the_bioc_package_reads_it():
    biocxml = pytest.importorskip("bioc.biocxml", reason="the bioc package is not installed")
    with open(place("bc5cdr/dev.BioC.xml"), encoding="utf-8") as file:
        theirs = biocxml.load(file).documents[:40]
    for one, document in zip(islice(bioc_xml.read(place("bc5cdr/dev.BioC.xml")), 40), theirs, strict=True):
        annotations = [a for passage in document.passages for a in passage.annotations]
        assert one.extraction.note.id == document.id
        assert all(one.extraction.note.text[p.offset : p.offset + len(p.text)] == p.text for p in document.passages)
        assert sorted((e.id, [(s.start, len(s)) for s in e.spans]) for e in one.extraction.entities) == sorted(
            (a.id, sorted((p.offset, p.length) for p in a.locations)) for a in annotations
        )


@pytest.mark.parametrize(
    ("name", "expected", "odd"),
    [
        # The odd files begin a mention with I-, which is told, and written as B-.
        ("gpt-mtsamples/train", (484, 663, 0, {"malformed-line": 2}), {"256", "847"}),
        ("gpt-mtsamples/valid", (177, 255, 0, {"malformed-line": 1}), {"133"}),
    ],
)
def test_bio_sentences(tmp_path, name, expected, odd):
    parsed = list(conll.read(place(name)))
    assert counted(parsed) == expected
    writer = conll.Writer(tmp_path)
    for one in parsed:
        writer.write(one.extraction)
    assert writer.left_out == 0
    files = {p.stem: p for p in place(name).glob("*.bio")}
    assert {stem for stem, path in files.items() if not filecmp.cmp(path, tmp_path / f"{stem}.conll", shallow=False)} == odd


@pytest.mark.parametrize(("part", "expected"), [("train", (914, 16_136, 0, {})), ("dev", (44, 749, 0, {}))])
def test_cehrner(tmp_path, part, expected):
    extractions = []
    for ending in (".json", ".txt"):
        path = place(f"cehrner/{part}{ending}")
        parsed = list(cehrner.read(path))
        assert counted(parsed) == expected
        writer = cehrner.Writer(tmp_path / path.name)
        for one in parsed:
            writer.write(one.extraction)
        writer.close()
        assert filecmp.cmp(path, tmp_path / path.name, shallow=False)
        extractions.append([one.extraction for one in parsed])
    assert extractions[0] == extractions[1]


CORPORA = ["kiwi-mtsamples", "maccrobat", "chia", "phee", "ncbi-disease", "bc5cdr", "gpt-mtsamples"]
TO_PACKS = [(corpus, file) for corpus in CORPORA for file in sorted(MAPS.glob(f"{corpus}-to-*.toml"))]


@pytest.mark.parametrize(("corpus", "file"), TO_PACKS, ids=[file.stem for _, file in TO_PACKS])
def test_every_label_is_mapped_or_ignored(corpus, file):
    path = place(corpus)
    found = labelmap.load(file)
    schema = Schema.load(found.schema_name)
    labels, relations = labels_of(path)
    assert labels
    assert labels == labels & {*found.entities, *found.ignored.entities}
    assert relations == relations & {*found.relations, *found.ignored.relations}
    read = conll.read if corpus.startswith("gpt") else pubtator.read if corpus == "bc5cdr" else brat.read_folder
    for one in islice(read(path), 20):
        mapped = labelmap.apply(one.extraction, found, schema)
        assert {e.label for e in mapped.entities} <= {*schema.labels}
        assert all(e.text == span_text(mapped, e) for e in mapped.entities)


def labels_of(folder: Path) -> tuple[set[str], set[str]]:
    """The labels of mentions and of relations in a folder, without building extractions."""
    labels, relations = set[str](), set[str]()
    for path in folder.rglob("*.*"):
        lines = path.read_text(encoding="utf-8").split("\n") if path.suffix in (".ann", ".bio") or "PubTator" in path.name else []
        for columns in (line.split("\t") for line in lines):
            if path.suffix == ".bio":
                labels |= {columns[-1][2:]} - {""}
            elif path.suffix == ".txt":
                labels |= {columns[4]} if len(columns) > 5 else set()
                relations |= {columns[1]} if len(columns) == 4 else set()
            elif columns[0][:1] == "T":
                labels.add(columns[1].split()[0])
            elif columns[0][:1] == "R":
                relations.add(columns[1].split()[0])
            elif columns[0][:1] == "E":
                relations |= {part.split(":")[0].rstrip("0123456789") for part in columns[1].split()[1:]}
    return labels, relations


def span_text(extraction: Extraction, entity: Entity) -> str:
    return " ".join(span.of(extraction.note.text) for span in entity.spans)


def test_kiwi_becomes_the_clinical_pack_without_loss():
    found, schema = labelmap.load(MAPS / "kiwi-mtsamples-to-clinical.toml"), Schema.load("clinical")
    for one in islice(brat.read_folder(place("kiwi-mtsamples/train")), 30):
        mapped = labelmap.apply(one.extraction, found, schema)
        assert len(mapped.entities) == len(one.extraction.entities)
        assert len(mapped.relations) == len(one.extraction.relations)
