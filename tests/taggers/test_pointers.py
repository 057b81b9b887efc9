"""UIE's reader: a graph small enough to know what it points at, and the real one where it can be had."""

import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm import Extractor
from medllm.document import Entity, Modifier, Note, Relation
from medllm.errors import ModelError, SchemaError
from medllm.schema import Schema
from medllm.taggers.loading import load_tagger
from medllm.taggers.pointer_prompts import PointerPrompts
from medllm.taggers.pointer_reader import PointerReader
from medllm.taggers.pointers import PointerTagger

onnx = pytest.importorskip("onnx", reason="the small graph is made with onnx")

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"病部药量的肺炎胸痛阿司匹林片咳，。二", "a", "1"]
POINTS = {  # a character of the prompt: what mentions begin with, and what they end with
    "病": ("肺胸", "炎痛"),
    "部": ("肺胸", "肺胸"),
    "药": ("阿", "林"),
    "量": ("二1", "片"),
}


class Disease(Entity, label="病"):
    """病。"""


class Part(Entity):
    """部，如“肺”。"""


class Drug(Entity):
    """药的名称。"""


class Dose(Modifier):
    """量：“二片”。"""


class HasDose(Relation[Drug, Dose]):
    """该药的量。"""


class Site(Relation[Disease, Part], label="部"):
    """病的部。"""


