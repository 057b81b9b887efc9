"""What the real 0.5B model answered about an example note, replayed. tests/data/README.md says how to record it again."""

import asyncio
from pathlib import Path

from medllm.document import Note
from medllm.pipeline import Extractor
from medllm.schemas.clinical import Drug

ROOT = Path(__file__).parents[1]
RECORDING = ROOT / "tests" / "data" / "medication-list.recording.jsonl.gz"


def test_a_real_model_s_answers_are_grounded_and_whole() -> None:
    text = (ROOT / "examples" / "notes" / "medication-list.txt").read_text(encoding="utf-8")
    with Extractor("clinical", engine="replay", model=str(RECORDING), relations=False) as extractor:
        reading = asyncio.run(extractor.read(Note(id="medication-list", text=text)))
    extraction = reading.extraction
    assert not extraction.ledger, "prompts or grammars have changed: record it again, see tests/data/README.md"
    assert reading.accounted_for
    assert extraction.of(Drug)
    assert all(e.text == e.span.of(text) and e.votes[0].score is not None for e in extraction.entities)


def test_the_recording_is_small_and_of_the_shipped_model() -> None:
    assert RECORDING.stat().st_size < 200_000
    with Extractor("clinical", engine="replay", model=str(RECORDING)) as extractor:
        assert extractor.engine.model == "qwen2.5-coder-0.5b-instruct-q4_k_m"
        assert extractor.engine.constrained


def test_the_chinese_example_end_to_end() -> None:
    text = (ROOT / "tests" / "data" / "chinese-example.txt").read_text(encoding="utf-8")
    recording = ROOT / "tests" / "data" / "chinese-example.recording.jsonl.gz"
    with Extractor("clinical-zh", engine="replay", model=str(recording)) as extractor:
        extraction = extractor.extract(Note(id="chinese-example", text=text))
    assert not extraction.ledger, "prompts or grammars have changed: record it again, see tests/data/README.md"
    spans = {e.span.of(text): e.attributes.get("assertion") for e in extraction.entities}
    assert {"头痛": "present", "发热": "present", "上呼吸道感染": "possible", "体温": None, "38.5℃": None}.items() <= spans.items()
    assert [(r.label, r.head.text, r.tail.text) for r in extraction.relations] == [("has_value", "体温", "38.5℃")]
