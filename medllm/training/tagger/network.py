"""The network of a tagger: an encoder of transformers, case features added to its word embeddings, one linear head for all tasks."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from medllm.errors import ModelError
from medllm.taggers.config import TaggerConfig
from medllm.taggers.features import CASE
from medllm.taggers.tags import TagSet

IMPOSSIBLE = -1e4
HEAD_FILE = "head.safetensors"
"""Beside the weights of an encoder that was trained as a tagger: its head, with the names of its outputs."""
CASE_FILE = "case.safetensors"
"""Beside the weights of an encoder that was trained with case features."""


class TaggerNetwork(nn.Module):
    """Scores [batch, tokens, outputs]. ``encoder`` is any bidirectional model of transformers that takes ``inputs_embeds``.

    ``features`` is the number of features of a unit, 0 for none; ``fields`` are the tag layers that get the transition weights of a
    conditional random field. ``apart`` is the number of last outputs that a second encoder computes, which begins as a copy of the
    first: soft parameter sharing, with ``distance`` as what the loss adds.
    """

    def __init__(
        self, encoder: Any, outputs: int, *, features: int = CASE, dropout: float = 0.1, fields: Sequence[TagSet] = (), apart: int = 0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        hidden = int(encoder.config.hidden_size)
        width = encoder.get_input_embeddings().weight.shape[1]
        self.case = nn.Linear(features, width, bias=False) if features else None
        if self.case is not None:
            nn.init.zeros_(self.case.weight)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, outputs)
        self.apart = apart
        self.second = copy.deepcopy(encoder) if apart else None
        self.transitions = nn.ParameterList([nn.Parameter(torch.zeros(len(tags), len(tags))) for tags in fields])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, case: torch.Tensor) -> torch.Tensor:
        """``input_ids``, ``attention_mask`` [batch, tokens], ``case`` [batch, tokens, features]."""
        scores: torch.Tensor = self.head(self._hidden(self.encoder, input_ids, attention_mask, case))
        if self.second is not None:
            others = self.head(self._hidden(self.second, input_ids, attention_mask, case))
            scores = torch.cat([scores[..., : -self.apart], others[..., -self.apart :]], -1)
        return scores

    def _hidden(self, encoder: Any, ids: torch.Tensor, mask: torch.Tensor, case: torch.Tensor) -> torch.Tensor:
        embedded = encoder.get_input_embeddings()(ids)
        if self.case is not None:
            embedded = embedded + self.case(case)
        hidden: torch.Tensor = self.dropout(encoder(inputs_embeds=embedded, attention_mask=mask).last_hidden_state)
        return hidden

    def distance(self) -> torch.Tensor:
        """The squared distance between the weights of the two encoders (Duong et al. 2015, P15-2139)."""
        pairs = zip(self.encoder.parameters(), self.second.parameters() if self.second is not None else (), strict=False)
        return torch.stack([((one - other) ** 2).sum() for one, other in pairs if one.requires_grad]).sum()


def marginal_loss(
    scores: torch.Tensor, allowed: torch.Tensor, slices: Sequence[slice], weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Minus the log-probability that each unit has one of its allowed tags, the mean over supervised units of each head, summed.

    ``scores`` and ``allowed`` [units, outputs]. Where exactly one tag is allowed this is the cross-entropy; where all are, nothing is
    learnt; in between, what the annotation leaves open stays open (Tsuboi et al. 2008, C08-1113). ``weights`` [outputs] are those of the
    tags: a unit weighs what the tags that it may have weigh on average.
    """
    total = scores.new_zeros(())
    for where in slices:
        part, may = scores[:, where].float(), allowed[:, where]
        known = ~may.all(1)
        if bool(known.any()):
            part, may = part[known], may[known]
            loss = part.logsumexp(1) - part.masked_fill(~may, IMPOSSIBLE).logsumexp(1)
            if weights is None:
                total = total + loss.mean()
            else:
                weight = (may * weights[where]).sum(1) / may.sum(1)
                total = total + (loss * weight).sum() / weight.sum()
    return total