SCHEMA = Schema("small", [Disease, Part, Drug, Dose], [HasDose, Site], language="zh", nested=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph whose probabilities of a token depend on the characters of the prompt alone: 0.9 where POINTS says so, else 0.1."""
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path_factory.mktemp("uie-small")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", "utf-8")
    tables = np.full((2, len(VOCABULARY), len(VOCABULARY)), 0.1, np.float32)
    for asked, sides in POINTS.items():
        for side, characters in enumerate(sides):
            tables[side, VOCABULARY.index(asked), [VOCABULARY.index(c) for c in characters]] = 0.9
    nodes, constants = [], [numpy_helper.from_array(np.array([2], np.int64), "last"), numpy_helper.from_array(np.float32(1), "one")]
    nodes += [
        helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["one", "types"], ["in_prompt"]),
        helper.make_node("Unsqueeze", ["in_prompt", "last"], ["prompt"]),
    ]
    for side, name in enumerate(("starts", "ends")):
        constants.append(numpy_helper.from_array(tables[side], f"{name}_table"))
        nodes += [
            helper.make_node("Gather", [f"{name}_table", "input_ids"], [f"{name}_rows"]),
            helper.make_node("Mul", [f"{name}_rows", "prompt"], [f"{name}_asked"]),
            helper.make_node("ReduceMax", [f"{name}_asked"], [f"{name}_any"], axes=[1], keepdims=0),
            helper.make_node("GatherElements", [f"{name}_any", "input_ids"], [name], axis=1),
        ]
    ids = [helper.make_tensor_value_info(name, TensorProto.INT64, [None, None]) for name in ("input_ids", "token_type_ids")]
    out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in ("starts", "ends")]
    graph = helper.make_graph(nodes, "small", ids, out, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def tagger(folder: Path) -> PointerTagger:
    loaded = load_tagger(folder, SCHEMA, threads=1)
    assert isinstance(loaded, PointerTagger)
    return loaded


TEXT = "咳，肺炎。阿司匹林1片，二片。"


def test_mentions_of_several_labels_may_overlap(tagger: PointerTagger) -> None:
    entities, _ = PointerReader(tagger, SCHEMA, relations=False).read(Note(id="n", text=TEXT))
    assert [(e.label, e.text, e.spans[0].start) for e in entities] == [("part", "肺", 2), ("病", "肺炎", 2), ("drug", "阿司匹林", 5)]
    assert all(e.span.of(TEXT) == e.text for e in entities)
    assert [v.placed for e in entities for v in e.votes] == ["pointers"] * 3
    assert entities[1].votes[0].score == pytest.approx(0.81, abs=1e-3)


def test_a_schema_without_nesting_gets_none(tagger: PointerTagger) -> None:
    flat = Schema("flat", [Disease, Part, Drug], language="zh")
    entities, _ = PointerReader(tagger, flat).read(Note(id="n", text=TEXT))
    assert len(entities) == 2
    assert not entities[0].span.overlaps(entities[1].span)


def test_modifiers_and_tails_are_asked_for_after_their_head(tagger: PointerTagger) -> None:
    entities, relations = PointerReader(tagger, SCHEMA).read(Note(id="n", text=TEXT))
    assert {(r.label, r.head.text, r.tail.text) for r in relations} == {
        ("部", "肺炎", "肺"),
        ("HasDose", "阿司匹林", "1片"),
        ("HasDose", "阿司匹林", "二片"),
    }
    assert all(r.head in entities and r.tail in entities for r in relations)
    assert len({e.id for e in entities}) == len(entities) == 5


@given(
    st.lists(st.sampled_from(["肺", "炎", "胸", "痛", "咳", "，", "。", " ", "\n", "a", "1", "中", "\u0301"]), max_size=400).map("".join)
)
def test_spans_are_the_same_however_the_text_is_windowed(tagger: PointerTagger, text: str) -> None:
    (found,) = tagger.point(text, ["病"])
    pieces = [(m.start(), m[0]) for m in re.finditer(r"[^\s\u0301]\u0301*", text)]
    expected, start = [], None
    for at, piece in pieces:
        if piece[0] in "肺胸":
            start = at
        if piece[0] in "炎痛" and start is not None:
            expected.append((start, at + len(piece)))
            start = None
    assert {(s, e) for s, e, _ in found} <= set(expected)
    near = {(s, e) for s, e in expected if e - s <= 20 and "\n" not in text[s:e]}
    assert near <= {(s, e) for s, e, _ in found}


def test_what_is_asked_for() -> None:
    assert PointerPrompts.of(SCHEMA).entities == {"病": ("病",), "part": ("部",), "drug": ("药",), "dose": ("量",)}
    chosen = PointerPrompts.of(SCHEMA, {"肺病": "病", "胸病": "病", "其他": "nothing"})
    assert chosen.entities == {"病": ("肺病", "胸病")}
    shipped = PointerPrompts.of(Schema.load("clinical-zh"))
    assert set(shipped.entities) == set(Schema.load("clinical-zh").labels)
    assert set(shipped.relations) == {r.label for r in Schema.load("clinical-zh").pair_relations}
    assert PointerPrompts.of(Schema.load("clinical")).entities["problem"] == ("疾病", "症状")
    assert "negation" not in PointerPrompts.of(Schema.load("clinical")).entities


def test_a_schema_without_chinese_is_refused(tagger: PointerTagger) -> None:
    class Finding(Entity):
        """A finding."""

    with pytest.raises(SchemaError, match="no Chinese names") as caught:
        PointerReader(tagger, Schema("english", [Finding]))
    assert "--tagger-labels" in caught.value.hint


def test_an_attribute_that_it_cannot_tell_is_refused(tagger: PointerTagger) -> None:
    class 病人(Entity):
        """病。"""

        side: Literal["左", "右"]

    with pytest.raises(SchemaError, match="cannot tell the side"):
        PointerReader(tagger, Schema("sided", [病人], language="zh"))


def test_other_graphs_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n", "utf-8")
    (tmp_path / "model.onnx").write_bytes(b"none")
    with pytest.raises(ModelError):
        load_tagger(tmp_path, SCHEMA)


def test_through_the_extractor(folder: Path) -> None:
    with Extractor(SCHEMA, readers="tagger", tagger=folder) as extractor:
        found = extractor.extract("无肺炎，胸痛。\n咳")
    assert [(e.label, e.text) for e in found.entities] == [("part", "肺"), ("病", "肺炎"), ("part", "胸"), ("病", "胸痛")]
    assert not found.ledger


@pytest.mark.model
def test_the_real_one_reads_the_example() -> None:
    try:
        extractor = Extractor("clinical-zh", readers="tagger")
    except ModelError as error:
        pytest.skip(f"UIE cannot be had here: {error}")
    text = "患者主诉头痛、发热。予布洛芬 400mg 口服，否认肝炎病史。"
    with extractor:
        found = extractor.extract(text)
    assert extractor.tagger is not None
    assert extractor.tagger.unread == ()
    said = {(e.label, e.text, e.attributes.get("assertion")) for e in found.entities}
    assert {("symptom", "头痛", "present"), ("symptom", "发热", "present"), ("drug", "布洛芬", None), ("disease", "肝炎", "absent")} <= said
    assert ("has_dose", "布洛芬", "400mg") in {(r.label, r.head.text, r.tail.text) for r in found.relations}
    assert all(e.span.of(text) == e.text for e in found.entities)
