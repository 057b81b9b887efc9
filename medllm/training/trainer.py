"""What the trainings have in common, on top of the Trainer of transformers."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback


def adamw(network: torch.nn.Module, *, rate: float, head_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW: the encoders (``encoder``, ``second``) at ``rate``, new layers at ``head_rate``; norms and biases do not decay."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            own = rate if name.startswith(("encoder.", "second.")) else head_rate
            groups.setdefault((own, weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return torch.optim.AdamW([{"params": p, "lr": own, "weight_decay": decay} for (own, decay), p in groups.items()], lr=rate)


class History(TrainerCallback):
    """Keeps every row of figures that a training logs, and reports it."""

    def __init__(self, report: Callable[[dict[str, float]], None]) -> None:
        self.rows: list[dict[str, float]] = []
        self._report = report

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """See TrainerCallback."""
        row = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)} | {"epoch": float(state.epoch or 0)}
        self.rows.append(row)
        self._report(row)
