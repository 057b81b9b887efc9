"""The released corpora: every .ann file is written back byte for byte, and read with the faults that are known.

Set MEDLLM_DATA to a folder that holds them.
"""

import importlib
import itertools
import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from medllm.document import Entity, Extraction
from medllm.formats import brat
from medllm.formats.standoff import Standoff

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "evals" / "benchmarks"))  # the scripts there import one another
readers = importlib.import_module("readers")
DATA = os.environ.get("MEDLLM_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="MEDLLM_DATA is not set: no corpora")

CORPORA = ("kiwi-mtsamples", "maccrobat", "chia", "phee", "ncbi-disease")


def folder(name: str) -> Path:
    path = Path(DATA or "") / name
    if not path.is_dir():
        pytest.skip(f"MEDLLM_DATA has no {name}")
    return path


@pytest.mark.parametrize("corpus", CORPORA)
def test_every_file_is_written_back_byte_for_byte(corpus):
    paths = list(folder(corpus).rglob("*.ann"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        assert Standoff.loads(data.decode()).dumps().encode() == data, path


@pytest.mark.parametrize(
    ("corpus", "entities", "relations", "problems"),
    [
        ("kiwi-mtsamples/train", 10_838, 4_742, {"malformed-line": 1, "text-mismatch": 1}),  # a mention that runs over a line end
        ("maccrobat/train", 20_130, 12_966, {"text-mismatch": 1}),
        ("chia/train", 36_835, 16_677, {"span-order": 103, "text-mismatch": 13}),
        ("phee/train", 17_934, 1_488, {"span-order": 27}),
        ("phee/dev", 6_069, 586, {"span-order": 9, "text-mismatch": 1}),
        ("ncbi-disease/train", 5_133, 0, {}),
        ("ncbi-disease/dev", 787, 0, {}),
    ],
)
def test_what_is_read(corpus, entities, relations, problems):
    parsed = list(brat.read_folder(folder(corpus)))
    assert Counter(p.kind for one in parsed for p in one.problems) == problems
    assert sum(len(one.extraction.entities) for one in parsed) == entities
    assert sum(len(one.extraction.relations) for one in parsed) == relations
    assert [e.id for one in parsed for e in one.extraction.entities if e.text != parts(one.extraction, e)] == []


def parts(extraction: Extraction, mention: Entity) -> str:
    """What stands at the offsets of a mention."""
    return " ".join(extraction.note.text[span.start : span.end] for span in mention.spans)


@pytest.mark.parametrize("corpus", ["ncbi-disease/dev", "gpt-mtsamples/valid", "cehrner/dev, JSON", "biored/dev"])
def test_the_recorded_figures_of_the_readers_hold(corpus):
    root = Path(DATA or "")
    name, place = readers.CORPORA[corpus]
    if not (root / place).exists():
        pytest.skip(f"MEDLLM_DATA has no {place}")
    record = json.loads((ROOT / "evals" / "results" / "readers.json").read_text())
    assert record["corpora"][corpus] == readers.measure(name, root / place, root)
    assert all(found["offset_errors"] == 0 for found in record["corpora"].values())


def test_written_again_and_read_again(tmp_path):
    for one in itertools.islice(brat.read_folder(folder("maccrobat/train")), 10):
        path = brat.write(tmp_path, one.extraction)
        again = brat.read(path).extraction
        assert (again.note, again.entities) == (one.extraction.note, one.extraction.entities)
