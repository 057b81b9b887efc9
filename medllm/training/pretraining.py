"""Domain adaptation: an encoder goes on learning to fill gaps, in raw notes of the kind it will read (Gururangan et al. 2020)."""

import dataclasses
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import AutoModelForMaskedLM, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from medllm.errors import InputError, ModelError
from medllm.taggers.encoding import Encoded, UnitTokenizer, windows
from medllm.taggers.sources import model_folder
from medllm.training.tagger.network import freeze_lower
from medllm.training.trainer import History

MASKED = 0.15
KEPT, RANDOM = 0.1, 0.1
"""Of the units chosen, the share that is left as it is, and the share whose tokens are any others; the rest is masked."""
HELD_OUT = 0.05
IGNORED = -100


@dataclass(frozen=True)
class PretrainingOptions:
    """How to go on with masked language modelling. ``window`` is in tokens, ``freeze`` the number of lower layers left as they are."""

    epochs: float = 3
    rate: float = 5e-5
    batch: int = 8
    window: int = 192
    freeze: int = 0
    seed: int = 0
    device: str | None = None


def pretrain(
    texts: Sequence[str],
    base: str | Path,
    folder: Path,
    options: PretrainingOptions,
    *,
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> dict[str, float]:
    """Write the adapted encoder to ``folder`` (for ``medllm train tagger --base``), and return what it gained.

    Whole units are masked, none of which the encoder sees a part of. One window in twenty is held out: ``perplexity_before`` and
    ``perplexity_after`` are of the units masked there. A broken run goes on from its last epoch. Raises InputError for too little text,
    ModelError for a base that cannot be used.
    """
    source = model_folder(base)
    tokenizer = UnitTokenizer.load(source, breaks=True)
    mask = tokenizer.mask
    model = _masked_model(source)
    if options.freeze:
        freeze_lower(model, options.freeze)
    examples = [(e, w.start, w.end) for e in map(tokenizer.encode, texts) for w in windows(e, options.window - 2, 0)]
    random.Random(options.seed).shuffle(examples)
    held_out, training = examples[: max(1, round(HELD_OUT * len(examples)))], examples[max(1, round(HELD_OUT * len(examples))) :]
    if len(training) < options.batch:
        raise InputError(f"{len(texts)} notes are too little text to pretrain on", hint="domain adaptation wants thousands of notes")
    torch.manual_seed(options.seed)
    collate = _Masking(tokenizer, mask, int(model.config.vocab_size), options.seed)
    cuda = torch.cuda.is_available() and options.device != "cpu"
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=options.epochs,
        learning_rate=options.rate,
        per_device_train_batch_size=options.batch,
        warmup_steps=math.ceil(0.06 * options.epochs * len(training) / options.batch),
        weight_decay=0.01,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        use_cpu=not cuda,
        logging_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        seed=options.seed,
        dataloader_pin_memory=cuda,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=_Windows(training), data_collator=collate, callbacks=[History(report)])
    before = _perplexity(model, collate, held_out, options.batch)
    last = get_last_checkpoint(arguments.output_dir) if Path(str(arguments.output_dir)).is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    gained = {"perplexity_before": before, "perplexity_after": _perplexity(model, collate, held_out, options.batch)}
    model.base_model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_json(), "utf-8")
    about = {"notes": len(texts), "windows": len(training), "held_out_windows": len(held_out), **dataclasses.asdict(options), **gained}
    (folder / "pretraining.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    return gained


def _masked_model(source: Path) -> Any:
    try:
        return AutoModelForMaskedLM.from_pretrained(source, use_safetensors=True, dtype=torch.float32, attention_probs_dropout_prob=0.0)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(
            f"the encoder cannot be pretrained ({type(error).__name__})", hint="masked language models of transformers can: BERT, RoBERTa"
        ) from error


class _Windows(Dataset[tuple[Encoded, int, int]]):
    def __init__(self, windows: Sequence[tuple[Encoded, int, int]]) -> None:
        self._windows = windows

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> tuple[Encoded, int, int]:
        return self._windows[index]


class _Masking:
    """Windows as a batch with whole units hidden, anew every time."""

    def __init__(self, tokenizer: UnitTokenizer, mask: int, vocabulary: int, seed: int) -> None:
        self._tokenizer, self._mask, self._vocabulary = tokenizer, mask, vocabulary
        self._chance = np.random.default_rng(seed)

    def __call__(self, batch: Sequence[tuple[Encoded, int, int]]) -> dict[str, torch.Tensor]:
        size = max(end - start for _, start, end in batch) + 2
        ids = np.full((len(batch), size), self._tokenizer.padding, np.int64)
        attended, labels = np.zeros_like(ids), np.full_like(ids, IGNORED)
        for row, (encoded, start, end) in enumerate(batch):
            shown, wanted = self._hide(encoded.ids[start:end], encoded.unit[start:end])
            ids[row, 0], ids[row, len(shown) + 1] = self._tokenizer.start, self._tokenizer.end
            ids[row, 1 : len(shown) + 1], labels[row, 1 : len(shown) + 1] = shown, wanted
            attended[row, : len(shown) + 2] = 1
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(attended), "labels": torch.from_numpy(labels)}

    def _hide(self, ids: NDArray[np.int64], unit: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        units = np.unique(unit[unit >= 0])
        draw = dict(zip(units.tolist(), self._chance.random(len(units)).tolist(), strict=True))
        drawn = np.array([draw.get(int(u), 1.0) for u in unit]) / MASKED
        shown = np.where(drawn < 1 - KEPT - RANDOM, self._mask, ids)
        anything = (drawn >= 1 - KEPT - RANDOM) & (drawn < 1 - KEPT)
        shown[anything] = self._chance.integers(0, self._vocabulary, int(anything.sum()))
        return shown, np.where(drawn < 1, ids, IGNORED)


def _perplexity(model: Any, collate: _Masking, held_out: Sequence[tuple[Encoded, int, int]], batch: int) -> float:
    """Of the hidden units of the held-out windows, the same ones every time."""
    same = _Masking(collate._tokenizer, collate._mask, collate._vocabulary, 0)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(held_out), batch):
            inputs = {name: value.to(device) for name, value in same(held_out[start : start + batch]).items()}
            hidden = int((inputs["labels"] != IGNORED).sum())
            total, count = total + float(model(**inputs).loss) * hidden, count + hidden
    model.train(was_training)
    return math.exp(min(50.0, total / max(1, count)))
