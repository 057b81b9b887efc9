"""Two notes in the files of i2b2 2010, in the folders in which the challenge hands them out, and a reader that knows their words."""

from pathlib import Path

from medllm.schemas.i2b2_2010 import schema
from tests.scripted import Reader

TEST_NOTE = "He has chest pain .\nNo fever was seen .\nGiven aspirin for his pain .\n"
TRAIN_NOTE = "She has chest pain .\n"
CON = (
    'c="chest pain" 1:2 1:3||t="problem"\nc="fever" 2:1 2:1||t="problem"\n'
    'c="aspirin" 3:1 3:1||t="treatment"\nc="his pain" 3:3 3:4||t="problem"\n'
)
AST = (
    'c="chest pain" 1:2 1:3||t="problem"||a="present"\nc="fever" 2:1 2:1||t="problem"||a="absent"\n'
    'c="his pain" 3:3 3:4||t="problem"||a="present"\n'
)
REL = 'c="aspirin" 3:1 3:1||r="TrAP"||c="his pain" 3:3 3:4\n'

READER = Reader(
    schema,
    {"chest pain": "problem", "fever": "problem", "aspirin": "treatment", "pain": "problem"},
    links={("treatment", "problem"): "TrAP"},
    absent=frozenset({"fever"}),
)
"""Finds everything, but for the left edge of ``his pain``."""


def hand_out(root: Path) -> Path:
    """Write the folders below ``root``; the texts of the test part stand apart from their annotations."""
    test, train = root / "reference_standard_for_test_data", root / "concept_assertion_relation_training_data" / "beth"
    files = {
        root / "test_data" / "0001.txt": TEST_NOTE,
        test / "concepts" / "0001.con": CON,
        test / "ast" / "0001.ast": AST,
        test / "rel" / "0001.rel": REL,
        train / "txt" / "record-1.txt": TRAIN_NOTE,
        train / "concept" / "record-1.con": 'c="chest pain" 1:2 1:3||t="problem"\n',
        train / "ast" / "record-1.ast": 'c="chest pain" 1:2 1:3||t="problem"||a="present"\n',
        train / "rel" / "record-1.rel": "",
        train / "unannotated" / "9001.txt": "Some cough .\n",
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root
