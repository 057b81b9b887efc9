"""What computes a tagger's scores: ONNX Runtime where there is an ``.onnx`` file (no torch needed), else torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from medllm.errors import ModelError

if TYPE_CHECKING:
    import onnxruntime

ONNX_NAMES = ("model.int8.onnx", "model.onnx", "model_quantized.onnx", "onnx/model_quantized.onnx", "onnx/model.onnx")
TORCH_NAMES = ("model.safetensors",)


class Backend(Protocol):
    """Scores of a batch of windows."""

    name: str

    def scores(self, ids: NDArray[np.int64], mask: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """``ids``, ``mask`` [batch, tokens] and ``features`` [batch, tokens, features] to raw scores [batch, tokens, outputs]."""
        ...


def onnx_session(path: Path, *, threads: int | None = None) -> "onnxruntime.InferenceSession":
    """A graph ready to run, on a GPU where ``onnxruntime-gpu`` is installed, else on the CPU. Raises ModelError."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # the library's errors have no common base
        raise ModelError(f"{path.name} cannot be loaded ({type(error).__name__})", hint="is the file whole?") from error


class OnnxBackend:
    """A graph under ONNX Runtime, on the CPU, or on a GPU where ``onnxruntime-gpu`` is installed."""

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        self._session = onnx_session(path, threads=threads)
        self._inputs = {each.name for each in self._session.get_inputs()}
        self.name = f"onnx:{path.name}"

    def scores(self, ids: NDArray[np.int64], mask: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """See ``Backend``."""
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids), "case": features}
        (found,) = self._session.run(None, {name: value for name, value in given.items() if name in self._inputs})[:1]
        return np.asarray(found, np.float32)


class TorchBackend:
    """A token classifier of transformers, in float32 on the CPU, in bfloat16 on a GPU."""

    def __init__(self, folder: Path, *, device: str | None = None, threads: int | None = None) -> None:
        try:
            import torch
            from transformers import AutoModelForTokenClassification
        except ImportError:
            raise ModelError(
                "this tagger has no ONNX file, and torch is not installed", hint="pip install 'medllm[transformers]'"
            ) from None
        if threads is not None:
            torch.set_num_threads(threads)
        self._torch = torch
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if self.device.startswith("cuda") else torch.float32
        try:
            model = AutoModelForTokenClassification.from_pretrained(folder, dtype=dtype, use_safetensors=True)
        except Exception as error:  # transformers' own, and safetensors' for a file that is none
            raise ModelError(
                f"the tagger cannot be loaded ({type(error).__name__})",
                hint="its weights must be model.safetensors; pickled ones are refused",
            ) from error
        self.model = model.eval().to(self.device)
        self.name = f"torch:{self.device}"

    def scores(self, ids: NDArray[np.int64], mask: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """See ``Backend``; ``features`` are not used, as models of the hub have no such input."""
        torch = self._torch
        with torch.inference_mode():
            logits = self.model(
                input_ids=torch.from_numpy(ids).to(self.device), attention_mask=torch.from_numpy(mask).to(self.device)
            ).logits
        return np.asarray(logits.float().cpu().numpy(), np.float32)
