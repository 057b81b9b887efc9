"""The released corpora: every .ann file is written back byte for byte, and read with the faults that are known.

Set MEDLLM_DATA to a folder that holds them.
"""

import itertools
import os
from collections import Counter
from pathlib import Path

import pytest

from medllm.formats import brat
from medllm.formats.standoff import Standoff

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
        ("phee/dev", None, None, {"span-order": None, "text-mismatch": 1}),
        ("ncbi-disease/dev", None, 0, {}),
    ],
)
def test_what_is_read(corpus, entities, relations, problems):
    parsed = list(brat.read_folder(folder(corpus)))
    kinds = Counter(p.kind for one in parsed for p in one.problems)
    assert kinds.keys() == problems.keys()
    assert all(count is None or kinds[kind] == count for kind, count in problems.items())
    if entities is not None:
        assert sum(len(one.extraction.entities) for one in parsed) == entities
    if relations is not None:
        assert sum(len(one.extraction.relations) for one in parsed) == relations


def test_written_again_and_read_again(tmp_path):
    for one in itertools.islice(brat.read_folder(folder("maccrobat/train")), 10):
        path = brat.write(tmp_path, one.extraction)
        again = brat.read(path).extraction
        assert (again.note, again.entities) == (one.extraction.note, one.extraction.entities)
