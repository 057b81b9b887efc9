"""Changed training notes: every mention is still where its words are, and says what it said."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs torch")

from medllm.engines.base import Request
from medllm.errors import UsageError
from medllm.training.augmentation import OPERATORS, augmented
from medllm.training.augmentation.edits import Edit, rewrite
from medllm.training.augmentation.paraphrase import grammar_of, paraphrased, read, sentences_of
from medllm.training.tagger.data import Mention, TrainingNote
from tests.scripted import Scripted

LABELS = ("problem", "drug")


@st.composite
def notes(draw: st.DrawFn) -> TrainingNote:
    """Text with mentions that may touch, nest and repeat."""
    filler = [
        "The patient ",
        "was treated with ",
        " and ",
        " or ",
        ", ",
        " showed ",
        "He has ",
        ". ",
        "\n",
        " due to ",
        "history of ",
        "痛",
    ]
    terms = ["fever", "severe chest pain", "HTN", "aspirin 81 mg", "shortness of breath", "é", "x-ray"]
    text, mentions = "", []
    for _ in range(draw(st.integers(1, 12))):
        text += draw(st.sampled_from(filler))
        if draw(st.booleans()):
            term, label = draw(st.sampled_from(terms)), draw(st.sampled_from(LABELS))
            mentions.append(Mention(len(text), len(text) + len(term), label, (("assertion", "present"),) if label == "problem" else ()))
            if " " in term and draw(st.booleans()):
                mentions.append(Mention(len(text), len(text) + term.index(" "), "drug"))
            text += term
    return TrainingNote("n", text, tuple(mentions), frozenset({*LABELS, "negation"}), frozenset({"assertion"}))


def texts(note: TrainingNote) -> Counter[tuple[str, str]]:
    return Counter((m.label, note.text[m.start : m.end]) for m in note.mentions)


@given(notes(), notes(), st.integers(0, 9))
def test_mentions_stay_on_their_words(one: TrainingNote, other: TrainingNote, seed: int) -> None:
    other = TrainingNote("m", other.text, other.mentions, other.labels, other.attributes)
    pool = set(texts(one)) | set(texts(other))
    for name in OPERATORS:
        for note in augmented([one, other], [name], seed=seed):
            source = one if note.id.startswith("n~") else other
            assert len(note.mentions) >= len(source.mentions)
            assert all(0 <= m.start < m.end <= len(note.text) for m in note.mentions)
            found = texts(note)
            if name in ("insert", "delete", "swap", "coordinations", "voices"):
                assert found == texts(source)
            elif name == "mentions":
                assert set(found) <= pool
                assert Counter(m.label for m in note.mentions) == Counter(m.label for m in source.mentions)
            elif name == "negations":
                new = [m for m in note.mentions if m.start >= len(source.text)]
                assert not texts(source) - found
                assert {dict(m.attributes).get("assertion") for m in new if m.label == "problem"} == {"absent"}


def test_the_same_seed_makes_the_same_notes() -> None:
    note = TrainingNote("n", "He has fever and cough.", (Mention(7, 12, "problem"), Mention(17, 22, "problem")), frozenset({"problem"}))
    assert augmented([note], OPERATORS, copies=2, seed=1) == augmented([note], OPERATORS, copies=2, seed=1)
    assert {n.text for n in augmented([note], ["coordinations"], copies=8)} == {"He has cough and fever."}


def test_voices_change_with_their_mentions() -> None:
    note = TrainingNote(
        "n", "A scan showed pneumonia today.", (Mention(2, 6, "test"), Mention(14, 23, "problem")), frozenset({"problem", "test"})
    )
    changed = next(iter(augmented([note], ["voices"], copies=9)))
    assert changed.text == "A pneumonia was shown by scan today."
    assert texts(changed) == Counter({("problem", "pneumonia"): 1, ("test", "scan"): 1})


@given(st.data())
def test_edits_move_mentions_by_what_stands_before_them(data: st.DataObject) -> None:
    """Against marks in the text itself: each character outside of edits keeps its mentions."""
    text = "".join(chr(0x4E00 + i) for i in range(data.draw(st.integers(1, 30))))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    edits = [Edit(a, b, data.draw(st.text("xyz", max_size=3))) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    start = data.draw(st.integers(0, len(text) - 1))
    mention = Mention(start, data.draw(st.integers(start + 1, len(text))), "problem")
    try:
        changed = rewrite(TrainingNote("n", text, (mention,), frozenset({"problem"})), edits)
    except ValueError:
        cut = any(e.start < edge < e.end for e in edits for edge in (mention.start, mention.end))
        gone = {i for e in edits if not e.text for i in range(e.start, e.end)}
        assert cut or gone.issuperset(range(mention.start, mention.end))
        return
    (moved,) = changed.mentions
    kept = [c for c in text[mention.start : mention.end] if c in changed.text]
    assert [c for c in changed.text[moved.start : moved.end] if c not in "xyz"] == kept


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UsageError, match="'backwards' is no way to augment"):
        augmented([], ["backwards"])


def test_random_is_only_the_seed() -> None:
    random.seed(1)
    note = TrainingNote("n", "He was admitted with fever and had cough later.", (Mention(21, 26, "problem"),), frozenset({"problem"}))
    first = augmented([note], ["delete", "swap", "insert"], seed=3)
    random.seed(2)
    assert augmented([note], ["delete", "swap", "insert"], seed=3) == first


def test_a_paraphrase_keeps_the_mentions_whatever_the_model_says() -> None:
    """The scripted model says what its grammar admits; the new sentence has the same mentions at other places."""
    text = "He takes aspirin 81 mg for chest pain today.\nSeen with pain in pain clinic."
    spans = [(9, 22, "drug"), (27, 37, "problem"), (55, 59, "problem")]
    note = TrainingNote("n", text, tuple(Mention(*span) for span in spans), frozenset({"drug", "problem"}))
    answers = {"aspirin": " for [aspirin 81 mg] takes today, [chest pain].", "clinic": " clinic in Seen [pain] with."}

    def answer(request: Request) -> str:
        asked = request.messages[-1].content
        assert "[" in asked
        return next(a for word, a in answers.items() if word in asked)

    made = paraphrased([note], Scripted(answer))
    assert [m.text for m in made] == ["for aspirin 81 mg takes today, chest pain.", "clinic in Seen pain with."]
    assert [texts(m) for m in made] == [
        Counter({("drug", "aspirin 81 mg"): 1, ("problem", "chest pain"): 1}),
        Counter({("problem", "pain"): 1}),
    ]


@given(notes())
def test_every_sentence_is_an_answer_of_its_own_grammar(note: TrainingNote) -> None:
    for sentence in sentences_of(note):
        parts = " ".join(f" [{sentence.text[m.start : m.end]}]" for m in sentence.mentions).replace("]  [", "] [")
        assert grammar_of(sentence, ("and",)).accepts(parts + " and.")
        assert texts(read(parts + " and.", sentence)) == Counter((m.label, sentence.text[m.start : m.end]) for m in sentence.mentions)
