"""How alike two names are in meaning, by a sentence encoder: orders the near names of a mention."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medllm.errors import ModelError
from medllm.linking.candidates import Candidate
from medllm.taggers.backends import ONNX_NAMES, TORCH_NAMES, onnx_session
from medllm.taggers.sources import model_folder
from medllm.weights import checksum

LONGEST = 48
"""Tokens of a name that are read."""
SHARE = 0.5
"""What the encoder's likeness counts of a candidate's score; the names' words and letters are the rest. Chosen on training parts, where
anything from .25 to .9 was better than either alone."""
_REMEMBERED = 1 << 14


class SentenceEncoder:
    """Mean-pooled vectors of names. ``name``: a folder, or a name of the model hub, such as ``sentence-transformers/all-MiniLM-L6-v2``.

    Runs under ONNX Runtime where the folder has an ``.onnx`` file of the encoder, else under torch. Raises ModelError.
    """

    def __init__(self, name: str | Path, *, threads: int | None = None) -> None:
        folder = model_folder(name)
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise ModelError("sentence encoders need the package tokenizers", hint="pip install 'medllm[transformers]'") from None
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises bare Exceptions
            raise ModelError(f"{folder.name} has no tokenizer.json that can be read", hint="is it a sentence encoder?") from error
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.enable_padding()
        onnx = next((folder / file for file in ONNX_NAMES if (folder / file).is_file()), None)
        self._states = _onnx(onnx, threads) if onnx else _torch(folder, threads)
        self.sha256 = checksum(onnx or folder / TORCH_NAMES[0])
        self._vector = lru_cache(_REMEMBERED)(lambda text: self.vectors([text])[0])

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length one, [texts, size]."""
        encoded = self._tokenizer.encode_batch([text.lower() for text in texts])
        ids, mask = (np.array([getattr(each, part) for each in encoded], np.int64) for part in ("ids", "attention_mask"))
        if not ids.shape[1]:  # nothing is left of these names
            ids = mask = np.zeros((len(texts), 1), np.int64)
        states = self._states(ids, mask)
        if states.ndim != 3:
            raise ModelError("the graph gives no states of tokens", hint="give a sentence encoder, exported for feature extraction")
        means = (states * mask[..., None]).sum(axis=1) / np.maximum(mask.sum(axis=1, keepdims=True), 1)
        return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9), np.float32)

    def reordered(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates of ``text`` by their score and the likeness of their names to it, best first; ``score`` is then both."""
        if not candidates:
            return []
        own = self._vector(text)
        both = (c._replace(score=(1 - SHARE) * c.score + SHARE * float(own @ self._vector(c.name))) for c in candidates)
        return sorted(both, key=lambda c: -c.score)


def _onnx(path: Path, threads: int | None) -> Any:
    session = onnx_session(path, threads=threads)
    wanted = {each.name for each in session.get_inputs()}

    def states(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return np.asarray(session.run(None, {name: value for name, value in given.items() if name in wanted})[0], np.float32)

    return states


def _torch(folder: Path, threads: int | None) -> Any:
    try:
        import torch
        from transformers import AutoModel
    except ImportError:
        raise ModelError("this encoder has no ONNX file, and torch is not installed", hint="pip install 'medllm[transformers]'") from None
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        model = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
    except Exception as error:  # transformers' own, and safetensors' for a file that is none
        raise ModelError(
            f"{folder.name} cannot be loaded ({type(error).__name__})", hint="its weights must be model.safetensors"
        ) from error

    def states(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state
        return np.asarray(found.float().numpy(), np.float32)

    return states
