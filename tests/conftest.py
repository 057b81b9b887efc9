import os
from pathlib import Path

import pytest
from hypothesis import settings

from medllm.errors import ModelError

settings.register_profile("medllm", deadline=None)  # a loaded machine is slow, and no test is timed
settings.load_profile("medllm")


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The real default model, fetched by hash if it is not here."""
    from medllm.weights import DEFAULT_MODEL, pull

    try:
        return pull(DEFAULT_MODEL)
    except ModelError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the default model cannot be had here: {error}")
