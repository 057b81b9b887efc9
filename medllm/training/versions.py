"""The versions of the libraries that a training depends on."""

from importlib import metadata

PACKAGES = ("torch", "transformers", "onnxruntime", "tokenizers")


def versions(packages: tuple[str, ...] = PACKAGES) -> str:
    """Names and versions of those that are installed, separated by commas."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
