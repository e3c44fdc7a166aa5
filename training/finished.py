"""What a finished training leaves to be scored: the scheduled checkpoints of every fold; needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field

from harness.data.split import SPLIT_FILE, Split, read_split
from harness.storage.making import TRAINED_FILE
from harness.storage.reading import read_record


class Finished(NamedTuple):
    """A checkpoint-N folder; `epoch` is None where steps alone were counted."""

    folder: Path
    step: int
    epoch: float | None
    split: Split


class _Trained(BaseModel):
    """What is read of a fold's trained.json: the epoch of each checkpoint, by the name of its folder."""

    checkpoints: dict[Annotated[str, Field(pattern=r"^checkpoint-[0-9]{1,12}$")], float | None]


def is_finished(fold: Path) -> bool:
    """Whether a fold's folder has a finished training in it: one that left something to score.

    Raises:
        ValueError: its trained.json is broken, or names what is no checkpoint's folder; names file and key.
    """
    file = fold / TRAINED_FILE
    return file.is_file() and bool(_read(file).checkpoints)


def finished_checkpoints(output_dir: Path) -> list[Finished]:
    """The checkpoints of every finished fold under `output_dir`, in order of folds and of steps.

    Raises:
        ValueError: as `is_finished`.
    """
    found = []
    for file in sorted(output_dir.glob(f"fold-*/{TRAINED_FILE}")):
        split = read_split(file.parent / SPLIT_FILE)
        for name, epoch in _read(file).checkpoints.items():
            found.append(Finished(file.parent / name, int(name.removeprefix("checkpoint-")), epoch, split))
    return found


def _read(file: Path) -> _Trained:
    return read_record(file, _Trained, "delete the file, and train again: it goes on from the last checkpoint")
