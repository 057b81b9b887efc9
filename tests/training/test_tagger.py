"""A tagger trained for real, on a tiny encoder: it learns, exports, reads, resumes, and says what is wrong with the data."""

import dataclasses
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")

from typer.testing import CliRunner

from medllm.cli import app
from medllm.document import Extraction, Note, Vote, any_entity
from medllm.errors import InputError, MedllmError, ModelError, UsageError
from medllm.formats import inline
from medllm.pipeline import Extractor
from medllm.schema import Schema
from medllm.taggers.config import TaggerConfig
from medllm.taggers.encoding import UnitTokenizer
from medllm.taggers.reader import TaggerReader
from medllm.taggers.tagger import Tagger
from medllm.taggers.tags import TagSet
from medllm.taggers.testing import tiny_tokenizer
from medllm.training.tagger import fit, read_corpus
from medllm.training.tagger.data import TrainingNote, folds, of_extractions, overlapping
from medllm.training.tagger.export import export
from medllm.training.tagger.fit import exact_f1, label_weights
from medllm.training.tagger.layers import allowed_outputs, assign_layers, examples_of
from tests.training.made import DRUGS, PROBLEMS, QUICK, corpus, marked_notes


@pytest.fixture(scope="session")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """The folder of a tagger made by the command line, and what it scores in float32 in the process."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    for number, text in enumerate(marked_notes(60, 1)):
        (data / f"{number:02}.txt").write_text(text)
    options = ["--epochs", "12", "--rate", "3e-3", "--head-rate", "3e-3", "--window", "64", "--schema", "clinical", "--name", "made"]
    result = CliRunner().invoke(app, ["train", "tagger", "--data", f"inline:{data}", "--base", str(base), "-o", str(out), *options])
    assert result.exit_code == 0, result.output
    return out, {"words": len(result.output.split())}


def test_the_command_makes_a_tagger_that_reads_new_notes(trained: tuple[Path, dict[str, float]]) -> None:
    folder, _ = trained
    tagger = Tagger.load(folder)
    assert tagger.backend.name == "onnx:model.int8.onnx"
    assert exact_f1(tagger, corpus(20, 7).notes)["f1"] > 0.95
    card = (folder / "README.md").read_text()
    assert "held-out notes: exact F1" in card
    assert tagger.fingerprint in card


def test_its_mentions_become_typed_entities_with_assertion_and_modifiers(trained: tuple[Path, dict[str, float]]) -> None:
    schema = Schema.load("clinical")
    reader = TaggerReader(Tagger.load(trained[0]), schema)
    entities, relations = reader.read(Note(id="n", text="He takes aspirin for pain.\nNo fever."))
    assert [(e.label, e.text) for e in entities] == [("drug", "aspirin"), ("problem", "pain"), ("negation", "No"), ("problem", "fever")]
    assert [e.attributes["assertion"].value for e in entities if e.label == "problem"] == ["present", "absent"]
    assert [(r.label, r.head.text, r.tail.text) for r in relations] == [("hasAttr", "fever", "No")]
    assert all(0.5 < (e.votes[0].score or 0) <= 1 for e in entities)
    assert "strength" in reader.unread


def test_training_leaves_a_calibrator_that_knows_how_often_the_tagger_is_wrong(base: Path, tmp_path: Path) -> None:
    for part, seed, number in (("data", 1, 60), ("held-out", 9, 40)):
        (tmp_path / part).mkdir()
        for index, text in enumerate(marked_notes(number, seed)):
            for drug in () if part == "data" else ("heparin", "aspirin"):  # the gold has two drugs of four
                text = text.replace(f"<drug>{drug}</drug>", drug)
            (tmp_path / part / f"{index:02}.txt").write_text(text)
    options = ["--epochs", "12", "--rate", "3e-3", "--head-rate", "3e-3", "--window", "64", "--schema", "clinical"]
    line = ["train", "tagger", "--data", f"inline:{tmp_path / 'data'}", "--held-out", f"inline:{tmp_path / 'held-out'}", *options]
    result = CliRunner().invoke(app, [*line, "--base", str(base), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    text = "He takes insulin for pain."
    with Extractor("clinical", readers="tagger", tagger=tmp_path / "out") as extractor:
        drug, problem = extractor.extract(text).entities
    assert 0.3 < (drug.confidence or 0) < 0.8 < (problem.confidence or 0)
    with Extractor("clinical", readers="tagger", tagger=tmp_path / "out", calibrator="off") as extractor:
        assert [e.confidence for e in extractor.extract(text).entities] == [None, None]
    assert "was fitted on what the tagger finds in the 40 held-out notes" in (tmp_path / "out" / "README.md").read_text()


def test_a_long_text_reads_as_its_parts_do(trained: tuple[Path, dict[str, float]]) -> None:
    tagger = Tagger.load(trained[0])
    part = "He takes aspirin for pain.\nNo fever.\nHe takes insulin for cough.\n"
    text = part * 120
    found = tagger.tag(text)
    assert len(found) == 120 * len(tagger.tag(part))
    assert all(text[m.start : m.end] in {*DRUGS, *PROBLEMS, "No"} for m in found)


def test_seams_do_not_show_where_the_scores_depend_on_the_token_alone() -> None:
    class Echo:
        """Scores that depend on nothing but a unit's own token."""

        name = "echo"

        def scores(self, ids: np.ndarray, mask: np.ndarray, case: np.ndarray) -> np.ndarray:
            return np.stack([ids % 7, ids % 5, ids % 3], -1).astype(np.float32)

    tokenizer = tiny_tokenizer()
    text = " ".join(random.Random(0).choices(["fever", "no", "pain", "x", "1.5"], k=600))
    config = TaggerConfig("echo", (TagSet.of(["a"]),), window=40, overlap=8)
    wide = TaggerConfig("echo", (TagSet.of(["a"]),), window=4000, overlap=8)
    ((_, narrow_scores),) = Tagger(config, tokenizer, Echo()).scores([text])
    ((_, wide_scores),) = Tagger(wide, tokenizer, Echo()).scores([text])
    assert np.array_equal(narrow_scores, wide_scores)