def field_loss(scores: torch.Tensor, allowed: torch.Tensor, chains: torch.Tensor, transitions: torch.Tensor) -> torch.Tensor:
    """Minus the log-probability of all paths that the annotation admits, per unit of which it says something.

    ``scores`` and ``allowed`` [units, tags]; ``chains`` [chains, longest] indexes of units, -1 behind the end; ``transitions``
    [tags, tags], the scheme's own included. Both ends of a chain are free, as a window may cut a mention.
    """
    known = ~allowed.all(1)
    there = chains >= 0
    chains = chains.clamp(min=0)
    emissions, may = scores.float()[chains], allowed[chains]
    both = torch.cat([emissions, emissions.masked_fill(~may, IMPOSSIBLE)])
    there = torch.cat([there, there])
    total = both[:, 0]
    for step in range(1, both.shape[1]):
        fresh = (total[:, :, None] + transitions).logsumexp(1) + both[:, step]
        total = torch.where(there[:, step, None], fresh, total)
    everything, admitted = total.logsumexp(1).chunk(2)
    return (everything - admitted).sum() / known.sum().clamp(min=1)


def load_encoder(base: str | Path, *, attention_dropout: float | None = None) -> Any:
    """An encoder by folder or hub name, without the pooler that taggers do not use. Raises ModelError.

    ``attention_dropout`` replaces the configuration's own: 0 lets attention be computed without its matrix.
    """
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(base)
        for name in ("attention_probs_dropout_prob", "attention_dropout"):
            if attention_dropout is not None and hasattr(config, name):
                setattr(config, name, attention_dropout)
        options: dict[str, Any] = {"config": config, "use_safetensors": True, "dtype": torch.float32}
        try:
            return AutoModel.from_pretrained(base, add_pooling_layer=False, **options)
        except TypeError:
            return AutoModel.from_pretrained(base, **options)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the encoder cannot be loaded ({type(error).__name__})",
            hint="give a folder with config.json and model.safetensors, or a hub name",
        ) from error


def load_case(network: TaggerNetwork, base: Path) -> None:
    """Take over the case features' weights that an earlier training left beside its encoder, where there are any."""
    if network.case is not None and (base / CASE_FILE).is_file():
        copy_case(network, load_file(base / CASE_FILE)["weight"])


def save_head(network: TaggerNetwork, config: TaggerConfig, folder: Path) -> None:
    """The head beside its encoder, with what its outputs are."""
    tensors = {name: value.detach().contiguous() for name, value in network.head.state_dict().items()}
    save_file(tensors, folder / HEAD_FILE, metadata={"tagger": config.to_json()})


def load_head(network: TaggerNetwork, config: TaggerConfig, base: Path) -> None:
    """Take over the head's rows for the labels and values that an earlier training has learnt, where its encoder is the base."""
    if not (base / HEAD_FILE).is_file():
        return
    with safe_open(base / HEAD_FILE, "pt") as file:
        known = TaggerConfig.from_json(str((file.metadata() or {}).get("tagger")))
        weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
    here, there = config.outputs_in(known)
    with torch.no_grad():
        network.head.weight[here] = weight[there]
        network.head.bias[here] = bias[there]


def copy_case(network: TaggerNetwork, weight: torch.Tensor) -> None:
    """Take over the weights [width, features] of as many features as both have; case comes first."""
    if network.case is not None and network.case.weight.shape[0] == weight.shape[0]:
        shared = min(network.case.weight.shape[1], weight.shape[1])
        with torch.no_grad():
            network.case.weight[:, :shared] = weight[:, :shared]


def freeze_lower(encoder: Any, layers: int) -> None:
    """Keep the embeddings and the lowest ``layers`` as they are. Raises ModelError where the encoder has no such list of layers."""
    blocks = next((m for m in encoder.modules() if isinstance(m, nn.ModuleList)), None)
    if blocks is None or layers > len(blocks):
        raise ModelError(f"the encoder has not {layers} layers to freeze", hint=f"it has {len(blocks) if blocks is not None else 0}")
    encoder.get_input_embeddings().requires_grad_(False)
    for block in blocks[:layers]:
        block.requires_grad_(False)
