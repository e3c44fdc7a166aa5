"""What a finished training leaves to be scored: the scheduled checkpoints of every fold; needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from harness.data.split import SPLIT_FILE, Split, read_split

TRAINED_FILE = "trained.json"


class Finished(NamedTuple):
    """A checkpoint-N folder; `epoch` is None where steps alone were counted."""

    folder: Path
    step: int
    epoch: float | None
    split: Split


def is_finished(fold: Path) -> bool:
    """Whether a fold's folder has a finished training in it: one that left something to score."""
    file = fold / TRAINED_FILE
    return file.is_file() and bool(json.loads(file.read_text(encoding="utf-8"))["checkpoints"])


def finished_checkpoints(output_dir: Path) -> list[Finished]:
    """The checkpoints of every finished fold under `output_dir`, in order of folds and of steps."""
    found = []
    for file in sorted(output_dir.glob(f"fold-*/{TRAINED_FILE}")):
        split = read_split(file.parent / SPLIT_FILE)
        for name, epoch in json.loads(file.read_text(encoding="utf-8"))["checkpoints"].items():
            found.append(Finished(file.parent / name, int(name.removeprefix("checkpoint-")), epoch, split))
    return found