def test_texts_are_read_alike_alone_and_together(trained: tuple[Path, dict[str, float]]) -> None:
    tagger = Tagger.load(trained[0])
    texts = [note.text[: 40 * i] for i, note in enumerate(corpus(12, 5).notes)]
    together = [[(m.start, m.end, m.label) for m in found] for found in tagger.tag_many(texts)]
    assert together == [[(m.start, m.end, m.label) for m in tagger.tag(text)] for text in texts]
    assert together[0] == []


def test_what_a_corpus_does_not_annotate_is_open() -> None:
    schema = Schema.load("clinical")
    config = TaggerConfig("t", (TagSet.of(["problem", "drug"]), TagSet.of(["negation"])))
    (note,) = of_extractions([inline.parse("No fever, takes <drug>aspirin</drug>.", "n", schema).extraction], name="drugs only").notes
    allowed = allowed_outputs(note, tiny_tokenizer().encode(note.text), config)
    layer = config.layers[0]
    tags = ["".join(tag) for tag in layer.tags]
    fever = {tag for tag, may in zip(tags, allowed[1, : len(layer)], strict=True) if may}
    aspirin = {tag for tag, may in zip(tags, allowed[4, : len(layer)], strict=True) if may}
    assert fever == {"O", "Bproblem", "Iproblem"}  # nobody looked for problems here
    assert aspirin == {"Bdrug"}
    assert allowed[:, len(layer) :].all()


def test_labels_that_overlap_get_layers_of_their_own() -> None:
    schema = Schema.load("clinical")
    marked = "<problem><severity>severe</severity> pain</problem>, <test>pulse</test> <labvalue>76</labvalue>"
    notes = of_extractions([inline.parse(marked, "n", schema).extraction], name="x").notes
    assert assign_layers(notes, schema.labels) == (("problem", "test", "labvalue"), ("severity",))


def test_corpora_with_other_labels_are_learnt_together(base: Path, tmp_path: Path) -> None:
    drugs = of_extractions([_only(x, "drug") for x in _extractions(40, 2)], name="drugs")
    problems = of_extractions([_only(x, "problem") for x in _extractions(40, 3)], name="problems")
    fitted = fit([*drugs.notes, *problems.notes], base, tmp_path, QUICK)
    scores = exact_f1(fitted.tagger(), of_extractions([_only(x, "drug", "problem") for x in _extractions(10, 9)], name="both").notes)
    assert scores["f1"] > 0.9


