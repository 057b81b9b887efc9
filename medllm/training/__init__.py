"""Training: taggers (``medllm.training.tagger``). Needs ``pip install 'medllm[train]'``."""
