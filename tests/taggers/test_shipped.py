"""The tagger that comes with the package, through the command line and the API."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medllm import Extractor
from medllm.errors import MedllmError
from medllm.schema import Schema
from medllm.taggers.sources import DEFAULT_TAGGER, model_folder, shipped
from medllm.taggers.tagger import Tagger

NOTE = """CHIEF COMPLAINT: Shortness of breath.

HISTORY: The patient is a 71-year-old woman with hypertension and type 2 diabetes who denies chest pain or fever.
Her mother had breast cancer. Possible pneumonia.

MEDICATIONS: Lisinopril 10 mg p.o. daily, metformin 500 mg twice a day.

Hemoglobin was 9.1. A chest x-ray showed a right lower lobe infiltrate. She underwent cholecystectomy in 2004.
"""


def medllm(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", "from medllm.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_reads_a_note_into_typed_mentions() -> None:
    with Extractor("clinical", readers="tagger") as extractor:
        found = extractor.extract(NOTE)
    by_text = {e.text.lower(): e for e in found.entities}
    for text, label in [
        ("hypertension", "problem"),
        ("fever", "problem"),
        ("lisinopril", "drug"),
        ("10 mg", "strength"),
        ("hemoglobin", "test"),
        ("9.1", "labvalue"),
        ("cholecystectomy", "treatment"),
    ]:
        assert by_text[text].label == label
    assert by_text["fever"].attributes["assertion"] == "absent"
    assert by_text["hypertension"].attributes["assertion"] == "present"
    links = {(r.head.text.lower(), r.tail.text.lower()) for r in found.relations}
    assert {("lisinopril", "10 mg"), ("hemoglobin", "9.1")} <= links
    assert all(NOTE[e.span.start : e.span.end] == e.text for e in found.entities)
    assert not found.ledger


def test_the_command_writes_a_run_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text(NOTE)
    ended = medllm("extract", str(tmp_path / "n.txt"), "-o", str(tmp_path / "out"), "--readers", "tagger")
    assert ended.returncode == 0, ended.stderr
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    text = json.dumps(run)
    assert Tagger.load(model_folder(DEFAULT_TAGGER)).fingerprint in text
    assert '"readers": "tagger"' in text
    assert "Lisinopril" not in text + ended.stderr
    again = medllm("extract", str(tmp_path / "n.txt"), "-o", str(tmp_path / "out"), "--readers", "llm", "--engine", "replay")
    assert again.returncode != 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--readers", "both-of-them"], "there are no readers"),
        (["--readers", "tagger", "--tagger", "./nowhere"], "there is no model folder"),
        (["--readers", "tagger", "--tagger-labels", "drug"], "--tagger-labels is not understood"),
        (["--readers", "tagger", "--dry-run"], "a tagger has no prompts"),
        (["--readers", "tagger", "--schema", "i2b2-2010", "--labels", "nothing"], "no entity label"),
    ],
)
def test_wrong_options_are_one_line_and_a_hint(options: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text(NOTE)
    ended = medllm("extract", str(tmp_path / "n.txt"), "-o", str(tmp_path / "out"), *options)
    assert ended.returncode in (1, 2)
    assert message in ended.stderr
    assert "hint:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_labels_it_does_not_know_are_said(tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text(NOTE)
    (tmp_path / "mine.py").write_text(
        "from medllm.document import Entity\nfrom medllm.schema import Schema\n"
        'class Drug(Entity): "A drug."\nclass Device(Entity): "A device."\nschema = Schema("mine", entities=[Drug, Device])\n'
    )
    out = str(tmp_path / "out")
    ended = medllm("extract", str(tmp_path / "n.txt"), "-o", out, "--readers", "tagger", "--schema", str(tmp_path / "mine.py"))
    assert "the tagger does not know the schema's device" in ended.stderr
    labels = {e["label"] for e in json.loads((tmp_path / "out" / "extractions.jsonl").read_text())["entities"]}
    assert labels == {"drug"}


def test_a_schema_without_any_of_its_labels_is_refused() -> None:
    from medllm.document import Entity

    class Device(Entity):
        """A device."""

    with pytest.raises(MedllmError, match="share no label"):
        Extractor(Schema("mine", entities=[Device]), readers="tagger")


def test_its_card_tells_the_hash_of_what_is_shipped() -> None:
    assert DEFAULT_TAGGER in shipped()
    folder = model_folder(DEFAULT_TAGGER)
    card = (folder / "README.md").read_text()
    assert Tagger.load(folder).fingerprint in card
    assert "license: apache-2.0" in card.lower()
    assert sum(f.stat().st_size for f in folder.iterdir()) < 40_000_000


def test_by_default_the_model_is_not_even_fetched_where_the_tagger_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDLLM_CACHE", str(tmp_path / "cache"))
    with Extractor("clinical") as extractor:
        found = extractor.extract(NOTE)
    assert extractor.readers == "auto"
    assert {v.reader for e in found.entities for v in e.votes if not v.about} == {"tagger"}
    assert not list((tmp_path / "cache").rglob("*.gguf"))


@pytest.mark.model
def test_by_default_the_model_reads_what_the_tagger_was_not_made_for(model_path: Path) -> None:
    with Extractor("clinical", relations=False) as extractor:
        chinese = extractor.extract("主诉：头痛、发热3天。")
        english = extractor.extract("No fever.")
    assert {v.reader for e in chinese.entities for v in e.votes if not v.about} <= {"llm"}
    assert [e.text for e in english.of(extractor.schema.entity("problem"))] == ["fever"]
    assert not chinese.ledger


def test_naming_an_engine_or_another_schema_means_the_model() -> None:
    from medllm.engines.none import NoEngine

    assert Extractor("clinical", engine=NoEngine()).readers == "llm"
    assert Extractor("clinical", engine=NoEngine(), readers="tagger").readers == "tagger"
    assert Extractor("clinical-zh", engine=NoEngine()).readers == "llm"


def test_a_broader_label_takes_what_a_schema_does_not_divide() -> None:
    with Extractor("i2b2-2010", readers="tagger") as extractor:
        found = extractor.extract(NOTE)
    labels = {e.text.lower(): e.label for e in found.entities}
    assert labels["lisinopril"] == labels["cholecystectomy"] == "treatment"
    assert "10 mg" not in labels
