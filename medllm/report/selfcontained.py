"""Pages that stand alone: one HTML file that loads nothing, under a policy that admits only its own style and script."""

import json
import os
import tempfile
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from medllm.errors import RunError
from medllm.formats.files import private_folder

# A data block ends at the first "</script", wherever it stands; without "<" there is none.
_JSON_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


@cache
def base_style() -> str:
    """The colours, the type and the tables that every page has."""
    return (Path(__file__).parent / "base.css").read_text(encoding="utf-8")


def content_policy(style: str, script: str) -> str:
    """The content security policy: no loads at all, and only this style and this script."""
    style_hash, script_hash = (b64encode(sha256(text.encode()).digest()).decode() for text in (style, script))
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def embed_json(data: Any) -> str:
    """JSON that may stand inside a ``<script>`` element.

    >>> embed_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_JSON_ESCAPES)


def write_page(page: str, out: Path) -> Path:
    """Write a page to ``out``, readable by its owner only, in one step. Returns ``out``; raises RunError."""
    try:
        private_folder(out.parent)
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.stem}-", suffix=out.suffix)  # mkstemp's mode is 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(page.encode("utf-8"))
            os.replace(name, out)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise RunError(f"{out}: the page cannot be written: {error.strerror}", hint="give another output path") from error
    return out
