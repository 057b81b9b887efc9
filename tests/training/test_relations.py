"""A relation classifier trained for real, on a tiny encoder: it learns, exports, reads, and says what is wrong with the data."""

import random
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")

from typer.testing import CliRunner

from medllm.cli import app
from medllm.document import AnyEntity, Extraction, Note, any_entity, any_relation
from medllm.errors import InputError, MedllmError, ModelError
from medllm.formats import inline
from medllm.pipeline import Extractor
from medllm.schema import Schema
from medllm.taggers.explain import explain_relation
from medllm.taggers.linking import link
from medllm.taggers.relations import PairMention, RelationClassifier, RelationConfig
from medllm.training.relations import RelationOptions, fit
from medllm.training.relations.data import RelationCorpus, in_parts, of_extractions
from medllm.training.relations.score import found_in

DRUGS = ["aspirin", "insulin", "heparin", "warfarin"]
PROBLEMS = ["fever", "cough", "pain", "rash"]
QUICK = {"--epochs": "12", "--rate": "3e-3", "--head-rate": "3e-3", "--batch": "8"}


def marked_notes(number: int, seed: int) -> list[str]:
    """Notes in which the denied problem is the one after the cue, and the other one, nearer to it, is not."""
    chooser = random.Random(seed)
    notes = []
    for _ in range(number):
        lines = []
        for i in range(1, 4):
            before, after = chooser.sample(PROBLEMS, 2)
            cue = f'<negation of="{i}">no</negation>'
            denied = f'<problem id="{i}" a="absent">{after}</problem>'
            lines.append(f"<problem>{before}</problem> {cue} {'more ' * chooser.randrange(3)}{denied}.")
        notes.append("\n".join(lines))
    return notes


def corpus(number: int, seed: int = 0) -> RelationCorpus:
    parsed = [inline.parse(text, f"n{seed}-{i}", Schema.load("clinical")) for i, text in enumerate(marked_notes(number, seed))]
    assert not any(p.problems for p in parsed)
    return of_extractions([p.extraction for p in parsed], name="made")


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier made by the command line."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    for number, text in enumerate(marked_notes(60, 1)):
        (data / f"{number:02}.txt").write_text(text)
    command = ["train", "relations", "--data", f"inline:{data}", "--schema", "clinical", "--base", str(base), "-o", str(out)]
    result = CliRunner().invoke(app, [*command, *(word for option in QUICK.items() for word in option)])
    assert result.exit_code == 0, result.output
    return out


def test_the_command_makes_a_classifier_that_joins_mentions_of_new_notes(trained: Path) -> None:
    classifier = RelationClassifier.load(trained)
    assert classifier.encoder.name == "onnx:model.int8.onnx"
    notes = corpus(20, 7).notes
    found, gold = [found_in(classifier, n) for n in notes], [set(n.relations) for n in notes]
    assert sum(len(f & g) for f, g in zip(found, gold, strict=True)) > 0.95 * sum(map(len, gold))
    assert sum(map(len, found)) < 1.05 * sum(map(len, gold))
    card = (trained / "README.md").read_text()
    assert "held-out notes, given their mentions: F1" in card
    assert classifier.fingerprint in card


def test_the_reader_uses_it_in_the_place_of_rules(trained: Path) -> None:
    classifier, schema = RelationClassifier.load(trained), Schema.load("clinical")
    marked = '<problem>pain</problem> <negation of="1">no</negation> more <problem id="1">fever</problem>.'
    extraction = inline.parse(marked, "n", schema).extraction
    found = link(extraction.note.text, extraction.entities, schema, classifier)
    assert [(r.label, r.head.text, r.tail.text) for r in found] == [("hasAttr", "fever", "no")]
    assert all(0.5 < (r.votes[0].score or 0) <= 1 for r in found)
    with Extractor("clinical", readers="tagger", tagger="clinical-en", tagger_relations=trained) as extractor:
        assert extractor.tagger is not None
        _, relations = extractor.tagger.read(Note(id="n", text="pain no more fever."))
        assert {r.votes[0].model for r in relations} <= {"relations"}


