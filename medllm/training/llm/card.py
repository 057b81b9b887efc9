"""The model card of an adapter: data, settings, losses, hash."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medllm.training.card import write_card_file
from medllm.training.llm.conversations import IGNORED, TokenSequence
from medllm.training.versions import versions

if TYPE_CHECKING:
    from medllm.training.llm.run import TaughtCorpus

WEIGHTS = "adapter_model.safetensors"


def write_card(
    folder: Path,
    *,
    name: str,
    base: str,
    licence: str,
    command: str,
    corpora: "Sequence[TaughtCorpus]",
    sequences: Sequence[TokenSequence],
    history: Sequence[Mapping[str, float]],
    settings: Mapping[str, Any],
    remarks: Sequence[str],
) -> Path:
    """Write ``README.md`` beside the weights."""
    tokens = sum(map(len, sequences))
    learnt = sum(label != IGNORED for s in sequences for label in s.labels)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    held_out = sum(len(c.held_out) for c in corpora)
    return write_card_file(
        folder,
        front={"license": licence, "library_name": "peft", "pipeline_tag": "text-generation", "base_model": base},
        name=name,
        about=[
            f"A LoRA adapter for {base}, for `medllm extract --adapter`: it teaches the model to answer the prompts of the prompted reader."
        ],
        data=[
            "| Corpus | Notes | Mentions | Relations | Schema | Labels |",
            "| :--- | ---: | ---: | ---: | :--- | :--- |",
            *(_corpus_line(corpus) for corpus in corpora if corpus.notes),
            "",
            f"{len(sequences):,} conversations of {tokens:,} tokens, of which {learnt:,} are answers and were learnt.",
        ],
        remarks=remarks,
        scores=_losses(history, held_out),
        command=command,
        settings=settings,
        versions=versions(("torch", "transformers", "peft")),
        digests=f"SHA-256 of `{WEIGHTS}`: `{digest}`.",
    )


def _corpus_line(corpus: "TaughtCorpus") -> str:
    counts = Counter(e.label for x in corpus.notes for e in x.entities)
    relations = sum(len(x.relations) for x in corpus.notes)
    named = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
    return f"| {corpus.name} | {len(corpus.notes)} | {counts.total():,} | {relations:,} | {corpus.schema.name} | {named} |"


def _losses(history: Sequence[Mapping[str, float]], held_out: int) -> list[str]:
    rows = [row for row in history if "eval_loss" in row]
    if not rows:
        return ["No notes were held out: nothing was measured."]
    best = min(rows, key=lambda row: row["eval_loss"])
    return [
        f"Cross-entropy of the answers about {held_out} held-out notes: {best['eval_loss']:.4f} a token, after epoch {best['epoch']:.3g}. "
        "F1 is measured by reading: `medllm eval SUITE --engine transformers --model BASE --adapter FOLDER`."
    ]
