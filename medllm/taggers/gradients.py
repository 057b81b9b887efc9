"""Attributions through a network of torch: integrated gradients, whose values add up, and attention, which explains nothing by itself.

Integrated gradients (Sundararajan et al. 2017, ICML): the path from a baseline, where all words are padding, to the text, in equal steps;
the attributions of all words sum to the difference between the scores at its two ends (completeness).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medllm.taggers.config import TaggerConfig
from medllm.taggers.encoding import UnitTokenizer
from medllm.taggers.explain import Explanation, Target, Word, target
from medllm.taggers.tagger import model_inputs

if TYPE_CHECKING:
    import torch

GRADIENTS, ATTENTION = "integrated gradients", "attention (where the last layer looks; no proof of what it rests on)"
STEPS = 32


class Differentiable(NamedTuple):
    """A network whose scores [batch, tokens, outputs] can be derived by the words' vectors.

    ``embed`` takes ids [batch, tokens] to vectors [batch, tokens, width]; ``scores`` takes those, the mask and the case features.
    ``encoder`` is the model of transformers inside.
    """

    embed: "Callable[[torch.Tensor], torch.Tensor]"
    scores: "Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]"
    encoder: Any


def of_network(network: Any) -> Differentiable:
    """A ``medllm.training.tagger.network.TaggerNetwork``."""

    def scores(vectors: "torch.Tensor", mask: "torch.Tensor", case: "torch.Tensor") -> "torch.Tensor":
        given = vectors if network.case is None else vectors + network.case(case)
        found: torch.Tensor = network.head(network.encoder(inputs_embeds=given, attention_mask=mask).last_hidden_state)
        return found

    return Differentiable(network.encoder.get_input_embeddings(), scores, network.encoder)


def of_classifier(model: Any) -> Differentiable:
    """A token classifier of transformers; it knows no case features."""

    def scores(vectors: "torch.Tensor", mask: "torch.Tensor", case: "torch.Tensor") -> "torch.Tensor":
        found: torch.Tensor = model(inputs_embeds=vectors, attention_mask=mask).logits
        return found

    return Differentiable(model.get_input_embeddings(), scores, model.base_model)


def explain_by_gradients(
    model: Differentiable,
    config: TaggerConfig,
    tokenizer: UnitTokenizer,
    text: str,
    start: int,
    end: int,
    label: str,
    *,
    steps: int = STEPS,
) -> tuple[Explanation, float]:
    """The words' attributions to a mention's mean log-probability, and the score at the baseline. Raises ValueError as ``target``.

    All words that the encoder sees have one; they sum to the score less the baseline's, as closely as ``steps`` allow. What the start,
    end and break tokens add is nothing: they stand in the baseline as well.
    """
    import torch

    found = target(config, tokenizer, text, start, end, label)
    ids, mask, case = (torch.from_numpy(x) for x in model_inputs(tokenizer, [(found.encoded, found.window)]))
    owner = _owners(found, ids.shape[1])
    with torch.no_grad():
        vectors = model.embed(ids)
        padding = model.embed(torch.where(torch.from_numpy(owner >= 0), tokenizer.padding, ids))
        low, high = (float(_score(model, v, mask, case, found)[0]) for v in (padding, vectors))
    total = torch.zeros_like(vectors)
    for step in range(steps):
        point = (padding + (vectors - padding) * ((step + 0.5) / steps)).detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(_score(model, point, mask, case, found).sum(), point)
        total += gradient / steps
    values = (total * (vectors - padding)).sum(-1)[0].numpy()
    return Explanation(label, GRADIENTS, high, _by_word(found, owner, values)), low


def attention_of(
    model: Differentiable, config: TaggerConfig, tokenizer: UnitTokenizer, text: str, start: int, end: int, label: str
) -> Explanation:
    """How much the mention's units attend to each word in the last layer, the mean over heads: no attribution; at most 1 in all."""
    import torch

    found = target(config, tokenizer, text, start, end, label)
    ids, mask, _ = (torch.from_numpy(x) for x in model_inputs(tokenizer, [(found.encoded, found.window)]))
    before = model.encoder.config._attn_implementation
    model.encoder.set_attn_implementation("eager")  # the others do not tell
    try:
        with torch.no_grad():
            weights = model.encoder(inputs_embeds=model.embed(ids), attention_mask=mask, output_attentions=True).attentions[-1]
    finally:
        model.encoder.set_attn_implementation(before)
    values = weights[0].mean(0)[torch.from_numpy(found.rows)].mean(0).numpy()
    return Explanation(label, ATTENTION, 0.0, _by_word(found, _owners(found, ids.shape[1]), values))


def _score(model: Differentiable, vectors: "torch.Tensor", mask: "torch.Tensor", case: "torch.Tensor", found: Target) -> "torch.Tensor":
    import torch

    logs = model.scores(vectors, mask, case)[:, torch.from_numpy(found.rows), found.layer].log_softmax(-1)
    return logs[:, torch.arange(len(found.outputs)), torch.from_numpy(found.outputs)].mean(1)


def _owners(found: Target, width: int) -> NDArray[np.int64]:
    """[1, tokens]: the unit that a token belongs to, -1 for start, end and breaks."""
    owner = np.full((1, width), -1, np.int64)
    owner[0, 1 : 1 + found.window.end - found.window.start] = found.encoded.unit[found.window.start : found.window.end]
    return owner


def _by_word(found: Target, owner: NDArray[np.int64], values: NDArray[np.floating]) -> tuple[Word, ...]:
    sums: dict[int, float] = {}
    for unit, value in zip(owner[0].tolist(), values.tolist(), strict=True):
        if unit >= 0:
            sums[unit] = sums.get(unit, 0.0) + value
    return tuple(Word(found.encoded.units[n].start, found.encoded.units[n].end, value) for n, value in sorted(sums.items()))
