"""Fine-tuning a causal language model, through LoRA, on the very prompts and answers of the prompted reader."""

from medllm.training.llm.fit import AdapterOptions, fit
from medllm.training.llm.run import AdapterJob, train

__all__ = ["AdapterJob", "AdapterOptions", "fit", "train"]
