"""The MUC measures in the form of SemEval 2013 task 9.1 (Segura-Bedmar et al. 2013), over extractions, by nervaluate.

Four schemes: ``strict`` (span and label), ``exact`` (span), ``partial`` (a shared character counts half) and ``ent_type`` (a shared
character and the label), each with correct, incorrect, partial, missed and spurious mentions. A discontinuous mention
is its cover here, from first to last character, and an overlap of less than a hundredth of the gold mention is none.
How predictions are paired with gold, and why their order matters, is in ``medllm.evaluation.official.sequence``.
"""

from collections.abc import Collection, Mapping

from medllm.document import Extraction
from medllm.errors import UsageError
from medllm.evaluation.official.result import OfficialResult
from medllm.evaluation.official.sequence import run_nervaluate
from medllm.evaluation.score import checked_notes


def muc(
    gold: Mapping[str, Extraction], pred: Mapping[str, Extraction], labels: Collection[str] | None = None, *, allow_missing: bool = False
) -> OfficialResult:
    """Score mentions with nervaluate; the tables are the four schemes, the headline is ``strict``.

    ``labels`` are those that count, all otherwise. Raises InputError as ``score`` does, UsageError for a label that
    occurs on neither side and where nervaluate is not installed.
    """
    predicted = checked_notes(gold, pred, allow_missing=allow_missing)
    golds, preds = ([_mentions(side[note_id]) for note_id in sorted(gold)] for side in (gold, predicted))
    found = {str(mention["label"]) for note in (*golds, *preds) for mention in note}
    if unknown := sorted(set(labels or ()) - found):
        raise UsageError(f"labels that occur on neither side: {', '.join(unknown)}", hint=f"there are {', '.join(sorted(found)) or 'none'}")
    return run_nervaluate(golds, preds, sorted(found if labels is None else set(labels)), loader="dict")


def _mentions(extraction: Extraction) -> list[dict[str, str | int]]:
    # nervaluate's ends are inclusive
    return [
        {"label": e.label, "start": e.span.start, "end": e.span.end - 1} for e in sorted(extraction.entities, key=lambda e: e.sort_key())
    ]
