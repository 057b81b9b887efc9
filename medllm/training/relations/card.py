"""The model card of a relation classifier: data, settings, scores with intervals, hashes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medllm.taggers.relations import RelationClassifier
from medllm.training.card import write_card_file
from medllm.training.relations.data import RelationCorpus
from medllm.training.relations.fit import Fitted
from medllm.training.relations.score import RelationScores
from medllm.training.versions import versions


def write_card(
    folder: Path,
    fitted: Fitted,
    *,
    base: str,
    licence: str,
    command: str,
    corpora: Sequence[RelationCorpus],
    scores: RelationScores | None,
    settings: Mapping[str, Any],
    remarks: Sequence[str],
) -> Path:
    """Write ``README.md`` beside the weights."""
    config, losses = fitted.config, fitted.losses
    joins = "concepts anywhere in a note" if config.concepts else f"mentions at most {config.reach} words and marks apart"
    return write_card_file(
        folder,
        front={"license": licence, "library_name": "medllm", "pipeline_tag": "text-classification", "base_model": base},
        name=config.name,
        about=[
            "A relation classifier for `medllm extract --readers tagger --tagger-relations`: an encoder that sees each mention between",
            f"markers of its label, and a small network over pairs. It joins {joins}, of {len(config.signatures)} pairs of labels.",
        ],
        data=[
            "| Corpus | Notes | Mentions | Relations |",
            "| :--- | ---: | ---: | :--- |",
            *(_corpus_line(corpus, concepts=config.concepts) for corpus in corpora),
            "",
            f"Of {losses.relations:,} relations to learn from, {losses.no_candidate:,} join no candidate pair and {losses.second:,} share "
            f"their pair with another one. There are {losses.candidates:,} candidates; "
            + (f"{settings['negatives']} unrelated ones for each related one" if settings["negatives"] else "all unrelated ones")
            + " are learnt in each epoch.",
        ],
        remarks=remarks,
        scores=_score_lines(scores),
        command=command,
        settings=settings,
        versions=versions(),
        digests=f"SHA-256 of the classifier: `{RelationClassifier.load(folder).fingerprint}`.",
    )


def _corpus_line(corpus: RelationCorpus, *, concepts: bool) -> str:
    counts = Counter(label for note in corpus.notes for *_, label in (note.codes if concepts else note.relations))
    named = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
    return f"| {corpus.name} | {len(corpus.notes)} | {sum(len(n.mentions) for n in corpus.notes):,} | {named} |"


def _score_lines(scores: RelationScores | None) -> list[str]:
    if scores is None:
        return ["No notes were held out: nothing was measured."]
    low, high = scores.interval
    return [
        f"On {scores.notes} held-out notes, given their mentions: F1 {scores.micro.f1:.3f} (95 % interval {low:.3f} to {high:.3f}, "
        "bootstrap over notes).",
        "",
        "| Relation | Precision | Recall | F1 | Gold |",
        "| :--- | ---: | ---: | ---: | ---: |",
        *(f"| {label} | {c.precision:.3f} | {c.recall:.3f} | {c.f1:.3f} | {c.gold} |" for label, c in scores.labels.items()),
    ]
