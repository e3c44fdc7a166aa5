"""`stereoscope score JOB`: score a base and its checkpoints in one process, the base weights loaded once."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.machine.endings import says_what_is_kept
from harness.machine.peers import HANG_SECONDS, PEER_SECONDS
from harness.machine.startup import imports_uncollected
from harness.storage.provenance import MatchedBy
from harness.storage.reading import read_record
from harness.storage.recipes import Recipe
from harness.terminal.libraries import take_over_libraries

log = logging.getLogger(__name__)


class JobTarget(BaseModel):
    """What to score, on which tasks, and the folder for its results.

    The base where `checkpoint` is None, by a `recipe` if it has one; else a checkpoint or a control.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    checkpoint: Path | None
    step: int | None
    epoch: float | None
    fold: int | None
    seed: int | None = None
    method: str | None = None
    control: str | None = None
    matched_by: MatchedBy | None = None
    recipe: Recipe | None = None
    tasks: tuple[str, ...]
    inputs_sha256: str

    @property
    def stage(self) -> Literal["base", "step", "control"]:
        """What its results file says that it is."""
        if self.control:
            return "control"
        return "base" if self.checkpoint is None and self.recipe is None else "step"


class Job(BaseModel):
    """What `stereoscope run` writes for its scoring stages. `limits` is documents a task, the first ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    pretrained: str
    model_args: dict[str, Any] = Field(default_factory=dict)
    data_dir: str | None = None
    limits: dict[str, int] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    gen_kwargs: dict[str, Any] = Field(default_factory=dict)
    hang_seconds: float = HANG_SECONDS
    ddp_timeout: float = PEER_SECONDS
    command: str
    targets: tuple[JobTarget, ...]


def run_job(file: Path) -> None:
    """Score every target of a job file, in order; each one's results are written as soon as it is done.

    Adapters are swapped on the loaded base; a checkpoint of full fine-tuning is loaded as a model of its own.
    """
    from transformers.utils.logging import disable_progress_bar

    from harness.machine.watch import watched_scoring

    disable_progress_bar()
    job = read_record(file, Job)
    kept = "the models that were scored before are saved, and the same command goes on with the rest"
    with says_what_is_kept(kept), watched_scoring(job.hang_seconds, job.ddp_timeout):
        _score_targets(job)


def _score_targets(job: Job) -> None:
    with imports_uncollected():
        from harness.models.any import load_lm
        from harness.models.base import TransformersLM
        from harness.scoring.evaluation import score
        from harness.storage.weights import read_ahead
    take_over_libraries()

    metadata = {**({} if job.data_dir is None else {"data_dir": job.data_dir}), **job.metadata}
    lm: TransformersLM | None = None
    for number, target in enumerate(job.targets, start=1):
        whole = target.checkpoint is not None and not (target.checkpoint / "adapter_config.json").is_file()
        wanted = str(target.checkpoint) if whole else job.pretrained
        if lm is None or lm.pretrained != wanted:
            lm = load_lm(wanted, **(job.model_args | ({"revision": "main"} if whole else {})))
        lm.use_adapter(None if whole else target.checkpoint)
        lm.use_recipe(target.recipe)
        for after in job.targets[number : number + 1]:
            if after.checkpoint is not None:
                read_ahead(after.checkpoint)
        if lm.rank == 0:
            log.info(
                "%s: %s (%d of %d) on %s",
                job.model,
                target.checkpoint or (target.recipe.kind if target.recipe else "base"),
                number,
                len(job.targets),
                ", ".join(target.tasks),
            )
        score(
            lm,
            target.tasks,
            target.folder,
            model=job.model,
            metadata=metadata,
            limits=job.limits,
            gen_kwargs=job.gen_kwargs or None,
            stage=target.stage,
            step=target.step,
            epoch=target.epoch,
            fold=target.fold,
            seed=target.seed,
            method=target.method,
            control=target.control,
            matched_by=target.matched_by,
            checkpoint=None if target.checkpoint is None else str(target.checkpoint),
            inputs_sha256=target.inputs_sha256,
            command=job.command,
        )


def write_job(file: Path, job: Job) -> None:
    """Write the job file that `run_job` reads."""
    from harness.storage.files import atomic_write

    atomic_write(file, json.dumps(job.model_dump(mode="json"), indent=1) + "\n")
