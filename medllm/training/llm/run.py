"""``medllm train llm``: corpora in, an adapter's folder out."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medllm.document import Extraction
from medllm.errors import UsageError
from medllm.formats.annotated import read_annotated
from medllm.prompting.gold import Losses
from medllm.schema import Schema
from medllm.training.llm.card import write_card
from medllm.training.llm.conversations import Plan, TokenSequence, conversations, questions_about
from medllm.training.llm.fit import AdapterOptions, fit
from medllm.training.llm.gguf import write_gguf
from medllm.training.llm.schemas import annotated
from medllm.training.tagger.data import of_extractions, overlapping
from medllm.training.tagger.fit import save_history

ADAPTER = "medllm.json"
"""What an adapter was taught: the base and its fingerprint, schemas, layout, chunks."""


@dataclass(frozen=True)
class AdapterJob:
    """What to train on what. Locations are ``FORMAT:PATH``, or ``FORMAT:PATH@LABELMAP.toml``, whose map names the schema.

    ``base`` is a model's name, a GGUF file, a folder or a hub name. ``schema`` is that of corpora without a label map; without either a
    corpus is taught by its own labels. ``held_out`` is a location, or the share of the notes to hold out (0 for none).
    """

    data: Sequence[str]
    base: str
    schema: str | None = None
    held_out: str | float = 0.1
    name: str = "adapter"
    licence: str = "other"
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True)
class TaughtCorpus:
    """A corpus and what it annotates; ``held_out`` are notes of it that are not learnt from."""

    name: str
    schema: Schema
    notes: tuple[Extraction, ...]
    held_out: tuple[Extraction, ...] = ()


def train(
    job: AdapterJob,
    folder: Path,
    options: AdapterOptions,
    *,
    command: str,
    warn: Callable[[str], None] = lambda _: None,
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> list[dict[str, float]]:
    """Train, write the folder with its card, and return a row of figures for each epoch. Raises MedllmError."""
    from medllm.engines._hub import load

    if not job.data:
        raise UsageError("there is nothing to learn from", hint="give --data FORMAT:PATH")
    corpora, remarks = read_corpora(job, options.seed)
    place = _place(job.base)
    loaded = load(place, device=options.device, dtype="auto")
    losses = Losses()
    learnt, held = (
        sequences_of(corpora, loaded.tokenizer, loaded.end_tokens, job.plan, options, losses, held_out=held) for held in (False, True)
    )
    if lost := sum(losses.mentions.values()) + sum(losses.relations.values()):
        warn(f"{lost} mentions and relations cannot be written in an answer and are not learnt")
    model, history = fit(loaded.network, learnt, folder / "checkpoints", options, held_out=held, report=report)
    save(model, folder)
    about = {
        "base": _shown(job.base, place),
        "base_fingerprint": loaded.fingerprint,
        "name": job.name,
        "schemas": {c.schema.name: c.schema.digest for c in corpora},
        **asdict(job.plan),
    }
    (folder / ADAPTER).write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    save_history(history, folder / "history.jsonl")
    remark = write_gguf(folder, loaded.network.config)
    write_card(
        folder,
        name=job.name,
        base=about["base"],
        licence=job.licence,
        command=command,
        corpora=corpora,
        sequences=learnt,
        history=history,
        settings=asdict(options) | asdict(job.plan),
        remarks=[*remarks, *([remark] if remark else [])],
    )
    return history


def read_corpora(job: AdapterJob, seed: int) -> tuple[list[TaughtCorpus], list[str]]:
    """The corpora, divided into what is learnt and what is held out; notes that share a line with held-out ones are left out."""
    given = Schema.load(job.schema) if job.schema else None
    read = [_read(location, given) for location in job.data]
    divided = []
    for name, schema, notes in read:
        chosen = sorted(notes, key=lambda x: x.note.id)
        random.Random(seed).shuffle(chosen)
        size = round(len(chosen) * job.held_out) if isinstance(job.held_out, float) else 0
        divided.append((name, schema, chosen[size:], chosen[:size]))
    if isinstance(job.held_out, str):
        name, schema, notes = _read(job.held_out, given)
        divided.append((name, schema, [], list(notes)))
    elif not 0 <= job.held_out < 1:
        raise UsageError(f"a share of {job.held_out} cannot be held out", hint="give a number below 1, or FORMAT:PATH")
    others = [x for *_, held in divided for x in held]
    kept, left = [], 0
    for name, schema, notes, held in divided:
        shared = _overlapping(notes, others)
        left += len(shared)
        kept.append(TaughtCorpus(name, schema, tuple(x for x in notes if x.note.id not in shared), tuple(held)))
    return kept, [f"{left} notes that share a line with a held-out one were left out."] if left else []


def sequences_of(
    corpora: Sequence[TaughtCorpus],
    tokenizer: Any,
    ends: frozenset[int],
    plan: Plan,
    options: AdapterOptions,
    losses: Losses,
    *,
    held_out: bool = False,
) -> list[TokenSequence]:
    """What the notes of all corpora teach, mixed; of held-out notes the schema is not varied."""
    made: list[TokenSequence] = []
    if held_out:
        plan = Plan(**{**asdict(plan), "variation": 0.0})

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    for number, corpus in enumerate(corpora):
        notes = corpus.held_out if held_out else corpus.notes
        seed = options.seed * 1000 + number
        asked = list(questions_about(notes, corpus.schema, count, plan, losses, seed))
        made += conversations(asked, tokenizer, ends, options.tokens, plan, seed)
    random.Random(options.seed).shuffle(made)
    return made


def save(model: Any, folder: Path) -> None:
    """The adapters as ``adapter_config.json`` and ``adapter_model.safetensors``, in bfloat16, and nothing of the base."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(torch.bfloat16)
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's own card names the base by its path


def _read(location: str, given: Schema | None) -> tuple[str, Schema, list[Extraction]]:
    from medllm.formats import labelmap as maps

    place, at, named = location.partition("@")
    schema = Schema.load(maps.load(named).schema_name) if at else given
    notes, _ = read_annotated(location, schema)
    name = f"{place.partition(':')[0]}:{Path(place.partition(':')[2]).name}"
    return name, annotated(schema, notes, Path(place.partition(":")[2]).stem or "corpus"), notes


def _overlapping(notes: Sequence[Extraction], others: Sequence[Extraction]) -> frozenset[str]:
    if not notes or not others:
        return frozenset()
    return overlapping(of_extractions(notes, name="").notes, of_extractions(others, name="").notes)


def _place(base: str) -> str:
    from medllm.weights import is_known, pull

    return str(pull(base)) if is_known(base) else base


def _shown(base: str, place: str) -> str:
    return Path(place).name if Path(place).exists() else base
