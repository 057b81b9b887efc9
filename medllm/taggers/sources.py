"""Where a tagger or an encoder is: shipped with the package, a folder, or a name of the model hub."""

from pathlib import Path

from medllm.errors import ModelError

SHIPPED = Path(__file__).parent.parent / "weights" / "shipped"
DEFAULT_TAGGER = "clinical-en"
CHINESE_TAGGER = "uie-nano"
"""The one for schemas in Chinese: UIE, whose graph is fetched on first use."""
_FILES = ["*.json", "model.safetensors", "*.onnx", "onnx/model*.onnx"]
"""What is fetched from the hub: never pickled weights."""


def shipped() -> tuple[str, ...]:
    """The names of the taggers that come with the package."""
    return tuple(sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir())) if SHIPPED.is_dir() else ()


def model_folder(name: str | Path) -> Path:
    """The folder of a model: a shipped tagger's name, a path, or ``ORGANISATION/NAME`` of the hub, fetched on first use.

    Raises ModelError where there is none.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if (SHIPPED / str(name)).is_dir():
        return SHIPPED / str(name)
    if path.is_absolute() or str(name).count("/") != 1 or str(name).startswith("."):
        known = ", ".join(shipped())
        raise ModelError(
            f"there is no model folder {str(name)!r}",
            hint=f"give a folder, a name of the model hub (ORGANISATION/NAME){f', or one that is shipped: {known}' if known else ''}",
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ModelError(f"{name} is not on this machine", hint="pip install huggingface_hub, or give a folder") from None
    try:
        return Path(snapshot_download(str(name), allow_patterns=_FILES))
    except Exception as error:  # the client raises errors of its own, of HTTP and of the system
        raise ModelError(
            f"{name} cannot be fetched from the model hub ({type(error).__name__})", hint="is the name right? offline, give a folder"
        ) from error