def test_what_a_relation_rests_on_is_told_for_each_word(trained: Path) -> None:
    text = "pain no more fever. cough."
    mentions = [PairMention(0, 4, "problem"), PairMention(5, 7, "negation"), PairMention(13, 18, "problem")]
    found = explain_relation(RelationClassifier.load(trained), text, mentions, 2, 1, "hasAttr")
    assert found is not None
    assert [text[w.start : w.end] for w in found.words] == ["pain", "no", "more", "fever", ".", "cough", "."]
    assert explain_relation(RelationClassifier.load(trained), text, mentions, 1, 2, "hasAttr") is None


def test_concepts_are_related_by_their_codes(base: Path, tmp_path: Path) -> None:
    def document(number: int, drug: str, problem: str, other: str) -> Extraction:
        text = f"{drug} gave him {problem}. no {other}. {drug} was stopped."
        spans = [(text.index(w), "Chemical" if w == drug else "Disease", f"MESH:{w}") for w in (drug, problem, other)]
        spans.append((text.rindex(drug), "Chemical", f"MESH:{drug}"))
        size = {f"MESH:{w}": len(w) for w in (drug, problem, other)}
        entities = tuple(any_entity(label).at(text, at, at + size[code], codes=(code,)) for at, label, code in spans)
        cause = any_relation("CID")(head=entities[0], tail=entities[1], id=f"CID(MESH:{drug},MESH:{problem})")
        return Extraction(note=Note(id=str(number), text=text), entities=entities, relations=(cause,))

    chooser = random.Random(0)
    documents = [document(n, chooser.choice(DRUGS), *chooser.sample(PROBLEMS, 2)) for n in range(50)]
    notes = of_extractions(documents, name="made").notes
    quick = RelationOptions(epochs=10, rate=3e-3, head_rate=3e-3, batch=8, concepts=True, dropout=0.0)
    classifier = fit(notes[:40], base, tmp_path, quick).classifier()
    assert classifier.config.reach is None
    right = sum(found_in(classifier, note) == set(note.codes) for note in notes[40:])
    assert right >= 9


def test_a_broken_training_goes_on_and_options_are_kept(base: Path, tmp_path: Path) -> None:
    notes = corpus(12).notes
    fit(notes, base, tmp_path, RelationOptions(epochs=1, layers=1))
    rows: list[dict[str, float]] = []
    fitted = fit(notes, base, tmp_path, RelationOptions(epochs=2, layers=1, negatives=1), report=rows.append)
    assert [row["epoch"] for row in rows if "loss" in row] == [2.0]
    assert fitted.network.encoder.config.num_hidden_layers == 1
    with pytest.raises(ModelError, match="has not 9 layers"):
        fit(notes, base, tmp_path / "other", RelationOptions(layers=9))


def test_parts_of_a_note_keep_its_mentions_whole() -> None:
    note = corpus(1, 3).notes[0]
    parts = in_parts(note, 20)
    assert "".join(part.text for part in parts) == note.text
    assert [p.text[m.start : m.end] for p in parts for m in p.mentions] == [note.text[m.start : m.end] for m in note.mentions]
    assert sum(len(p.relations) for p in parts) <= len(note.relations)


def test_bad_data_gets_one_clear_error(base: Path, tmp_path: Path) -> None:
    text = Note(id="n", text="fever and rash")
    alone = Extraction(note=text, entities=(AnyEntity.at(text.text, 0, 5),))
    with pytest.raises(InputError, match="no relation"):
        of_extractions([alone], name="x")
    with pytest.raises(InputError, match="no two labels are related") as raised:
        fit(corpus(3).notes, base, tmp_path, RelationOptions(concepts=True))
    assert "codes" in raised.value.hint
    with pytest.raises(MedllmError, match="no relation classifier"):
        RelationClassifier.load(tmp_path)
    (tmp_path / "relations.json").write_text('{"format": "medllm-relations", "version": 1}')
    with pytest.raises(ModelError, match="damaged"):
        RelationConfig.load(tmp_path)