def test_training_goes_on_from_what_a_tagger_knows(trained: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    """With rates of zero nothing is learnt: what is read comes from the encoder, its features and its head."""
    fixed = dataclasses.replace(QUICK, epochs=1, rate=0.0, head_rate=0.0)
    fresh = fit(corpus(10, 4).notes, trained[0] / "encoder", tmp_path, fixed, schema=Schema.load("clinical"))
    assert bool(fresh.network.case.weight.detach().any())
    assert exact_f1(fresh.tagger(), corpus(10, 9).notes)["f1"] > 0.9
    assert {m.value("assertion") for m in fresh.tagger().tag("He takes aspirin for pain.\nNo fever.") if m.label == "problem"} == {
        "absent",
        "present",
    }


def test_lora_and_frozen_layers_train_and_export(base: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="LoRA needs peft")
    from dataclasses import replace

    options = replace(QUICK, lora=4, epochs=8, average=0.5)
    fitted = fit(corpus(40, 4).notes, base, tmp_path / "a", options, schema=Schema.load("clinical"))
    export(fitted, tmp_path / "out", quantize=False)
    text = corpus(1, 8).notes[0].text
    ((_, in_process),) = fitted.tagger().scores([text])
    ((_, exported),) = Tagger.load(tmp_path / "out").scores([text])
    assert np.allclose(in_process, exported, atol=1e-3)
    frozen = fit(corpus(4, 4).notes, base, tmp_path / "b", replace(QUICK, epochs=1, freeze=2))
    assert not any(p.requires_grad for p in frozen.network.encoder.encoder.layer.parameters())


def test_a_broken_training_goes_on_from_its_checkpoint(base: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    notes = corpus(16, 4).notes
    whole = fit(notes, base, tmp_path / "whole", replace(QUICK, epochs=4))

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(notes, base, tmp_path / "broken", replace(QUICK, epochs=4), report=stop)
    resumed = fit(notes, base, tmp_path / "broken", replace(QUICK, epochs=4))
    assert resumed.history[0]["epoch"] > 2
    for name, value in whole.network.state_dict().items():
        assert np.allclose(value.numpy(), resumed.network.state_dict()[name].numpy(), atol=1e-4), name


def test_a_token_classifier_of_the_hub_is_read_by_its_folder(base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForTokenClassification

    names = {0: "O", 1: "B-Medication", 2: "I-Medication"}
    model = AutoModelForTokenClassification.from_pretrained(base, id2label=names, label2id={v: k for k, v in names.items()})
    model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text((base / "tokenizer.json").read_text())
    tagger = Tagger.load(tmp_path)
    assert tagger.config.labels == ("Medication",)
    assert tagger.backend.name.startswith("torch")
    text = "no fever " * 200
    assert all(0 <= m.start < m.end <= len(text) for m in tagger.tag(text))
    reader = TaggerReader(tagger, Schema.load("clinical"), labels={"Medication": "drug"})
    assert reader.labels == {"Medication": "drug"}
    with pytest.raises(MedllmError, match="share no label"):
        TaggerReader(tagger, Schema.load("clinical"))


def test_folds_hold_every_note_out_once() -> None:
    notes = corpus(11).notes
    parts = folds(notes, 5)
    assert sorted(n.id for _, held in parts for n in held) == sorted(n.id for n in notes)
    assert all(not {n.id for n in train} & {n.id for n in held} and len(train) + len(held) == 11 for train, held in parts)
    assert folds(list(reversed(notes)), 5) == parts


def test_notes_that_share_a_line_with_the_held_out_ones_are_found() -> None:
    shared = "The patient was seen in the clinic on Tuesday for a routine follow-up of her knee."
    (one, two, other) = (inline.parse(f"{x}\n<drug>aspirin</drug>", x).extraction for x in (shared, shared.upper(), "short line"))
    notes = of_extractions([one, other], name="a").notes
    assert overlapping(notes, of_extractions([two], name="b").notes) == {one.note.id}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "nowhere"], 2, "no FORMAT:PATH"),
        (["--data", "inline:{empty}"], 1, "no mention"),
        (["--data", "inline:{good}", "--labels", "dose"], 1, "no mention of dose"),
        (["--data", "inline:{good}", "--held-out", "2"], 2, "cannot be held out"),
        (["--data", "inline:{good}", "--base", "/nowhere/at/all"], 1, "there is no model folder"),
    ],
)
def test_bad_data_is_one_clear_error(arguments: list[str], code: int, message: str, base: Path, tmp_path: Path) -> None:
    for name, text in (("empty", "Nothing here."), ("good", "<drug>aspirin</drug>")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "n.txt").write_text(text)
    filled = [a.format(empty=tmp_path / "empty", good=tmp_path / "good") for a in arguments]
    given = filled if "--base" in filled else [*filled, "--base", str(base)]
    result = CliRunner().invoke(app, ["train", "tagger", *given, "-o", str(tmp_path / "out")])
    error = result.exception
    assert isinstance(error, MedllmError), result.output
    assert message in str(error)
    assert error.exit_code == code
    assert error.hint


