"""`split.json`: which CrowS-Pairs a training run saw and which it held out, named by content."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict

SPLIT_FILE = "split.json"


class Split(BaseModel):
    """One fold of a cross-fitting. `train` and `held_out` hold `Pair.pair_id`s; together they are the whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_sha256: str
    folds: int
    fold: int
    train: tuple[str, ...]
    held_out: tuple[str, ...]


def find_split(checkpoint: Path) -> Split:
    """The split of the run that wrote `checkpoint`: the nearest `split.json` in the folder or up to two above it.

    Raises:
        FileNotFoundError: there is none, so nobody knows which pairs the checkpoint saw.
    """
    folder = checkpoint.resolve()
    for candidate in (folder, *folder.parents[:2]):
        file = candidate / SPLIT_FILE
        if file.is_file():
            return Split.model_validate(json.loads(file.read_text(encoding="utf-8")))
    raise FileNotFoundError(
        f"{checkpoint}: no {SPLIT_FILE} in this folder or the two above it, so the pairs it was trained on "
        "are unknown and a held-out score would mean nothing. Score `crows_pairs` instead, or name a checkpoint that "
        "`python -m training` wrote."
    )
