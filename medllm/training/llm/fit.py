"""Training a LoRA adapter with the Trainer of transformers and peft; a broken training goes on from its last checkpoint."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from medllm.errors import InputError, RunError, UsageError
from medllm.training.llm.conversations import IGNORED, TokenSequence
from medllm.training.trainer import History

SETTINGS = "settings.json"


@dataclass(frozen=True)
class AdapterOptions:
    """How to train. ``batch`` sequences of at most ``tokens`` make a step, after ``accumulate`` of them; ``rank`` is LoRA's.

    ``patience``: stop after so many epochs without a lower loss on the held-out notes, and keep the best (0: never). ``save_steps``
    is how often a checkpoint is kept besides the end of an epoch (0: only there); ``checkpointing`` trades time for memory.
    """

    epochs: float = 3
    rate: float = 2e-4
    batch: int = 2
    accumulate: int = 4
    tokens: int = 1536
    rank: int = 16
    dropout: float = 0.05
    warmup: float = 0.05
    weight_decay: float = 0.0
    patience: int = 0
    save_steps: int = 0
    checkpointing: bool = False
    seed: int = 0
    device: str | None = None


def with_lora(network: Any, options: AdapterOptions) -> Any:
    """The network with new adapters of all its linear layers but the last; nothing else is trained."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(options.seed)
    config = LoraConfig(
        r=options.rank, lora_alpha=2 * options.rank, lora_dropout=options.dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(network, config)


def fit(
    network: Any,
    sequences: Sequence[TokenSequence],
    folder: Path,
    options: AdapterOptions,
    *,
    held_out: Sequence[TokenSequence] = (),
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> tuple[Any, list[dict[str, float]]]:
    """Train adapters on ``network``; checkpoints go to ``folder``, and training goes on from the last one there.

    Returns the network with its adapters, and a row of figures for each epoch. Raises InputError where there is nothing to learn,
    RunError for checkpoints of other settings.
    """
    if not sequences:
        raise InputError("there is no answer to learn from", hint="are the notes annotated in the labels of the schema?")
    _check(folder, options, sequences)
    network.hf_quantizer, network.is_quantized = None, False  # a GGUF file's weights are unpacked by now
    model = with_lora(network, options)
    cuda = torch.cuda.is_available() and options.device != "cpu"
    steps = math.ceil(len(sequences) / (options.batch * options.accumulate))
    early = bool(held_out) and options.patience > 0
    if early and options.save_steps:
        raise UsageError("with patience, checkpoints are kept at the end of each epoch", hint="leave --save-steps or --patience out")
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=options.epochs,
        learning_rate=options.rate,
        per_device_train_batch_size=options.batch,
        per_device_eval_batch_size=options.batch,
        gradient_accumulation_steps=options.accumulate,
        gradient_checkpointing=options.checkpointing,
        warmup_steps=int(options.warmup * steps * options.epochs),
        weight_decay=options.weight_decay,
        lr_scheduler_type="cosine",
        max_grad_norm=1.0,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        use_cpu=not cuda,
        train_sampling_strategy="group_by_length",
        logging_strategy="epoch",
        eval_strategy="epoch" if held_out else "no",
        save_strategy="steps" if options.save_steps else "epoch",
        save_steps=options.save_steps or 500,
        save_total_limit=2 if early else 1,
        load_best_model_at_end=early,
        metric_for_best_model="eval_loss" if early else None,
        greater_is_better=False if early else None,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        seed=options.seed,
        dataloader_pin_memory=cuda,
        label_names=["labels"],
    )
    history = History(report)
    callbacks: list[TrainerCallback] = [history]
    if early:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=options.patience))
    pad = int(network.generation_config.pad_token_id or 0)
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=_Sequences(sequences),
        eval_dataset=_Sequences(held_out) if held_out else None,
        data_collator=lambda batch: collate(batch, pad),
        callbacks=callbacks,
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)) if folder.is_dir() else None)
    return trainer.model, history.rows


def collate(batch: Sequence[dict[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Sequences as tensors of shape (batch, longest), padded on the right where nothing is attended to or learnt."""
    longest = max(len(one["input_ids"]) for one in batch)

    def padded(name: str, filler: int) -> torch.Tensor:
        return torch.tensor([[*one[name], *[filler] * (longest - len(one[name]))] for one in batch])

    mask = torch.tensor([[1] * len(one["input_ids"]) + [0] * (longest - len(one["input_ids"])) for one in batch])
    return {"input_ids": padded("input_ids", pad), "attention_mask": mask, "labels": padded("labels", IGNORED)}


class _Sequences(Dataset[dict[str, list[int]]]):
    def __init__(self, sequences: Sequence[TokenSequence]) -> None:
        self._sequences = sequences

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        one = self._sequences[index]
        return {"input_ids": list(one.ids), "labels": list(one.labels)}


def _check(folder: Path, options: AdapterOptions, sequences: Sequence[TokenSequence]) -> None:
    """Going on with other data or settings would make something that nobody asked for."""
    import hashlib
    from dataclasses import asdict

    data = hashlib.sha256(repr([(s.ids, s.labels) for s in sequences]).encode()).hexdigest()
    own = {**asdict(options), "device": None, "data_sha256": data}
    place = folder / SETTINGS
    if place.is_file() and json.loads(place.read_text("utf-8")) != own:
        raise RunError(f"{folder} holds checkpoints of other settings or data", hint="give another -o, or remove the folder")
    folder.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(own, indent=1) + "\n", "utf-8")