def test_thin_data_is_warned_of_with_numbers(base: Path, tmp_path: Path) -> None:
    for number in range(4):
        text = "<drug>aspirin</drug>" if number == 0 else "Nothing to see."
        (tmp_path / f"{number}.txt").write_text(text)
    command = ["train", "tagger", "--data", f"inline:{tmp_path}", "--base", str(base), "--held-out", "0", "--epochs", "1"]
    result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "3 of 4 training notes have no mention" in result.output
    assert "drug (1)" in result.output
    assert "nothing was measured" in (tmp_path / "out" / "README.md").read_text()


def test_a_damaged_tagger_is_refused(trained: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no tagger"):
        Tagger.load(tmp_path)
    (tmp_path / "tagger.json").write_text("{}")
    with pytest.raises(ModelError, match="damaged"):
        Tagger.load(tmp_path)
    for name in ("tagger.json", "tokenizer.json"):
        (tmp_path / name).write_text((trained[0] / name).read_text())
    (tmp_path / "model.int8.onnx").write_bytes((trained[0] / "model.int8.onnx").read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        Tagger.load(tmp_path)


def test_locations_without_a_format_are_wrong_usage() -> None:
    with pytest.raises(UsageError):
        read_corpus("corpus")
    with pytest.raises(InputError):
        of_extractions([], name="none")
    assert isinstance(tiny_tokenizer(), UnitTokenizer)


def _extractions(number: int, seed: int) -> list:
    return [inline.parse(text, f"{seed}-{i}", Schema.load("clinical")).extraction for i, text in enumerate(marked_notes(number, seed))]


def _only(extraction, *labels: str):  # type: ignore[no-untyped-def]
    kept = tuple(e for e in extraction.entities if e.label in labels)
    return extraction.model_copy(update={"entities": kept, "relations": ()})


def test_the_loss_of_a_random_field_is_that_of_all_admitted_paths() -> None:
    """Written out: two chains of three and two units, three tags, one unit of which nothing is known."""
    import itertools

    import torch

    from medllm.training.tagger.network import field_loss

    torch.manual_seed(3)
    scores, transitions = torch.randn(5, 3), torch.randn(3, 3)
    allowed = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 1, 0], [1, 0, 1]], dtype=torch.bool)
    chains = torch.tensor([[0, 1, 2], [3, 4, -1]])
    total = 0.0
    for chain in ([0, 1, 2], [3, 4]):
        weights = {
            path: float(
                sum(scores[u, t] for u, t in zip(chain, path, strict=True)) + sum(transitions[a, b] for a, b in itertools.pairwise(path))
            )
            for path in itertools.product(range(3), repeat=len(chain))
        }
        admitted = [w for path, w in weights.items() if all(allowed[u, t] for u, t in zip(chain, path, strict=True))]
        total += float(torch.tensor(list(weights.values())).logsumexp(0) - torch.tensor(admitted).logsumexp(0))
    assert float(field_loss(scores, allowed, chains, transitions)) == pytest.approx(total / 4, abs=1e-5)


def test_a_random_field_learns_and_keeps_its_transitions(base: Path, tmp_path: Path) -> None:
    fitted = fit(corpus(40).notes, base, tmp_path / "work", dataclasses.replace(QUICK, crf=True))
    export(fitted, tmp_path / "out", quantize=False)
    config = TaggerConfig.load(tmp_path / "out")
    scheme = config.layers[0].transitions
    learnt = np.array(config.transitions[0])
    assert np.abs(learnt[scheme == 0]).max() > 0.01
    assert learnt[scheme != 0].max() < -9000
    held_out = corpus(10, seed=5).notes
    read, inside = exact_f1(Tagger.load(tmp_path / "out"), held_out), exact_f1(fitted.tagger(), held_out)
    assert read == inside
    assert read["f1"] > 0.9


