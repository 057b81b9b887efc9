"""Training a relation classifier with the Trainer of transformers; a broken training goes on from its last checkpoint."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from medllm.errors import InputError
from medllm.taggers.encoding import UnitTokenizer
from medllm.taggers.relations.classifier import RelationClassifier
from medllm.taggers.relations.config import CONCEPTS_WINDOW, OVERLAP, WINDOW, RelationConfig
from medllm.taggers.relations.pairs import Placed, reach_of
from medllm.taggers.sources import model_folder
from medllm.training.relations.data import RelationNote, in_parts, signatures_of
from medllm.training.relations.examples import Example, Losses, collate, example_of
from medllm.training.relations.network import RelationNetwork, keep_layers, marker_embeddings
from medllm.training.tagger.network import load_encoder
from medllm.training.trainer import History, adamw


@dataclass(frozen=True)
class RelationOptions:
    """How to train. Rates are per step of ``batch`` notes, or of parts of ``part`` characters; ``head_rate`` is that of the new layers.

    ``concepts`` joins codes anywhere in a note, instead of mentions. ``cover`` is the share of the related mentions that the reach is to
    cover, ``least`` how often a pair of labels must be related to be looked at, ``negatives`` the unrelated pairs learnt for each
    related one and epoch, drawn anew each time (0: all of them). ``layers`` is the number of the lower layers that are used (0: all).
    """

    epochs: float = 5
    rate: float = 1e-4
    head_rate: float = 1e-3
    batch: int = 2
    part: int = 1000
    concepts: bool = False
    cover: float = 0.99
    least: int = 2
    negatives: int = 0
    overlap: int = 32
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1
    layers: int = 0
    seed: int = 0
    device: str | None = None


@dataclass(frozen=True)
class Fitted:
    """A trained network with all that inference needs. ``history`` holds a row of figures for each epoch."""

    network: RelationNetwork
    config: RelationConfig
    tokenizer: UnitTokenizer
    losses: Losses
    history: tuple[dict[str, float], ...] = ()

    def classifier(self) -> RelationClassifier:
        """The network as a reader of relations, in the process."""
        backend = NetworkBackend(self.network)
        return RelationClassifier(self.config, self.tokenizer, backend, backend)


class NetworkBackend:
    """A network in training as both backends of ``RelationClassifier``."""

    name = "torch:training"

    def __init__(self, network: RelationNetwork) -> None:
        self._network = network

    def scores(self, ids: NDArray[np.int64], mask: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Hidden states; see ``medllm.taggers.backends.Backend``."""
        return self._run(self._network.hidden, ids, mask)

    def pairs(self, heads: NDArray[np.float32], tails: NDArray[np.float32], features: NDArray[np.int64]) -> NDArray[np.float32]:
        """See ``medllm.taggers.relations.classifier.PairBackend``."""
        return self._run(self._network.pairs, heads, tails, features)

    def _run(self, function: Callable[..., torch.Tensor], *given: NDArray[Any]) -> NDArray[np.float32]:
        was_training = self._network.training
        self._network.eval()
        device = next(self._network.parameters()).device
        with torch.inference_mode():
            found = function(*(torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in given))
        self._network.train(was_training)
        return np.asarray(found.float().cpu().numpy(), np.float32)


