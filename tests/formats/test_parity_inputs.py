"""The files that the official scorers were run on (all invented): read without a problem, and written back byte for byte.

Set MEDLLM_PARITY to the folder that holds them.
"""

import os
from pathlib import Path

import pytest

from medllm.formats import registry

PARITY = os.environ.get("MEDLLM_PARITY")
pytestmark = pytest.mark.skipif(not PARITY, reason="MEDLLM_PARITY is not set: no inputs of the official scorers")


@pytest.mark.parametrize(
    ("name", "folder", "notes", "mentions", "relations"),
    [
        ("i2b2-2010", "i2b2-2010/perfect/gold", 12, 71, 32),
        ("i2b2-2014", "i2b2-2014-phi/perfect/gold", 4, 19, 0),
        ("n2c2-2018", "n2c2-2018-track2/perfect/gold", 12, 82, 59),
        ("pubtator", "bc5cdr-0.0.3/perfect/gold", 12, 62, 12),
        ("conll", "conll-bio/concepts_perfect/gold", 1, 71, 0),
    ],
)
def test_gold_files(tmp_path, name, folder, notes, mentions, relations):
    path = Path(PARITY or "") / folder
    if not path.is_dir():
        pytest.skip(f"MEDLLM_PARITY has no {folder}")
    parsed = list(registry.reader(name)(path, None))
    assert [p for one in parsed for p in one.problems] == []
    found = len(parsed), sum(len(p.extraction.entities) for p in parsed), sum(len(p.extraction.relations) for p in parsed)
    assert found == (notes, mentions, relations)

    writer = registry.writer(name)(tmp_path, None)
    for one in parsed:
        writer.write(one.extraction)
    writer.close()
    gold = sorted(p.read_text() for p in path.iterdir())
    written = sorted(p.read_text() for p in tmp_path.iterdir())
    if name == "conll":  # these have a blank between the columns; a tab is written
        gold = [content.replace(" ", "\t") for content in gold]
    if name == "n2c2-2018":  # the writer puts mentions in reading order
        gold, written = ([sorted(content.splitlines()) for content in side] for side in (gold, written))
    assert written == gold
