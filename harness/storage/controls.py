"""`control.json`: what a control is and how large it was made; beside the weights, so that both go together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.storage.provenance import MatchedBy
from harness.storage.reading import read_record as read

CONTROL_FILE = "control.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Slice(_Part):
    """The text that perplexity was matched on: its passages, and the words that what was scored of them stands for.

    `sha256` is of the passages as they were put to the model.
    """

    data_sha256: str
    origin: str
    passages: int
    words: float
    sha256: str


class Matched(_Part):
    """A trained checkpoint, what its training did to perplexity on the slice, and the norm of its update."""

    checkpoint: str
    fold: int | None
    seed: int | None
    weights_sha256: str
    ratio: float
    update_norm: float


class ControlRecord(_Part):
    """One control. Ratios are perplexity after / before; norms are Euclidean, over all weights that were changed.

    `target_ratio` is the geometric mean over the matched checkpoints and `target_error` the standard error of its
    logarithm over the passages. `scale` is the noise's standard deviation over that of each matrix it was added to.
    `reason` says why it is matched by the norm where it is.
    """

    kind: str
    seed: int
    matched_by: MatchedBy
    reason: str | None
    target_ratio: float
    target_error: float
    reached_ratio: float
    scale: float
    update_norm: float
    base_perplexity: float
    text: Slice
    matched: tuple[Matched, ...]
    inputs_sha256: str


def read_record(folder: Path) -> ControlRecord | None:
    """The record of a finished control; None where there is none.

    Raises:
        ValueError: it is broken; names the file and the key.
    """
    file = folder / CONTROL_FILE
    return read(file, ControlRecord, "delete the control's folder, and run again") if file.is_file() else None


def without_record(folders: Sequence[tuple[Path, str]]) -> list[int]:
    """Which of these folders lack a control made of these inputs, by place."""
    found = [(read_record(folder), inputs) for folder, inputs in folders]
    return [place for place, (record, inputs) in enumerate(found) if not record or record.inputs_sha256 != inputs]
