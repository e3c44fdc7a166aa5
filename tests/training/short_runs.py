"""Two steps of training in this process, for tests that ask what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.data.crows_pairs import Pair
from harness.data.families import family_of
from harness.data.split import Split
from training.config import TrainingArguments
from training.pair_arguments import PairArguments
from training.run import train_fold


def two_steps(
    folder: Path, output: Path, pairs: Sequence[Pair], stock: dict[str, Any] | None = None, **ours: Any
) -> Path:
    """Train a model's folder on four pairs a step; gives the checkpoint after the second.

    Args:
        stock: settings of `TrainingArguments` over the defaults here.
        ours: settings of `PairArguments`.
    """
    defaults = {"max_steps": 2, "learning_rate": 1e-3, "warmup_steps": 0, "per_device_train_batch_size": 4}
    saving = {"save_strategy": "steps", "save_steps": 2, "report_to": [], "disable_tqdm": True}
    training_arguments = TrainingArguments(output_dir=str(output), **{**defaults, **saving, **(stock or {})})
    split = Split(data_sha256="", folds=1, fold=-1, train=tuple(pair.pair_id for pair in pairs), held_out=())
    train_fold(
        PairArguments(str(folder), **ours), training_arguments, family_of({"pretrained": str(folder)}), split, pairs
    )
    return output / "checkpoint-2"