def test_names_of_a_lexicon_are_told_to_the_network_and_to_its_reader(base: Path, tmp_path: Path) -> None:
    """Made-up words that no spelling gives away: with a lexicon the tagger knows new ones too, without it cannot."""
    chooser = random.Random(1)

    def word() -> str:
        return "".join(chooser.choice("abcdefgh") for _ in range(7))

    drugs, others = [word() for _ in range(60)], [word() for _ in range(60)]
    table = tmp_path / "drugs.tsv"
    table.write_text("system\tid\tname\tkind\tsynonyms\n" + "".join(f"OWN\t{i}\t{drug}\tdrug\t\n" for i, drug in enumerate(drugs)))

    def made(names: list[str], fillers: list[str]) -> tuple[TrainingNote, ...]:
        texts = []
        for _ in range(40):
            parts = [f"<drug>{chooser.choice(names)}</drug>" if chooser.random() < 0.5 else chooser.choice(fillers) for _ in range(12)]
            texts.append(" and ".join(parts))
        parsed = [inline.parse(text, f"m{i}", Schema.load("clinical")).extraction for i, text in enumerate(texts)]
        return of_extractions(parsed, name="made").notes

    training, unseen = made(drugs[:30], others[:30]), made(drugs[30:], others[30:])
    settings = dataclasses.replace(QUICK, epochs=6)
    without = fit(training, base, tmp_path / "without", settings)
    knowing = fit(training, base, tmp_path / "with", dataclasses.replace(settings, lexicons=(f"table:{table}",)))
    export(knowing, tmp_path / "out")
    assert exact_f1(Tagger.load(tmp_path / "out"), unseen)["f1"] > 0.95
    assert exact_f1(without.tagger(), unseen)["f1"] < 0.8


def test_what_a_reader_was_not_sure_of_is_left_open(base: Path) -> None:
    text = "aspirin for pain"
    entities = [any_entity("drug").at(text, 0, 7), any_entity("problem").at(text, 12, 16)]
    voted = [e.model_copy(update={"votes": (Vote(reader="llm", score=s),)}) for e, s in zip(entities, (0.95, 0.4), strict=True)]
    (note,) = of_extractions([Extraction(note=Note(id="n", text=text), entities=tuple(voted))], name="silver", least=0.8).notes
    assert [(m.label, m.start) for m in note.mentions] == [("drug", 0)]
    config = TaggerConfig("t", (TagSet.of(["drug", "problem"]),))
    allowed = allowed_outputs(note, tiny_tokenizer().encode(text), config)
    assert allowed.sum(1).tolist() == [1, 1, 5]


def test_rare_labels_weigh_more_when_balanced(base: Path) -> None:
    notes = corpus(12).notes
    config = TaggerConfig("t", (TagSet.of(["drug", "problem", "negation"]),))
    examples = [e for n in notes for e in examples_of(n, config, tiny_tokenizer(), size=60)]
    weights = label_weights(config, examples)
    count = Counter(m.label for n in notes for m in n.mentions)
    names = [label for _, label in config.layers[0].tags]
    begins = {label: float(weights[names.index(label)]) for label in config.layers[0].labels}
    assert weights[0] == 1
    assert sorted(begins, key=lambda label: -begins[label]) == sorted(begins, key=lambda label: count[label])
    fitted = fit(notes, base, base.parent / "balanced", dataclasses.replace(QUICK, balance=True, epochs=2))
    assert fitted.history
    with pytest.raises(UsageError, match="no weights of labels"):
        fit(notes, base, base.parent / "both", dataclasses.replace(QUICK, balance=True, crf=True))


def test_soft_sharing_holds_two_encoders_together(base: Path, tmp_path: Path) -> None:
    """The stronger the hold, the smaller the distance; the tagger that both make is read as any other."""
    distances = []
    for weight in (1e-6, 1.0):
        soft = dataclasses.replace(QUICK, soft=weight, epochs=8)
        fitted = fit(corpus(40).notes, base, tmp_path / f"{weight}", soft, schema=Schema.load("clinical"))
        distances.append(float(fitted.network.distance().detach()))
    assert 0 < distances[1] < distances[0] / 10
    export(fitted, tmp_path / "out", quantize=False)
    found = Tagger.load(tmp_path / "out").tag("He takes aspirin for pain.\nNo fever.")
    assert [(m.start, m.value("assertion")) for m in found if m.label == "problem"] == [(21, "present"), (30, "absent")]
