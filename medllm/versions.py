"""Which versions are installed of the packages that decide what is decoded."""

from collections.abc import Iterable
from importlib import metadata

DECODERS = ("outlines", "llguidance", "xllamacpp", "transformers", "torch", "vllm")
"""What turns a prompt and a grammar into an answer, in this process."""

PACKAGES = ("pydantic", "onnxruntime", *DECODERS)
"""What ``run.json`` names."""


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
