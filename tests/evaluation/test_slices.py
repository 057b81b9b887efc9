from medllm.document import Extraction, Note, any_entity
from medllm.evaluation import slices
from medllm.evaluation.counts import micro

PROBLEM = any_entity("problem")


def note(note_id: str, text: str, *spans: tuple[int, ...], **meta: str) -> Extraction:
    return Extraction(note=Note(id=note_id, text=text, meta=meta), entities=tuple(PROBLEM.at(text, *s) for s in spans))


HISTORY, PLAN = "HPI: dull knee pain, fever.", "Plan: rest for knee pain."
GOLD = {
    "a": note("a", HISTORY, (5, 19), (21, 26), sex="F", age="71"),
    "b": note("b", PLAN, (15, 24), sex="M", age="8"),
    "c": note("c", PLAN, (15, 24), age="unknown"),
}
PRED = {"a": note("a", HISTORY, (5, 19), (0, 3)), "b": note("b", PLAN, (15, 24)), "c": note("c", PLAN)}


def totals(found: slices.Slices) -> dict[str, tuple[int, int, int]]:
    return {name: ((c := micro(counts)).tp, c.fp, c.fn) for name, counts in found.items()}


def test_notes_by_a_field_of_their_meta() -> None:
    assert totals(slices.by_note(GOLD, PRED, slices.meta("sex"))) == {"F": (1, 1, 1), "M": (1, 0, 0)}
    assert totals(slices.by_note(GOLD, PRED, slices.meta("age", [18, 65]))) == {"<18": (1, 0, 0), ">=65": (1, 1, 1)}


def test_notes_by_length_under_any_metric() -> None:
    assert totals(slices.by_note(GOLD, PRED, slices.note_length([26]), "token")) == {"<26": (2, 0, 2), ">=26": (3, 1, 1)}


def test_slices_of_notes_add_up() -> None:
    everything = totals(slices.by_note(GOLD, PRED, lambda _: "all"))["all"]
    parts = totals(slices.by_note(GOLD, PRED, slices.note_length([26]))).values()
    assert everything == tuple(map(sum, zip(*parts, strict=True)))


def test_mentions_seen_in_training() -> None:
    found = slices.by_mention(GOLD, PRED, slices.seen(["Knee  Pain", "fever"]))
    assert totals(found) == {"seen": (1, 0, 2), "unseen": (1, 1, 0)}


def test_mentions_by_section_and_length() -> None:
    def section_of(note: Note, offset: int) -> str | None:
        return note.text[:offset].partition(":")[0] if ":" in note.text[:offset] else None

    assert totals(slices.by_mention(GOLD, PRED, slices.section(section_of))) == {"HPI": (1, 0, 1), "Plan": (1, 0, 1)}
    assert totals(slices.by_mention(GOLD, PRED, slices.mention_length([2, 3]))) == {"2-3": (1, 0, 1), "<2": (0, 1, 1), ">=3": (1, 0, 0)}


def test_a_match_counts_in_the_slice_of_its_gold_mention() -> None:
    gold, pred = {"a": note("a", HISTORY, (5, 19))}, {"a": note("a", HISTORY, (10, 19))}
    assert totals(slices.by_mention(gold, pred, slices.mention_length([3]), "overlap")) == {">=3": (1, 0, 0)}


def test_discontinuous_mentions() -> None:
    gold, pred = {"a": note("a", HISTORY, (5, 9, 15, 19))}, {"a": note("a", HISTORY, (5, 19))}
    assert totals(slices.by_mention(gold, pred, slices.shape())) == {"continuous": (0, 1, 0), "discontinuous": (0, 0, 1)}


def test_fields_of_meta_as_other_sources_name_them() -> None:
    gold = {
        "a": note("a", HISTORY, (5, 19), GENDER="F", CATEGORY="Discharge summary"),
        "b": note("b", PLAN, (15, 24), gender="M", note_type="RR"),
        "c": note("c", PLAN, (15, 24), sex="female", note_type="RR"),
    }
    pred = {note_id: note(note_id, gold[note_id].note.text) for note_id in gold}
    assert totals(slices.by_note(gold, pred, slices.patient_sex())) == {"female": (0, 0, 2), "male": (0, 0, 1)}
    assert totals(slices.by_note(gold, pred, slices.note_type())) == {"Discharge summary": (0, 0, 1), "RR": (0, 0, 2)}
