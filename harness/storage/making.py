"""How long it took to make what was scored, as the records beside its weights say."""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Annotated

from pydantic import BaseModel, Field

from harness.storage.files import atomic_write
from harness.storage.reading import read_record

TRAINED_FILE = "trained.json"
"""Beside the checkpoints of a fold: what its training left, and how long that took."""

MADE_FILE = "made.json"
"""Beside a model that was made without training: how long that took."""


class _Making(BaseModel):
    """What is read of either file; files of before may not have it."""

    checkpoints: dict[str, float | None] = Field(default_factory=dict)
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


def write_made(folder: Path, seconds: float) -> None:
    """Note beside a model's folder how long making it took."""
    atomic_write(folder.parent / MADE_FILE, json.dumps({"seconds": round(seconds, 1)}) + "\n")


def making_seconds(run: Path, checkpoint: str) -> float | None:
    """Seconds that making a model took; None where no record in the run's folder says.

    A training's seconds are those of its last checkpoint. One that was stopped and went on has those since it went on.

    Args:
        run: the folder that the checkpoint is looked for in, wherever that lay when the model was scored.
        checkpoint: the model's folder, as its results file names it.

    Raises:
        ValueError: the record is broken; names the file and the key.
    """
    for folder in _places(run, PurePath(checkpoint)):
        for file in (folder.parent / TRAINED_FILE, folder.parent / MADE_FILE):
            if file.is_file():
                made = read_record(file, _Making, "delete the file, and run again")
                later = [other for other in made.checkpoints if _number(other) > _number(folder.name)]
                return None if later else made.seconds
    return None


def _places(run: Path, checkpoint: PurePath) -> list[Path]:
    """Where in the run's folder a checkpoint may lie: under every end of its path, the longest first."""
    parts = [part for part in checkpoint.parts if part != checkpoint.anchor]
    return [] if ".." in parts else [run.joinpath(*parts[place:]) for place in range(len(parts))]


def _number(checkpoint: str) -> int:
    number = checkpoint.rpartition("-")[2]
    return int(number) if number.isdecimal() and number.isascii() else -1
