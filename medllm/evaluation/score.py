"""The one call: gold and predicted extractions in, a result out that can be saved, reloaded, scored again and compared.

>>> from medllm.document import Extraction, Note, any_entity
>>> note = Note(id="n1", text="Aspirin for chest pain .")
>>> drug, problem = any_entity("drug"), any_entity("problem")
>>> gold = {"n1": Extraction(note=note, entities=[drug.at(note.text, 0, 7), problem.at(note.text, 12, 22)])}
>>> pred = {"n1": Extraction(note=note, entities=[drug.at(note.text, 0, 7), problem.at(note.text, 18, 22)])}
>>> score(gold, pred).micro.f1, score(gold, pred, "overlap").micro.f1
(0.5, 1.0)
"""

from collections.abc import Collection, Iterable, Mapping

from medllm.document import Extraction
from medllm.errors import InputError, UsageError
from medllm.evaluation.metrics import metric as find_metric
from medllm.evaluation.result import Result, make_result
from medllm.evaluation.statistics import Significance, approximate_randomisation

_NAMED = 5


def score(
    gold: Mapping[str, Extraction],
    pred: Mapping[str, Extraction],
    metric: str = "exact",
    labels: Collection[str] | None = None,
    bootstrap: int = 0,
    *,
    level: float = 0.95,
    seed: int = 0,
    allow_missing: bool = False,
) -> Result:
    """Score predictions against gold, both by note id. ``metric`` is a name of ``medllm.evaluation.metrics``.

    ``labels`` names the labels that count, and the others are ignored on both sides; without it, all of gold's do, and a
    predicted mention or relation label that gold does not have is an error, not a silent zero. (For attributes the labels are
    values, and a value that only occurs in the prediction is spurious.) ``bootstrap`` is the number of samples for intervals of
    the given ``level``, 0 for none. With ``allow_missing``, a gold note without a prediction counts as one with nothing
    predicted; otherwise it is an error.

    Raises InputError for notes on one side only, notes whose texts differ and offsets past the end of the text;
    UsageError for an unknown metric or label. No message holds note text.
    """
    count = find_metric(metric)
    predicted = checked_notes(gold, pred, allow_missing=allow_missing)
    if labels is not None and metric.startswith("span"):
        gold, predicted = mentions_of(gold, labels), mentions_of(predicted, labels)
    notes = {note_id: count(extraction, predicted[note_id]) for note_id, extraction in sorted(gold.items())}
    found = {label for counts in notes.values() for label in counts}
    in_gold = {label for counts in notes.values() for label, c in counts.items() if c.gold}
    if labels is None:
        if (extra := sorted(found - in_gold)) and not metric.startswith("attribute"):
            raise UsageError(
                f"predicted labels that gold does not have: {_some(extra)}",
                hint=f"gold has {_some(sorted(in_gold)) or 'none'}; rename them, or name the labels that count (--labels, labels=)",
            )
        chosen = sorted(found)
    else:
        if unknown := sorted(set(labels) - found):
            raise UsageError(f"labels that occur on neither side: {_some(unknown)}", hint=f"gold has {_some(sorted(in_gold)) or 'none'}")
        chosen = sorted(set(labels))
    return make_result(metric, chosen, notes, samples=bootstrap, level=level, seed=seed)


def compare(a: Result, b: Result, *, measure: str = "f1", samples: int = 10_000, seed: int = 0) -> Significance:
    """Whether system A differs from system B: paired approximate randomisation over the notes that both results hold.

    Raises UsageError where metric, labels or notes of the two results differ.
    """
    if (a.metric, a.labels) != (b.metric, b.labels) or a.notes.keys() != b.notes.keys():
        raise UsageError("the two results are not of the same metric, labels and notes", hint="score both systems against the same gold")
    left, right = ([r.note_counts(note_id) for note_id in sorted(a.notes)] for r in (a, b))
    return approximate_randomisation(left, right, measure=measure, samples=samples, seed=seed)


def checked_notes(gold: Mapping[str, Extraction], pred: Mapping[str, Extraction], *, allow_missing: bool) -> Mapping[str, Extraction]:
    """The predictions for exactly gold's notes. Raises InputError for what ``score`` says."""
    if not gold:
        raise InputError("there are no gold notes", hint="is the path right, and does its format fit?")
    if extra := sorted(pred.keys() - gold.keys()):
        raise InputError(
            f"{len(extra)} predicted notes are not in gold: {_some(extra)}",
            hint=f"note ids must agree (gold has {_some(sorted(gold)[:1])}); leave out what gold does not judge",
        )
    missing = sorted(gold.keys() - pred.keys())
    if missing and not allow_missing:
        raise InputError(
            f"{len(missing)} gold notes have no prediction: {_some(missing)}",
            hint="predict them, or allow missing notes: their mentions then count as missed",
            names=missing,
        )
    for note_id, extraction in pred.items():
        if extraction.note.text != gold[note_id].note.text:
            raise InputError(
                f"note {note_id!r}: the texts of gold and prediction differ"
                f" ({gold[note_id].note.sha256[:12]}, {extraction.note.sha256[:12]})",
                hint="offsets count characters of one and the same text; look for changed line ends or encodings",
                names=(note_id,),
            )
    for side, extractions in (("gold", gold), ("predicted", pred)):
        for note_id, extraction in extractions.items():
            _check_offsets(side, note_id, extraction)
    return {**{note_id: Extraction(note=gold[note_id].note) for note_id in missing}, **pred}


def mentions_of(notes: Mapping[str, Extraction], labels: Collection[str]) -> dict[str, Extraction]:
    """The notes with the mentions of these labels, and without relations."""
    return {note_id: Extraction(note=e.note, entities=tuple(m for m in e.entities if m.label in labels)) for note_id, e in notes.items()}


def _check_offsets(side: str, note_id: str, extraction: Extraction) -> None:
    size = len(extraction.note.text)
    for mention in extraction.entities:
        if mention.spans[-1].end > size:
            raise InputError(
                f"note {note_id!r}: a {side} mention at {mention.span.start}-{mention.span.end} ends past the text's {size} characters",
                hint="offsets are half-open and count Unicode code points of the note's text",
                names=(note_id,),
            )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_NAMED]) + (f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else "")
