"""A trained network as a folder for inference: an ONNX graph (float32, then int8), its tokenizer, ``tagger.json``."""

import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from medllm.taggers.features import CASE
from medllm.training.quantization import quantize_graph
from medllm.training.tagger.fit import Fitted
from medllm.training.tagger.network import CASE_FILE, TaggerNetwork, save_head

OPSET = 17


class _Graph(nn.Module):
    """The network with its inputs in ONNX's own types."""

    def __init__(self, network: TaggerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, case: torch.Tensor) -> torch.Tensor:
        return self.network(input_ids, attention_mask, case)


def export(fitted: Fitted, folder: Path, *, quantize: bool = True) -> Path:
    """Write the folder; returns the graph's path: ``model.int8.onnx``, or ``model.onnx`` unless ``quantize``."""
    folder.mkdir(parents=True, exist_ok=True)
    fitted.decoding_config().save(folder)
    (folder / "tokenizer.json").write_text(fitted.tokenizer.to_json(), "utf-8")
    plain = folder / "model.onnx"
    _export_graph(fitted.network, plain)
    if not quantize:
        return plain
    small = folder / "model.int8.onnx"
    quantize_graph(plain, small)
    plain.unlink()
    return small


def save_encoder(fitted: Fitted, folder: Path) -> None:
    """The encoder as a folder that transformers reads, and its head beside it: ``medllm train tagger --base`` goes on from both."""
    folder.mkdir(parents=True, exist_ok=True)
    fitted.network.encoder.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(fitted.tokenizer.to_json(), "utf-8")
    save_head(fitted.network, fitted.config, folder)
    if fitted.network.case is not None:
        save_file(fitted.network.case.state_dict(), folder / CASE_FILE)


def _export_graph(network: TaggerNetwork, path: Path) -> None:
    network = network.eval().to("cpu")
    ids = torch.ones((2, 16), dtype=torch.int64)
    dynamic = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
        torch.onnx.export(
            _Graph(network),
            (ids, torch.ones_like(ids), torch.zeros((2, 16, network.case.in_features if network.case is not None else CASE))),
            str(path),
            input_names=["input_ids", "attention_mask", "case"],
            output_names=["scores"],
            dynamic_axes={name: dynamic for name in ("input_ids", "attention_mask", "case", "scores")},
            opset_version=OPSET,
            dynamo=False,
        )
