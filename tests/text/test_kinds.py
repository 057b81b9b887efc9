"""Kinds of sections without headings."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm.errors import ModelError
from medllm.evaluation.section_group import SECTION_GROUPS, section_group
from medllm.text.kinds import note_type, passages, section_kind
from medllm.text.linear import BUCKETS, LinearClassifier, features

MEDICATIONS = "Lisinopril 10 mg p.o. daily, metformin 500 mg p.o. b.i.d., aspirin 81 mg daily, atorvastatin 40 mg nightly."
FAMILY = "Mother died of breast cancer at 60. Father had coronary artery disease and diabetes. Two brothers are healthy."


def test_a_section_without_a_heading_is_told_by_its_words() -> None:
    assert section_kind(MEDICATIONS) == "medications"
    assert section_kind(FAMILY) == "family history"
    assert section_kind("Yes.") is None
    assert section_kind("") is None
    assert section_kind("患者主诉头痛三天。") is None


def test_groups_of_mentions_use_it_where_no_heading_tells() -> None:
    note = f"{MEDICATIONS}\n\n{FAMILY}\n\nALLERGIES: Penicillin."
    assert section_group(note, note.index("metformin")) == "medications"
    assert section_group(note, note.index("breast")) == "family history"
    assert section_group(note, note.index("Penicillin")) == "allergies"


@given(st.text(st.sampled_from("aB1.\n \t中"), max_size=80), st.data())
def test_passages_cover_a_stretch(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    found = passages(text, start, end)
    if text[start:end].strip():
        assert (found[0].start, found[-1].end) == (start, end)
    assert all(a.end == b.start for a, b in pairwise(found))
    assert all(p.kind is None or p.kind in SECTION_GROUPS for p in found)


def test_the_type_of_a_note_is_told_or_left_open() -> None:
    report = "TECHNIQUE: Multisequence imaging.\n\nFINDINGS: A tear of the medial meniscus, small joint effusion. No marrow edema."
    assert note_type(report) in ("radiology", None)
    assert note_type("ok") is None


def test_a_classifier_is_the_same_after_saving(tmp_path: Path) -> None:
    weights = np.zeros((BUCKETS, 2), np.float32)
    for bucket in features("fever"):
        weights[bucket, 1] = 8
    LinearClassifier(("a", "b"), weights, np.zeros(2, np.float32), 0.9).save(tmp_path / "x.npz")
    loaded = LinearClassifier.load(tmp_path / "x.npz")
    assert loaded.classify("FEVER") == "b"
    assert loaded.classify("rash") is None
    assert loaded.probabilities("rash").tolist() == [0.5, 0.5]
    (tmp_path / "y.npz").write_bytes(b"no")
    with pytest.raises(ModelError, match="cannot be read"):
        LinearClassifier.load(tmp_path / "y.npz")