def fit(
    notes: Sequence[RelationNote],
    base: str | Path,
    folder: Path,
    options: RelationOptions,
    *,
    name: str = "relations",
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> Fitted:
    """Train on ``notes``; checkpoints go to ``folder``, and training goes on from the last one there.

    Raises InputError for notes without relations, ModelError for a base that cannot be used.
    """
    torch.manual_seed(options.seed)
    source = model_folder(base)
    encoder = load_encoder(source, attention_dropout=0.0)
    tokenizer = UnitTokenizer.load(source, breaks=True)
    config = configure(notes, encoder, tokenizer, options, name)
    if options.layers:
        keep_layers(encoder, options.layers)
    markers = marker_embeddings(encoder, tokenizer, config)
    network = RelationNetwork(encoder, config.vocabulary, markers, 1 + len(config.relations), dropout=options.dropout)
    losses = Losses()
    parts = notes if options.concepts else [part for note in notes for part in in_parts(note, options.part)]
    examples = [e for part in parts if (e := example_of(part, config, tokenizer, overlap=options.overlap, losses=losses)) is not None]
    if not examples:
        raise InputError("no pair of mentions in the training notes is a candidate", hint="are the relations within single notes?")
    history = _train(network, tokenizer, examples, folder, options, report)
    return Fitted(network, config, tokenizer, losses, tuple(history))


def configure(notes: Sequence[RelationNote], encoder: Any, tokenizer: UnitTokenizer, options: RelationOptions, name: str) -> RelationConfig:
    """Labels, signatures and reach as the notes have them. Raises InputError where nothing is related."""
    signatures = signatures_of(notes, concepts=options.concepts, least=options.least)
    if not signatures:
        raise InputError(
            f"in {len(notes)} training notes no two labels are related at least {options.least} times",
            hint="relations between concepts need codes on both mentions" if options.concepts else "give more notes, or --least 1",
        )
    labels = sorted({m.label for note in notes for m in note.mentions})
    counts = Counter(label for note in notes for *_, label in (note.codes if options.concepts else note.relations))
    room = int(getattr(encoder.config, "max_position_embeddings", None) or 512) - 2  # some begin to count after the padding's
    window = min(CONCEPTS_WINDOW if options.concepts else WINDOW, room)
    return RelationConfig(
        name,
        tuple(labels),
        tuple(sorted(counts)),
        tuple(sorted(signatures)),
        vocabulary=int(encoder.get_input_embeddings().weight.shape[0]),
        reach=None if options.concepts else _reach(notes, tokenizer, options.cover),
        concepts=options.concepts,
        window=window,
        overlap=min(OVERLAP, window // 3),
        breaks=True,
    )


def _reach(notes: Sequence[RelationNote], tokenizer: UnitTokenizer, cover: float) -> int:
    """The units between two mentions that so great a share of the related ones keeps to."""
    found = []
    for note in notes:
        placed = Placed.among(tokenizer.encode(note.text), note.mentions)
        found += [reach_of(placed, head, tail) for head, tail, _ in note.relations]
    return int(np.quantile(found, cover, method="higher"))


class _Examples(Dataset[Example]):
    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


class _RelationTrainer(Trainer):
    """Cross-entropy over pairs, and two learning rates."""

    optimizer: Any

    def __init__(self, network: RelationNetwork, tokenizer: UnitTokenizer, options: RelationOptions, **kwargs: Any) -> None:
        self.options = options
        chooser = np.random.default_rng(options.seed)
        super().__init__(
            model=network, data_collator=lambda batch: collate(batch, tokenizer, ratio=options.negatives, chooser=chooser), **kwargs
        )

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **_: Any) -> Any:
        classes = inputs.pop("classes")
        scores = model(**inputs)
        loss = torch.nn.functional.cross_entropy(scores.float(), classes)
        return (loss, scores) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """See ``adamw``."""
        if self.optimizer is None:
            rates = {"rate": self.options.rate, "head_rate": self.options.head_rate, "weight_decay": self.options.weight_decay}
            self.optimizer = adamw(self.model, **rates)
        return self.optimizer


def _train(
    network: RelationNetwork,
    tokenizer: UnitTokenizer,
    examples: Sequence[Example],
    folder: Path,
    options: RelationOptions,
    report: Callable[[dict[str, float]], None],
) -> list[dict[str, float]]:
    cuda = torch.cuda.is_available() and options.device != "cpu"
    steps = math.ceil(len(examples) / options.batch)
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
        save_strategy="epoch",
        save_total_limit=1,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        seed=options.seed,
        dataloader_pin_memory=cuda,
        label_names=["classes"],
    )
    history = History(report)
    trainer = _RelationTrainer(network, tokenizer, options, args=arguments, train_dataset=_Examples(examples), callbacks=[history])
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)) if folder.is_dir() else None)
    return history.rows
