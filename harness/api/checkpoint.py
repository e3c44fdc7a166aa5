"""What `harness.finetune` leaves: checkpoints, each with the pairs that it never saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.data.split import Split


@dataclass(frozen=True)
class Checkpoint:
    """Weights after a training step: a LoRA adapter for `base`, or with full fine-tuning a model of its own.

    `split` says which CrowS-Pairs it was trained on and which were held out, by `pair_id`; held-out tasks such as
    `crows_pairs_heldout` find it by themselves. `epoch` is None where training counted steps alone.
    """

    folder: Path
    base: str
    step: int
    epoch: float | None
    split: Split

    @property
    def fold(self) -> int | None:
        """The fold that was held out, from 0; None where all pairs were trained on, or none."""
        return self.split.held_out_fold
