"""Counting tokens without asking a server: by the model's own tokenizer where its file is on this machine, else by a rule."""

import os
from collections.abc import Callable
from pathlib import Path

BYTES_A_TOKEN = 3
"""Clinical English has about 3.5 bytes a token and Chinese 3 to 5, so the rule counts too many rather than too few."""


def counter_of(model: str) -> tuple[Callable[[str], int], bool]:
    """A counter for a model given as a folder or a hub name, and whether it is exact."""
    file = _tokenizer_file(model)
    if file is not None:
        from llguidance import LLTokenizer

        try:
            tokenizer = LLTokenizer(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return by_rule, False
        return lambda text: len(tokenizer.tokenize_str(text)), True
    return by_rule, False


def by_rule(text: str) -> int:
    """One token to each three bytes of UTF-8, rounded up.

    >>> by_rule("chest pain"), by_rule("头痛")
    (4, 2)
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN)


def _tokenizer_file(model: str) -> Path | None:
    """``tokenizer.json`` of a folder, or of a model in the hub's cache."""
    if not model:
        return None
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cached = home / "hub" / f"models--{model.replace('/', '--')}" / "snapshots"
    try:
        found = [file for file in (Path(model) / "tokenizer.json", *cached.glob("*/tokenizer.json")) if file.is_file()]
        return max(found, key=lambda file: file.stat().st_mtime, default=None)
    except OSError:
        return None
