"""The network of a tagger: an encoder of transformers, case features added to its word embeddings, one linear head for all tasks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from medllm.errors import ModelError
from medllm.taggers.encoding import CASE

IMPOSSIBLE = -1e4
CASE_FILE = "case.safetensors"
"""Beside the weights of an encoder that was trained with case features."""


class TaggerNetwork(nn.Module):
    """Scores [batch, tokens, outputs]. ``encoder`` is any bidirectional model of transformers that takes ``inputs_embeds``."""

    def __init__(self, encoder: Any, outputs: int, *, case: bool, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        hidden = int(encoder.config.hidden_size)
        width = encoder.get_input_embeddings().weight.shape[1]
        self.case = nn.Linear(CASE, width, bias=False) if case else None
        if self.case is not None:
            nn.init.zeros_(self.case.weight)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, case: torch.Tensor) -> torch.Tensor:
        """``input_ids``, ``attention_mask`` [batch, tokens], ``case`` [batch, tokens, 3]."""
        embedded = self.encoder.get_input_embeddings()(input_ids)
        if self.case is not None:
            embedded = embedded + self.case(case)
        hidden = self.encoder(inputs_embeds=embedded, attention_mask=attention_mask).last_hidden_state
        scores: torch.Tensor = self.head(self.dropout(hidden))
        return scores


def marginal_loss(
    scores: torch.Tensor, allowed: torch.Tensor, slices: Sequence[slice], weights: Sequence[float] | None = None
) -> torch.Tensor:
    """Minus the log-probability that each unit has one of its allowed tags, the mean over supervised units of each head, summed.

    ``scores`` and ``allowed`` [units, outputs]. Where exactly one tag is allowed this is the cross-entropy; where all are, nothing is
    learnt; in between, what the annotation leaves open stays open (Tsuboi et al. 2008, C08-1113).
    """
    total = scores.new_zeros(())
    for number, where in enumerate(slices):
        part, may = scores[:, where].float(), allowed[:, where]
        known = ~may.all(1)
        if bool(known.any()):
            part, may = part[known], may[known]
            loss = part.logsumexp(1) - part.masked_fill(~may, IMPOSSIBLE).logsumexp(1)
            total = total + loss.mean() * (weights[number] if weights else 1.0)
    return total


def load_encoder(base: str | Path) -> Any:
    """An encoder by folder or hub name, without the pooler that taggers do not use. Raises ModelError."""
    from transformers import AutoModel

    try:
        return AutoModel.from_pretrained(base, add_pooling_layer=False, use_safetensors=True, dtype=torch.float32)
    except TypeError:
        return AutoModel.from_pretrained(base, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the encoder cannot be loaded ({type(error).__name__})",
            hint="give a folder with config.json and model.safetensors, or a hub name",
        ) from error


def load_case(network: TaggerNetwork, base: Path) -> None:
    """Take over the case features' weights that an earlier training left beside its encoder, where there are any."""
    if network.case is not None and (base / CASE_FILE).is_file():
        network.case.load_state_dict(load_file(base / CASE_FILE))


def freeze_lower(encoder: Any, layers: int) -> None:
    """Keep the embeddings and the lowest ``layers`` as they are. Raises ModelError where the encoder has no such list of layers."""
    blocks = next((m for m in encoder.modules() if isinstance(m, nn.ModuleList)), None)
    if blocks is None or layers > len(blocks):
        raise ModelError(f"the encoder has not {layers} layers to freeze", hint=f"it has {len(blocks) if blocks is not None else 0}")
    encoder.get_input_embeddings().requires_grad_(False)
    for block in blocks[:layers]:
        block.requires_grad_(False)
