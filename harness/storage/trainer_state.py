"""`trainer_state.json`: what transformers' Trainer notes of a checkpoint, of which the epoch is read."""

from __future__ import annotations

from pathlib import Path

from harness.storage.reading import read_object, shown

TRAINER_STATE = "trainer_state.json"


def epoch_of(checkpoint: Path) -> float | None:
    """After how many passes over the data a checkpoint was written; None where its folder does not say.

    Raises:
        ValueError: the file is broken; names it.
    """
    file = checkpoint / TRAINER_STATE
    epoch = read_object(file).get("epoch") if file.is_file() else None
    if epoch is not None and not isinstance(epoch, (int, float)):
        raise ValueError(f"{file}: epoch is {shown(epoch)}, expected a number; put the checkpoint's own file back")
    return None if epoch is None else float(epoch)
