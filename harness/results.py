"""Result folders: lm-eval's own results and samples files, written atomically, with the provenance of every number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from harness.data.families import Family

PROVENANCE_KEY = "stereoscope"


class TaskData(BaseModel):
    """Which data a task was scored on; `n` counts its rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    origin: Literal["sample", "local", "fetched"]
    n: int


class Provenance(BaseModel):
    """Where a results file comes from: model, weights, training step, data, versions, command.

    `inputs_sha256` names everything that decided the scores, so that a finished stage is known when a run goes on.
    `stage` is "base" for an untrained model and "step" for a checkpoint; `fold` counts from 0 and is None without
    cross-fitting. `started_after` is the token that a sentence's first token is conditioned on, for a masked model the
    one that stands before it, "" where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    pretrained: str
    parameters: int
    family: Family = "causal"
    weights_sha256: str
    stage: Literal["base", "step"] = "base"
    step: int | None = None
    epoch: float | None = None
    fold: int | None = None
    checkpoint: str | None = None
    started_after: str
    started_after_id: int
    dtype: str
    tasks: dict[str, TaskData]
    versions: dict[str, str]
    command: str
    seconds: float
    inputs_sha256: str = ""


@dataclass(frozen=True)
class Scored:
    """One results file and the samples files beside it."""

    file: Path
    provenance: Provenance
    results: Mapping[str, Any]

    def samples(self, task: str) -> Iterator[dict[str, Any]]:
        """The task's lines, in document order of the file.

        Raises:
            FileNotFoundError: the model was scored without its samples, so nothing can be recomputed from it.
        """
        date = self.file.stem.removeprefix("results_")
        path = self.file.with_name(f"samples_{task}_{date}.jsonl")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no samples beside {self.file.name}; score again with --log_samples")
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"{path}, line {number}: not JSON ({error}); score this model again") from error


def find_scored(folder: Path) -> list[Scored]:
    """Every results file with provenance under `folder`, the newest of each sub-folder, sorted by path."""
    newest: dict[Path, Path] = {}
    for file in sorted(folder.rglob("results_*.json")):
        newest[file.parent] = file
    found = []
    for file in newest.values():
        results = json.loads(file.read_text(encoding="utf-8"))
        if PROVENANCE_KEY in results:
            found.append(Scored(file, Provenance.model_validate(results[PROVENANCE_KEY]), results))
    return found
