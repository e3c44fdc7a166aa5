"""`split.json`: which CrowS-Pairs a training run saw and which it held out, named by content, and for which weights."""

from __future__ import annotations

import json
import logging
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.storage.files import atomic_write, sha256_file
from harness.storage.manifest import MANIFEST, read_manifest
from harness.storage.reading import read_record
from harness.storage.weights import weights_sha256

SPLIT_FILE = "split.json"

_WAY_OUT = (
    "Put the checkpoint's own file back, or copy the weights alone, without split.json and manifest.json, to a folder "
    "elsewhere: nothing is said of their training there"
)
log = logging.getLogger(__name__)


class Split(BaseModel):
    """One fold of a cross-fitting. `train` and `held_out` hold `Pair.pair_id`s; together they are the whole file.

    A checkpoint's own names its weights, the base model and the base's weights. A fold's folder, above its
    checkpoints, has one without; there and in files of before these are None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_sha256: str
    folds: int
    fold: int
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    weights_sha256: str | None = None
    base: str | None = None
    base_weights_sha256: str | None = None

    @property
    def held_out_fold(self) -> int | None:
        """The fold that was held out; None where all pairs were trained on, or none, by what trains on text."""
        return self.fold if self.train and self.held_out else None

    def same_pairs(self, other: Split) -> bool:
        """Whether both train on the same pairs and hold out the same ones."""
        return (self.data_sha256, self.train, self.held_out) == (other.data_sha256, other.train, other.held_out)


def bind(checkpoint: Path, split: Split, base: str, base_weights_sha256: str) -> None:
    """Write into a checkpoint's folder, whose weights are complete, which pairs these weights were trained on."""
    told = {"weights_sha256": weights_sha256(checkpoint), "base": base, "base_weights_sha256": base_weights_sha256}
    bound = split.model_copy(update=told)
    atomic_write(checkpoint / SPLIT_FILE, json.dumps(bound.model_dump(mode="json"), indent=1) + "\n")


def nearest_split_file(folder: Path) -> Path | None:
    """The nearest `split.json`, in the folder or up to two above it."""
    resolved = folder.resolve()
    candidates = (candidate / SPLIT_FILE for candidate in (resolved, *resolved.parents[:2]))
    return next((file for file in candidates if file.is_file()), None)


def read_split(file: Path) -> Split:
    """The split of a file.

    Raises:
        ValueError: it is none; names it.
    """
    return read_record(file, Split, f"expected a {SPLIT_FILE} of `python -m training`; put the checkpoint's own back")


def find_split(checkpoint: Path) -> Split | None:
    """The split that a checkpoint's weights were trained with, None if there is none in its folder or two above it.

    Raises:
        ValueError: the split belongs to other weights, or the checkpoint had one of its own, which is gone.
    """
    file = nearest_split_file(checkpoint)
    if file is None:
        return None
    split = read_split(file)
    if split.weights_sha256 is None:
        _take_on_trust(checkpoint.resolve(), file)
    elif (found := weights_sha256(checkpoint)) != split.weights_sha256:
        raise ValueError(
            f"{file} belongs to other weights than those in {checkpoint}: expected sha256 {split.weights_sha256}, "
            f"found {found}, so the pairs they were trained on are unknown. {_WAY_OUT}"
        )
    return split


def _take_on_trust(checkpoint: Path, file: Path) -> None:
    """A split that names no weights: checkpoints of before have no other."""
    sealed = read_manifest(checkpoint) if (checkpoint / MANIFEST).is_file() else {}
    if SPLIT_FILE in sealed and file.parent != checkpoint:
        raise ValueError(
            f"{checkpoint}: its {MANIFEST} lists a {SPLIT_FILE}, which is not there; {file} names no weights and may "
            f"be another checkpoint's. {_WAY_OUT}"
        )
    for name, digest in sealed.items():
        weights = checkpoint / name
        if weights.suffix == ".safetensors" and weights.is_file() and (found := sha256_file(weights)) != digest:
            raise ValueError(
                f"{weights}: not the weights that the training run of {file} wrote: expected sha256 {digest}, found "
                f"{found}, so the pairs they were trained on are unknown. {_WAY_OUT}"
            )
    _warn_once(
        f"{file} does not say which weights it belongs to: that {checkpoint} was trained with it is taken on trust"
    )


@cache
def _warn_once(message: str) -> None:
    log.warning(message)
