"""What a checkpoint's own folder says of how it was made: a training on pairs, a projection, a control, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness.data.split import Split, find_split
from harness.storage.controls import read_record as control_record
from harness.storage.projections import read_record as projection_record
from harness.storage.reading import read_object

_SETTINGS = (
    "objective",
    "full",
    "lora_r",
    "lora_alpha",
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "pairs_per_step",
    "seed",
)
_RUN_FILE = "run.json"


class Training(NamedTuple):
    """A checkpoint's making in sentences; `base` is what it was made from, None where no file says."""

    name: str
    base: str | None
    sentences: list[str]


def training_of(checkpoint: Path) -> Training:
    """Read a checkpoint's records.

    Raises:
        ValueError: its split belongs to other weights, or a record is broken; names the file.
    """
    name = checkpoint.resolve().name
    if (projected := projection_record(checkpoint)) is not None:
        told = f"A projection ({projected.kind}) was written into the weights; nothing was trained."
        learned = f"It was learned from {projected.text_origin} for {', '.join(projected.bias_types)}."
        return Training(name, projected.base, [told, learned])
    if (control := control_record(checkpoint)) is not None:
        told = f"A control ({control.kind}), which treats no bias: what trained models are compared with."
        return Training(name, None, [told])
    split = find_split(checkpoint)
    if split is None:
        return Training(name, None, ["No file in this folder says how these weights were made."])
    return Training(name, split.base, [_pairs(split), *_settings(checkpoint)])


def _pairs(split: Split) -> str:
    data = f"(sha256 of the file {split.data_sha256[:12]})"
    if not split.train:
        return "Fine-tuned on running text; on no pair of CrowS-Pairs."
    if not split.held_out:
        return f"Fine-tuned on all {len(split.train):,} pairs of CrowS-Pairs {data}: scores on them mean nothing."
    return (
        f"Fine-tuned on {len(split.train):,} pairs of CrowS-Pairs {data}, fold {split.fold} of {split.folds}; "
        f"{len(split.held_out):,} pairs were held out."
    )


def _settings(checkpoint: Path) -> list[str]:
    file = checkpoint.resolve().parent / _RUN_FILE
    if not file.is_file():
        return []
    told = read_object(file, "put the fold's own file back")
    known = [f"{name} {told[name]}" for name in _SETTINGS if told.get(name) not in (None, -1)]
    return [f"Settings: {', '.join(known)}."] if known else []
