"""ONNX graphs in int8: dynamic quantization of the weights, by channel."""

import logging
from pathlib import Path


def quantize_graph(source: Path, target: Path) -> None:
    """Write ``source`` with its matrices in int8 to ``target``."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    logging.getLogger().setLevel(logging.ERROR)  # it writes to the root logger
    ready = source.with_suffix(".ready.onnx")
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    quantize_dynamic(str(ready), str(target), weight_type=QuantType.QInt8, per_channel=True, reduce_range=False)
    ready.unlink()
