"""A trained relation classifier as a folder for inference: the graphs of encoder and pair network, tokenizer, ``relations.json``."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medllm.taggers.relations.classifier import PAIRS_GRAPH
from medllm.taggers.relations.pairs import FEATURES
from medllm.training.quantization import quantize_graph
from medllm.training.relations.fit import Fitted
from medllm.training.relations.network import RelationNetwork

OPSET = 17


class _Encoder(nn.Module):
    """The first part of the network by itself."""

    def __init__(self, network: RelationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.network.hidden(input_ids, attention_mask)


def export(fitted: Fitted, folder: Path, *, quantize: bool = True) -> Path:
    """Write the folder; returns the encoder's graph: ``model.int8.onnx``, or ``model.onnx`` unless ``quantize``.

    The pair network stays in float32: it is small.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fitted.config.save(folder)
    (folder / "tokenizer.json").write_text(fitted.tokenizer.to_json(), "utf-8")
    network = fitted.network.eval().to("cpu")
    width = int(network.encoder.config.hidden_size)
    ids = torch.ones((2, 16), dtype=torch.int64)
    plain = folder / "model.onnx"
    _write(_Encoder(network), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, "hidden", {0: "windows", 1: "tokens"}, plain)
    ends = {side: torch.zeros((3, width)) for side in ("heads", "tails")}
    features = torch.zeros((3, len(FEATURES)), dtype=torch.int64)
    _write(network.pairs, ends | {"features": features}, "scores", {0: "pairs"}, folder / PAIRS_GRAPH)
    if not quantize:
        return plain
    small = folder / "model.int8.onnx"
    quantize_graph(plain, small)
    plain.unlink()
    return small


def _write(module: nn.Module, inputs: dict[str, torch.Tensor], output: str, dynamic: dict[int, str], path: Path) -> None:
    axes: dict[str, Any] = {name: dynamic for name in (*inputs, output)}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
