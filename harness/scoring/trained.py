"""What a checkpoint's own folder says of its training: step, epoch, fold, the pairs it saw, the base it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.data.split import SPLIT_FILE, Split, find_split, nearest_split_file
from harness.storage.controls import CONTROL_FILE
from harness.storage.manifest import MANIFEST
from harness.storage.projections import RECORD_FILE, read_record
from harness.storage.trainer_state import epoch_of


class Trained(NamedTuple):
    """A checkpoint of `python -m training`; what its folder does not say is None."""

    step: int | None
    epoch: float | None
    split: Split | None

    @property
    def fold(self) -> int | None:
        """The fold that was held out; None where all pairs were trained on, or none, or nobody knows."""
        return self.split.held_out_fold if self.split else None


def trained(checkpoint: Path) -> Trained:
    """What a folder of trained weights says of itself.

    Raises:
        ValueError: its split belongs to other weights, or one of its files is broken; names it.
    """
    numbered = re.fullmatch(r"checkpoint-(\d+)", checkpoint.resolve().name)
    return Trained(int(numbered.group(1)) if numbered else None, epoch_of(checkpoint), find_split(checkpoint))


def checkpoint_of(model_args: Mapping[str, Any]) -> Path | None:
    """The checkpoint that model arguments name: the adapter `peft`, or a model that was trained or edited here.

    None for any other model.
    """
    if peft := model_args.get("peft"):
        return Path(str(peft))
    folder = Path(str(model_args["pretrained"]))
    sealed = (folder / MANIFEST).is_file() and nearest_split_file(folder) is not None
    return (
        folder if sealed or any((folder / name).is_file() for name in (SPLIT_FILE, CONTROL_FILE, RECORD_FILE)) else None
    )


def trained_from(
    checkpoint: Path | None, base_weights_sha256: str, adapter: bool, by_recipe: bool = False
) -> dict[str, Any]:
    """The part of the provenance that says what was trained, and on what.

    Args:
        checkpoint: None for a base model, or the folder of an adapter or a fully trained model.
        base_weights_sha256: of what is loaded, without an adapter.
        adapter: whether the checkpoint is an adapter on it.
        by_recipe: whether it is asked by one: a base then is a step that was trained on nothing.
    """
    if checkpoint is None:
        return {"base_weights_sha256": base_weights_sha256, **({"trained_on": {}} if by_recipe else {})}
    if (projected := read_record(checkpoint)) is not None:
        return {"base_weights_sha256": projected.base_weights_sha256, "trained_on": {}}
    split = trained(checkpoint).split
    named = split.base_weights_sha256 if split else None
    return {
        "base_weights_sha256": base_weights_sha256 if adapter else named,
        "trained_on": {"crows_pairs": len(split.train)} if split and split.train else {},
    }
