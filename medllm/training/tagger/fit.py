"""Training a tagger with the Trainer of transformers: full, with frozen lower layers, or through LoRA adapters (peft)."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import get_last_checkpoint

from medllm.errors import InputError, UsageError
from medllm.schema import Schema, attributes
from medllm.taggers.config import TaggerConfig, window_of
from medllm.taggers.encoding import UnitTokenizer
from medllm.taggers.features import lexicon_of
from medllm.taggers.sources import model_folder
from medllm.taggers.tagger import Tagger, model_inputs
from medllm.taggers.tags import TagSet
from medllm.training.tagger.data import TrainingNote
from medllm.training.tagger.layers import Example, Losses, assign_layers, attribute_heads, chains_of, examples_of
from medllm.training.tagger.network import (
    TaggerNetwork,
    copy_case,
    field_loss,
    freeze_lower,
    load_case,
    load_encoder,
    load_head,
    marginal_loss,
)
from medllm.training.trainer import History, adamw


@dataclass(frozen=True)
class TrainingOptions:
    """How to train. Rates are per step of ``batch`` windows of at most ``window`` tokens; ``head_rate`` is that of the new layers.

    ``patience`` ends the training after so many epochs without a better F1 on the held-out notes (0: never). ``lora`` is the rank of
    the adapters (0: full fine-tuning), ``freeze`` the number of lower layers left as they are. ``average`` keeps an exponential
    mean of the weights with this decay per step and evaluates that (0: none). ``crf`` learns weights of the transitions between tags.
    ``balance`` gives the tags of rare labels more weight (the inverse square root of their frequency).
    ``soft`` gives the attributes an encoder of their own, held to the first one by so much of the squared distance of their weights
    (soft parameter sharing); at 0 all tasks share one encoder.
    ``lexicons`` (names as ``medllm.lexicons.load`` takes them) give features of the units, for which inference needs them too.
    ``attention_dropout`` costs a third of the time on a CPU: it is drawn for every pair of tokens, and attention then needs its matrix.
    """

    epochs: float = 10
    rate: float = 5e-5
    head_rate: float = 5e-4
    batch: int = 8
    window: int = 192
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1
    attention_dropout: float = 0.0
    crf: bool = False
    soft: float = 0.0
    balance: bool = False
    lexicons: tuple[str, ...] = ()
    patience: int = 0
    lora: int = 0
    freeze: int = 0
    average: float = 0.0
    case: bool = True
    breaks: bool = True
    seed: int = 0
    device: str | None = None


@dataclass(frozen=True)
class Fitted:
    """A trained network with all that inference needs. ``history`` holds a row of figures for each epoch."""

    network: TaggerNetwork
    config: TaggerConfig
    tokenizer: UnitTokenizer
    losses: Losses
    history: tuple[dict[str, float], ...]

    def tagger(self) -> Tagger:
        """The network as a reader, in the process."""
        return Tagger(self.decoding_config(), self.tokenizer, NetworkBackend(self.network))

    def decoding_config(self) -> TaggerConfig:
        """The configuration with the transitions as they have been learnt so far."""
        if not len(self.network.transitions):
            return self.config
        learnt = []
        for tags, weights in zip(self.config.layers, self.network.transitions, strict=True):
            scores = np.array(tags.transitions, np.float64)
            scores[:-1, :-1] += weights.detach().cpu().numpy()
            learnt.append(tuple(tuple(float(x) for x in row) for row in scores))
        return dataclasses.replace(self.config, transitions=tuple(learnt))


class NetworkBackend:
    """A network in training as a backend of ``Tagger``."""

    name = "torch:training"

    def __init__(self, network: TaggerNetwork) -> None:
        self._network = network

    def scores(self, ids: NDArray[np.int64], mask: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """See ``medllm.taggers.backends.Backend``."""
        was_training = self._network.training
        self._network.eval()
        device = self._network.head.weight.device
        with torch.inference_mode():
            found = self._network(*(torch.from_numpy(x).to(device) for x in (ids, mask, features)))
        self._network.train(was_training)
        return np.asarray(found.float().cpu().numpy(), np.float32)


def fit(
    notes: Sequence[TrainingNote],
    base: str | Path,
    folder: Path,
    options: TrainingOptions,
    *,
    name: str = "tagger",
    held_out: Sequence[TrainingNote] = (),
    schema: Schema | None = None,
    layers: Sequence[Sequence[str]] | None = None,
    start: TaggerNetwork | None = None,
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> Fitted:
    """Train on ``notes``; checkpoints go to ``folder``, and training goes on from the last one there.

    ``held_out`` is scored after every epoch (exact micro F1 of mentions) and decides nothing unless ``patience`` is set. ``start`` gives
    its encoder instead of ``base``'s. Raises InputError for notes without mentions, ModelError for a base that cannot be used.
    """
    order = _label_order(notes, schema)
    if not order:
        raise InputError("the training notes have no mentions", hint="a tagger learnt from them would find nothing")
    torch.manual_seed(options.seed)
    source = model_folder(base)
    tokenizer = UnitTokenizer.load(source, breaks=options.breaks, lexicon=lexicon_of(options.lexicons))
    encoder = start.encoder if start is not None else load_encoder(source, attention_dropout=options.attention_dropout)
    window, overlap = window_of(encoder.config.to_dict())
    config = TaggerConfig(
        name,
        tuple(TagSet.of(labels) for labels in (layers or assign_layers(notes, order))),
        attribute_heads(notes, _attribute_values(schema)),
        window=window,
        overlap=overlap,
        case=options.case,
        breaks=options.breaks,
        lexicons=options.lexicons,
    )
    if options.freeze:
        freeze_lower(encoder, options.freeze)
    if options.soft and options.lora:
        raise UsageError("adapters stand on one encoder", hint="leave out --lora or --soft-sharing")
    network = TaggerNetwork(
        encoder,
        config.outputs,
        features=tokenizer.features if options.case else 0,
        dropout=options.dropout,
        fields=config.layers if options.crf else (),
        apart=sum(len(head.values) for head in config.attributes) if options.soft else 0,
    )
    load_case(network, source)
    load_head(network, config, source)
    if start is not None and start.case is not None:
        copy_case(network, start.case.weight)
    if options.lora:
        network.encoder = _with_lora(encoder, options.lora)
    if options.balance and options.crf:
        raise UsageError("a random field has no weights of labels", hint="leave out --balance or --crf")
    losses = Losses()
    examples = [e for note in notes for e in examples_of(note, config, tokenizer, size=min(options.window, window) - 2, losses=losses)]
    fitted = Fitted(network, config, tokenizer, losses, ())
    history = _train(fitted, examples, held_out, folder, options, report)
    if options.lora:
        network.encoder = network.encoder.merge_and_unload()
    return dataclasses.replace(fitted, history=tuple(history))


class _Examples(Dataset[Example]):
    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


class _ByLength(LengthGroupedSampler):
    """Another order in every epoch, the same one where a broken training goes on."""

    def __init__(self, batch: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch, lengths=lengths, generator=torch.Generator())
        self._seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """What the order depends on beside the seed."""
        self.generator.manual_seed(self._seed * 1_000_003 + epoch)


class _TaggerTrainer(Trainer):
    """Marginal loss over the heads, two learning rates, and scores of whole notes instead of tokens."""

    optimizer: Any
    control: Any

    def __init__(self, fitted: Fitted, held_out: Sequence[TrainingNote], options: TrainingOptions, **kwargs: Any) -> None:
        self.fitted, self.held_out, self.options = fitted, held_out, options
        layers, heads = fitted.config.slices()
        self.fields, self.slices = (layers, heads) if options.crf else ((), (*layers, *heads))
        self.weights = label_weights(fitted.config, kwargs["train_dataset"]) if options.balance else None
        self.schemes = [torch.from_numpy(tags.transitions[:-1, :-1]) for tags in fitted.config.layers]
        super().__init__(model=fitted.network, data_collator=self._collate, **kwargs)

    def _collate(self, batch: Sequence[Example]) -> dict[str, torch.Tensor]:
        ids, mask, features = model_inputs(self.fitted.tokenizer, [(e.encoded, e.window) for e in batch])
        rows = np.concatenate([np.full(len(e.rows), i) for i, e in enumerate(batch)])
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "case": torch.from_numpy(features),
            "rows": torch.from_numpy(rows),
            "columns": torch.from_numpy(np.concatenate([e.rows for e in batch])),
            "allowed": torch.from_numpy(np.concatenate([e.allowed for e in batch])),
            "chains": torch.from_numpy(chains_of(batch)),
        }

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        """Windows of similar length in a batch, so that little is padding."""
        lengths = [example.window.end - example.window.start for example in self.train_dataset]
        return _ByLength(self.options.batch, lengths, self.options.seed)

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **_: Any) -> Any:
        scores = model(inputs["input_ids"], inputs["attention_mask"], inputs["case"])
        units, allowed = scores[inputs["rows"], inputs["columns"]], inputs["allowed"]
        loss = marginal_loss(units, allowed, self.slices, None if self.weights is None else self.weights.to(units.device))
        for where, weights, scheme in zip(self.fields, self.fitted.network.transitions, self.schemes, strict=False):
            loss = loss + field_loss(units[:, where], allowed[:, where], inputs["chains"], weights + scheme.to(weights.device))
        if self.fitted.network.second is not None:
            loss = loss + self.options.soft * self.fitted.network.distance()
        return (loss, scores) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """See ``adamw``."""
        if self.optimizer is None:
            rates = {"rate": self.options.rate, "head_rate": self.options.head_rate, "weight_decay": self.options.weight_decay}
            self.optimizer = adamw(self.fitted.network, **rates)
        return self.optimizer

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        metrics = {f"eval_{k}": v for k, v in exact_f1(self.fitted.tagger(), self.held_out).items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def label_weights(config: TaggerConfig, examples: Iterable[Example]) -> torch.Tensor:
    """[outputs]: 1 for outside and attributes; for a tag, the inverse square root of its share among the tags of mentions, 1 on average."""
    count = np.zeros(config.outputs)
    for example in examples:
        sure = example.allowed[:, : config.slices()[0][-1].stop]
        count[: sure.shape[1]] += sure[sure.sum(1) < sure.shape[1]].sum(0)
    weights = np.ones(config.outputs)
    for tags, where in zip(config.layers, config.slices()[0], strict=True):
        inside = np.array([kind != "O" for kind, _ in tags.tags])
        found = np.sqrt(count[where][inside].clip(min=1))
        weights[where][inside] = found.mean() / found
    return torch.tensor(weights, dtype=torch.float32)


class _Average(TrainerCallback):
    """An exponential mean of the weights, put in their place while they are evaluated and at the end (Polyak averaging)."""

    def __init__(self, network: TaggerNetwork, decay: float) -> None:
        self._network, self._decay, self._steps = network, decay, 0
        self._mean: dict[str, torch.Tensor] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for name, value in self._network.named_parameters():
            if value.requires_grad:
                if name not in self._mean:
                    self._mean[name] = value.detach().clone()
                else:
                    self._mean[name].lerp_(value.detach(), 1 - decay)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        with torch.no_grad():
            for name, value in self._network.named_parameters():
                if name in self._mean:
                    value.copy_(self._mean[name])


def _train(
    fitted: Fitted,
    examples: Sequence[Example],
    held_out: Sequence[TrainingNote],
    folder: Path,
    options: TrainingOptions,
    report: Callable[[dict[str, float]], None],
) -> list[dict[str, float]]:
    cuda = torch.cuda.is_available() and options.device != "cpu"
    steps = math.ceil(len(examples) / options.batch)
    early = bool(held_out) and options.patience > 0
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=options.epochs,
        learning_rate=options.rate,
        per_device_train_batch_size=options.batch,
        warmup_steps=int(options.warmup * steps * options.epochs),
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        use_cpu=not cuda,
        logging_strategy="epoch",
        eval_strategy="epoch" if held_out else "no",
        save_strategy="epoch",
        save_total_limit=1 if not early else 2,
        load_best_model_at_end=early,
        metric_for_best_model="eval_f1" if early else None,
        remove_unused_columns=False,
        report_to=_reporters(),
        disable_tqdm=True,
        seed=options.seed,
        dataloader_pin_memory=cuda,
        label_names=["allowed"],
    )
    history = History(report)
    callbacks: list[TrainerCallback] = [history]
    if early:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=options.patience))
    if options.average:
        callbacks.append(_Average(fitted.network, options.average))
    trainer = _TaggerTrainer(
        fitted, held_out, options, args=arguments, train_dataset=_Examples(examples), eval_dataset=_Examples(()), callbacks=callbacks
    )
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    return history.rows


def exact_f1(tagger: Tagger, notes: Sequence[TrainingNote]) -> dict[str, float]:
    """Precision, recall and F1 of exact spans and labels, over the labels that each note annotates."""
    found = gold = right = 0
    for note, mentions in zip(notes, tagger.tag_many([n.text for n in notes]), strict=True):
        want = {(m.start, m.end, m.label) for m in note.mentions}
        have = {(m.start, m.end, m.label) for m in mentions if m.label in note.labels}
        found, gold, right = found + len(have), gold + len(want), right + len(have & want)
    precision, recall = right / found if found else 0.0, right / gold if gold else 0.0
    return {"precision": precision, "recall": recall, "f1": 2 * right / (found + gold) if found + gold else 0.0}


def save_history(rows: Sequence[dict[str, float]], path: Path) -> None:
    """One JSON line an entry."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _label_order(notes: Sequence[TrainingNote], schema: Schema | None) -> list[str]:
    there = {m.label for note in notes for m in note.mentions}
    known = [label for label in (schema.labels if schema else ()) if label in there]
    return known + sorted(there.difference(known))


def _attribute_values(schema: Schema | None) -> dict[str, tuple[str, ...]]:
    return {a.name: a.values for kind in (schema.entities if schema else ()) for a in attributes(kind)}


def _with_lora(encoder: Any, rank: int) -> Any:
    from peft import LoraConfig, get_peft_model

    return get_peft_model(encoder, LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.05, target_modules="all-linear"))


def _reporters() -> list[str]:
    import importlib.util

    return ["tensorboard"] if importlib.util.find_spec("tensorboard") else []
