"""What a checkpoint's folder says of its model is what the model's own folder said, but for the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import GenerationConfig
from transformers.utils import GENERATION_CONFIG_NAME


@contextmanager
def saved_as_loaded(model: Any, folder: Path) -> Iterator[None]:
    """What is saved inside has the model's generation config as it was loaded.

    transformers 5.20 refuses to save one that it does not find valid, as several published ones are not.
    """
    loaded = getattr(model, "generation_config", None)
    if loaded is None:
        yield
        return
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = loaded
    if (file := folder / GENERATION_CONFIG_NAME).is_file():
        loaded.to_json_file(file)
