"""The model card of a tagger: data, settings, scores with intervals, hashes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medllm.document import Extraction, Note, any_entity
from medllm.evaluation.score import score
from medllm.taggers.config import folder_digest
from medllm.taggers.tagger import Tagger
from medllm.training.card import write_card_file
from medllm.training.tagger.data import Corpus, TrainingNote
from medllm.training.versions import versions

SAMPLES = 1000
PACKAGES = ("torch", "transformers", "peft", "onnxruntime", "tokenizers")


def held_out_scores(tagger: Tagger, notes: Sequence[TrainingNote], *, samples: int = SAMPLES) -> dict[str, Any]:
    """Exact and overlap scores over the labels that the notes annotate, with bootstrap intervals over notes."""
    gold, found = {}, {}
    for number, (note, mentions) in enumerate(zip(notes, tagger.tag_many([n.text for n in notes]), strict=True)):
        name = f"{number}"
        gold[name] = as_extraction(name, note.text, ((m.start, m.end, m.label) for m in note.mentions))
        found[name] = as_extraction(name, note.text, ((m.start, m.end, m.label) for m in mentions if m.label in note.labels))
    labels = sorted({e.label for x in gold.values() for e in x.entities})
    return {metric: score(gold, found, metric, labels, samples).summary() for metric in ("exact", "overlap")}


def as_extraction(name: str, text: str, mentions: Iterable[tuple[int, int, str]]) -> Extraction:
    """Mentions (start, end, label) of a text as an extraction, for scoring."""
    return Extraction(
        note=Note(id=name, text=text), entities=tuple(any_entity(label).at(text, start, end) for start, end, label in mentions)
    )


def write_card(
    folder: Path,
    *,
    name: str,
    base: str,
    licence: str,
    command: str,
    corpora: Sequence[Corpus],
    held_out: Sequence[TrainingNote],
    scores: Mapping[str, Any],
    settings: Mapping[str, Any],
    remarks: Sequence[str],
) -> Path:
    """Write ``README.md`` beside the weights."""
    graph = next(iter(sorted(folder.glob("*.onnx"))))
    counts = Counter(m.label for corpus in corpora for note in corpus.notes for m in note.mentions)
    return write_card_file(
        folder,
        front={"license": licence, "library_name": "medllm", "pipeline_tag": "token-classification", "base_model": base},
        name=name,
        about=[
            "A tagger for `medllm extract --readers tagger`: an encoder with one tag layer for each group of labels that never overlap."
        ],
        data=[
            "| Corpus | Notes | Mentions | Labels |",
            "| :--- | ---: | ---: | :--- |",
            *(
                f"| {c.name} | {len(c.notes)} | {sum(len(n.mentions) for n in c.notes):,} | {', '.join(sorted(c.labels))} |"
                for c in corpora
            ),
            "",
            f"Mentions to learn from: {', '.join(f'{label} {count:,}' for label, count in counts.most_common())}.",
        ],
        remarks=remarks,
        scores=_score_lines(scores, held_out),
        command=command,
        settings=settings,
        versions=versions(PACKAGES),
        digests=f"SHA-256 of `{graph.name}`: `{folder_sha(graph)}`; of the whole tagger: "
        f"`{folder_digest(folder, ('tagger.json', 'tokenizer.json', graph.name))}`.",
    )


def _score_lines(scores: Mapping[str, Any], notes: Sequence[TrainingNote]) -> list[str]:
    if not scores:
        return ["No notes were held out: nothing was measured."]
    exact, overlap = scores["exact"], scores["overlap"]
    low, high = exact["intervals"]["micro"]["f1"]
    gold = Counter(m.label for note in notes for m in note.mentions)
    return [
        f"On {len(notes)} held-out notes: exact F1 {exact['micro']['f1']:.3f} (95 % interval {low:.3f} to {high:.3f}, "
        f"bootstrap over notes), overlap {overlap['micro']['f1']:.3f}.",
        "",
        "| Label | Precision | Recall | F1, exact | F1, overlap | Gold |",
        "| :--- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {label} | {s['precision']:.3f} | {s['recall']:.3f} | {s['f1']:.3f} | {overlap['labels'][label]['f1']:.3f} | {gold[label]} |"
            for label, s in exact["labels"].items()
        ),
    ]


def folder_sha(path: Path) -> str:
    """SHA-256 of one file."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
